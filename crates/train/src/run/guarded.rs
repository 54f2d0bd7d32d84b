//! [`Guarded`]: a keeper that looks, before it writes, whether the folder is still this run's.

use std::collections::BTreeSet;

use pleiad_engine::Engine;

use super::folder::RunFolder;
use crate::checkpoint::CheckpointStore;
use crate::error::Result;
use crate::fit::{Best, FitState, Keeper};

/// The checkpoints of a run in its folder.
pub(super) struct Guarded<'a> {
    pub(super) store: &'a mut CheckpointStore,
    pub(super) folder: &'a RunFolder,
}

impl Keeper for Guarded<'_> {
    fn save(&mut self, state: &FitState, engine: &Engine, best: Best<'_>) -> Result<()> {
        self.folder.require_ours()?;
        self.store.save(state, engine, best)
    }

    fn restore_best(&mut self, engine: &mut Engine, own: &[BTreeSet<String>]) -> Result<()> {
        self.store.restore_best(engine, own)
    }
}
