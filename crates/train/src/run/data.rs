//! The rows of a configuration, loaded once for any number of models.

use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock};

use pleiad_data::{
    CacheUse, Dataset, Encoder, LoadOptions, RawRows, Skipped, Splits, StoredRows, StoredSplits, TaskSpec,
};
use xxhash_rust::xxh64::xxh64;

use crate::config::ConfigFile;
use crate::counts::{RowCount, SplitRows};
use crate::error::{Error, Result};
use crate::fit::{Event, Interrupt, Observer};
use crate::rows::RowSet;

/// Encoded rows of every split.
#[derive(Debug)]
pub struct RunData {
    /// The rows and their encoder.
    pub splits: RunSplits,
    /// How many there are.
    pub rows: SplitRows,
    fingerprint: OnceLock<String>,
}

/// The rows of a configuration and their encoder, in memory or on disk as `[data] stream` says.
#[derive(Debug)]
pub struct RunSplits {
    /// Fitted on the training rows, or as it was handed over.
    pub encoder: Encoder,
    /// Trained on; at least one row.
    pub train: RowSet,
    /// At least one row, if the configuration has validation rows.
    pub valid: Option<RowSet>,
    /// At least one row, if the configuration has test rows.
    pub test: Option<RowSet>,
    /// Bad rows that were left out.
    pub skipped: Skipped,
    /// Some of the training rows, as they were read.
    pub raw: RawRows,
    /// What became of the cache; `None` where the configuration has none.
    pub cache: Option<CacheUse>,
}

impl From<Splits> for RunSplits {
    fn from(splits: Splits) -> Self {
        let Splits { encoder, train, valid, test, skipped, raw, cache } = splits;
        let rows = |rows: Dataset| RowSet::Memory(rows);
        Self { encoder, train: rows(train), valid: valid.map(rows), test: test.map(rows), skipped, raw, cache }
    }
}

impl RunSplits {
    fn stored(splits: StoredSplits, window: usize) -> Self {
        let StoredSplits { encoder, train, valid, test, skipped, raw, cache } = splits;
        let rows = |rows: StoredRows| RowSet::Stored { rows, window };
        let cache = Some(cache);
        Self { encoder, train: rows(train), valid: valid.map(rows), test: test.map(rows), skipped, raw, cache }
    }
}

impl RunData {
    /// Loads the rows of a configuration, with encoders fitted on its training rows or those of `encoder`.
    ///
    /// # Errors
    /// [`Error::Data`], [`Error::Config`] with the line of a column that the files do not have, and
    /// [`Error::Interrupted`].
    pub fn load(
        file: &ConfigFile,
        encoder: Option<Encoder>,
        interrupt: &Interrupt,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let splits = {
            let observer = Mutex::new(&mut *observer);
            let progress = |progress| {
                if let Ok(mut observer) = observer.lock() {
                    observer.event(&Event::Loading(progress));
                }
                match interrupt.raised() {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                }
            };
            let options = LoadOptions { encoder, progress: Some(&progress), stop: Some(interrupt.flag()) };
            let (data, folder, schema) = (&file.config.data, file.folder(), &file.schema);
            match data.stream.window() {
                None => Splits::load(data, &folder, schema, options).map(RunSplits::from),
                Some(window) => {
                    StoredSplits::load(data, &folder, schema, options).map(|s| RunSplits::stored(s, window))
                }
            }
        };
        // Before any other error: a load that was stopped has failed for that reason.
        if let Some(signal) = interrupt.raised() {
            return Err(Error::Interrupted { signal, what: "nothing was trained yet, nothing was written".to_owned() });
        }
        let splits = splits.map_err(|error| about_configuration(file, error))?;
        let specs = splits.encoder.tasks();
        let count = |rows: &RowSet| RowCount::of(rows, specs);
        let rows = SplitRows {
            train: count(&splits.train),
            valid: splits.valid.as_ref().map(count),
            test: splits.test.as_ref().map(count),
        };
        if splits.skipped.rows > 0 {
            let examples: Vec<String> = splits.skipped.examples.iter().map(|bad| format!("\n  {bad}")).collect();
            let rows = splits.skipped.rows;
            let were = if rows == 1 { "bad row was" } else { "bad rows were" };
            let text = format!("{rows} {were} skipped, among them:{}", examples.concat());
            observer.event(&Event::Warning(&text));
        }
        if let Some(cache) = &splits.cache {
            observer.event(&Event::Cache(cache));
        }
        observer.event(&Event::Loaded(&rows));
        Ok(Self { splits, rows, fingerprint: OnceLock::new() })
    }

    /// The tasks.
    #[must_use]
    pub fn tasks(&self) -> &[TaskSpec] {
        self.splits.encoder.tasks()
    }

    /// Changes when rows or encoders change: what a resumed run must find again.
    pub(crate) fn fingerprint(&self) -> Result<&str> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(known);
        }
        let splits = &self.splits;
        let valid = splits.valid.as_ref().map(RowSet::xxh64);
        let text = serde_json::to_vec(&(&self.rows, &splits.encoder, splits.train.xxh64(), valid))
            .map_err(|error| Error::Encode { reason: error.to_string() })?;
        Ok(self.fingerprint.get_or_init(|| format!("{:016x}", xxh64(&text, 0))))
    }
}

/// Tells the line of the configuration that an error of the data is about, where there is one.
fn about_configuration(file: &ConfigFile, error: pleiad_data::Error) -> Error {
    match &error {
        pleiad_data::Error::MissingColumn(missing) if missing.by_configuration => {
            file.error_about(&missing.column, error.to_string())
        }
        _ => Error::Data(error),
    }
}
