//! The joint loss: what each task loses per row, and how the tasks' losses are weighed.
//!
//! Equation 9: task k's loss is the mean over the rows of its sample space, `L_k = sum_i d_ki loss_k(i) / sum_i d_ki`;
//! equation 8: `L = sum_k w_k L_k`. A batch without a row of task k has `L_k = 0` and no gradient of it. Sums over rows
//! are the engine's; here are the terms. How `w_k` changes over time is [`pleiad_data::schema::TaskWeight`] where it is
//! laid down beforehand (equation 10), and [`weighting`] where training moves it. [`conflict`] makes one gradient of the
//! tasks' gradients where a sum will not do.

mod binary_cross_entropy;
pub mod conflict;
mod order;
mod squared_error;
pub mod weighting;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use order::OrderExcess;
use pleiad_data::TaskKind;
pub use squared_error::SquaredError;

/// A row's loss as a function of the network's number z and the label y.
pub trait RowLoss {
    /// The loss of one row.
    fn value(z: f32, y: f32) -> f32;
    /// Its derivative by z.
    fn derivative(z: f32, y: f32) -> f32;
    /// The prediction that z stands for: a probability or a value.
    fn prediction(z: f32) -> f32;
}

/// The loss of a task of that kind, its derivative and its prediction, as functions of the network's number.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// [`RowLoss::value`].
    pub value: fn(f32, f32) -> f32,
    /// [`RowLoss::derivative`].
    pub derivative: fn(f32, f32) -> f32,
    /// [`RowLoss::prediction`].
    pub prediction: fn(f32) -> f32,
}

impl Loss {
    /// Cross-entropy of the logit for a binary task, squared error for a regression.
    #[must_use]
    pub fn of(kind: TaskKind) -> Self {
        match kind {
            TaskKind::Binary => Self::from_row::<BinaryCrossEntropy>(),
            TaskKind::Regression => Self::from_row::<SquaredError>(),
        }
    }

    fn from_row<L: RowLoss>() -> Self {
        Self { value: L::value, derivative: L::derivative, prediction: L::prediction }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_equal_finite_differences() {
        for kind in [TaskKind::Binary, TaskKind::Regression] {
            let loss = Loss::of(kind);
            for z in [-4.0f32, -0.7, 0.0, 0.3, 5.0] {
                for y in [0.0, 1.0] {
                    let h = 1e-2;
                    let difference = ((loss.value)(z + h, y) - (loss.value)(z - h, y)) / (2.0 * h);
                    let derivative = (loss.derivative)(z, y);
                    assert!((difference - derivative).abs() < 1e-3, "{kind:?} at {z}, {y}: {difference} {derivative}");
                }
            }
        }
    }
}
