//! The metrics of a task whose rows have weights, or are a sample.

use pleiad_data::TaskKind;

use super::log_loss::surprise;
use super::{
    BinaryMetrics, ExactSum, GroupMetrics, RegressionMetrics, TaskMetrics, WeightedAuc, WeightedR2, normalized_entropy,
};

/// Every sum over rows becomes one over rows times their weights: with w = 1 these are the metrics of [`super::LogLoss`],
/// [`super::Calibration`], [`super::Mse`] and [`super::Mae`].
///
/// ```text
/// log loss     sum w loss(p, y) / sum w
/// calibration  sum w p / sum w y
/// MSE, MAE     sum w (p - y)^2 / sum w,  sum w |p - y| / sum w
/// ```
///
/// Where the log keeps a share of the negatives, each of these counts `1 / share` times: that is what the rows of the whole
/// log would give on average, of whose probabilities predictions are.
#[derive(Debug, Clone)]
pub(super) struct Weighted {
    rows: u64,
    positives: u64,
    negatives: Option<f64>,
    weights: ExactSum,
    state: WeightedState,
}

#[derive(Debug, Clone)]
enum WeightedState {
    Binary { auc: WeightedAuc, log_loss: ExactSum, predicted: ExactSum, observed: ExactSum },
    Regression { squares: ExactSum, distances: ExactSum, r2: WeightedR2 },
}

impl Weighted {
    /// No rows yet; in bounded memory if `bounded`. `negatives` is the share of them that the log keeps.
    pub(super) fn new(kind: TaskKind, bounded: bool, negatives: Option<f64>) -> Self {
        let auc = if bounded { WeightedAuc::bounded(WeightedAuc::BOUND) } else { WeightedAuc::default() };
        let sum = ExactSum::default;
        let state = match kind {
            TaskKind::Binary => WeightedState::Binary { auc, log_loss: sum(), predicted: sum(), observed: sum() },
            TaskKind::Regression => {
                WeightedState::Regression { squares: sum(), distances: sum(), r2: WeightedR2::default() }
            }
        };
        Self { rows: 0, positives: 0, negatives, weights: sum(), state }
    }

    /// Adds one row of the sample space.
    pub(super) fn add(&mut self, prediction: f32, label: f32, weight: f32) {
        let (p, y) = (f64::from(prediction), f64::from(label));
        let share = self.negatives.filter(|_| label < 0.5).unwrap_or(1.0);
        let weight = f64::from(weight) / share;
        self.rows += 1;
        self.weights.add(weight);
        match &mut self.state {
            WeightedState::Binary { auc, log_loss, predicted, observed } => {
                self.positives += u64::from(label >= 0.5);
                auc.add(prediction, label, weight);
                log_loss.add(weight * surprise(prediction, label));
                predicted.add(weight * p);
                observed.add(weight * y);
            }
            WeightedState::Regression { squares, distances, r2 } => {
                squares.add(weight * (p - y).powi(2));
                distances.add(weight * (p - y).abs());
                r2.add(prediction, label, weight);
            }
        }
    }

    /// Adds the rows that `other` has seen, which are of the same task.
    pub(super) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.positives += other.positives;
        self.weights.merge(&other.weights);
        match (&mut self.state, &other.state) {
            (
                WeightedState::Binary { auc, log_loss, predicted, observed },
                WeightedState::Binary { auc: a, log_loss: l, predicted: p, observed: o },
            ) => {
                auc.merge(a);
                log_loss.merge(l);
                predicted.merge(p);
                observed.merge(o);
            }
            (
                WeightedState::Regression { squares, distances, r2 },
                WeightedState::Regression { squares: s, distances: d, r2: r },
            ) => {
                squares.merge(s);
                distances.merge(d);
                r2.merge(r);
            }
            _ => unreachable!("both states were made for one task"),
        }
    }

    /// The metrics over all rows added so far, with those within groups.
    pub(super) fn compute(&self, by_group: Option<GroupMetrics>) -> TaskMetrics {
        let total = self.weights.value().filter(|total| *total > 0.0);
        let mean = |sum: &ExactSum| Some(sum.value()? / total?);
        let rows = self.rows;
        match &self.state {
            WeightedState::Binary { auc, log_loss, predicted, observed } => TaskMetrics::Binary(BinaryMetrics {
                rows,
                positives: self.positives,
                auc: auc.compute(),
                log_loss: mean(log_loss),
                calibration: observed
                    .value()
                    .filter(|observed| *observed != 0.0)
                    .and_then(|observed| Some(predicted.value()? / observed)),
                weight: total,
                negatives: self.negatives,
                pr_auc: auc.average_precision(),
                normalized_entropy: normalized_entropy(
                    mean(log_loss),
                    observed.value().unwrap_or(0.0),
                    total.unwrap_or(0.0),
                ),
                by_group,
            }),
            WeightedState::Regression { squares, distances, r2 } => TaskMetrics::Regression(RegressionMetrics {
                rows,
                mse: mean(squares),
                mae: mean(distances),
                r2: r2.compute(),
                weight: total,
                by_group,
            }),
        }
    }
}
