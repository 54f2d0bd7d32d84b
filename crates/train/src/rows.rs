//! [`RowSet`]: encoded rows of a split, in memory or on disk, and what is asked of both alike.

use std::borrow::Cow;
use std::ops::Range;

use pleiad_data::{BLOCK_ROWS, Batch, Dataset, LabelCount, StoredRows};
use rayon::prelude::*;

use crate::error::Result;

/// Encoded rows of a split.
#[derive(Debug)]
pub enum RowSet {
    /// In memory.
    Memory(Dataset),
    /// On disk, to be read again whenever they are needed.
    Stored {
        /// The rows.
        rows: StoredRows,
        /// How many of them are in memory while they are trained on.
        window: usize,
    },
}

/// A look at a [`RowSet`], or at rows in memory.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a> {
    /// In memory.
    Memory(&'a Batch),
    /// On disk; see [`RowSet::Stored`].
    Stored {
        /// The rows.
        rows: &'a StoredRows,
        /// How many of them are in memory while they are trained on.
        window: usize,
    },
}

impl<'a> From<&'a Batch> for Rows<'a> {
    fn from(rows: &'a Batch) -> Self {
        Self::Memory(rows)
    }
}

impl<'a> From<&'a RowSet> for Rows<'a> {
    fn from(rows: &'a RowSet) -> Self {
        match rows {
            RowSet::Memory(rows) => Self::Memory(rows.as_batch()),
            RowSet::Stored { rows, window } => Self::Stored { rows, window: *window },
        }
    }
}

impl Rows<'_> {
    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Memory(rows) => rows.rows as u64,
            Self::Stored { rows, .. } => rows.rows(),
        }
    }

    /// Labels of each task.
    #[must_use]
    pub fn label_counts(&self) -> Vec<LabelCount> {
        match self {
            Self::Memory(rows) => rows.label_counts(),
            Self::Stored { rows, .. } => rows.label_counts().to_vec(),
        }
    }

    /// Hands over all rows in order, at most `size` at a time.
    ///
    /// # Errors
    /// Those of reading rows from disk, and `work`'s.
    pub fn each(&self, size: usize, work: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
        match self {
            Self::Memory(rows) => each_part(rows, size, work),
            Self::Stored { rows, .. } => rows.in_order()?.try_for_each(|block| each_part(&block?, size, work)),
        }
    }
}

fn each_part(rows: &Batch, size: usize, work: &mut dyn FnMut(&Batch) -> Result<()>) -> Result<()> {
    let size = size.max(1);
    (0..rows.rows).step_by(size).try_for_each(|start| work(&rows.slice(start..rows.rows.min(start + size))))
}

impl RowSet {
    /// All rows where they are in memory; else at most `most`, from all over.
    ///
    /// # Errors
    /// Those of reading rows from disk.
    pub fn at_most(&self, most: usize) -> Result<Cow<'_, Batch>> {
        Ok(match self {
            Self::Memory(rows) => Cow::Borrowed(rows.as_batch()),
            Self::Stored { rows, .. } => Cow::Owned(rows.sample(most)?),
        })
    }

    /// At most `most` rows, from all over; all of them if there are no more.
    ///
    /// # Errors
    /// Those of reading rows from disk.
    pub fn spread(&self, most: usize) -> Result<Cow<'_, Batch>> {
        match self {
            Self::Memory(rows) if rows.as_batch().rows > most => {
                let all = rows.as_batch();
                let row = |i: usize| (i as u128 * all.rows as u128 / most.max(1) as u128) as usize;
                let mut taken = all.slice(0..0);
                taken.gather_from(all, &(0..most).map(row).collect::<Vec<_>>());
                Ok(Cow::Owned(taken))
            }
            _ => self.at_most(most),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        Rows::from(self).count()
    }

    /// What `of` makes of parts of the rows, in order: of at most `most` parts from all over, each of as many consecutive rows
    /// as a block on disk has. Parts are looked at on all threads, and what is on disk is read no further.
    ///
    /// # Errors
    /// Those of reading rows from disk.
    pub(crate) fn map_parts<T: Send>(
        &self,
        most: usize,
        of: impl Fn(&Batch, Range<usize>) -> T + Sync,
    ) -> Result<Vec<T>> {
        let parts = (Rows::from(self).count() as usize).div_ceil(BLOCK_ROWS);
        let step = parts.div_ceil(most.max(1)).max(1);
        let numbers: Vec<usize> = (0..parts).step_by(step).collect();
        match self {
            Self::Memory(rows) => {
                let rows = rows.as_batch();
                let part = |number| number * BLOCK_ROWS..rows.rows.min((number + 1) * BLOCK_ROWS);
                Ok(numbers.into_par_iter().map(|number| of(rows, part(number))).collect())
            }
            Self::Stored { rows, .. } => {
                let read = |number| rows.read(number).map(|rows| of(&rows, 0..rows.rows));
                Ok(numbers.into_par_iter().map(read).collect::<Result<_, _>>()?)
            }
        }
    }

    /// Changes when a row changes. Rows in memory and on disk have different ones.
    #[must_use]
    pub fn xxh64(&self) -> u64 {
        match self {
            Self::Memory(rows) => rows.as_batch().xxh64(),
            Self::Stored { rows, .. } => rows.xxh64(),
        }
    }
}
