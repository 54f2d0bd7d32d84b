//! [`Selection`]: the metric by which epochs are compared.

use std::borrow::Cow;
use std::fmt;

use pleiad_data::{TaskSpec, suggest};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::metrics::check_metric;
use crate::metrics::{Measures, MetricKind, unknown};

/// The metric by which epochs are compared.
///
/// `"mean"` is the mean over tasks of each task's main metric: AUC of a binary task, R² of a regression task. Both
/// are free of units, at most 1, and 1 for a perfect model, so that no task outweighs another by its scale. On fixed
/// validation rows R² = 1 - MSE / variance is MSE turned around: it puts one task's epochs in the same order. A task
/// whose metric is not defined on the validation rows (no row in its sample space, one class alone, a constant label)
/// is left out of the mean in every epoch alike.
///
/// `"TASK.METRIC"`, such as `"income.auc"` or `"click.ndcg@10"`, is one metric of one task.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Selection {
    /// The mean over tasks.
    #[default]
    Mean,
    /// One metric of one task.
    Metric {
        /// Name of the task.
        task: String,
        /// The metric.
        metric: MetricKind,
    },
}

impl Selection {
    /// Refuses a task that does not exist and a metric that its kind does not have.
    pub(super) fn check(&self, tasks: &[TaskSpec], measures: &Measures) -> Result<(), String> {
        let Self::Metric { task: name, metric } = self else { return Ok(()) };
        let Some(task) = tasks.iter().find(|task| task.name == *name) else {
            let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
            return Err(format!("there is no task {name:?}{}", suggest(name, &names)));
        };
        check_metric(task, *metric, measures)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Metric { task, metric } => write!(f, "{task}.{}", metric.name()),
        }
    }
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "mean" {
            return Ok(Self::Mean);
        }
        // From the right: the name of a task may hold dots, that of a metric does not.
        let Some((task, metric)) = text.rsplit_once('.') else {
            return Err(serde::de::Error::custom(format!("{text:?} is neither \"mean\" nor \"TASK.METRIC\"")));
        };
        let kind = MetricKind::from_name(metric).ok_or_else(|| serde::de::Error::custom(unknown(metric)))?;
        Ok(Self::Metric { task: task.to_owned(), metric: kind })
    }
}

impl JsonSchema for Selection {
    fn schema_name() -> Cow<'static, str> {
        "Selection".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "\"mean\", or \"TASK.METRIC\" such as \"income.auc\"",
            "default": "mean",
        })
    }
}
