//! Both passes over a batch, shard by shard.

use std::ops::Range;

use pleiad_data::Batch;
use pleiad_model::graph::Space;
use rayon::prelude::*;

use super::{Engine, StepStats};
use crate::error::{Error, Result};
use crate::exec::{Shard, Shared, Targets, backward, forward, seed_gradients, unfold};
use crate::kernels::reduce::sum_into;
use crate::pass::Pass;
use crate::plan::{Plan, TableGradient};
use crate::requests::Requests;
use crate::runner::{lanes, shards};
use crate::sparse::{GradientOf, Use};
use crate::storage::Storage;

/// Lanes of a step at the most. A lane is a run of shards with one private gradient, so their number bounds both the
/// threads that a step can use and the memory that private gradients take; it does not depend on the threads there
/// are, and so neither does the order of any sum.
pub(crate) const MAX_LANES: usize = 16;

/// What one lane writes.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) gradient: Storage<f32>,
    /// See [`Targets::sums`].
    sums: Vec<f64>,
}

/// A lane, its shards, and of each shard its rows of the batch-wide arrays.
type Job<'l, 'm> = ((&'l mut Lane, &'l Range<usize>), Vec<Vec<&'m mut [f32]>>);

impl Engine {
    /// Refuses a batch that the model cannot learn from, and weights of another number of tasks.
    pub(super) fn check_step(&self, batch: &Batch, task_weights: &[f32]) -> Result<()> {
        self.check.check(&self.parameters.tables, batch, true)?;
        if task_weights.len() != self.graph.outputs.len() {
            let message = format!("{} task weights for {} tasks", task_weights.len(), self.graph.outputs.len());
            return Err(Error::Batch { message });
        }
        Ok(())
    }

    /// Leaves the batch's gradient in the lanes, to be summed, and in `batch_wide`, to be gathered.
    pub(super) fn differentiate(
        &mut self,
        batch: &Batch,
        task_weights: &[f32],
        beside: impl FnOnce() + Send,
    ) -> Result<StepStats> {
        self.check_step(batch, task_weights)?;
        self.hide_average();
        let targets = Targets::of(&self.graph, batch);
        let lanes_used = self.run_lanes(batch, &targets, task_weights, beside);
        self.unsummed = lanes_used;
        if lanes_used == 0 {
            self.gradient.fill(0.0);
        }
        let losses = targets.losses(&sum_over(self.lanes[..lanes_used].iter().map(|l| &l.sums), &self.graph));
        Ok(StepStats { losses, rows: targets.rows, row_weights: targets.row_weights })
    }

    /// Sums the lanes' gradients into `gradient`, where that has not been done.
    pub(super) fn sum_lanes(&mut self) {
        if self.unsummed > 0 {
            let parts: Vec<&[f32]> = self.lanes[..self.unsummed].iter().map(|l| &*l.gradient).collect();
            sum_into(&mut self.gradient, &parts);
            self.unsummed = 0;
        }
    }

    /// Both passes over every shard, and then `beside`; gives the number of lanes used.
    fn run_lanes(
        &mut self,
        batch: &Batch,
        targets: &Targets,
        task_weights: &[f32],
        beside: impl FnOnce() + Send,
    ) -> usize {
        self.pass.prepare(&self.parameters);
        let Pass { plan, layers, workspaces, of_requests } = &self.pass;
        let cut = Cut::of(batch.rows, plan);
        self.requests = Requests::of(batch, of_requests, &cut.shards);
        let requests = &self.requests;
        self.lanes.resize_with(self.lanes.len().max(cut.lanes.len()), || Lane {
            gradient: Storage::zeros(plan.gradient_len()),
            sums: vec![0.0; Targets::sums(&self.graph)],
        });
        let pieces = cut.pieces(&mut self.batch_wide, &plan.batch_wide, requests);
        let shared = Shared {
            seed: self.options.seed,
            step: self.steps,
            fields: self.fields.as_ref(),
            ..self.pass.shared(&self.parameters, batch, requests)
        };
        let run = |((lane, range), pieces): Job<'_, '_>| {
            lane.sums.fill(0.0);
            workspaces.with(plan, |workspace| {
                for (s, pieces) in range.clone().zip(pieces) {
                    let span = (cut.shards[s].clone(), requests.of_shard(s));
                    let mut shard = Shard::new(span, workspace, pieces);
                    forward(shared, &mut shard);
                    seed_gradients(shared, &mut shard, targets, task_weights, &mut lane.sums);
                    backward(shared, &mut shard, &mut lane.gradient, s > range.start);
                }
            });
        };
        let mut first: Vec<_> = self.lanes.iter_mut().zip(&cut.lanes).zip(cut.by_lane(pieces)).collect();
        let rest = first.split_off(first.len().div_ceil(2));
        // Behind the lanes that another thread takes over: whoever is through first does it, while the other is not.
        let behind = || rayon::join(|| rest.into_par_iter().for_each(run), beside);
        rayon::join(|| first.into_par_iter().for_each(run), behind);
        let mut used: Vec<&mut [f32]> = self.lanes[..cut.lanes.len()].iter_mut().map(|l| &mut *l.gradient).collect();
        unfold(plan, layers, &self.parameters.dense, &mut used, &mut self.folded_rows);
        cut.lanes.len()
    }

    /// Finds the rows that the batch touches in each table, and sums their gradients.
    pub(super) fn gather_tables(&mut self, batch: &Batch) {
        let (plan, gradients) =
            (&self.pass.plan, TableGradients { batch_wide: &self.batch_wide, folded: &self.folded_rows });
        self.touched.par_iter_mut().zip(&self.parameters.tables).enumerate().for_each(|(t, (touched, table))| {
            table.gather(touched, &uses(plan, t, (batch, &self.requests), gradients));
        });
    }
}

/// Where the gradients of what tables gave are: per batch-wide array, and per fold and field.
#[derive(Clone, Copy)]
pub(super) struct TableGradients<'a> {
    pub(super) batch_wide: &'a [Storage<f32>],
    pub(super) folded: &'a [Vec<Vec<f32>>],
}

/// Where a batch looks up rows of table `t`, with the gradients of what it read.
pub(super) fn uses<'a>(
    plan: &Plan,
    t: usize,
    (batch, requests): (&'a Batch, &'a Requests),
    gradients: TableGradients<'a>,
) -> Vec<Use<'a>> {
    plan.table_uses[t]
        .iter()
        .map(|u| {
            let (of, grad, ld, col) = match u.from {
                TableGradient::Batch { batch, at } => {
                    (GradientOf::BatchRows, &*gradients.batch_wide[batch], at.ld, at.col)
                }
                TableGradient::Fold { fold, feature } => {
                    let dim = plan.folds[fold].features[feature].dim;
                    (GradientOf::TableRows, &*gradients.folded[fold][feature], dim, 0)
                }
            };
            let ids = &requests.rows(batch, u.space).categorical[u.slot];
            Use { ids, pooling: u.pooling, of, grad, ld, col }
        })
        .collect()
}

/// The lanes' sums, added in order.
pub(super) fn sum_over<'l>(lanes: impl Iterator<Item = &'l Vec<f64>>, graph: &pleiad_model::Graph) -> Vec<f64> {
    let mut sums = vec![0.0; Targets::sums(graph)];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, &part)| *sum += part);
    }
    sums
}

/// How a batch is cut: into shards, and these into lanes. It depends on the number of rows alone.
pub(super) struct Cut {
    pub(super) shards: Vec<Range<usize>>,
    pub(super) lanes: Vec<Range<usize>>,
    rows: usize,
}

impl Cut {
    pub(super) fn of(rows: usize, plan: &Plan) -> Self {
        let shards = shards(rows, plan.target.shard_rows);
        Self { lanes: lanes(shards.len(), MAX_LANES), shards, rows }
    }

    /// Per shard, the rows of each batch-wide array that are its own; arrays grow where they must.
    pub(super) fn pieces<'a>(
        &self,
        arrays: &'a mut [Storage<f32>],
        forms: &[(usize, Space)],
        requests: &Requests,
    ) -> Vec<Vec<&'a mut [f32]>> {
        for (array, &(ld, space)) in arrays.iter_mut().zip(forms) {
            let len = requests.count(self.rows, space) * ld;
            if array.len() < len {
                *array = Storage::zeros(len);
            }
        }
        let mut rest: Vec<&mut [f32]> = arrays.iter_mut().map(|array| &mut **array).collect();
        let mut pieces = Vec::with_capacity(self.shards.len());
        for (s, shard) in self.shards.iter().enumerate() {
            let own = rest.iter_mut().zip(forms).map(|(rest, &(ld, space))| {
                let rows = match space {
                    Space::Row => shard.len(),
                    Space::Request => requests.of_shard(s).len(),
                };
                let (own, behind) = std::mem::take(rest).split_at_mut(rows * ld);
                *rest = behind;
                own
            });
            pieces.push(own.collect());
        }
        pieces
    }

    /// What belongs to each shard, lane by lane.
    pub(super) fn by_lane<P>(&self, of_shards: Vec<P>) -> Vec<Vec<P>> {
        let mut of_shards = of_shards.into_iter();
        self.lanes.iter().map(|lane| of_shards.by_ref().take(lane.len()).collect()).collect()
    }
}
