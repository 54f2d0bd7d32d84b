//! The rows of a configuration, loaded once for any number of models.

use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock};

use pleiad_data::read::expand;
use pleiad_data::schema::SplitConfig;
use pleiad_data::{
    CacheUse, Dataset, Encoder, FeatureCount, LoadOptions, MemoryRows, RawRows, Skipped, Splits, StoredRows,
    StoredSplits, TaskSpec,
};
use xxhash_rust::xxh64::xxh64;

use crate::Interrupt;
use crate::alarm::Alarm;
use crate::alarm::files::repeated_files;
use crate::alarm::overlap::shared_rows;
use crate::alarm::scaled::scaled;
use crate::config::ConfigFile;
use crate::counts::{DataSummary, RowCount, SplitRows, SplitSummary};
use crate::error::{Error, Result};
use crate::fit::{Event, Observer};
use crate::rows::RowSet;
use pleiad_rank::values::{Context, Part, features};

/// Encoded rows of every split.
#[derive(Debug)]
pub struct RunData {
    /// The rows and their encoder.
    pub splits: RunSplits,
    /// How many there are.
    pub rows: SplitRows,
    /// What is wrong with them; each was given as a warning.
    pub alarms: Vec<Alarm>,
    fingerprint: OnceLock<String>,
}

/// An encoder that was fitted on other rows.
#[derive(Debug)]
pub struct Base {
    /// The encoder.
    pub encoder: Encoder,
    /// Values of each feature in the rows that it was fitted on, where they are known.
    pub counts: Option<Vec<FeatureCount>>,
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
    /// Values of each feature in each split, in the order of the schema; empty for a split that there is not.
    pub counts: [Vec<FeatureCount>; 3],
    /// What became of the cache; `None` where the configuration has none.
    pub cache: Option<CacheUse>,
}

impl From<Splits> for RunSplits {
    fn from(splits: Splits) -> Self {
        let Splits { encoder, train, valid, test, skipped, raw, counts, cache } = splits;
        let rows = |rows: Dataset| RowSet::Memory(rows);
        Self { encoder, train: rows(train), valid: valid.map(rows), test: test.map(rows), skipped, raw, counts, cache }
    }
}

impl RunSplits {
    fn stored(splits: StoredSplits, window: usize) -> Self {
        let counts = splits.counts();
        let StoredSplits { encoder, train, valid, test, skipped, raw, cache } = splits;
        let rows = |rows: StoredRows| RowSet::Stored { rows, window };
        let cache = Some(cache);
        Self { encoder, train: rows(train), valid: valid.map(rows), test: test.map(rows), skipped, raw, counts, cache }
    }
}

impl RunData {
    /// Loads the rows of a configuration, or those that are handed over in memory, with encoders fitted on its training rows or those of `base`.
    ///
    /// # Errors
    /// [`Error::Data`], [`Error::Config`] with the line of a column that the files do not have, and
    /// [`Error::Interrupted`].
    pub fn load(
        file: &ConfigFile,
        memory: Option<&MemoryRows>,
        base: Option<Base>,
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
            let encoder = base.as_ref().map(|base| base.encoder.clone());
            let options = LoadOptions { encoder, progress: Some(&progress), stop: Some(interrupt.flag()), memory };
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
        let alarms = alarms(file, &splits, base.as_ref())?;
        alarms.iter().for_each(|alarm| observer.event(&Event::Warning(&alarm.text)));
        Ok(Self { splits, rows, alarms, fingerprint: OnceLock::new() })
    }

    /// What there is in the rows.
    #[must_use]
    pub fn summary(&self) -> DataSummary {
        let RunSplits { encoder, train, valid, test, counts: [of_train, of_valid, of_test], .. } = &self.splits;
        let of = |rows: &RowSet, counts: &[FeatureCount]| SplitSummary::of(rows, encoder, counts);
        DataSummary {
            train: of(train, of_train),
            valid: valid.as_ref().map(|rows| of(rows, of_valid)),
            test: test.as_ref().map(|rows| of(rows, of_test)),
        }
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

/// What is wrong with rows that were just loaded.
fn alarms(file: &ConfigFile, splits: &RunSplits, base: Option<&Base>) -> Result<Vec<Alarm>> {
    let parts = ["training rows", "validation rows", "test rows"];
    let parts: Vec<Part<'_>> =
        parts.into_iter().zip(&splits.counts).map(|(name, counts)| Part { name, counts }).collect();
    let mut alarms = match base {
        Some(base) => features(&splits.encoder, base.counts.as_deref(), &parts, Context::Init),
        None => features(&splits.encoder, Some(&splits.counts[0]), &parts, Context::Fitted),
    };
    alarms.extend(scaled(&splits.encoder, &splits.train, &splits.counts[0], &splits.raw)?);
    let data = &file.config.data;
    let files = data.train.as_ref().and_then(|train| expand(&file.folder(), train, data.format).ok());
    alarms.extend(files.and_then(|files| repeated_files(&files)));
    // A part of the training files takes its rows away from them.
    let has_files = |split: &Option<SplitConfig>| match split {
        Some(SplitConfig::Files(_)) => true,
        Some(SplitConfig::Part(part)) => part.memory,
        None => false,
    };
    let valid = splits.valid.as_ref().filter(|_| has_files(&data.valid)).map(|rows| ("validation", rows));
    let test = splits.test.as_ref().filter(|_| has_files(&data.test)).map(|rows| ("test", rows));
    alarms.extend(shared_rows(&splits.train, &valid.into_iter().chain(test).collect::<Vec<_>>())?);
    Ok(alarms)
}

/// Adds the line of the configuration that an error of the data is about, if there is one.
fn about_configuration(file: &ConfigFile, error: pleiad_data::Error) -> Error {
    match &error {
        pleiad_data::Error::MissingColumn(missing) if missing.by_configuration => {
            file.error_about(&missing.column, error.to_string())
        }
        _ => Error::Data(error),
    }
}
