//! [`Workspace`]: the memory that a shard computes in, and [`Workspaces`], of which each thread has its own.

use std::cell::RefCell;

use thread_local::ThreadLocal;

use crate::kernels::folded::Looked;
use crate::kernels::linear::Scratch;
use crate::plan::Plan;
use crate::storage::Storage;

/// The memory of a shard, used by one after the other. What it holds between two of them means nothing.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(super) slots: Vec<Storage<f32>>,
    pub(super) scratch: Scratch,
    /// The rows that the shard looks up in each fold.
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

/// The workspaces of one plan: one per thread that has run it, found without a lock.
#[derive(Debug, Default)]
pub(crate) struct Workspaces {
    by_thread: ThreadLocal<RefCell<Workspace>>,
}

impl Workspaces {
    /// Runs `work` in the calling thread's workspace.
    pub(crate) fn with<R>(&self, plan: &Plan, work: impl FnOnce(&mut Workspace) -> R) -> R {
        let own = self.by_thread.get_or(|| RefCell::new(Workspace::new(plan)));
        match own.try_borrow_mut() {
            Ok(mut workspace) => work(&mut workspace),
            // `work` waited for others of its pool, and this thread took up one of them meanwhile.
            Err(_) => work(&mut Workspace::new(plan)),
        }
    }
}
