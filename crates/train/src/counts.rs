//! How many: rows per split and task, parameters per model. Facts that both the loop and the run's report tell.

use pleiad_data::TaskSpec;
use pleiad_model::graph::Summary;
use serde::{Deserialize, Serialize};

use crate::by_task::ByTask;
use crate::rows::Rows;

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
    pub(crate) fn of<'a>(rows: impl Into<Rows<'a>>, tasks: &[TaskSpec]) -> Self {
        let rows = rows.into();
        let counts = tasks.iter().zip(rows.label_counts()).map(|(task, labels)| (task.name.as_str(), labels.rows));
        Self { rows: rows.count(), tasks: counts.collect() }
    }
}
