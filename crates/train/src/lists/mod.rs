//! Candidates of requests, and what an order of them is worth: what replay and tuning have in common.

mod bootstrap;
mod metric;

use std::ops::Range;

pub use bootstrap::{Gain, paired};
pub use metric::{ListMetric, PerRequest, mean};
use pleiad_data::Labels;
use pleiad_engine::Predictions;
use pleiad_rank::Scorer;
use rayon::prelude::*;

/// Candidates, request by request, with predictions and outcomes.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// By request: its candidates.
    pub requests: Vec<Range<usize>>,
    /// By request: its hash, by which requests are drawn.
    pub hashes: Vec<u64>,
    /// Names of the tasks.
    pub tasks: Vec<String>,
    /// `[T][B]`.
    pub predictions: Predictions,
    /// What the transform of the score reads, `[B]`; empty where there is none.
    pub numbers: Vec<f64>,
    /// `[T]`; empty where no outcome is known.
    pub labels: Vec<Labels>,
}

impl Lists {
    /// Number of candidates.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.requests.last().map_or(0, |last| last.end)
    }

    /// The scores of all candidates, the same whatever the threads.
    ///
    /// # Errors
    /// [`pleiad_rank::Error::NonFiniteScore`] for the first row without a score.
    pub fn scores(&self, scorer: &Scorer) -> pleiad_rank::Result<Vec<f64>> {
        // Parts of fixed size, so that threads have something to share.
        const PART: usize = 1 << 13;
        let rows = self.rows();
        let starts: Vec<usize> = (0..rows).step_by(PART).collect();
        let part = |start: usize| {
            let range = start..rows.min(start + PART);
            let tasks = self.predictions.tasks.iter().map(|task| task[range.clone()].to_vec()).collect();
            let numbers = self.numbers.get(range).unwrap_or_default();
            scorer.score(&Predictions { tasks }, numbers, start as u64)
        };
        let parts = starts.into_par_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        Ok(parts.concat())
    }

    /// The requests of these numbers alone.
    #[must_use]
    pub fn part(&self, requests: &[usize]) -> Self {
        let rows: Vec<usize> = requests.iter().flat_map(|&request| self.requests[request].clone()).collect();
        let mut at = 0;
        let range = |&request: &usize| {
            let start = at;
            at += self.requests[request].len();
            start..at
        };
        let labels = |labels: &Labels| Labels {
            values: rows.iter().map(|&row| labels.values[row]).collect(),
            present: rows.iter().map(|&row| labels.present[row]).collect(),
            weights: Vec::new(),
        };
        let task = |task: &Vec<f32>| rows.iter().map(|&row| task[row]).collect();
        Self {
            requests: requests.iter().map(range).collect(),
            hashes: requests.iter().map(|&request| self.hashes[request]).collect(),
            tasks: self.tasks.clone(),
            predictions: Predictions { tasks: self.predictions.tasks.iter().map(task).collect() },
            numbers: if self.numbers.is_empty() {
                Vec::new()
            } else {
                rows.iter().map(|&row| self.numbers[row]).collect()
            },
            labels: self.labels.iter().map(labels).collect(),
        }
    }
}

/// The candidates of one request by score, the highest first, then by their order: what the server answers.
#[must_use]
pub fn ordered(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order
}
