//! [`Workspace`]: the memory that a shard computes in, and [`Workspaces`], of which each thread has its own.

use std::cell::RefCell;

use pleiad_model::graph::Space;
use thread_local::ThreadLocal;

use crate::kernels::folded::Looked;
use crate::kernels::scratch::Scratch;
use crate::plan::{Plan, Slot};
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
    /// Room for the buffers of a plan; for events there is none yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        let len = |slot: &Slot| if slot.space.list().is_some() { 0 } else { slot.ld * plan.target.shard_rows };
        Self {
            slots: plan.slots.iter().map(|slot| Storage::zeros(len(slot))).collect(),
            scratch: Scratch::default(),
            looked: plan.folds.iter().map(|_| Looked::default()).collect(),
        }
    }

    /// Room for so many rows of each space of events. It grows by half at the least, so that it soon has room for every shard.
    pub(super) fn make_room(&mut self, plan: &Plan, rows: impl Fn(Space) -> usize) {
        for (form, slot) in plan.slots.iter().zip(&mut self.slots).filter(|(form, _)| form.space.list().is_some()) {
            let needed = form.ld * rows(form.space);
            if slot.len() < needed {
                *slot = Storage::zeros(needed.max(slot.len() + slot.len() / 2));
            }
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
