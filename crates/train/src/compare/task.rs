//! [`TaskComparison`]: a model on one task, against the baseline.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::MetricKind;
use crate::statistics::{Interval, Spread};

/// Gains with a p value below this are more than chance.
const LEVEL: f64 = 0.05;

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
    /// The same after Holm's correction for all gains of the comparison ([`super::Comparison::questions`]).
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
