//! Models, described once.
//!
//! This crate has the [`graph`] that every other crate reads, the published structures that write it
//! ([`architectures`]) over crosses of features ([`interaction`]), the joint loss ([`objective`]) and the artifact that
//! a trained model is saved as ([`artifact`]). The engine computes a graph.

#![forbid(unsafe_code)]

pub mod architectures;
pub mod artifact;
mod error;
pub mod graph;
pub mod init;
pub mod interaction;
pub mod objective;
mod tensors;
mod weights;

pub use architectures::ModelConfig;
pub use error::{Error, Result};
pub use graph::Graph;
pub use interaction::Interaction;
pub use tensors::{PART, Shapes, TensorSink, TensorSource};
pub use weights::{Tensor, Weights};
