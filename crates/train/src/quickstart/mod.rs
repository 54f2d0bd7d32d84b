//! [`quickstart`]: a generated log, the models of its configuration compared on it, one of them saved.

use std::fs;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use pleiad_data::disk::{self, TemporaryFolder, Unlockable};
use pleiad_data::synth::video::BLOCK_ROWS;
use pleiad_data::synth::{SyntheticLog, VideoLog, VideoOptions, write_log};
use serde::Serialize;

use crate::Interrupt;
use crate::compare::{self, CompareOptions, Comparison, SeedRun, compare};
use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::fit::{Event, Observer};
use crate::pages::Pages;
use crate::run::RunFolder;

/// The configuration that is written beside the log.
const CONFIG: &str = include_str!("video.toml");

/// The model that is saved.
pub const SAVED: &str = "PLE";

/// Rows that a log may have: with fewer, hardly a user shares or comments in it; more are no first tour.
pub const ROWS: RangeInclusive<u64> = 1_000..=100_000_000;

/// What to generate and where.
#[derive(Debug, Clone, Copy)]
pub struct QuickstartOptions<'a> {
    /// The folder to make.
    pub out: &'a Path,
    /// Rows of the log, within [`ROWS`].
    pub rows: u64,
    /// Who draws the reports.
    pub pages: Option<&'a dyn Pages>,
}

/// What happens next; a new [`Observer`] is asked for with each.
#[derive(Debug, Clone, Copy)]
pub enum TourStage<'a> {
    /// The log is written.
    Generate {
        /// Its rows.
        rows: u64,
    },
    /// Models are compared.
    Compare(compare::CompareStage<'a>),
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuickstartReport {
    /// The folder.
    pub out: PathBuf,
    /// Rows of the log.
    pub rows: u64,
    /// The models against each other.
    pub comparison: Comparison,
}

/// Writes a video log and a configuration, compares the models of that configuration on it, and saves PLE.
///
/// All of it appears in the folder at once, when it is done; until then the folder has a lock in it and nothing else.
///
/// # Errors
/// [`Error::Held`] if another process writes the folder; [`Error::Exists`] if the folder is there and not empty; that of a
/// number of rows out of bounds, and whatever generating, loading and training may give.
pub fn quickstart<'o>(
    options: QuickstartOptions<'_>,
    interrupt: &Interrupt,
    stage: &mut dyn FnMut(TourStage<'_>) -> Box<dyn Observer + 'o>,
) -> Result<QuickstartReport> {
    let out = options.out;
    if !ROWS.contains(&options.rows) {
        let (value, reason) =
            (options.rows.to_string(), format!("the log has {} to {} rows", ROWS.start(), ROWS.end()));
        return Err(pleiad_data::Error::SynthOption { option: "rows", value, reason }.into());
    }
    let place = RunFolder::new(out);
    let lock = place.lock("pleiad quickstart")?;
    place.require_empty("name another folder with --out")?;
    // Where the folder is, rather than a link to it: folders change places within one file system alone.
    let target = fs::canonicalize(place.path()).map_err(|e| Error::io(out, e))?;
    let parent = target.parent().unwrap_or(Path::new("/"));
    disk::sweep(parent, Unlockable::RemoveOld);
    let folder = TemporaryFolder::private(parent).map_err(|e| Error::io(parent, e))?;

    let mut observer = stage(TourStage::Generate { rows: options.rows });
    if let Some(text) = lock.warning() {
        observer.event(&Event::Warning(&text));
    }
    generate(options.rows, folder.path(), interrupt, &mut *observer)?;
    drop(observer);
    let path = folder.path().join("video.toml");
    fs::write(&path, CONFIG).map_err(|e| Error::io(&path, e))?;

    let file = ConfigFile::parse(&path, CONFIG.to_owned(), &[])?;
    let compared = folder.path().join("compared");
    let options_of = CompareOptions { config: &file, out: &compared, rows: None, pages: options.pages };
    let comparison = compare(options_of, interrupt, &mut |next| stage(TourStage::Compare(next)))
        .map_err(|error| interrupted(interrupt).unwrap_or(error))?;
    save_model(&comparison, &compared, &folder.path().join("model"))?;

    set_ordinary_permissions(folder.path(), parent)?;
    lock.give_way(folder.path()).map_err(|e| Error::io(out, e))?;
    folder.was_renamed();
    Ok(QuickstartReport { out: out.to_path_buf(), rows: options.rows, comparison })
}

/// Copies the model of the first seed to where it is found at once.
fn save_model(comparison: &Comparison, compared: &Path, to: &Path) -> Result<()> {
    let runs = comparison.models.iter().filter(|model| model.name == SAVED).flat_map(|model| &model.runs);
    let Some(run) = runs.into_iter().find_map(|run| match run {
        SeedRun::Finished { run, .. } => Some(run),
        SeedRun::Failed { .. } => None,
    }) else {
        return Ok(());
    };
    let from = compared.join(run).join("model");
    fs::create_dir(to).map_err(|e| Error::io(to, e))?;
    for entry in fs::read_dir(&from).map_err(|e| Error::io(&from, e))? {
        let entry = entry.map_err(|e| Error::io(&from, e))?;
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(|e| Error::io(&entry.path(), e))?;
    }
    Ok(())
}

/// Writes `video.parquet`, and `later.parquet` with half as many rows that come after it: users and videos are the
/// same. Many test rows, because share and comment are so rare that chance would decide between the models.
fn generate(rows: u64, folder: &Path, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<()> {
    // The second part begins with a block of its own: blocks are what a log is made in.
    let first = rows.next_multiple_of(BLOCK_ROWS);
    let later = rows.div_ceil(2);
    let whole = VideoLog::new(VideoOptions { rows: first + later, ..VideoOptions::default() })?;
    for (name, skipped, rows) in [("video.parquet", 0, rows), ("later.parquet", first / BLOCK_ROWS, later)] {
        let part = PartOfLog { log: &whole, skipped, rows };
        write_log(&part, folder.join(name), &mut |rows| {
            observer.event(&Event::Generated { rows });
            if interrupt.raised().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(|error| interrupted(interrupt).unwrap_or_else(|| error.into()))?;
    }
    Ok(())
}

/// Rows of a log, from the first one of a block on.
struct PartOfLog<'a> {
    log: &'a VideoLog,
    /// Blocks before it.
    skipped: u64,
    rows: u64,
}

impl SyntheticLog for PartOfLog<'_> {
    fn schema(&self) -> SchemaRef {
        self.log.schema()
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn block_rows(&self) -> u64 {
        self.log.block_rows()
    }

    fn block(&self, index: u64) -> pleiad_data::Result<RecordBatch> {
        Ok(self.log.block(self.skipped + index)?.slice(0, self.rows_of(index)))
    }
}

fn interrupted(interrupt: &Interrupt) -> Option<Error> {
    let signal = interrupt.raised()?;
    Some(Error::Interrupted { signal, what: "nothing was written".to_owned() })
}

/// A temporary folder is private; the one it has become is as open as its parent.
fn set_ordinary_permissions(out: &Path, parent: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(parent).map_err(|e| Error::io(parent, e))?.permissions().mode();
        fs::set_permissions(out, fs::Permissions::from_mode(mode & 0o777)).map_err(|e| Error::io(out, e))?;
    }
    #[cfg(not(unix))]
    let _ = (out, parent);
    Ok(())
}
