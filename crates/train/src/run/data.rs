//! The rows of a configuration, loaded once for any number of models.

use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock};

use pleiad_data::{Batch, Encoder, LoadOptions, Splits, TaskSpec};
use xxhash_rust::xxh64::xxh64;

use crate::config::ConfigFile;
use crate::counts::{RowCount, SplitRows};
use crate::error::{Error, Result};
use crate::fit::{Event, Interrupt, Observer};

/// Encoded rows of every split.
#[derive(Debug)]
pub struct RunData {
    /// The rows and their encoder.
    pub splits: Splits,
    /// How many there are.
    pub rows: SplitRows,
    fingerprint: OnceLock<String>,
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
            let options = LoadOptions { encoder, progress: Some(&progress) };
            Splits::load(&file.config.data, &file.folder(), &file.schema, options)
        };
        // Before any other error: a load that was stopped has failed for that reason.
        if let Some(signal) = interrupt.raised() {
            return Err(Error::Interrupted { signal, what: "nothing was trained yet, nothing was written".to_owned() });
        }
        let splits = splits.map_err(|error| about_configuration(file, error))?;
        let specs = splits.encoder.tasks();
        let count = |batch: &Batch| RowCount::of(batch, specs);
        let rows = SplitRows {
            train: count(splits.train.as_batch()),
            valid: splits.valid.as_ref().map(|d| count(d.as_batch())),
            test: splits.test.as_ref().map(|d| count(d.as_batch())),
        };
        if splits.skipped.rows > 0 {
            let examples: Vec<String> = splits.skipped.examples.iter().map(|bad| format!("\n  {bad}")).collect();
            let rows = splits.skipped.rows;
            let were = if rows == 1 { "bad row was" } else { "bad rows were" };
            let text = format!("{rows} {were} skipped, among them:{}", examples.concat());
            observer.event(&Event::Warning(&text));
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
        let valid = splits.valid.as_ref().map(|rows| rows.as_batch().xxh64());
        let text = serde_json::to_vec(&(&self.rows, &splits.encoder, splits.train.as_batch().xxh64(), valid))
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
