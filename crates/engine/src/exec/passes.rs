//! Both passes over a batch on the CPU, shard by shard: [`Executor`] for [`Pass`].

use std::ops::Range;

use pleiad_data::Batch;
use pleiad_model::graph::Space;
use rayon::prelude::*;

use super::{Shard, Shared, backward, forward, seed_gradients, unfold};
use crate::executor::{Differentiate, Executor, Gradients, Lane};
use crate::pass::Pass;
use crate::plan::{ArrayRows, GradientArray, Plan};
use crate::requests::Requests;
use crate::runner::{lanes, shards};
use crate::sparse::Table;
use crate::storage::Storage;

/// Lanes of a step at the most. A lane is a run of shards with one private gradient, so their number bounds both the
/// threads that a step can use and the memory that private gradients take; it does not depend on the threads there
/// are, and so neither does the order of any sum.
pub(crate) const MAX_LANES: usize = 16;

/// Of one shard and each backward pass over it, its rows of the arrays of the batch.
type Pieces<'m> = Vec<Vec<&'m mut [f32]>>;

/// A lane, its shards, and what belongs to each of them.
type Job<'l, 'm> = ((&'l mut Lane, &'l Range<usize>), Vec<Pieces<'m>>);

impl Executor for Pass {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn scale_folds(&mut self, scale: f32) {
        self.layers.scale_folds(scale);
    }

    fn prepare_products(&mut self, dense: &[f32], revision: u64) {
        self.layers.prepare(&self.plan, dense, revision);
    }

    fn prepare_folds(&mut self, dense: &[f32], tables: &[Table], revision: u64) {
        self.layers.fold(&self.plan, dense, tables, revision);
    }

    fn differentiate(
        &self,
        step: Differentiate<'_>,
        passes: &[&[f32]],
        gradients: &mut Gradients,
        beside: Box<dyn FnOnce() + Send + '_>,
    ) {
        let Pass { plan, layers, workspaces, of_requests } = self;
        let Gradients { lanes, used, arrays, requests } = gradients;
        let Differentiate { parameters, batch, targets, .. } = step;
        let cut = Cut::of(batch, plan);
        *requests = Requests::of(batch, of_requests, &cut.shards);
        let requests = &*requests;
        *used = cut.lanes.len();
        lanes.resize_with(lanes.len().max(*used), || Lane {
            dense: passes.iter().map(|_| Storage::zeros(plan.gradient_len())).collect(),
            sums: vec![0.0; targets.sums()],
        });
        let lanes = &mut lanes[..*used];
        let mut pieces: Vec<Pieces<'_>> = cut.shards.iter().map(|_| Vec::with_capacity(passes.len())).collect();
        for arrays in arrays.iter_mut() {
            let of_pass = cut.pieces(arrays, &plan.arrays, requests);
            pieces.iter_mut().zip(of_pass).for_each(|(pieces, own)| pieces.push(own));
        }
        let shared = Shared {
            seed: step.seed,
            step: step.step,
            fields: step.fields,
            ..self.shared(parameters.parts(), batch, requests)
        };
        let run = |((lane, range), pieces): Job<'_, '_>| {
            lane.sums.fill(0.0);
            // What a pass after the first finds out of the losses once more.
            let mut again = vec![0.0; lane.sums.len()];
            workspaces.with(plan, |workspace| {
                for (s, pieces) in range.clone().zip(pieces) {
                    for (k, (pieces, gradient)) in pieces.into_iter().zip(&mut lane.dense).enumerate() {
                        let span = (cut.shards[s].clone(), requests.of_shard(s));
                        let mut shard = Shard::new(shared, span, workspace, pieces);
                        if k == 0 {
                            forward(shared, &mut shard);
                        }
                        let sums = if k == 0 { &mut lane.sums } else { &mut again };
                        seed_gradients(shared, &mut shard, targets, passes[k], sums);
                        backward(shared, &mut shard, gradient, s > range.start);
                    }
                }
            });
        };
        let mut first: Vec<_> = lanes.iter_mut().zip(&cut.lanes).zip(cut.by_lane(pieces)).collect();
        let rest = first.split_off(first.len().div_ceil(2));
        // Behind the lanes that another thread takes over: the thread that is through first does it, while the other is not.
        let behind = || rayon::join(|| rest.into_par_iter().for_each(run), beside);
        rayon::join(|| first.into_par_iter().for_each(run), behind);
        for (k, arrays) in arrays.iter_mut().enumerate() {
            let mut of_pass: Vec<&mut [f32]> = lanes.iter_mut().map(|lane| &mut *lane.dense[k]).collect();
            let of_tables = &mut arrays[plan.first_of_tables()..];
            unfold(plan, layers.folds(), &parameters.dense, &mut of_pass, of_tables);
        }
    }
}

/// How a batch is cut: into shards, and these into lanes. It depends on the number of rows alone.
struct Cut<'b> {
    shards: Vec<Range<usize>>,
    lanes: Vec<Range<usize>>,
    batch: &'b Batch,
}

impl<'b> Cut<'b> {
    fn of(batch: &'b Batch, plan: &Plan) -> Self {
        let shards = shards(batch.rows, plan.target.shard_rows);
        Self { lanes: lanes(shards.len(), MAX_LANES), shards, batch }
    }

    /// Per shard, the rows of each array of the batch that are its own; arrays grow where they must.
    fn pieces<'a>(
        &self,
        arrays: &'a mut [Storage<f32>],
        forms: &[GradientArray],
        requests: &Requests,
    ) -> Vec<Vec<&'a mut [f32]>> {
        let of_batch = |array: &GradientArray| match array.rows {
            ArrayRows::Of(space) => Some((array.ld, space)),
            ArrayRows::Table(_) => None,
        };
        let forms: Vec<(usize, Space)> = forms.iter().map_while(of_batch).collect();
        for (array, &(ld, space)) in arrays.iter_mut().zip(&forms) {
            let len = requests.count(self.batch, space) * ld;
            if array.len() < len {
                *array = Storage::zeros(len);
            }
        }
        let mut rest: Vec<&mut [f32]> = arrays.iter_mut().map(|array| &mut **array).collect();
        let mut pieces = Vec::with_capacity(self.shards.len());
        for (s, shard) in self.shards.iter().enumerate() {
            let own = rest.iter_mut().zip(&forms).map(|(rest, &(ld, space))| {
                let rows = requests.span(self.batch, (shard, &requests.of_shard(s)), space).len();
                let (own, behind) = std::mem::take(rest).split_at_mut(rows * ld);
                *rest = behind;
                own
            });
            pieces.push(own.collect());
        }
        pieces
    }

    /// What belongs to each shard, lane by lane.
    fn by_lane<P>(&self, of_shards: Vec<P>) -> Vec<Vec<P>> {
        let mut of_shards = of_shards.into_iter();
        self.lanes.iter().map(|lane| of_shards.by_ref().take(lane.len()).collect()).collect()
    }
}
