//! Rows in, batches out.
//!
//! This crate has the description of a log ([`schema`]), its readers ([`read`]), the encoders that are fitted once and
//! used alike in training and serving ([`encode`]), encoded rows on disk ([`StoredRows`]), the generators of synthetic
//! logs ([`synth`]), and locks and names for files that several processes write ([`disk`]). Models, gradients and
//! metrics are in other crates.

#![forbid(unsafe_code)]

mod advice;
mod ahead;
mod batch;
mod cache;
mod cache_use;
mod compare;
mod counts;
mod dataset;
pub mod disk;
pub mod encode;
mod error;
mod footer;
mod interner;
mod layout;
mod load;
mod names;
mod packed;
mod raw;
pub mod read;
mod requests;
mod row_hash;
pub mod schema;
pub mod sealed;
mod seen;
mod skipped;
mod split;
mod splits;
mod stream;
pub mod synth;
pub mod value;
pub mod write;

pub use ahead::Ahead;
pub use batch::{Batch, Ids, Labels};
pub use cache::{BLOCK_ROWS, StoredRows, StoredSplits};
pub use cache_use::CacheUse;
pub use counts::LabelCount;
pub use dataset::{Dataset, Splits};
pub use encode::{Encoded, Encoder};
pub use error::{BadRow, Comparison, Error, ErrorKind, Hint, MissingColumn, Reason, Result};
pub use layout::{Attention, Input, InputLayout, Pooling};
pub use load::{LoadOptions, MemoryRows, Phase, Progress};
pub use names::{nearest, suggest};
pub use packed::PackedRows;
pub use raw::{RAW_ROWS, RawRows};
pub use requests::RequestColumns;
pub use schema::{Schema, TaskKind, TaskSpec};
pub use seen::{FeatureCount, LARGE_NUMBER};
pub use skipped::Skipped;
pub use split::{SPLIT_SEED, Split, SplitRules};
pub use stream::{EncodedStream, StreamOptions};
