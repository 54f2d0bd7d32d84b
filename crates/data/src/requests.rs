//! [`RequestColumns`]: where a batch has what its requests have in common.

use crate::batch::{Batch, Ids};
use crate::layout::{Input, InputLayout};

/// The columns of a batch that belong to requests ([`InputLayout::per_request`]); none where no feature does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestColumns {
    numeric: Vec<usize>,
    slots: Vec<usize>,
}

impl RequestColumns {
    /// Those of a layout.
    #[must_use]
    pub fn of(layout: &InputLayout) -> Self {
        let mut columns = Self::default();
        for input in layout.inputs.iter().filter(|input| layout.is_per_request(input)) {
            match input {
                Input::Numeric { column, .. } | Input::Periodic { column, .. } => columns.numeric.push(*column),
                Input::Categorical { slot, .. } => columns.slots.push(*slot),
            }
        }
        columns
    }

    /// Whether nothing belongs to requests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numeric.is_empty() && self.slots.is_empty()
    }

    /// Entries of [`Batch::categorical`] that belong to requests.
    #[must_use]
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }

    /// Per row, whether it begins a request: whether it differs from the row before in a value of these columns. The first
    /// row does not differ from any.
    ///
    /// # Panics
    /// If the batch was made for another layout.
    #[must_use]
    pub fn begins(&self, batch: &Batch) -> Vec<bool> {
        let mut begins = vec![false; batch.rows];
        let width = batch.numeric_width();
        for &column in &self.numeric {
            let value = |row: usize| batch.numeric[row * width + column].to_bits();
            for (row, begins) in begins.iter_mut().enumerate().skip(1) {
                *begins |= value(row) != value(row - 1);
            }
        }
        for ids in self.slots.iter().map(|&slot| &batch.categorical[slot]) {
            match ids {
                Ids::Single(ids) => {
                    let pairs = ids.windows(2).zip(begins.iter_mut().skip(1));
                    pairs.for_each(|(pair, begins)| *begins |= pair[0] != pair[1]);
                }
                Ids::Multiple { rows, .. } => {
                    for (row, begins) in begins.iter_mut().enumerate().skip(1) {
                        *begins |= rows[ids.range(row)] != rows[ids.range(row - 1)];
                    }
                }
            }
        }
        begins
    }
}
