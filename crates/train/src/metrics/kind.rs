//! [`MetricKind`]: metrics by name, and which of two values is better.

use pleiad_data::TaskKind;
use serde::{Deserialize, Serialize};

/// A metric by name, as in `early_stopping = { metric = "income.auc" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// [`super::Auc`].
    Auc,
    /// [`super::LogLoss`].
    LogLoss,
    /// [`super::Calibration`].
    Calibration,
    /// [`super::Mse`].
    Mse,
    /// [`super::Mae`].
    Mae,
    /// [`super::R2`].
    R2,
}

impl MetricKind {
    /// Every metric.
    pub const ALL: &'static [Self] = &[Self::Auc, Self::LogLoss, Self::Calibration, Self::Mse, Self::Mae, Self::R2];

    /// The metrics of a kind of task, the main one first.
    #[must_use]
    pub fn of(kind: TaskKind) -> &'static [Self] {
        match kind {
            TaskKind::Binary => &[Self::Auc, Self::LogLoss, Self::Calibration],
            TaskKind::Regression => &[Self::Mse, Self::Mae, Self::R2],
        }
    }

    /// Its name in configuration and `metrics.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auc => "auc",
            Self::LogLoss => "log_loss",
            Self::Calibration => "calibration",
            Self::Mse => "mse",
            Self::Mae => "mae",
            Self::R2 => "r2",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Auc => "AUC",
            Self::LogLoss => "log loss",
            Self::Calibration => "calibration",
            Self::Mse => "MSE",
            Self::Mae => "MAE",
            Self::R2 => "R²",
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.name() == name)
    }

    /// Whether a larger value is better. False for a calibration ratio, which is best at 1: compare metrics by
    /// [`MetricKind::goodness`].
    #[must_use]
    pub fn larger_is_better(self) -> bool {
        matches!(self, Self::Auc | Self::R2)
    }

    /// A value of this metric turned so that larger is better: itself, its negative, or the negative of a calibration
    /// ratio's distance from 1.
    #[must_use]
    pub fn goodness(self, value: f64) -> f64 {
        match self {
            Self::Auc | Self::R2 => value,
            Self::LogLoss | Self::Mse | Self::Mae => -value,
            Self::Calibration => -(value - 1.0).abs(),
        }
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
        for metric in MetricKind::ALL {
            assert_eq!(MetricKind::from_name(metric.name()), Some(*metric));
            assert_eq!(serde_json::json!(metric), metric.name());
        }
        assert_eq!(MetricKind::from_name("AUC"), None);
    }

    #[test]
    fn a_gain_is_positive_where_the_model_is_better() {
        assert_eq!(gain(MetricKind::Auc, 0.75, 0.5), 0.25);
        assert_eq!(gain(MetricKind::R2, 0.25, 0.5), -0.25);
        for smaller in [MetricKind::LogLoss, MetricKind::Mse, MetricKind::Mae] {
            assert_eq!(gain(smaller, 0.25, 0.5), 0.25);
            assert!(!smaller.larger_is_better());
        }
        assert_eq!(gain(MetricKind::Calibration, 0.75, 1.5), 0.25);
        assert_eq!(gain(MetricKind::Calibration, 1.5, 0.75), -0.25);
    }
}
