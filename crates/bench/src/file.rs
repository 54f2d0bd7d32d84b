//! [`file()`] (W4): from a configuration's files to weights: reading, fitting encoders, encoding, and one epoch of
//! training; [`cached_file`]: the same from encoded rows.

use std::path::PathBuf;
use std::time::Instant;

use pleiad_data::disk::{self, TemporaryFolder, Unlockable};
use pleiad_data::read::{expand, refuse_pipes};
use serde::Serialize;

use super::memory::Memory;
use pleiad_train::Interrupt;
use pleiad_train::config::ConfigFile;
use pleiad_train::fit::{MemoryKeeper, Observer};
use pleiad_train::run::{RunData, Start, train_model};
use pleiad_train::{Error, Result};

/// What an epoch of a configuration costs, once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileFigures {
    /// The configuration.
    pub config: PathBuf,
    /// Rows trained on.
    pub train_rows: u64,
    /// Rows read, those of validation and test files among them.
    pub rows_read: u64,
    /// Seconds of reading, fitting and encoding all files.
    pub loading_seconds: f64,
    /// Seconds of the epoch: shuffling, gathering, steps.
    pub epoch_seconds: f64,
    /// Seconds from the first byte to the weights.
    pub seconds: f64,
    /// Training rows over `seconds`.
    pub rows_per_second: f64,
    /// Training rows over `epoch_seconds`.
    pub epoch_rows_per_second: f64,
    /// Share of the epoch's steps in which the engine waited for rows.
    pub input_wait: f64,
    /// Memory after the epoch, rows and model still there.
    pub memory: Memory,
}

/// Times one epoch of `config`, from its files on. No metric is computed; validation and test rows are read and encoded
/// all the same, since that is what `train` does.
///
/// # Errors
/// Those of loading and training.
pub fn file(config: &ConfigFile, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<FileFigures> {
    check_files(config)?;
    Memory::forget_peak();
    let model = config.model(None)?;
    let start = Instant::now();
    let mut data = RunData::load(config, None, None, interrupt, observer)?;
    let loading_seconds = start.elapsed().as_secs_f64();
    let rows_of = |rows: &Option<pleiad_train::RowCount>| rows.as_ref().map_or(0, |rows| rows.rows);
    let train_rows = data.rows.train.rows;
    let rows_read = train_rows + rows_of(&data.rows.valid) + rows_of(&data.rows.test);
    (data.splits.valid, data.splits.test) = (None, None);
    let graph =
        model.build(data.splits.encoder.layout(), data.tasks()).map_err(|error| config.model_error(None, error))?;
    let mut once = config.config.clone();
    once.train.epochs = 1;
    let mut keeper = MemoryKeeper::default();
    let epoch = Instant::now();
    let trained = train_model(&once, &graph, &data, Start::Fresh(None), &mut keeper, interrupt, observer)?;
    let (epoch_seconds, seconds) = (epoch.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
    Ok(FileFigures {
        config: config.path().to_path_buf(),
        train_rows,
        rows_read,
        loading_seconds,
        epoch_seconds,
        seconds,
        rows_per_second: train_rows as f64 / seconds,
        epoch_rows_per_second: train_rows as f64 / epoch_seconds,
        input_wait: trained.fitted.history.first().map_or(0.0, |epoch| epoch.input_wait),
        memory: Memory::now(),
    })
}

/// Like [`file()`], with encoded rows in a cache, which is made before the clock starts.
///
/// # Errors
/// Errors of loading and training, and of writing a temporary folder.
pub fn cached_file(config: &ConfigFile, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<FileFigures> {
    let place = std::env::temp_dir();
    disk::sweep(&place, Unlockable::RemoveOld);
    let folder = TemporaryFolder::private(&place).map_err(|error| Error::io(&place, error))?;
    let mut config = config.clone();
    config.config.data.cache = Some(folder.path().display().to_string());
    RunData::load(&config, None, None, interrupt, observer)?;
    file(&config, interrupt, observer)
}

/// Refuses pipes, since files are read several times.
fn check_files(config: &ConfigFile) -> Result<()> {
    let data = &config.config.data;
    for files in data.files() {
        let files = expand(&config.folder(), files, data.format)?;
        refuse_pipes(&files, "`bench` reads files several times; write it to a file first")?;
    }
    Ok(())
}
