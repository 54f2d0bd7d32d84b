//! [`RunReport`]: what `metrics.json` says of a run.

use pleiad_data::{Batch, TaskSpec};
use pleiad_model::graph::Summary;
use serde::{Deserialize, Serialize};

use crate::by_task::ByTask;
use crate::evaluate::Evaluation;
use crate::fit::{EpochRecord, StopReason};

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    /// Version of this form, 1.
    pub version: u32,
    /// Structure of the model.
    pub kind: String,
    /// Size of the model.
    pub parameters: ParameterCount,
    /// XXH64 of the resolved configuration, in hexadecimal.
    pub config_hash: String,
    /// Seed of the run.
    pub seed: u64,
    /// Rows of each split, and of each task's sample space in it.
    pub rows: SplitRows,
    /// Rows that were left out as bad.
    pub skipped_rows: u64,
    /// Training steps.
    pub steps: u64,
    /// Why training ended.
    pub stop: StopReason,
    /// What the best epoch was chosen by; `None` without validation rows, where the last epoch is kept.
    pub selected_by: Option<String>,
    /// The epoch whose weights the model has, from 1.
    pub best_epoch: u64,
    /// Seconds of training, validation included.
    pub seconds: f64,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// The model on the validation rows.
    pub valid: Option<Evaluation>,
    /// The model on the test rows, which had no part in any choice.
    pub test: Option<Evaluation>,
}

/// Number of parameters of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterCount {
    /// In all.
    pub total: u64,
    /// Outside of embedding tables.
    pub dense: u64,
    /// In embedding tables.
    pub tables: u64,
}

impl From<&Summary> for ParameterCount {
    fn from(summary: &Summary) -> Self {
        Self { total: summary.parameters(), dense: summary.dense_parameters, tables: summary.table_parameters }
    }
}

/// Rows of every split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitRows {
    /// Training rows.
    pub train: RowCount,
    /// Validation rows.
    pub valid: Option<RowCount>,
    /// Test rows.
    pub test: Option<RowCount>,
}

/// Rows, and how many of them each task learns from or is measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// In all.
    pub rows: u64,
    /// In each task's sample space, `sum_i d_ki` of equation 9.
    pub tasks: ByTask<u64>,
}

impl RowCount {
    pub(crate) fn of(batch: &Batch, tasks: &[TaskSpec]) -> Self {
        let counts = tasks.iter().zip(&batch.labels).map(|(task, labels)| (task.name.as_str(), labels.count() as u64));
        Self { rows: batch.rows as u64, tasks: counts.collect() }
    }
}
