//! [`Dataset`]: encoded rows in memory; [`Splits`]: those of a configuration, and how they are loaded.

use std::ops::ControlFlow;
use std::path::Path;

use rayon::prelude::*;

use crate::batch::{Batch, Ids};
use crate::encode::{Encoded, Encoder, Fitter, Parsed, Plan};
use crate::error::{BadRow, Error, Result};
use crate::read::{Chunk, ReadAhead, Source, expand};
use crate::schema::{DataConfig, Files, OnBadRow, Schema, SplitConfig};
use crate::split::{Split, SplitRules};

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
        };
        Self {
            rows: range.len(),
            numeric: self.numeric[range.start * width..range.end * width].to_vec(),
            categorical: self.categorical.iter().map(ids).collect(),
            labels: self.labels.iter().map(labels).collect(),
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
}

/// Bad rows that were left out, which happens with `on_bad_row = "skip"` alone.
#[derive(Debug, Clone, Default, PartialEq)]
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

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Rows read in this phase, bad ones included.
    pub rows: u64,
}

/// What is being done while rows are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The encoder is fitted on the training files.
    Fit,
    /// Rows of these files are encoded.
    Load(Split),
}

/// What [`Splits::load`] may be told beside the configuration.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// An encoder to use as it is; without one, an encoder is fitted on the training rows.
    pub encoder: Option<Encoder>,
    /// Called after every few thousand rows; a break ends loading with [`Error::Stopped`].
    pub progress: Option<&'a (dyn Fn(Progress) -> ControlFlow<()> + Sync)>,
}

impl Splits {
    /// Loads all rows of a configuration. Relative paths in `data` are relative to `base`. Splits that are parts of the
    /// training files are taken in the same pass.
    ///
    /// # Errors
    /// If a file cannot be read, a row is bad and `on_bad_row` is `"stop"`, a split has no row, or a task has no
    /// training row.
    pub fn load(data: &DataConfig, base: &Path, schema: &Schema, options: LoadOptions<'_>) -> Result<Self> {
        let report = |phase, rows| match options.progress.map(|progress| progress(Progress { phase, rows })) {
            Some(ControlFlow::Break(())) => Err(Error::Stopped { rows }),
            _ => Ok(()),
        };
        let source = |files: &Files| {
            let source = Source {
                paths: expand(base, files)?,
                format: data.format,
                csv: schema.csv.clone(),
                by_configuration: true,
            };
            // All of them are opened once before hours are spent on the first.
            source.paths.iter().try_for_each(|path| crate::read::open_file(path).map(drop)).map(|()| source)
        };
        let own = |split: &Option<SplitConfig>| match split {
            Some(SplitConfig::Files(files)) => source(files).map(Some),
            _ => Ok(None),
        };
        let sources = [Some(source(&data.train)?), own(&data.valid)?, own(&data.test)?];
        let mut loader = Loader { on_bad_row: data.on_bad_row, skipped: Skipped::default(), report: &report };

        let plan = Plan::new(schema, SplitRules::new(data), true, &[]);
        let train_source = sources[0].as_ref();
        let (encoder, kept) = match (options.encoder, train_source) {
            (None, Some(source)) => loader.fit(schema, &plan, source)?,
            (Some(encoder), _) => (encoder, None),
            (None, None) => return Err(no_rows(Split::Train, "")),
        };
        let mut datasets = Split::ALL.map(|_| Dataset { rows: Batch::empty(encoder.layout(), encoder.tasks().len()) });
        let alone = Plan::new(schema, SplitRules::default(), true, &[]);
        let mut kept = Some(kept).flatten();
        for (split, source) in Split::ALL.into_iter().zip(&sources) {
            let Some(source) = source else { continue };
            let plan = if split == Split::Train { &plan } else { &alone };
            loader.encode(&encoder, plan, source, split, kept.take(), &mut datasets)?;
        }
        for (split, dataset) in Split::ALL.into_iter().zip(&datasets) {
            let is_asked_for = [true, data.valid.is_some(), data.test.is_some()][split as usize];
            if is_asked_for && dataset.rows() == 0 {
                let parts = Split::ALL.into_iter().filter(|&other| sources[other as usize].is_none());
                let in_parts: usize = parts.map(|part| datasets[part as usize].rows()).sum();
                let reason = match loader.skipped.rows {
                    1.. => format!("{} bad rows were skipped", loader.skipped.rows),
                    0 if sources[split as usize].is_none() => "no row of the training files falls into it".to_owned(),
                    0 if split == Split::Train && in_parts > 0 => {
                        format!("`valid` and `test` in [data] take all {in_parts} rows of the training files")
                    }
                    0 => "its files hold no row".to_owned(),
                };
                return Err(no_rows(split, &reason));
            }
        }
        let [train, valid, test] = datasets;
        check_tasks(schema, &train)?;
        let valid = data.valid.is_some().then_some(valid);
        let test = data.test.is_some().then_some(test);
        Ok(Self { encoder, train, valid, test, skipped: loader.skipped })
    }
}

fn no_rows(split: Split, reason: &str) -> Error {
    Error::NoRows { split: split.name(), reason: reason.to_owned() }
}

/// Refuses tasks that nothing can be learnt of.
fn check_tasks(schema: &Schema, train: &Dataset) -> Result<()> {
    for (task, labels) in schema.tasks.iter().zip(&train.rows.labels) {
        let column = &task.label.column;
        let useless = |reason| Err(Error::UselessTask { task: task.name.clone(), reason });
        if labels.count() == 0 {
            let filter = if task.filter.is_some() { " and its `where` holds" } else { "" };
            return useless(format!(
                "no training row is in its sample space: none has a label in \"{column}\"{filter}"
            ));
        }
        if let Some(positive) = &task.label.positive
            && labels.values.iter().all(|&value| value == 0.0)
        {
            return useless(format!("no training row has its positive label, {positive} in column \"{column}\""));
        }
    }
    Ok(())
}

struct Loader<'a> {
    on_bad_row: OnBadRow,
    skipped: Skipped,
    report: &'a dyn Fn(Phase, u64) -> Result<()>,
}

impl Loader<'_> {
    /// Fits an encoder, and gives back the parsed rows if they are few enough to be kept.
    fn fit(&mut self, schema: &Schema, plan: &Plan, source: &Source) -> Result<(Encoder, Option<Vec<Parsed>>)> {
        let mut fitter = Fitter::new(schema);
        let mut kept: Option<Vec<Parsed>> = None;
        while fitter.needs_pass() {
            if let Some(kept) = &kept {
                fitter.observe(kept);
                fitter.end_pass();
                continue;
            }
            let (mut parsed_rows, mut bytes, mut rows) = (Some(Vec::new()), 0, 0);
            each_group(source, plan, |chunks| {
                rows += chunks.iter().map(|chunk| chunk.rows as u64).sum::<u64>();
                let parsed: Vec<Parsed> =
                    chunks.into_par_iter().map(|chunk| plan.parse(chunk)).collect::<Result<_>>()?;
                if self.on_bad_row == OnBadRow::Stop
                    && let Some(bad) = parsed.iter().find_map(|parsed| parsed.bad.first())
                {
                    return Err(Error::BadRow(Box::new(bad.clone())));
                }
                fitter.observe(&parsed);
                bytes += parsed.iter().map(Parsed::bytes).sum::<usize>();
                if bytes > KEEP_BYTES {
                    parsed_rows = None;
                }
                if let Some(parsed_rows) = &mut parsed_rows {
                    parsed_rows.extend(parsed);
                }
                (self.report)(Phase::Fit, rows)
            })?;
            fitter.end_pass();
            kept = parsed_rows;
        }
        Ok((fitter.finish()?, kept))
    }

    /// Encodes the rows of a source into the datasets of their splits.
    fn encode(
        &mut self,
        encoder: &Encoder,
        plan: &Plan,
        source: &Source,
        split: Split,
        kept: Option<Vec<Parsed>>,
        into: &mut [Dataset; 3],
    ) -> Result<()> {
        if let Some(kept) = kept {
            let encoded: Vec<Encoded> = kept.into_par_iter().map(|parsed| encoder.encode(parsed)).collect();
            return encoded.into_iter().try_for_each(|encoded| self.put(encoded, split, into));
        }
        let mut rows = 0;
        each_group(source, plan, |chunks| {
            rows += chunks.iter().map(|chunk| chunk.rows as u64).sum::<u64>();
            let encoded: Vec<Encoded> =
                chunks.into_par_iter().map(|chunk| Ok(encoder.encode(plan.parse(chunk)?))).collect::<Result<_>>()?;
            encoded.into_iter().try_for_each(|encoded| self.put(encoded, split, into))?;
            (self.report)(Phase::Load(split), rows)
        })
    }

    fn put(&mut self, encoded: Encoded, split: Split, into: &mut [Dataset; 3]) -> Result<()> {
        self.skipped.add(encoded.bad, self.on_bad_row)?;
        if encoded.splits.is_empty() {
            into[split as usize].rows.append(&encoded.batch);
            return Ok(());
        }
        let mut part = encoded.batch.clone();
        for split in Split::ALL {
            let index: Vec<usize> = (0..encoded.batch.rows).filter(|&row| encoded.splits[row] == split).collect();
            part.gather_from(&encoded.batch, &index);
            into[split as usize].rows.append(&part);
        }
        Ok(())
    }
}

/// Reads a source to its end, handing over as many chunks at a time as there are threads to work on them.
pub(crate) fn each_group(source: &Source, plan: &Plan, mut work: impl FnMut(Vec<Chunk>) -> Result<()>) -> Result<()> {
    let mut reader = ReadAhead::start(source.rows(plan.wanted().to_vec()))?;
    while let Some(chunks) = reader.next_group(rayon::current_num_threads())? {
        work(chunks)?;
    }
    Ok(())
}
