//! [`Comparison`]: what `compare.json` says, and what table and report are made of.

use std::fmt;

use pleiad_data::TaskKind;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::verdict::{LEVEL, Verdict};
use crate::ByTask;
use crate::counts::{ParameterCount, SplitRows};
use crate::evaluate::Evaluation;
use crate::metrics::MetricKind;
use crate::statistics::{Interval, Spread};

/// Several models on the same rows, over the same seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Version of this form, 2.
    pub version: u32,
    /// What it says, in a sentence.
    pub answer: Answer,
    /// Tasks and their kinds.
    pub tasks: ByTask<TaskKind>,
    /// By which metric each task is compared: AUC of a binary task, MSE of a regression, unless `[metrics] main` has
    /// another.
    pub metrics: ByTask<MetricKind>,
    /// The rows that the metrics are of.
    pub measured_on: MeasuredOn,
    /// Rows of each split, and of each task's sample space in it.
    pub rows: SplitRows,
    /// Seeds that every model was trained with.
    pub seeds: Vec<u64>,
    /// Name of the model that gains are measured against.
    pub baseline: String,
    /// Whether widths were scaled to the baseline's number of dense parameters.
    pub match_parameters: bool,
    /// Gains that were tested: what Holm's correction counts.
    pub questions: usize,
    /// The models in the order of the configuration.
    pub models: Vec<ComparedModel>,
    /// What a reader must know before the numbers are believed.
    pub notes: Vec<String>,
}

/// Which rows models were measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredOn {
    /// Rows that had no part in any choice.
    Test,
    /// The rows by which epochs were chosen, since there are no test rows.
    Valid,
}

impl MeasuredOn {
    /// `test` or `validation`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Valid => "validation",
        }
    }
}

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
    /// What each seed gave, in the order of [`Comparison::seeds`].
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
        /// All metrics on the rows of [`Comparison::measured_on`].
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

/// A model on one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskComparison {
    /// The task's metric over the seeds in which it is defined; `None` if there is none.
    pub metric: Option<Spread>,
    /// MTL gain (equation 11) over the baseline, paired by seed; `None` for the baseline itself, and where no seed has
    /// both. Positive is better, whatever the metric.
    pub gain: Option<Interval>,
    /// The p value of a paired t test that the gain is 0; `None` where it has no interval.
    pub p_value: Option<f64>,
    /// The same after Holm's correction for all gains of the comparison ([`Comparison::questions`]).
    pub p_holm: Option<f64>,
    /// Why there is no metric, no gain, or no interval of it.
    pub missing: Option<Missing>,
    /// The task's other metrics, where `[metrics]` asks for some. The verdict does not use them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AlsoMeasured>,
}

/// A metric beside the one that a task is compared by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoMeasured {
    /// The metric.
    pub metric: MetricKind,
    /// It over the seeds in which it is defined; `None` if there is none.
    pub value: Option<Spread>,
    /// The gain over the baseline, as [`TaskComparison::gain`]; not among the questions of the correction.
    pub gain: Option<Interval>,
}

impl TaskComparison {
    /// Whether the gain, or the cost, is more than chance after Holm's correction.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.p_holm.is_some_and(|p| p < LEVEL)
    }
}

/// Why a value of a model on a task is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum Missing {
    /// The metric is not defined on the rows.
    Metric {
        /// Why it is not.
        reason: String,
    },
    /// No seed was trained to its end by the model, or by the baseline beside it.
    Pair,
    /// There is one gain, which has no spread.
    Spread {
        /// The seed that has it.
        seed: u64,
        /// Seeds of the comparison.
        of: usize,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric { reason } => f.write_str(reason),
            Self::Pair => f.write_str("no seed was trained to its end by both models"),
            Self::Spread { of: 1, .. } => f.write_str("one seed has no spread"),
            Self::Spread { seed, of } => write!(f, "only one of {of} seeds ({seed}) was measured for both models"),
        }
    }
}
