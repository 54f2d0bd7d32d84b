//! [`ComparedModel`]: one model of a comparison, and its [`SeedRun`]s.

use serde::{Deserialize, Serialize};

use super::task::TaskComparison;
use super::verdict::Verdict;
use crate::ByTask;
use crate::counts::ParameterCount;
use crate::evaluate::Evaluation;
use crate::statistics::Spread;

/// One model of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparedModel {
    /// Its name.
    pub name: String,
    /// Its structure.
    pub kind: String,
    /// The keys of its structure, after widths were scaled.
    pub config: serde_json::Value,
    /// What its widths were multiplied with by `match_parameters`; 1 where they were not.
    pub width_factor: f64,
    /// Its size.
    pub parameters: ParameterCount,
    /// Floating-point operations of one forward row.
    pub flops_per_row: u64,
    /// Training rows per second: over seeds, of the mean over a run's epochs.
    pub rows_per_second: Option<Spread>,
    /// What each seed gave, in the order of [`super::Comparison::seeds`].
    pub runs: Vec<SeedRun>,
    /// Whether nothing was learned: every run that was trained to its end has the weights that it began with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmoved: bool,
    /// Its metrics and gains by task.
    pub tasks: ByTask<TaskComparison>,
    /// What the gains say, in words; `None` for the baseline itself.
    pub verdict: Option<Verdict>,
}

/// One model on one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum SeedRun {
    /// It was trained and measured.
    Finished {
        /// The seed.
        seed: u64,
        /// The run's folder, relative to the comparison's.
        run: String,
        /// The epoch whose weights it has, from 1.
        best_epoch: u64,
        /// By task, where each keeps its own; `best_epoch` is the last of them then.
        #[serde(default, skip_serializing_if = "ByTask::is_empty")]
        best_epochs: ByTask<u64>,
        /// Seconds of training.
        seconds: f64,
        /// All metrics on the rows of [`super::Comparison::measured_on`].
        evaluation: Evaluation,
    },
    /// It could not be trained.
    Failed {
        /// The seed.
        seed: u64,
        /// What went wrong.
        reason: String,
    },
}

impl SeedRun {
    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        match self {
            Self::Finished { seed, .. } | Self::Failed { seed, .. } => *seed,
        }
    }

    /// The metrics, if it was trained.
    #[must_use]
    pub fn evaluation(&self) -> Option<&Evaluation> {
        match self {
            Self::Finished { evaluation, .. } => Some(evaluation),
            Self::Failed { .. } => None,
        }
    }
}
