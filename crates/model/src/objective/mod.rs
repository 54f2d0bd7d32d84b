//! The joint loss: each task's loss per row, and the weights of the tasks' losses. Equations are
//! those of [the PLE paper](https://doi.org/10.1145/3383313.3412236).
//!
//! Equation 9: task k's loss is the mean over the rows of its sample space, `L_k = sum_i d_ki loss_k(i) / sum_i d_ki`;
//! equation 8: `L = sum_k w_k L_k`. A batch without a row of task k has `L_k = 0` and no gradient of it. The engine
//! sums over rows; this module has the terms. [`pleiad_data::schema::TaskWeight`] has a `w_k` that is set before
//! training (equation 10), and [`weighting`] one that training changes. [`conflict`] combines the tasks' gradients into
//! one where a sum is not enough.

mod binary_cross_entropy;
pub mod conflict;
mod focal;
mod huber;
mod loss;
mod order;
mod squared_error;
pub mod weighting;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use focal::FocalLoss;
pub use huber::Huber;
pub use loss::Loss;
pub use order::OrderExcess;
pub use squared_error::SquaredError;

/// A row's loss as a function of the network's number z and the label y.
pub trait RowLoss {
    /// The loss of one row.
    fn value(&self, z: f32, y: f32) -> f32;
    /// Its derivative by z.
    fn derivative(&self, z: f32, y: f32) -> f32;
    /// The prediction that z stands for: a probability or a value.
    fn prediction(&self, z: f32) -> f32;
}
