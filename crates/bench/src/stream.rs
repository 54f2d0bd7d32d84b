//! [`stream()`] (W5): a generated video log that stays on disk, one epoch, and the memory that it takes.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use pleiad_data::disk::{self, TemporaryFolder, Unlockable};
use pleiad_data::synth::{VideoLog, VideoOptions, write_log};
use serde::Serialize;

use super::memory::Memory;
use pleiad_train::Interrupt;
use pleiad_train::config::ConfigFile;
use pleiad_train::fit::{Event, MemoryKeeper, Observer};
use pleiad_train::run::{RunData, Start, train_model};
use pleiad_train::{Error, Result};

const CONFIG: &str = include_str!("stream.toml");

const LOG: &str = "video.parquet";

/// Users and videos of the log, whatever its rows, so that tables do not grow with them.
const USERS: u64 = 200_000;
const VIDEOS: u64 = 50_000;

/// What a log costs that is not held in memory, once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamFigures {
    /// Rows of the log.
    pub rows: u64,
    /// Rows trained on.
    pub train_rows: u64,
    /// Rows that are in memory to be shuffled.
    pub window: usize,
    /// Size of the log, in MiB.
    pub log_mib: f64,
    /// Size of the encoded rows, in MiB.
    pub encoded_mib: f64,
    /// Seconds of making the log.
    pub generating_seconds: f64,
    /// Seconds of reading the log twice, fitting, encoding and writing encoded rows.
    pub loading_seconds: f64,
    /// Seconds of the epoch.
    pub epoch_seconds: f64,
    /// Rows of the log over `loading_seconds`.
    pub loading_rows_per_second: f64,
    /// Training rows over `epoch_seconds`.
    pub epoch_rows_per_second: f64,
    /// Share of the epoch in which the engine waited for rows.
    pub input_wait: f64,
    /// Memory of loading.
    pub loading_memory: Memory,
    /// Memory of the epoch and of what is measured after it.
    pub epoch_memory: Memory,
}

/// Makes a log of `rows` rows in a temporary folder in `folder` (that of the system if there is none), and trains one
/// epoch on it with `[data] stream`, validation rows measured. Nothing stays behind.
///
/// # Errors
/// Errors of generating, loading and training; [`Error::Interrupted`].
pub fn stream(
    rows: u64,
    folder: Option<&Path>,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<StreamFigures> {
    let place = folder.map_or_else(std::env::temp_dir, Path::to_path_buf);
    disk::sweep(&place, Unlockable::RemoveOld);
    let folder = TemporaryFolder::private(&place).map_err(|error| Error::io(&place, error))?;
    let log = VideoLog::new(VideoOptions { rows, users: USERS, videos: VIDEOS, ..VideoOptions::default() })?;
    let begin = Instant::now();
    generate(&log, &folder.path().join(LOG), interrupt, observer)?;
    let generating_seconds = begin.elapsed().as_secs_f64();

    let config = ConfigFile::parse(&folder.path().join("stream.toml"), CONFIG.to_owned(), &[])?;
    let model = config.model(None)?;
    Memory::forget_peak();
    let begin = Instant::now();
    let data = RunData::load(&config, None, None, interrupt, observer)?;
    let (loading_seconds, loading_memory) = (begin.elapsed().as_secs_f64(), Memory::now());
    let graph =
        model.build(data.splits.encoder.layout(), data.tasks()).map_err(|error| config.model_error(None, error))?;
    Memory::forget_peak();
    let begin = Instant::now();
    let mut keeper = MemoryKeeper::default();
    let trained = train_model(&config.config, &graph, &data, Start::Fresh(None), &mut keeper, interrupt, observer)?;
    let (all_seconds, epoch_memory) = (begin.elapsed().as_secs_f64(), Memory::now());
    let epoch = trained.fitted.history.first();
    let epoch_rows_per_second = epoch.map_or(0.0, |epoch| epoch.rows_per_second);
    let train_rows = data.rows.train.rows;
    // Validation is part of training, but not of what a training row costs.
    let epoch_seconds =
        if epoch_rows_per_second > 0.0 { train_rows as f64 / epoch_rows_per_second } else { all_seconds };
    Ok(StreamFigures {
        rows,
        train_rows,
        window: config.config.data.stream.window().unwrap_or_default(),
        log_mib: mib(&folder.path().join(LOG))?,
        encoded_mib: encoded_mib(folder.path())?,
        generating_seconds,
        loading_seconds,
        epoch_seconds,
        loading_rows_per_second: rows as f64 / loading_seconds,
        epoch_rows_per_second,
        input_wait: epoch.map_or(0.0, |epoch| epoch.input_wait),
        loading_memory,
        epoch_memory,
    })
}

fn generate(log: &VideoLog, path: &Path, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<()> {
    let written = write_log(log, path, &mut |rows| {
        observer.event(&Event::Generated { rows });
        if interrupt.raised().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match interrupt.raised() {
        Some(signal) => Err(Error::Interrupted { signal, what: "the bench was stopped".to_owned() }),
        None => Ok(written?),
    }
}

/// Size of all files of the cache.
fn encoded_mib(folder: &Path) -> Result<f64> {
    let cache = folder.join("encoded");
    let entries = |path: &Path| -> Result<Vec<std::path::PathBuf>> {
        let io = |error| Error::io(path, error);
        std::fs::read_dir(path).map_err(io)?.map(|entry| Ok(entry.map_err(io)?.path())).collect()
    };
    let mut sum = 0.0;
    for entry in entries(&cache)? {
        for file in entries(&entry)? {
            sum += mib(&file)?;
        }
    }
    Ok(sum)
}

fn mib(path: &Path) -> Result<f64> {
    Ok(path.metadata().map_err(|error| Error::io(path, error))?.len() as f64 / f64::from(1 << 20))
}
