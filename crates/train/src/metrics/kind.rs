//! [`MetricKind`]: metrics by name, and which of two values is better.

use std::borrow::Cow;
use std::fmt;

use pleiad_data::TaskKind;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A metric by name, as in `early_stopping = { metric = "income.auc" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// [`super::Auc`].
    Auc,
    /// [`super::LogLoss`].
    LogLoss,
    /// [`super::Calibration`].
    Calibration,
    /// [`super::average_precision`].
    PrAuc,
    /// [`super::normalized_entropy`].
    NormalizedEntropy,
    /// [`super::gauc`].
    Gauc,
    /// [`super::ndcg`] of this k.
    Ndcg(u32),
    /// [`super::recall`] of this k.
    Recall(u32),
    /// [`super::Mse`].
    Mse,
    /// [`super::Mae`].
    Mae,
    /// [`super::R2`].
    R2,
}

impl MetricKind {
    /// Every metric, but for those of a k.
    pub const ALL: &'static [Self] = &[
        Self::Auc,
        Self::LogLoss,
        Self::Calibration,
        Self::PrAuc,
        Self::NormalizedEntropy,
        Self::Gauc,
        Self::Mse,
        Self::Mae,
        Self::R2,
    ];

    /// The metrics that every task of a kind has, the main one first.
    #[must_use]
    pub fn of(kind: TaskKind) -> &'static [Self] {
        match kind {
            TaskKind::Binary => &[Self::Auc, Self::LogLoss, Self::Calibration, Self::PrAuc, Self::NormalizedEntropy],
            TaskKind::Regression => &[Self::Mse, Self::Mae, Self::R2],
        }
    }

    /// The metrics that a task of a kind has besides where rows have groups, with NDCG and recall of these k.
    #[must_use]
    pub fn of_groups(kind: TaskKind, k: &[u32]) -> Vec<Self> {
        let ndcg = k.iter().map(|&k| Self::Ndcg(k));
        match kind {
            TaskKind::Binary => {
                std::iter::once(Self::Gauc).chain(ndcg).chain(k.iter().map(|&k| Self::Recall(k))).collect()
            }
            TaskKind::Regression => ndcg.collect(),
        }
    }

    /// Whether it compares rows of one group alone.
    #[must_use]
    pub fn needs_groups(self) -> bool {
        matches!(self, Self::Gauc | Self::Ndcg(_) | Self::Recall(_))
    }

    /// Its name in configuration and `metrics.json`.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Auc => "auc",
            Self::LogLoss => "log_loss",
            Self::Calibration => "calibration",
            Self::PrAuc => "pr_auc",
            Self::NormalizedEntropy => "normalized_entropy",
            Self::Gauc => "gauc",
            Self::Ndcg(k) => return Cow::Owned(format!("{NDCG}{k}")),
            Self::Recall(k) => return Cow::Owned(format!("{RECALL}{k}")),
            Self::Mse => "mse",
            Self::Mae => "mae",
            Self::R2 => "r2",
        })
    }

    /// Its name for people.
    #[must_use]
    pub fn label(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Auc => "AUC",
            Self::LogLoss => "log loss",
            Self::Calibration => "calibration",
            Self::PrAuc => "PR AUC",
            Self::NormalizedEntropy => "normalized entropy",
            Self::Gauc => "GAUC",
            Self::Ndcg(k) => return Cow::Owned(format!("NDCG@{k}")),
            Self::Recall(k) => return Cow::Owned(format!("recall@{k}")),
            Self::Mse => "MSE",
            Self::Mae => "MAE",
            Self::R2 => "R²",
        })
    }

    /// The metric of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let of_k =
            [(NDCG, Self::Ndcg as fn(u32) -> Self), (RECALL, Self::Recall)].into_iter().find_map(|(of, kind)| {
                let k = name.strip_prefix(of)?;
                // `parse` alone would accept a leading plus, and zeros.
                let k = if k.starts_with(['+', '0']) { None } else { k.parse().ok() };
                k.map(kind)
            });
        of_k.or_else(|| Self::ALL.iter().copied().find(|metric| metric.name() == name))
    }

    /// Whether a larger value is better. False for a calibration ratio, which is best at 1: compare metrics by
    /// [`MetricKind::goodness`].
    #[must_use]
    pub fn larger_is_better(self) -> bool {
        match self {
            Self::Auc | Self::PrAuc | Self::Gauc | Self::Ndcg(_) | Self::Recall(_) | Self::R2 => true,
            Self::LogLoss | Self::NormalizedEntropy | Self::Calibration | Self::Mse | Self::Mae => false,
        }
    }

    /// A value of this metric turned so that larger is better: itself, its negative, or the negative of a calibration
    /// ratio's distance from 1.
    #[must_use]
    pub fn goodness(self, value: f64) -> f64 {
        match self {
            Self::Calibration => -(value - 1.0).abs(),
            _ if self.larger_is_better() => value,
            _ => -value,
        }
    }
}

const NDCG: &str = "ndcg@";

const RECALL: &str = "recall@";

/// Names to choose from where one is not known.
fn names() -> Vec<Cow<'static, str>> {
    let of_k = [MetricKind::Ndcg(10), MetricKind::Recall(10)];
    MetricKind::ALL.iter().chain(&of_k).map(|metric| metric.name()).collect()
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Serialize for MetricKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for MetricKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom(unknown(&name)))
    }
}

/// What to say of a name that no metric has.
pub(crate) fn unknown(name: &str) -> String {
    let names = names();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let list = names.join(", ");
    match pleiad_data::nearest(name, names.iter().copied()) {
        Some(near) => format!("there is no metric {name:?}; did you mean `{near}`? (known: {list})"),
        None => format!("there is no metric {name:?}; known: {list}"),
    }
}

impl JsonSchema for MetricKind {
    fn schema_name() -> Cow<'static, str> {
        "MetricKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "the name of a metric, such as \"auc\", \"gauc\" or \"ndcg@10\"",
        })
    }
}

/// MTL gain (PLE paper, equation 11) of a multi-task model over a single-task one, in units of the metric: positive if
/// `model` is better.
///
/// `model - single` where larger is better, `single - model` where smaller is better.
#[must_use]
pub fn gain(metric: MetricKind, model: f64, single: f64) -> f64 {
    metric.goodness(model) - metric.goodness(single)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for metric in MetricKind::ALL.iter().chain(&[MetricKind::Ndcg(10), MetricKind::Ndcg(5), MetricKind::Recall(10)])
        {
            assert_eq!(MetricKind::from_name(&metric.name()), Some(*metric));
            assert_eq!(serde_json::json!(metric), *metric.name());
            let back: Result<MetricKind, _> = serde_json::from_value(serde_json::json!(metric));
            assert_eq!(back.ok(), Some(*metric));
        }
        for no_name in ["AUC", "ndcg", "ndcg@", "ndcg@0", "ndcg@010", "ndcg@+1", "recall@-1", "recall@99999999999"] {
            assert_eq!(MetricKind::from_name(no_name), None, "{no_name}");
        }
    }

    #[test]
    fn groups_add_metrics_that_need_them() {
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            assert!(MetricKind::of(kind).iter().all(|metric| !metric.needs_groups()));
            assert!(MetricKind::of_groups(kind, &[5, 10]).into_iter().all(MetricKind::needs_groups));
        }
        assert_eq!(
            MetricKind::of_groups(TaskKind::Binary, &[5]),
            [MetricKind::Gauc, MetricKind::Ndcg(5), MetricKind::Recall(5)]
        );
        assert_eq!(MetricKind::of_groups(TaskKind::Regression, &[5]), [MetricKind::Ndcg(5)]);
    }

    #[test]
    fn a_gain_is_positive_where_the_model_is_better() {
        assert_eq!(gain(MetricKind::Auc, 0.75, 0.5), 0.25);
        assert_eq!(gain(MetricKind::R2, 0.25, 0.5), -0.25);
        assert_eq!(gain(MetricKind::Ndcg(10), 0.75, 0.5), 0.25);
        for smaller in [MetricKind::LogLoss, MetricKind::NormalizedEntropy, MetricKind::Mse, MetricKind::Mae] {
            assert_eq!(gain(smaller, 0.25, 0.5), 0.25);
            assert!(!smaller.larger_is_better());
        }
        assert_eq!(gain(MetricKind::Calibration, 0.75, 1.5), 0.25);
        assert_eq!(gain(MetricKind::Calibration, 1.5, 0.75), -0.25);
    }
}
