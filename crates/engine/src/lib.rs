//! The static plan of a model graph and its executor on the CPU.
//!
//! Here live embedding tables ([`sparse`]) and optimizers ([`optim`]). Files, structures by name and the training loop
//! do not.

mod error;
pub mod optim;
pub mod sparse;

pub use error::{Error, Result};
