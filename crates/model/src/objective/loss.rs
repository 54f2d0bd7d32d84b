//! [`Loss`]: a task's loss per row, for every kind of loss, label and weight of positive rows.

use pleiad_data::TaskKind;
use pleiad_data::schema::{LabelTransform, LossConfig, Objective};

use super::{BinaryCrossEntropy, FocalLoss, Huber, RowLoss, SquaredError};

/// The loss of a task, its derivative and its prediction, as functions of the network's number z and the label y.
///
/// `loss(z, y) = c(y) row(z, t(y))`: `row` is cross-entropy, focal loss, squared error or Huber's loss; `t(y) = ln(1 + y)`
/// for a label with the transform `log1p`, else y; `c` is the weight of positive rows where y is 1, else 1. The prediction
/// is what `row` reads from z; with `log1p` it is `exp(z) - 1`.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    row: AnyRowLoss,
    log1p: bool,
    positive_weight: f32,
    /// What lies between the logit of the sampled rows and that of all rows.
    shift: f32,
}

#[derive(Debug, Clone, Copy)]
enum AnyRowLoss {
    CrossEntropy,
    Focal(FocalLoss),
    SquaredError,
    Huber(Huber),
}

/// Calls `$call` on the loss of a row.
macro_rules! with_row {
    ($row:expr, $loss:ident => $call:expr) => {
        match $row {
            AnyRowLoss::CrossEntropy => {
                let $loss = BinaryCrossEntropy;
                $call
            }
            AnyRowLoss::Focal($loss) => $call,
            AnyRowLoss::SquaredError => {
                let $loss = SquaredError;
                $call
            }
            AnyRowLoss::Huber($loss) => $call,
        }
    };
}

impl Loss {
    /// Cross-entropy of the logit for a binary task, squared error for a regression, unless `objective` says otherwise.
    #[must_use]
    pub fn of(kind: TaskKind, objective: &Objective) -> Self {
        let row = match (objective.loss, kind) {
            (Some(LossConfig::Focal(focal)), _) => {
                AnyRowLoss::Focal(FocalLoss { gamma: focal.gamma as f32, alpha: focal.alpha as f32 })
            }
            (Some(LossConfig::Huber(huber)), _) => AnyRowLoss::Huber(Huber { delta: huber.delta as f32 }),
            (None, TaskKind::Binary) => AnyRowLoss::CrossEntropy,
            (None, TaskKind::Regression) => AnyRowLoss::SquaredError,
        };
        let log1p = objective.transform == Some(LabelTransform::Log1p);
        let positive_weight = objective.positive_weight.unwrap_or(1.0) as f32;
        Self { row, log1p, positive_weight, shift: objective.negatives.unwrap_or(1.0).ln() as f32 }
    }

    /// The loss of one row.
    #[must_use]
    pub fn value(&self, z: f32, y: f32) -> f32 {
        self.class_weight(y) * with_row!(self.row, row => row.value(z, self.target(y)))
    }

    /// Its derivative by z.
    #[must_use]
    pub fn derivative(&self, z: f32, y: f32) -> f32 {
        self.class_weight(y) * with_row!(self.row, row => row.derivative(z, self.target(y)))
    }

    /// The prediction that z stands for: a probability, or a value in the label's unit.
    #[must_use]
    pub fn prediction(&self, z: f32) -> f32 {
        let z = self.logit(z);
        let prediction = with_row!(self.row, row => row.prediction(z));
        if self.log1p { prediction.exp_m1() } else { prediction }
    }

    /// The logit of the prediction: z, and where the log keeps a share w of the negatives `z + ln w`, whose probability is
    /// `p / (p + (1 - p) / w)` of the sampled rows' probability p (He et al., *Practical Lessons from Predicting Clicks on Ads
    /// at Facebook*, ADKDD 2014, section 6.3).
    #[must_use]
    pub fn logit(&self, z: f32) -> f32 {
        z + self.shift
    }

    fn target(&self, y: f32) -> f32 {
        if self.log1p { y.ln_1p() } else { y }
    }

    fn class_weight(&self, y: f32) -> f32 {
        // A regression has a weight of 1.
        if y >= 0.5 { self.positive_weight } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use pleiad_data::schema::{FocalConfig, HuberConfig};

    use super::*;

    fn objectives() -> Vec<(TaskKind, Objective)> {
        let none = Objective::default();
        let focal = |gamma, alpha| Some(LossConfig::Focal(FocalConfig { gamma, alpha }));
        let huber = Some(LossConfig::Huber(HuberConfig { delta: 1.5 }));
        let (log1p, positive_weight) = (Some(LabelTransform::Log1p), Some(3.5));
        vec![
            (TaskKind::Binary, none),
            (TaskKind::Binary, Objective { positive_weight, ..none }),
            (TaskKind::Binary, Objective { loss: focal(2.0, 0.25), ..none }),
            (TaskKind::Binary, Objective { loss: focal(0.5, 0.9), positive_weight, ..none }),
            (TaskKind::Regression, none),
            (TaskKind::Regression, Objective { loss: huber, ..none }),
            (TaskKind::Regression, Objective { transform: log1p, ..none }),
            (TaskKind::Regression, Objective { loss: huber, transform: log1p, ..none }),
        ]
    }

    #[test]
    fn derivatives_equal_finite_differences() {
        for (kind, objective) in objectives() {
            let loss = Loss::of(kind, &objective);
            for z in [-4.0f32, -0.7, 0.0, 0.3, 5.0] {
                for y in [0.0, 1.0] {
                    let h = 1e-2;
                    let difference = (loss.value(z + h, y) - loss.value(z - h, y)) / (2.0 * h);
                    let derivative = loss.derivative(z, y);
                    let error = (difference - derivative).abs();
                    assert!(error < 1e-3, "{objective:?} at {z}, {y}: {difference} {derivative}");
                }
            }
        }
    }

    #[test]
    fn extreme_numbers_and_labels_give_numbers() {
        for (kind, objective) in objectives() {
            let loss = Loss::of(kind, &objective);
            let largest = if kind == TaskKind::Binary { 1.0 } else { 1e6 };
            for z in [-100.0f32, 100.0] {
                for y in [0.0, largest] {
                    assert!(loss.value(z, y).is_finite(), "{objective:?} at {z}, {y}");
                    assert!(loss.derivative(z, y).is_finite(), "{objective:?} at {z}, {y}");
                }
            }
        }
    }

    #[test]
    fn a_prediction_is_in_the_unit_of_the_label() {
        let log1p = Objective { transform: Some(LabelTransform::Log1p), ..Objective::default() };
        let loss = Loss::of(TaskKind::Regression, &log1p);
        for y in [-0.5f32, 0.0, 1e-6, 3.0, 1e6] {
            let z = y.ln_1p();
            assert_eq!(loss.value(z, y), 0.0);
            assert!((loss.prediction(z) - y).abs() <= 2e-6 * y.abs(), "{y}: {}", loss.prediction(z));
        }
        // Half of the sum of logarithms of 1 + 0 and 1 + 99 is the logarithm of 1 + 9.
        let slope = |z: f32| loss.derivative(z, 0.0) + loss.derivative(z, 99.0);
        assert!(slope(10f32.ln()).abs() < 1e-5);
    }

    #[test]
    fn probabilities_of_sampled_rows_become_those_of_all_rows() {
        for w in [1.0, 0.5, 0.1, 1e-4] {
            let sampled = Objective { negatives: Some(w), ..Objective::default() };
            let loss = Loss::of(TaskKind::Binary, &sampled);
            let plain = Loss::of(TaskKind::Binary, &Objective::default());
            for z in [-100.0f32, -3.0, 0.0, 0.7, 9.0, 100.0] {
                let p = 1.0 / (1.0 + f64::from(-z).exp());
                let exact = p / (p + (1.0 - p) / w);
                let error = (f64::from(loss.prediction(z)) - exact).abs();
                assert!(error <= 2e-6 * exact + 1e-44, "{w} {z}: {} is not {exact}", loss.prediction(z));
                // What is trained is the log as it is.
                assert_eq!(loss.value(z, 1.0), plain.value(z, 1.0));
                assert_eq!(loss.derivative(z, 0.0), plain.derivative(z, 0.0));
            }
            assert!(loss.prediction(f32::MAX).is_finite());
        }
    }

    #[test]
    fn a_positive_row_counts_as_often_as_its_weight_says() {
        let weighed = Objective { positive_weight: Some(3.0), ..Objective::default() };
        let [weighed, plain] = [weighed, Objective::default()].map(|objective| Loss::of(TaskKind::Binary, &objective));
        for z in [-2.0, 0.5] {
            assert_eq!(weighed.value(z, 1.0), 3.0 * plain.value(z, 1.0));
            assert_eq!(weighed.derivative(z, 1.0), 3.0 * plain.derivative(z, 1.0));
            assert_eq!(weighed.value(z, 0.0), plain.value(z, 0.0));
            assert_eq!(weighed.prediction(z), plain.prediction(z));
        }
    }
}
