//! [`BadCells`]: cells that make their rows bad.

use crate::error::Reason;
use crate::read::Cell;

/// Cells that make their rows bad, in the order they were found.
#[derive(Debug, Default)]
pub(crate) struct BadCells(pub(super) Vec<BadCell>);

/// A cell that makes its row bad.
#[derive(Debug)]
pub(super) struct BadCell {
    pub(super) row: usize,
    pub(super) column: Option<String>,
    pub(super) value: Option<String>,
    pub(super) reason: Reason,
}

impl BadCells {
    pub(super) fn push(&mut self, row: usize, column: &str, cell: Cell<'_>, reason: Reason) {
        let value = (!matches!(cell, Cell::Missing | Cell::List)).then(|| cell.to_string());
        self.0.push(BadCell { row, column: Some(column.to_owned()), value, reason });
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn into_reasons(self) -> Vec<(usize, Reason)> {
        self.0.into_iter().map(|bad| (bad.row, bad.reason)).collect()
    }
}
