//! What is remembered of each epoch; part of every checkpoint and of `metrics.json`.

use serde::{Deserialize, Serialize};

use crate::ByTask;
use crate::evaluate::Evaluation;

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// Number of the epoch, from 1.
    pub epoch: u64,
    /// Joint loss (equation 8) with the weights of each step, mean over the epoch's steps.
    pub loss: f64,
    /// Training loss by task: mean over the epoch's rows in the task's sample space, each measured before the step
    /// that learned from it. `None` if there was no such row.
    pub task_losses: ByTask<Option<f64>>,
    /// Weight by task: that of its `[[task]]` times that of `[train] joint_loss`, mean over the epoch's steps. Empty in
    /// reports that are older than it.
    #[serde(default)]
    pub task_weights: ByTask<f64>,
    /// Metrics on the validation rows, if there are any.
    pub valid: Option<Evaluation>,
    /// What epochs are compared by, larger being better; `None` without validation rows.
    pub score: Option<f64>,
    /// Learning rate of the dense optimizer in the epoch's last step.
    pub learning_rate: f64,
    /// Training rows read per second, validation not counted.
    pub rows_per_second: f64,
    /// Share of that time in which the engine had to wait for its next batch, 0 to 1: to be gathered in memory, or to come
    /// from disk where others had not been made ahead. 0 in reports that are older than it.
    #[serde(default)]
    pub input_wait: f64,
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossSums {
    /// Joint loss, over steps.
    joint: f64,
    steps: u64,
    /// Per task: loss over rows, rows; each row counts by its weight.
    tasks: Vec<(f64, f64)>,
    /// Per task: weight, over steps.
    #[serde(default)]
    weights: Vec<f64>,
}

impl LossSums {
    pub(super) fn new(tasks: usize) -> Self {
        Self { joint: 0.0, steps: 0, tasks: vec![(0.0, 0.0); tasks], weights: vec![0.0; tasks] }
    }

    /// Adds a step: mean losses over each task's rows, how many these are by their weights, the tasks' weights.
    pub(super) fn add(&mut self, losses: &[f64], rows: &[f64], weights: &[f32]) {
        self.steps += 1;
        self.weights.resize(weights.len(), 0.0);
        self.weights.iter_mut().zip(weights).for_each(|(sum, &weight)| *sum += f64::from(weight));
        for (((sum, count), loss), (&rows, &weight)) in self.tasks.iter_mut().zip(losses).zip(rows.iter().zip(weights))
        {
            self.joint += f64::from(weight) * loss;
            *sum += loss * rows;
            *count += rows;
        }
    }

    /// Mean joint loss over steps.
    pub(super) fn joint(&self) -> f64 {
        self.joint / self.steps.max(1) as f64
    }

    /// Mean weight of each task over steps.
    pub(super) fn weights(&self) -> Vec<f64> {
        self.weights.iter().map(|sum| sum / self.steps.max(1) as f64).collect()
    }

    /// Mean loss of each task over its rows.
    pub(super) fn tasks(&self) -> Vec<Option<f64>> {
        self.tasks.iter().map(|&(sum, rows)| (rows > 0.0).then(|| sum / rows)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_averaged_over_their_own_rows() {
        let mut sums = LossSums::new(2);
        sums.add(&[1.0, 0.0], &[10.0, 0.0], &[1.0, 2.0]);
        sums.add(&[2.0, 4.0], &[30.0, 5.0], &[1.0, 2.0]);
        assert_eq!(sums.tasks(), [Some(1.75), Some(4.0)]);
        assert_eq!(sums.joint(), 5.5);
        assert_eq!(sums.weights(), [1.0, 2.0]);
        assert_eq!(LossSums::new(1).tasks(), [None]);
    }
}
