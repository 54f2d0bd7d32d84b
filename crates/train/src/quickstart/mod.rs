//! [`quickstart`]: a generated log, four models on it, one of them saved.

use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use pleiad_data::synth::{SyntheticLog, VideoLog, VideoOptions, write_log};
use pleiad_model::artifact::Provenance;
use serde::Serialize;

use crate::by_task::ByTask;
use crate::config::{ConfigFile, NamedModel};
use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::fit::{Interrupt, MemoryKeeper, Observer};
use crate::metrics::{MetricKind, gain};
use crate::model::ToSave;
use crate::run::{RunData, Start, Trained, train_model};

/// The configuration that is written beside the log.
const CONFIG: &str = include_str!("video.toml");

/// The model that is saved.
const SAVED: &str = "PLE";

/// What to generate and where.
#[derive(Debug, Clone, Copy)]
pub struct QuickstartOptions<'a> {
    /// The folder to make.
    pub out: &'a Path,
    /// Rows of the log.
    pub rows: u64,
}

/// What happens next; a new [`Observer`] is asked for with each.
#[derive(Debug, Clone, Copy)]
pub enum Stage<'a> {
    /// The log is written.
    Generate {
        /// Its rows.
        rows: u64,
    },
    /// The log is read.
    Load,
    /// A model is trained.
    Train {
        /// Its name.
        name: &'a str,
        /// Its number, from 1.
        number: usize,
        /// Number of models.
        of: usize,
    },
}

/// What the models gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuickstartReport {
    /// The folder.
    pub out: PathBuf,
    /// Rows of the log.
    pub rows: u64,
    /// The main metric of each task, by which gains are measured.
    pub metrics: ByTask<&'static str>,
    /// The models in the order of their training, the single-task one first.
    pub models: Vec<ModelResult>,
}

/// What a model gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelResult {
    /// Its name.
    pub name: String,
    /// Parameters in all.
    pub parameters: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Metrics on the test rows.
    pub test: Evaluation,
    /// MTL gain over the single-task model (equation 11) in each task's main metric; `None` where that is undefined.
    pub gain: ByTask<Option<f64>>,
}

/// Writes a video log and a configuration, trains the models of that configuration on it, and saves PLE.
///
/// The folder appears when all of it is done.
///
/// # Errors
/// [`Error::Exists`] if the folder is there and not empty; whatever generating, loading and training may give.
pub fn quickstart<'o>(
    options: QuickstartOptions<'_>,
    interrupt: &Interrupt,
    stage: &mut dyn FnMut(Stage<'_>) -> Box<dyn Observer + 'o>,
) -> Result<QuickstartReport> {
    let out = options.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file() {
        let what = if out.is_file() { "is a file" } else { "exists and is not empty" };
        return Err(Error::Exists { path: out.to_path_buf(), what, advice: "name another folder with --out" });
    }
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
    let folder = tempfile::Builder::new().prefix(".pleiad-").suffix(".tmp").tempdir_in(parent);
    let folder = folder.map_err(|e| Error::io(parent, e))?;

    let mut observer = stage(Stage::Generate { rows: options.rows });
    generate(options.rows, folder.path(), interrupt, &mut *observer)?;
    drop(observer);
    let path = folder.path().join("video.toml");
    fs::write(&path, CONFIG).map_err(|e| Error::io(&path, e))?;

    let file = ConfigFile::parse(&path, CONFIG.to_owned(), &[])?;
    let mut observer = stage(Stage::Load);
    let data = RunData::load(&file, None, interrupt, &mut *observer)?;
    drop(observer);
    let models = file.config.compare.as_ref().map_or(&[][..], |compare| &compare.models);
    let mut results: Vec<ModelResult> = Vec::with_capacity(models.len());
    for (i, model) in models.iter().enumerate() {
        let mut observer = stage(Stage::Train { name: &model.name, number: i + 1, of: models.len() });
        let result = train_one(&file, model, &data, interrupt, &mut *observer, folder.path())?;
        results.push(result);
    }
    measure_gains(&mut results, &data);

    // An empty folder of that name gives way.
    let _ = fs::remove_dir(out);
    fs::rename(folder.path(), out).map_err(|e| Error::io(out, e))?;
    let _ = folder.keep();
    set_ordinary_permissions(out, parent)?;
    Ok(QuickstartReport {
        out: out.to_path_buf(),
        rows: options.rows,
        metrics: data.tasks().iter().map(|task| (task.name.as_str(), MetricKind::of(task.kind)[0].name())).collect(),
        models: results,
    })
}

/// Writes `video.parquet`, and `later.parquet` with half as many rows that come after it: users and videos are the
/// same. Many test rows, because share and comment are so rare that chance would decide between the models.
fn generate(rows: u64, folder: &Path, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<()> {
    let whole = VideoLog::new(VideoOptions { rows: rows.saturating_add(rows.div_ceil(2)), ..VideoOptions::default() })?;
    // A log is cut between two blocks, so that the first part may have a few rows more.
    let cut = rows.div_ceil(whole.block_rows());
    for (name, blocks) in [("video.parquet", 0..cut), ("later.parquet", cut..whole.blocks())] {
        let part = Part { log: &whole, blocks };
        write_log(&part, folder.join(name), &mut |rows| {
            observer.event(&crate::Event::Generated { rows });
            if interrupt.raised().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(|error| interrupted(interrupt).unwrap_or_else(|| error.into()))?;
    }
    Ok(())
}

/// Some blocks of a log.
struct Part<'a> {
    log: &'a VideoLog,
    blocks: Range<u64>,
}

impl SyntheticLog for Part<'_> {
    fn schema(&self) -> SchemaRef {
        self.log.schema()
    }

    fn rows(&self) -> u64 {
        (self.blocks.end * self.block_rows()).min(self.log.rows()).saturating_sub(self.blocks.start * self.block_rows())
    }

    fn block_rows(&self) -> u64 {
        self.log.block_rows()
    }

    fn block(&self, index: u64) -> pleiad_data::Result<RecordBatch> {
        self.log.block(self.blocks.start + index)
    }
}

fn train_one(
    file: &ConfigFile,
    named: &NamedModel,
    data: &RunData,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
    folder: &Path,
) -> Result<ModelResult> {
    let encoder = &data.splits.encoder;
    let graph = named
        .model
        .build(encoder.layout(), data.tasks())
        .map_err(|error| file.model_error(Some(&named.name), error))?;
    let mut keeper = MemoryKeeper::default();
    let trained = train_model(&file.config, &graph, data, Start::Fresh(None), &mut keeper, interrupt, observer)
        .map_err(|error| interrupted(interrupt).unwrap_or(error))?;
    let Trained { fitted, test, .. } = trained;
    let test = test.ok_or_else(|| pleiad_data::Error::NoRows { split: "test", reason: String::new() })?;
    if named.name == SAVED {
        let mut provenance = Provenance { seed: Some(file.config.train.seed), ..Provenance::now() };
        provenance.other.insert("made_by".to_owned(), "quickstart".into());
        let (weights, rows) = (fitted.weights, data.splits.train.as_batch());
        let saved = ToSave { model: &named.model, graph: &graph, encoder, weights, rows, provenance };
        saved.save(&folder.join("model"))?;
    }
    Ok(ModelResult {
        name: named.name.clone(),
        parameters: graph.summary().parameters(),
        seconds: fitted.seconds,
        test,
        gain: ByTask::from_iter::<[(&str, Option<f64>); 0]>([]),
    })
}

/// Equation 11 against the first model.
fn measure_gains(results: &mut [ModelResult], data: &RunData) {
    let Some(single) = results.first().map(|single| single.test.clone()) else { return };
    for result in results {
        let of = |task: &pleiad_data::TaskSpec| {
            let metric = MetricKind::of(task.kind)[0];
            let value = |evaluation: &Evaluation| evaluation.tasks.get(&task.name)?.get(metric);
            (task.name.clone(), value(&result.test).zip(value(&single)).map(|(m, s)| gain(metric, m, s)))
        };
        result.gain = data.tasks().iter().map(of).collect();
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
