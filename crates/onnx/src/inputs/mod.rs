//! What a model takes, encoded: numbers `[B, N]` and table rows.

mod categories;
mod columns;
mod ids;
mod lists;
mod numbers;
mod sources;

pub(crate) use columns::columns;
pub(crate) use ids::ids;

use crate::writer::Value;

/// Encoded rows, as the operations of a graph read them.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    /// Numbers `[B, N]`, f32.
    pub(crate) numbers: Value,
    /// N.
    pub(crate) width: usize,
    /// Table rows by slot.
    pub(crate) categories: Vec<TableRows>,
    /// Which rows of the batch cannot be used, `[B]`; `None` where that is not looked at.
    pub(crate) bad: Option<Value>,
    /// The number of a column, `[B]` f64, where it is an input.
    pub(crate) raw: Vec<(String, Value)>,
}

/// Table rows of one slot, int64.
#[derive(Debug, Clone)]
pub(crate) enum TableRows {
    /// One per row of the batch, `[B]`.
    Single(Value),
    /// Any number per row of the batch.
    Multiple {
        /// Those of all rows of the batch, one after the other, `[T]`.
        rows: Value,
        /// The row of the batch that each belongs to, `[T]`.
        owners: Value,
        /// How many each row of the batch has, `[B]`.
        lengths: Value,
    },
}
