//! [`Workspace`]: the memory that a shard computes in, and [`Workspaces`], of which there are as many as shards at work.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kernels::folded::Looked;
use crate::kernels::linear::Scratch;
use crate::plan::Plan;
use crate::sparse::Storage;

/// The memory of a shard, used by one after the other. What it holds between two of them means nothing.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(super) slots: Vec<Storage<f32>>,
    pub(super) scratch: Scratch,
    /// Of each fold, what the shard looks up.
    pub(super) looked: Vec<Looked>,
}

impl Workspace {
    /// Room for the buffers of a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            slots: plan.slots.iter().map(|&len| Storage::zeros(len)).collect(),
            scratch: Scratch::default(),
            looked: plan.folds.iter().map(|_| Looked::default()).collect(),
        }
    }
}

/// The workspaces of one plan. The one that was given back last is taken first: a thread that goes on to its next lane
/// finds its own, much of it still in its caches.
#[derive(Debug, Default)]
pub(crate) struct Workspaces {
    idle: Mutex<Vec<Workspace>>,
}

impl Workspaces {
    /// Runs `work` in one of them, or in a new one where all are taken.
    pub(crate) fn with<R>(&self, plan: &Plan, work: impl FnOnce(&mut Workspace) -> R) -> R {
        let idle = self.idle().pop();
        let mut workspace = idle.unwrap_or_else(|| Workspace::new(plan));
        let result = work(&mut workspace);
        self.idle().push(workspace);
        result
    }

    /// A thread that panicked held the lock for no longer than a push takes.
    fn idle(&self) -> MutexGuard<'_, Vec<Workspace>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
