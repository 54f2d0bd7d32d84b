//! Weights of the tasks that training itself moves.
//!
//! Each method gives a weight per task from what it has seen so far. It never sees the weights of `[[task]]` (static or
//! equation 10): those multiply its own, so that they go on to say what matters more. All state is a few numbers per
//! task, which a checkpoint keeps.

mod adam;
mod dynamic_average;
mod grad_norm;
mod uncertainty;

pub use adam::ScalarAdam;
pub use dynamic_average::DynamicAverage;
pub use grad_norm::GradNorm;
pub use uncertainty::Uncertainty;
