//! Rows in, batches out.
//!
//! Here live the description of a log ([`schema`]), its readers ([`read`]), the encoders that are fitted once and used
//! alike in training and serving ([`encode`]), and the generators of synthetic logs ([`synth`]). Models, gradients and
//! metrics do not.

mod batch;
mod dataset;
pub mod encode;
mod error;
mod layout;
pub mod read;
pub mod schema;
mod split;
mod stream;
pub mod synth;
pub mod write;

pub use batch::{Batch, Ids, Labels};
pub use dataset::{Dataset, LoadOptions, Phase, Progress, Skipped, Splits};
pub use encode::{Encoded, Encoder};
pub use error::{BadRow, Error, ErrorKind, MissingColumn, Reason, Result, nearest};
pub use layout::{Input, InputLayout, Pooling};
pub use schema::{Schema, TaskKind, TaskSpec};
pub use split::{SPLIT_SEED, Split, SplitRules};
pub use stream::{EncodedStream, StreamOptions};
