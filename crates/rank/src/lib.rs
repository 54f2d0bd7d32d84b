//! A saved model in use.
//!
//! [`Model`] opens an artifact, verifies it, encodes rows that lie in memory or in files, predicts from any number of threads at
//! once, and gives equation 1's score ([`score`]); [`ToSave`] writes it to disk. [`values`] checks the values of rows.
//! Commands, wheel and server use this crate. Training and measuring are elsewhere.

#![forbid(unsafe_code)]

pub mod alarm;
mod by_task;
pub mod cells;
mod config;
pub mod counts;
mod error;
mod finite;
mod interrupt;
mod model;
mod named;
mod order;
mod predict;
mod predicted;
mod save;
pub mod score;
mod sets;
mod source;
mod spread;
pub mod values;

pub use by_task::ByTask;
pub use config::{RankConfig, RankFunction, RankFusion, RankTransform};
pub use error::{Error, ErrorKind, Result, kind_of_engine};
pub use finite::check_finite;
pub use interrupt::Interrupt;
pub use model::{Model, Read, Rows};
pub use pleiad_engine::with_help;
pub use predict::PredictOptions;
pub use predicted::Order;
pub use save::{ToSave, note_training_counts, training_counts};
pub use score::logged::Scoring;
pub use score::shares::Shares;
pub use score::{Factor, Scorer};
pub use source::Source;
pub use spread::{MOST_BINS, PredictionSpread, note_predictions, noted_predictions};
