//! [`Comparison`]: what `compare.json` says, and what table and report are made of.

use pleiad_data::TaskKind;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::compared::ComparedModel;
use crate::ByTask;
use crate::counts::SplitRows;
use crate::metrics::MetricKind;

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
