//! How weights move: optimizers, learning-rate schedules and the norm of a gradient.
//!
//! A configuration ([`OptimizerConfig`], [`Schedule`]) is what a user writes. Before a step it is resolved into a
//! [`StepRule`], which holds every constant of that step and updates a slice of weights in one pass. Dense parameters
//! and rows of embedding tables ([`crate::sparse`]) go through the same rule. Other modules compute the gradients and
//! keep the state.

mod config;
mod norm;
mod rule;
mod schedule;

pub use config::{AdagradConfig, AdamConfig, AdamWConfig, OptimizerConfig, SgdConfig};
pub use norm::{clip_scale, square_sum};
pub use rule::{MAX_SLOTS, StepRule};
pub use schedule::{ConstantConfig, CosineConfig, ExponentialConfig, Schedule, StepConfig, Unit};
