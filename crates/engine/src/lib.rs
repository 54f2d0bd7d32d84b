//! The static plan of a model graph and its executor on the CPU.
//!
//! A graph is compiled once into a `plan`: merged products, buffers, the backward pass. `exec` runs it over shards
//! of a batch with the arithmetic of `kernels`; embedding tables ([`sparse`]) are outside of the dense path, and
//! [`optim`] updates both. [`Engine`] trains, [`Predictor`] predicts. Files, structures by name and the training
//! loop are in other crates.

#![deny(unsafe_code)]

mod check;
mod engine;
mod error;
mod exec;
mod executor;
mod gate_rows;
mod gates;
mod help;
#[allow(unsafe_code)]
mod kernels;
mod memory;
pub mod optim;
mod parameters;
mod pass;
mod plan;
mod precision;
mod predictor;
mod requests;
mod runner;
mod sharing;
#[allow(unsafe_code)]
pub mod sparse;
#[allow(unsafe_code)]
mod storage;

pub use engine::{Combine, Engine, EngineOptions, StepStats, Stuck};
pub use error::{Error, Result};
pub use gate_rows::GateRows;
pub use gates::{ExpertOutput, ExpertWeight, GateStatistics, GateUse};
pub use help::with_help;
pub use kernels::peak::product_peak;
pub use memory::{check_memory, check_memory_to_predict};
pub use precision::{Kernels, Precision};
pub use predictor::{Predictions, Predictor};
