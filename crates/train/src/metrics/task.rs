//! All metrics of one task.

use pleiad_data::{Labels, TaskKind};
use serde::{Deserialize, Serialize};

use super::{Auc, Calibration, LogLoss, Mae, Metric, MetricKind, Mse, R2};

/// Metrics of a binary task on its own sample space; `null` in JSON where one is not defined.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryMetrics {
    /// Rows of the sample space.
    pub rows: u64,
    /// How many of them are positive.
    pub positives: u64,
    /// See [`Auc`].
    pub auc: Option<f64>,
    /// See [`LogLoss`].
    pub log_loss: Option<f64>,
    /// See [`Calibration`].
    pub calibration: Option<f64>,
}

/// Metrics of a regression task on its own sample space; `null` in JSON where one is not defined.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressionMetrics {
    /// Rows of the sample space.
    pub rows: u64,
    /// See [`Mse`].
    pub mse: Option<f64>,
    /// See [`Mae`].
    pub mae: Option<f64>,
    /// See [`R2`].
    pub r2: Option<f64>,
}

/// Metrics of one task; in JSON the object of the variant, which its fields tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskMetrics {
    /// Of a binary task.
    Binary(BinaryMetrics),
    /// Of a regression task.
    Regression(RegressionMetrics),
}

impl TaskMetrics {
    /// Rows of the sample space.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self {
            Self::Binary(metrics) => metrics.rows,
            Self::Regression(metrics) => metrics.rows,
        }
    }

    /// One metric; `None` where it is not defined or the task is of another kind.
    #[must_use]
    pub fn get(&self, metric: MetricKind) -> Option<f64> {
        match (self, metric) {
            (Self::Binary(m), MetricKind::Auc) => m.auc,
            (Self::Binary(m), MetricKind::LogLoss) => m.log_loss,
            (Self::Binary(m), MetricKind::Calibration) => m.calibration,
            (Self::Regression(m), MetricKind::Mse) => m.mse,
            (Self::Regression(m), MetricKind::Mae) => m.mae,
            (Self::Regression(m), MetricKind::R2) => m.r2,
            _ => None,
        }
    }
}

/// The state from which [`TaskMetrics`] are computed.
#[derive(Debug, Clone)]
pub struct TaskMetricsState(State);

#[derive(Debug, Clone)]
enum State {
    Binary(Auc, LogLoss, Calibration),
    Regression { rows: u64, mse: Mse, mae: Mae, r2: R2 },
}

impl TaskMetricsState {
    /// No rows yet.
    #[must_use]
    pub fn new(kind: TaskKind) -> Self {
        Self::with_auc(kind, Auc::default())
    }

    /// No rows yet, in memory that does not grow with the rows: see [`Auc::bounded`].
    #[must_use]
    pub fn bounded(kind: TaskKind) -> Self {
        Self::with_auc(kind, Auc::bounded(Auc::BOUND))
    }

    fn with_auc(kind: TaskKind, auc: Auc) -> Self {
        Self(match kind {
            TaskKind::Binary => State::Binary(auc, LogLoss::default(), Calibration::default()),
            TaskKind::Regression => {
                State::Regression { rows: 0, mse: Mse::default(), mae: Mae::default(), r2: R2::default() }
            }
        })
    }

    /// Adds those rows of a batch that lie in the task's sample space. `predictions` `[B]` are probabilities of a
    /// binary task and values of a regression task.
    pub fn update(&mut self, predictions: &[f32], labels: &Labels) {
        debug_assert_eq!(predictions.len(), labels.values.len());
        let rows = predictions.iter().zip(&labels.values).zip(&labels.present);
        let rows = rows.filter_map(|((&prediction, &label), &present)| present.then_some((prediction, label)));
        match &mut self.0 {
            State::Binary(auc, log_loss, calibration) => rows.for_each(|(p, y)| {
                auc.add(p, y);
                log_loss.add(p, y);
                calibration.add(p, y);
            }),
            State::Regression { rows: count, mse, mae, r2 } => rows.for_each(|(p, y)| {
                *count += 1;
                mse.add(p, y);
                mae.add(p, y);
                r2.add(p, y);
            }),
        }
    }

    /// Adds the rows that `other` has seen.
    ///
    /// # Panics
    /// If the two are of different kinds of tasks: a mistake of the caller, not of data.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (State::Binary(auc, log_loss, calibration), State::Binary(a, l, c)) => {
                auc.merge(a);
                log_loss.merge(l);
                calibration.merge(c);
            }
            (State::Regression { rows, mse, mae, r2 }, State::Regression { rows: n, mse: s, mae: a, r2: r }) => {
                *rows += n;
                mse.merge(s);
                mae.merge(a);
                r2.merge(r);
            }
            _ => unreachable!("both states were made for one task"),
        }
    }

    /// The metrics over all rows added so far.
    #[must_use]
    pub fn compute(&self) -> TaskMetrics {
        match &self.0 {
            State::Binary(auc, log_loss, calibration) => TaskMetrics::Binary(BinaryMetrics {
                rows: auc.positives() + auc.negatives(),
                positives: auc.positives(),
                auc: auc.compute(),
                log_loss: log_loss.compute(),
                calibration: calibration.compute(),
            }),
            State::Regression { rows, mse, mae, r2 } => TaskMetrics::Regression(RegressionMetrics {
                rows: *rows,
                mse: mse.compute(),
                mae: mae.compute(),
                r2: r2.compute(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(kind: TaskKind, predictions: &[f32], labels: &[Option<f32>]) -> TaskMetrics {
        let mut state = TaskMetricsState::new(kind);
        let labels = Labels {
            values: labels.iter().map(|l| l.unwrap_or(0.0)).collect(),
            present: labels.iter().map(Option::is_some).collect(),
        };
        state.update(predictions, &labels);
        state.compute()
    }

    #[test]
    fn rows_outside_of_the_sample_space_do_not_count() {
        let with = of(TaskKind::Binary, &[0.9, 0.2, 0.7, 0.1], &[None, Some(0.0), Some(1.0), None]);
        assert_eq!(with, of(TaskKind::Binary, &[0.2, 0.7], &[Some(0.0), Some(1.0)]));
        assert_eq!((with.rows(), with.get(MetricKind::Auc)), (2, Some(1.0)));
        let with = of(TaskKind::Regression, &[9.0, 1.0, 2.0], &[None, Some(1.0), Some(4.0)]);
        assert_eq!((with.rows(), with.get(MetricKind::Mse), with.get(MetricKind::Mae)), (2, Some(2.0), Some(1.0)));
    }

    #[test]
    fn json_has_null_where_a_metric_is_not_defined() {
        let json = |metrics: TaskMetrics| serde_json::to_string(&metrics).unwrap();
        assert_eq!(
            json(of(TaskKind::Binary, &[0.5], &[Some(1.0)])),
            r#"{"rows":1,"positives":1,"auc":null,"log_loss":0.6931471805599453,"calibration":0.5}"#
        );
        assert_eq!(json(of(TaskKind::Regression, &[0.5], &[None])), r#"{"rows":0,"mse":null,"mae":null,"r2":null}"#);
        assert_eq!(
            json(of(TaskKind::Binary, &[f32::NAN], &[Some(1.0)])),
            r#"{"rows":1,"positives":1,"auc":null,"log_loss":null,"calibration":null}"#
        );
    }

    #[test]
    fn json_reads_back() {
        for (kind, predictions) in [(TaskKind::Binary, [0.1, 0.7, 0.3]), (TaskKind::Regression, [0.1, 7.3, -0.3])] {
            let metrics = of(kind, &predictions, &[Some(0.0), Some(1.0), None]);
            let json = serde_json::to_string(&metrics).unwrap();
            assert_eq!(serde_json::from_str::<TaskMetrics>(&json).unwrap(), metrics);
        }
    }

    #[test]
    fn every_metric_of_a_kind_is_there() {
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            let metrics = of(kind, &[0.1, 0.7], &[Some(0.0), Some(1.0)]);
            for metric in MetricKind::ALL {
                assert_eq!(metrics.get(*metric).is_some(), MetricKind::of(kind).contains(metric), "{metric:?}");
            }
        }
    }
}
