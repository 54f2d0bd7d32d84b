//! Embedding tables outside of the dense path: the cost of a step depends on the rows that its batch touches, not
//! on the size of the table.
//!
//! [`Table`] keeps the rows, each with its optimizer state beside it, and looks them up; [`TableOptions`] set the
//! precision, and whether the table is in memory or in a file. After a backward pass [`TouchedRows`] finds the
//! distinct rows of a batch and sums their gradients; [`Table::update`] moves these rows and no others. Other modules
//! decide which features share a table and how weights move ([`crate::optim`]).
//!
//! # What updating touched rows alone means
//!
//! A row is touched if the batch looks it up, even where its gradient is zero. For a row that is touched in every step
//! all optimizers do what they do to a dense parameter. For the others, as with PyTorch's `SparseAdam`:
//!
//! - weight and state keep their bits while a row is not touched: moments do not decay, momentum does not go on;
//! - weight decay, L2 or decoupled, acts on touched rows, by one step's worth each time;
//! - Adam's bias correction counts the steps of the training, not those of the row. Its epsilon is added after bias
//!   correction, as for dense parameters (`SparseAdam` adds it before).

mod bf16;
mod lookup;
mod number;
mod options;
mod rounding;
mod rows;
mod table;
mod touched;
mod vector;

#[cfg(test)]
pub(crate) use bf16::Bf16;
pub(crate) use number::Number;
pub use options::{TableOptions, TablePrecision};
pub use table::Table;
pub use touched::{GradientOf, TouchedRows, Use};
