//! [`EncodedStream`]: rows of any number of files, encoded a chunk at a time, for evaluation and prediction.

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::encode::{Encoded, Encoder, Plan};
use crate::error::Result;
use crate::read::{DataFile, ReadAhead, Source, StopFlag};
use crate::schema::{CsvConfig, Format, OnBadRow};
use crate::seen::{FeatureCount, add_all};
use crate::skipped::Skipped;
use crate::split::SplitRules;

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// The files, in order.
    pub files: Vec<DataFile>,
    /// Format of all of them; `None` means each file's ending, and without a known ending the format that the
    /// encoder was fitted on.
    pub format: Option<Format>,
    /// How CSV files are written.
    pub csv: CsvConfig,
    /// Whether labels are read (evaluation), or need not even be there (prediction).
    pub with_labels: bool,
    /// Further columns to hand out beside the encoded rows, as they are.
    pub extras: Vec<String>,
    /// A feature whose numbers are handed out, too, before any transform.
    pub numbers_of: Option<usize>,
    /// What to do about a bad row.
    pub on_bad_row: OnBadRow,
    /// Ends a wait for a pipe when it is raised.
    pub stop: Option<StopFlag>,
}

impl StreamOptions {
    /// Rows of these files without labels, written and treated where they are bad as the encoder's schema says.
    #[must_use]
    pub fn new(encoder: &Encoder, files: Vec<DataFile>) -> Self {
        let on_bad_row = encoder.schema().on_bad_row;
        let csv = encoder.schema().csv.clone();
        Self {
            files,
            format: None,
            csv,
            with_labels: false,
            extras: Vec::new(),
            numbers_of: None,
            on_bad_row,
            stop: None,
        }
    }
}

/// Encoded rows in the order of the files, at most [`crate::read::CHUNK_ROWS`] at a time, in memory that does not grow
/// with their number. After an error it ends.
pub struct EncodedStream<'a> {
    encoder: &'a Encoder,
    plan: Plan,
    reader: Option<ReadAhead>,
    ready: VecDeque<Encoded>,
    on_bad_row: OnBadRow,
    skipped: Skipped,
    counts: Vec<FeatureCount>,
}

impl<'a> EncodedStream<'a> {
    /// Starts to read.
    ///
    /// # Errors
    /// If the system gives no thread to read with, or a pipe is named twice. What is wrong with a file comes with its first rows.
    pub fn open(encoder: &'a Encoder, options: &StreamOptions) -> Result<Self> {
        let schema = encoder.schema();
        let plan = Plan::new(schema, SplitRules::default(), options.with_labels, &options.extras)
            .with_numbers_of(options.numbers_of);
        let source = Source {
            files: options.files.clone(),
            format: options.format,
            otherwise: schema.format,
            csv: options.csv.clone(),
            by_configuration: false,
            others: Vec::new(),
            stop: options.stop.clone(),
            memory: None,
        };
        crate::load::check_pipes([&source.files])?;
        let reader = Some(ReadAhead::start(source.rows(plan.wanted().to_vec()))?);
        let (on_bad_row, skipped) = (options.on_bad_row, Skipped::default());
        Ok(Self { encoder, plan, reader, ready: VecDeque::new(), on_bad_row, skipped, counts: Vec::new() })
    }

    /// Bad rows that were left out so far.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Values of each feature over the rows so far, in the order of the schema.
    #[must_use]
    pub fn counts(&self) -> &[FeatureCount] {
        &self.counts
    }

    fn next_encoded(&mut self) -> Result<Option<Encoded>> {
        while self.ready.is_empty() {
            let Some(chunks) =
                self.reader.as_mut().map(|r| r.next_group(rayon::current_num_threads())).transpose()?.flatten()
            else {
                return Ok(None);
            };
            let (encoder, plan) = (self.encoder, &self.plan);
            let encode = |chunk| Ok(encoder.encode(plan.parse(chunk)?));
            self.ready.extend(chunks.into_par_iter().map(encode).collect::<Result<Vec<_>>>()?);
        }
        let Some(mut encoded) = self.ready.pop_front() else {
            return Ok(None);
        };
        self.skipped.add(std::mem::take(&mut encoded.bad), self.on_bad_row)?;
        encoded.counts.iter().for_each(|counts| add_all(&mut self.counts, counts));
        Ok(Some(encoded))
    }
}

impl Iterator for EncodedStream<'_> {
    type Item = Result<Encoded>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_encoded();
        if next.is_err() {
            self.reader = None;
            self.ready.clear();
        }
        next.transpose()
    }
}
