//! [`Dataset`]: encoded rows in memory; [`Splits`]: the datasets of a configuration.

use crate::batch::{Batch, Ids};
use crate::cache_use::CacheUse;
use crate::encode::Encoder;
use crate::raw::RawRows;
use crate::seen::FeatureCount;
use crate::skipped::Skipped;
use crate::split::Split;

/// Encoded rows in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    rows: Batch,
}

impl From<Batch> for Dataset {
    fn from(rows: Batch) -> Self {
        Self { rows }
    }
}

impl Dataset {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.rows
    }

    /// All rows as one batch.
    #[must_use]
    pub fn as_batch(&self) -> &Batch {
        &self.rows
    }

    /// Replaces `into`'s rows by rows `index`, in that order.
    ///
    /// # Panics
    /// If an index is not below [`Dataset::rows`], or `into` was made for another layout.
    pub fn gather(&self, index: &[usize], into: &mut Batch) {
        into.gather_from(&self.rows, index);
    }

    /// The rows in order, `size` at a time (at least one); the last batch may be smaller.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = Batch> + '_ {
        let size = size.max(1);
        (0..self.rows()).step_by(size).map(move |start| self.rows.slice(start..self.rows().min(start + size)))
    }
}

impl Batch {
    /// A copy of consecutive rows.
    ///
    /// # Panics
    /// If the range reaches beyond the rows.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let width = self.numeric_width();
        let ids = |ids: &Ids| match ids {
            Ids::Single(rows) => Ids::Single(rows[range.clone()].to_vec()),
            Ids::Multiple { offsets, rows } => {
                let first = offsets[range.start];
                Ids::Multiple {
                    offsets: offsets[range.start..=range.end].iter().map(|offset| offset - first).collect(),
                    rows: rows[first..offsets[range.end]].to_vec(),
                }
            }
        };
        let labels = |labels: &crate::Labels| crate::Labels {
            values: labels.values[range.clone()].to_vec(),
            present: labels.present[range.clone()].to_vec(),
            weights: labels.weights.get(range.clone()).unwrap_or_default().to_vec(),
        };
        Self {
            rows: range.len(),
            numeric: self.numeric[range.start * width..range.end * width].to_vec(),
            categorical: self.categorical.iter().map(ids).collect(),
            labels: self.labels.iter().map(labels).collect(),
            groups: if self.groups.is_empty() { Vec::new() } else { self.groups[range].to_vec() },
        }
    }
}

/// The rows of a configuration.
#[derive(Debug)]
pub struct Splits {
    /// Fitted on the training rows, or as it was handed over.
    pub encoder: Encoder,
    /// Trained on; at least one row.
    pub train: Dataset,
    /// At least one row, if the configuration has validation rows.
    pub valid: Option<Dataset>,
    /// At least one row, if the configuration has test rows.
    pub test: Option<Dataset>,
    /// Bad rows that were left out.
    pub skipped: Skipped,
    /// Some of the training rows, as they were read.
    pub raw: RawRows,
    /// Values of each feature in each split, in the order of the schema; empty for a split that there is not.
    pub counts: [Vec<FeatureCount>; 3],
    /// What became of the cache; `None` where the configuration has none.
    pub cache: Option<CacheUse>,
}

impl Splits {
    /// The rows of a split, where there are any.
    pub(crate) fn of(&self, split: Split) -> Option<&Dataset> {
        match split {
            Split::Train => Some(&self.train),
            Split::Valid => self.valid.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }
}
