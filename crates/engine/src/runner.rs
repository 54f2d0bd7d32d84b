//! Runs a forward plan over a batch, shard by shard.

use std::ops::Range;

use pleiad_data::Batch;
use pleiad_model::Graph;
use rayon::prelude::*;

use crate::error::Result;
use crate::exec::{Shard, forward};
use crate::executor::Executor;
use crate::help::{self, help};
use crate::kernels::arithmetic::Arithmetic;
use crate::parameters::Parameters;
use crate::pass::Pass;
use crate::plan::{Plan, Purpose, Target};
use crate::precision::{Kernels, Precision};
use crate::requests::Requests;
use crate::sparse::Table;

/// A pass forward alone.
#[derive(Debug)]
pub(crate) struct Runner {
    pass: Pass,
    /// Whether a small batch is shared out over the threads there are.
    spreads: bool,
}

impl Runner {
    pub(crate) fn new(graph: &Graph, purpose: Purpose) -> Result<Self> {
        // Always f32, however the model is trained: a prediction must not depend on the processor more than it has to.
        let arithmetic = Arithmetic::choose(Precision::F32, Kernels::Fastest);
        // A row's prediction has the same bits in any shard where products are our own. What is summed over the rows of shards,
        // as gates' statistics are, has not.
        let spreads = purpose == Purpose::Predict && arithmetic != Arithmetic::Plain;
        Ok(Self { pass: Pass::new(graph, purpose, arithmetic)?, spreads })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.pass.plan
    }

    /// [`Executor::prepare`].
    pub(crate) fn prepare(&mut self, parameters: &Parameters) {
        self.pass.prepare(parameters);
    }

    /// The same for dense parameters in this plan's layout, which do not change any more.
    pub(crate) fn prepare_for(&mut self, dense: &[f32], tables: &[Table]) {
        self.pass.prepare_products(dense, 0);
        self.pass.prepare_folds(dense, tables, 0);
    }

    /// Shards of so many rows. Predictions have enough for every thread, as long as each is worth handing over; else the number
    /// of rows alone decides.
    fn shards(&self, rows: usize, threads: usize) -> usize {
        let Target { shard_rows, least_rows, .. } = self.pass.plan.target;
        let spread = if self.spreads { threads.min(rows / least_rows) } else { 0 };
        rows.div_ceil(shard_rows).max(spread)
    }

    /// Runs every shard of `batch` with the weights that it is prepared for, dense ones and tables, and gives what `read` makes of each, in the order
    /// of the rows. Any number of threads may do so at once. The threads of the caller's pool share the shards, or
    /// [those that help it](help::with_help).
    pub(crate) fn run<R: Send>(
        &self,
        parameters: (&[f32], &[Table]),
        batch: &Batch,
        read: impl Fn(&Shard<'_>, &Plan) -> R + Sync,
    ) -> Vec<R> {
        let Pass { plan, workspaces, .. } = &self.pass;
        let help = help();
        let threads = help.as_ref().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads() + 1);
        let shards = cut(batch.rows, self.shards(batch.rows, threads));
        let requests = Requests::of(batch, &self.pass.of_requests, &shards);
        let shared = self.pass.shared(parameters, batch, &requests);
        let run_shard = |(s, rows): (usize, Range<usize>)| {
            workspaces.with(plan, |workspace| {
                let mut shard = Shard::new(shared, (rows, requests.of_shard(s)), workspace, Vec::new());
                forward(shared, &mut shard);
                read(&shard, plan)
            })
        };
        // Where nothing is to be shared out, a caller outside of the pool need not wait for one of its threads.
        if shards.len() <= 1 {
            return shards.into_iter().enumerate().map(run_shard).collect();
        }
        match help {
            Some(pool) => help::shared(&pool, shards.len(), |s| run_shard((s, shards[s].clone()))),
            None => shards.into_par_iter().enumerate().map(run_shard).collect(),
        }
    }
}

/// The cut of a batch in training into shards of nearly equal size, `most` rows each at the most. It does not depend on the
/// threads.
pub(crate) fn shards(rows: usize, most: usize) -> Vec<Range<usize>> {
    cut(rows, rows.div_ceil(most))
}

/// The cut of `shards` shards into at most `most` lanes: runs of shards that one thread takes in order.
pub(crate) fn lanes(shards: usize, most: usize) -> Vec<Range<usize>> {
    cut(shards, shards.min(most.max(1)))
}

/// `0 .. n` in `parts` ranges whose sizes differ by one at most.
fn cut(n: usize, parts: usize) -> Vec<Range<usize>> {
    (0..parts).map(|p| n * p / parts..n * (p + 1) / parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_every_row_once_and_fit() {
        for rows in [1, 255, 256, 257, 512, 513, 5000] {
            let shards = shards(rows, 256);
            assert_eq!(shards.iter().map(Range::len).sum::<usize>(), rows);
            assert!(shards.iter().all(|s| (1..=256).contains(&s.len())));
            assert!(shards.windows(2).all(|w| w[0].end == w[1].start));
        }
        assert!(shards(0, 256).is_empty());
    }

    #[test]
    fn lanes_cover_every_shard_once() {
        assert_eq!(lanes(5, 2), [0..2, 2..5]);
        assert_eq!(lanes(3, 16), [0..1, 1..2, 2..3]);
        assert!(lanes(0, 4).is_empty());
    }
}
