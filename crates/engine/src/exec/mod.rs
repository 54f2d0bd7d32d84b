//! The executor on the CPU: runs a plan's steps over one shard of a batch.
//!
//! A shard has a workspace of its own and shares nothing that it writes, so shards run on any thread in any order.
//! The caller decides which shards there are. Arithmetic is in [`crate::kernels`].

mod backward;
mod folds;
mod forward;
mod gather;
mod layers;
mod loss;
mod passes;
mod products;
mod workspace;

use std::ops::Range;

pub(crate) use backward::backward;
use folds::unfold;
pub(crate) use forward::forward;
pub(crate) use layers::Layers;
pub(crate) use loss::Targets;
use loss::seed_gradients;
pub(crate) use passes::MAX_LANES;
use pleiad_data::Batch;
use pleiad_model::graph::Space;
pub(crate) use workspace::{Workspace, Workspaces};

use crate::kernels::fields::{Drawn, Fields};
use crate::kernels::folded::Looked;
use crate::kernels::scratch::Scratch;
use crate::kernels::{Columns, MatRef};
use crate::plan::{Buffer, Place, Plan, Step, View};
use crate::requests::Requests;
use crate::sparse::Table;

/// Everything that shards read.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'s> {
    pub(crate) plan: &'s Plan,
    /// Dense parameters in the plan's layout.
    pub(crate) params: &'s [f32],
    /// What was prepared of them.
    pub(crate) layers: &'s Layers,
    pub(crate) tables: &'s [Table],
    pub(crate) batch: &'s Batch,
    pub(crate) requests: &'s Requests,
    /// Seed and step of dropout.
    pub(crate) seed: u64,
    pub(crate) step: u64,
    /// What whole fields are dropped by, if they are.
    pub(crate) fields: Option<&'s Fields>,
}

impl<'s> Shared<'s> {
    /// The rows of a space.
    fn rows(&self, space: Space) -> &'s Batch {
        self.requests.rows(self.batch, space)
    }

    /// The fields that this step drops, if it drops any.
    fn drawn(&self) -> Option<Drawn<'s>> {
        self.fields.map(|fields| fields.drawn(self.seed, self.step))
    }
}

/// One shard: its rows of the batch, and the memory that it alone writes.
pub(crate) struct Shard<'m> {
    pub(crate) rows: Range<usize>,
    /// The requests of these rows.
    requests: Range<usize>,
    /// The batch and its requests, which say what events the rows have.
    batch: &'m Batch,
    of_batch: &'m Requests,
    memory: Vec<&'m mut [f32]>,
    slots: usize,
    scratch: &'m mut Scratch,
    looked: &'m mut [Looked],
}

impl<'m> Shard<'m> {
    /// A shard over `rows` with a workspace and its rows of the batch-wide gradient arrays.
    pub(crate) fn new(
        shared: Shared<'m>,
        (rows, requests): (Range<usize>, Range<usize>),
        workspace: &'m mut Workspace,
        batch_wide: Vec<&'m mut [f32]>,
    ) -> Self {
        let (batch, of_batch) = (shared.batch, shared.requests);
        workspace.make_room(shared.plan, |space| of_batch.span(batch, (&rows, &requests), space).len());
        let Workspace { slots, scratch, looked } = workspace;
        let count = slots.len();
        let memory = slots.iter_mut().map(|slot| &mut **slot).chain(batch_wide).collect();
        Self { rows, requests, batch, of_batch, memory, slots: count, scratch, looked }
    }

    /// The shard's rows of a space.
    fn span(&self, space: Space) -> Range<usize> {
        match space {
            Space::Row => self.rows.clone(),
            Space::Request => self.requests.clone(),
            _ => self.of_batch.span(self.batch, (&self.rows, &self.requests), space),
        }
    }

    /// Where the events of each row that has some begin, and the last ones end: of the shard's rows or requests.
    fn ends(&self, space: Space) -> &'m [usize] {
        let owners = self.span(space.owner());
        self.of_batch.ends(self.batch, space).get(owners.start..=owners.end).unwrap_or_default()
    }

    /// The rows that a step computes.
    fn span_of(&self, plan: &Plan, step: &Step) -> Range<usize> {
        self.span(plan.space(step))
    }

    fn index(&self, place: Place) -> usize {
        match place {
            Place::Slot(slot) => slot,
            Place::Batch(batch) => self.slots + batch,
            Place::Nowhere => unreachable!("a step touches a buffer that no step touches"),
        }
    }

    /// The columns of a view, to be read.
    fn read(&self, buffers: &[Buffer], view: View) -> (&[f32], Columns) {
        (&*self.memory[self.index(buffers[view.buffer].place)], view.at)
    }

    /// As [`Shard::read`], with as many rows as the shard has in the view's space.
    fn matrix(&self, buffers: &[Buffer], view: View) -> MatRef<'_> {
        let (data, at) = self.read(buffers, view);
        at.of(data, self.span(buffers[view.buffer].space).len())
    }

    /// Runs `f` on the memory of a view, taken out so that `f` may read every other buffer meanwhile.
    fn write<R>(&mut self, buffers: &[Buffer], view: View, f: impl FnOnce(&mut Self, &mut [f32]) -> R) -> R {
        let index = self.index(buffers[view.buffer].place);
        let memory = std::mem::take(&mut self.memory[index]);
        let result = f(self, memory);
        self.memory[index] = memory;
        result
    }

    /// As [`Shard::write`], with the memory in which operands are prepared.
    fn multiply(&mut self, buffers: &[Buffer], view: View, f: impl FnOnce(&Self, &mut [f32], &mut Scratch)) {
        let mut scratch = std::mem::take(self.scratch);
        self.write(buffers, view, |shard, memory| f(shard, memory, &mut scratch));
        *self.scratch = scratch;
    }

    /// The number in a view of one column, per row of the shard.
    pub(crate) fn column<'a>(&'a self, buffers: &[Buffer], view: View) -> impl Iterator<Item = f32> + use<'a> {
        let (data, at) = self.read(buffers, view);
        at.rows(data, self.rows.len()).map(|row| row[0])
    }

    /// The columns of a view, row by row.
    pub(crate) fn rows_of<'a>(&'a self, buffers: &[Buffer], view: View) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (data, at) = self.read(buffers, view);
        at.rows(data, self.span(buffers[view.buffer].space).len())
    }
}

/// `y = x` or `y += x`, where both may lie in one buffer.
fn copy(shard: &mut Shard<'_>, buffers: &[Buffer], x: View, y: View, accumulate: bool) {
    let rows = shard.span(buffers[y.buffer].space).len();
    let same = x.buffer == y.buffer;
    shard.write(buffers, y, |shard, memory| {
        if same {
            for row in memory.chunks_mut(y.at.ld).take(rows) {
                for j in 0..x.at.width {
                    let value = row[x.at.col + j];
                    let y = &mut row[y.at.col + j];
                    *y = if accumulate { *y + value } else { value };
                }
            }
        } else {
            let (data, at) = shard.read(buffers, x);
            for (y, x) in y.at.rows_mut(memory, rows).zip(at.rows(data, rows)) {
                if accumulate {
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                } else {
                    y.copy_from_slice(x);
                }
            }
        }
    });
}
