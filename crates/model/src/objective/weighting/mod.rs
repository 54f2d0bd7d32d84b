//! Weights of the tasks that training itself changes.
//!
//! Each method computes a weight per task from the training so far. It does not use the weights of `[[task]]` (static,
//! or equation 10 of [the PLE paper](https://doi.org/10.1145/3383313.3412236)): those multiply its own, so they keep
//! their meaning. All state is a few numbers per task, which a checkpoint keeps.

mod adam;
mod dynamic_average;
mod grad_norm;
mod uncertainty;

pub use adam::ScalarAdam;
pub use dynamic_average::DynamicAverage;
pub use grad_norm::GradNorm;
pub use uncertainty::Uncertainty;
