//! How many: rows per split and task, parameters per model. Facts that both the loop and the report of a run use.

use pleiad_data::{Encoder, FeatureCount, LabelCount, TaskKind, TaskSpec};
use pleiad_model::graph::Summary;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use pleiad_rank::ByTask;
use pleiad_rank::counts::by_feature;

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

/// What there is in the rows of every split: `data` of `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSummary {
    /// Training rows.
    pub train: SplitSummary,
    /// Validation rows.
    pub valid: Option<SplitSummary>,
    /// Test rows.
    pub test: Option<SplitSummary>,
}

impl DataSummary {
    /// The splits that there are, with their names.
    pub fn splits(&self) -> impl Iterator<Item = (&'static str, &SplitSummary)> {
        let others = [("validation", &self.valid), ("test", &self.test)];
        let others = others.into_iter().filter_map(|(name, split)| Some((name, split.as_ref()?)));
        std::iter::once(("training", &self.train)).chain(others)
    }
}

/// What there is in the rows of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSummary {
    /// Rows.
    pub rows: u64,
    /// Labels of every task.
    pub tasks: ByTask<LabelSummary>,
    /// Values of every feature.
    pub features: ByTask<FeatureCount>,
}

/// Labels of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSummary {
    /// Rows in its sample space that have one.
    pub rows: u64,
    /// How many of them are positive; None for a regression.
    pub positives: Option<u64>,
}

impl LabelSummary {
    /// Share of positive labels, where there are labels.
    #[must_use]
    pub fn base_rate(&self) -> Option<f64> {
        self.positives.filter(|_| self.rows > 0).map(|positives| positives as f64 / self.rows as f64)
    }
}

impl SplitSummary {
    pub(crate) fn of<'a>(rows: impl Into<Rows<'a>>, encoder: &Encoder, counts: &[FeatureCount]) -> Self {
        let rows = rows.into();
        let label = |(task, labels): (&TaskSpec, LabelCount)| {
            let positives = (task.kind == TaskKind::Binary).then_some(labels.positives);
            (task.name.clone(), LabelSummary { rows: labels.rows, positives })
        };
        Self {
            rows: rows.count(),
            tasks: encoder.tasks().iter().zip(rows.label_counts()).map(label).collect(),
            features: by_feature(encoder, counts),
        }
    }
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
