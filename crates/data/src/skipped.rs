//! [`Skipped`]: bad rows that were left out.

use serde::{Deserialize, Serialize};

use crate::error::{BadRow, Error, Result};
use crate::schema::OnBadRow;

/// Bad rows that are described where they are skipped.
const EXAMPLES: usize = 5;

/// Bad rows that were left out, which happens with `on_bad_row = "skip"` alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// How many.
    pub rows: u64,
    /// The first few of them.
    pub examples: Vec<BadRow>,
}

impl Skipped {
    /// Counts bad rows, or fails on the first one, as `on_bad_row` says.
    ///
    /// # Errors
    /// [`Error::BadRow`] with [`OnBadRow::Stop`].
    pub fn add(&mut self, bad: Vec<BadRow>, on_bad_row: OnBadRow) -> Result<()> {
        self.rows += bad.len() as u64;
        for bad in bad {
            if on_bad_row == OnBadRow::Stop {
                return Err(Error::BadRow(Box::new(bad)));
            }
            if self.examples.len() == EXAMPLES {
                break;
            }
            self.examples.push(bad);
        }
        Ok(())
    }
}
