//! Encoders: columns into numbers and table rows. They are fitted once on the training rows, saved with the model, and
//! used in the same way in training, evaluation, prediction and serving.
//!
//! There are two steps. [`Plan::parse`] turns a chunk of cells into typed values and finds every bad row. It does not
//! depend on fitted values, so a bad row is bad in every pass. The [`Fitter`] then looks at the training rows, as often
//! as the transforms need, and becomes an [`Encoder`], whose [`Encoder::encode`] makes a [`crate::Batch`].

mod bad_cells;
mod buckets;
mod category;
mod encoder;
mod exact;
mod fit;
mod fitted;
pub mod integer_hash;
mod labels;
pub(crate) mod numeric;
mod parse;
mod pieces;
mod settle;
mod vocabulary;

pub use encoder::{Encoded, Encoder};
pub use fit::Fitter;
pub use fitted::Fitted;
pub use numeric::Step;
pub use parse::{Parsed, Plan};

/// Seed of the XXH64 that encoding `hash` applies to a value's text.
pub const HASH_SEED: u64 = 0;
