//! [`Dataset`]: encoded rows in memory; [`Splits`]: the datasets of a configuration.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Ids};
use crate::cache::{Cache, CacheUse};
use crate::disk::FolderIdentity;
use crate::encode::Encoder;
use crate::error::{BadRow, Error, Result};
use crate::load::{Fit, LoadOptions, Request};
use crate::raw::RawRows;
use crate::schema::{DataConfig, OnBadRow, Schema};
use crate::seen::FeatureCount;
use crate::split::Split;

/// Parsed training rows are kept between fitting and encoding as long as they take at most this many bytes; beyond it
/// the files are read once more per pass.
const KEEP_BYTES: usize = 1 << 29;

/// Bad rows that are described where they are skipped.
const EXAMPLES: usize = 5;

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
    /// Loads all rows of a configuration. Relative paths in `data` are relative to `base`. Splits that are parts of the
    /// training files are taken in the same pass.
    ///
    /// Where `data` has a `cache`, rows and encoder come from there if nothing has changed that they depend on; else they
    /// are kept there. They are the same to the bit.
    ///
    /// # Errors
    /// If a file cannot be read, a row is bad and `on_bad_row` is `"stop"`, a split has no row, or a task has no
    /// training row.
    pub fn load(data: &DataConfig, base: &Path, schema: &Schema, options: LoadOptions<'_>) -> Result<Self> {
        let mut request = Request::new(data, base, schema, options)?;
        let Some(folder) = &data.cache else { return Self::read(&mut request) };
        let cache = match Cache::new(&base.join(folder), &request) {
            Ok(cache) => cache,
            Err(why) => {
                let cache = Some(CacheUse::NotKept { folder: base.join(folder), why });
                return Ok(Self { cache, ..Self::read(&mut request)? });
            }
        };
        let open = |request: &Request<'_>| {
            let splits = cache.open(request).and_then(|stored| stored.into_memory(request))?;
            Ok::<_, String>(Self { cache: Some(CacheUse::Used { folder: cache.folder() }), ..splits })
        };
        let before = FolderIdentity::of(&cache.folder());
        let why = match open(&request) {
            Ok(splits) => return Ok(splits),
            Err(why) => why,
        };
        request.go_on()?;
        let writing = match cache.lock() {
            Err(error @ Error::Held { .. }) => return Err(error),
            lock => lock,
        };
        // The process that had the lock may have written them meanwhile.
        if FolderIdentity::of(&cache.folder()) != before
            && let Ok(splits) = open(&request)
        {
            return Ok(splits);
        }
        let mut splits = Self::read(&mut request)?;
        let kept = match &writing {
            Ok(_) => cache.keep(&request, &splits),
            Err(error) => Err(error.to_string()),
        };
        splits.cache = Some(match kept {
            Ok(()) => CacheUse::Built { folder: cache.folder(), why },
            Err(why) => CacheUse::NotKept { folder: cache.folder(), why },
        });
        Ok(splits)
    }

    fn read(request: &mut Request<'_>) -> Result<Self> {
        let Fit { encoder, kept } = request.fit(KEEP_BYTES)?;
        let mut datasets = Split::ALL.map(|_| Batch::empty(encoder.layout(), encoder.tasks().len()));
        request.encode(&encoder, kept, &mut |split, parts| {
            datasets[split as usize].append_all(parts);
            Ok(())
        })?;
        request.check([0, 1, 2].map(|split| datasets[split].rows as u64), &datasets[0].label_counts())?;
        let [train, valid, test] = datasets.map(Dataset::from);
        let [_, has_valid, has_test] = request.asked_for();
        Ok(Self {
            encoder,
            train,
            valid: has_valid.then_some(valid),
            test: has_test.then_some(test),
            skipped: request.skipped().clone(),
            raw: request.raw(),
            counts: request.counts().clone(),
            cache: None,
        })
    }

    /// The rows of a split, where there are any.
    pub(crate) fn of(&self, split: Split) -> Option<&Dataset> {
        match split {
            Split::Train => Some(&self.train),
            Split::Valid => self.valid.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }
}

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
