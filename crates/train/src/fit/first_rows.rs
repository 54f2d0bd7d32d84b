//! [`FirstRows`]: row 0 of every table that no training row reads becomes the mean of the others.

use pleiad_engine::Engine;
use serde::{Deserialize, Serialize};

/// Which tables have a row 0 that is not trained; part of every checkpoint.
///
/// A vocabulary with `min_count = 1` knows all values of the training rows, so that row 0 is never read while they are
/// trained on, and what it was drawn as would be all that a new value gets. Who trains row 0 is found out in the first
/// epoch: every other reads the same rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstRows {
    /// Until the first epoch is over: tables whose row 0 was never trained before, and the bits of that row.
    watched: Vec<(usize, Vec<u32>)>,
    /// After it: those of them whose row 0 has stayed as it was.
    untrained: Vec<usize>,
}

impl FirstRows {
    /// Before the first step.
    pub(super) fn begin(&mut self, engine: &Engine, seed: u64) {
        let rows = bits(engine);
        self.watched = engine.untrained_first_rows(seed).into_iter().map(|at| (at, rows[at].clone())).collect();
    }

    /// After the last step of an epoch.
    pub(super) fn end_epoch(&mut self, engine: &mut Engine) {
        if !self.watched.is_empty() {
            let rows = bits(engine);
            let watched = std::mem::take(&mut self.watched).into_iter();
            self.untrained = watched.filter(|(at, row)| rows.get(*at) == Some(row)).map(|(at, _)| at).collect();
        }
        self.fill(engine);
    }

    /// Gives those rows the mean of the others.
    pub(super) fn fill(&self, engine: &mut Engine) {
        engine.fill_first_rows(&self.untrained);
    }
}

fn bits(engine: &Engine) -> Vec<Vec<u32>> {
    engine.first_rows().iter().map(|row| row.iter().map(|weight| weight.to_bits()).collect()).collect()
}
