//! Training and comparing, with the interpreter free meanwhile: the work runs on a thread of its own, and the one that asked
//! hands its events to Python and looks for Ctrl-C.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use pleiad_data::MemoryRows;
use pleiad_report::Html;
use pleiad_train::compare::{CompareOptions, CompareStage};
use pleiad_train::{ConfigFile, Event, Interrupt, Observer, TrainOptions, TrainOutcome};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::error::{ConfigError, RunError, raise};
use crate::{pool, rows};

/// How often the thread that asked looks around.
const LOOK: Duration = Duration::from_millis(50);

/// SIGINT, which an interrupted run notes.
const SIGINT: usize = 2;

/// A configuration of JSON: that of a program where rows are handed over, else one whose paths are relative to the working
/// directory.
fn config_of(json: &str, memory: Option<&MemoryRows>) -> PyResult<ConfigFile> {
    let text = toml_of(json)?;
    let parsed = match memory {
        Some(rows) => {
            let fields = rows.train.first().map(|batch| batch.schema().fields().clone()).unwrap_or_default();
            let columns: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
            ConfigFile::parse_in_memory(text, &columns)
        }
        None => ConfigFile::parse("configuration".as_ref(), text, &[]),
    };
    parsed.map_err(raise)
}

fn toml_of(json: &str) -> PyResult<String> {
    let refuse = |error: String| ConfigError::new_err(format!("the parameters are no configuration: {error}"));
    let value: Value = serde_json::from_str(json).map_err(|error| refuse(error.to_string()))?;
    toml::to_string(&value).map_err(|error| refuse(error.to_string()))
}

/// The configuration in a file as JSON, its paths absolute.
#[pyfunction]
#[pyo3(signature = (path, sets = Vec::new()))]
pub(crate) fn load_config(path: PathBuf, sets: Vec<String>) -> PyResult<String> {
    let file = ConfigFile::load(&path, &sets).map_err(raise)?;
    serde_json::to_string(&file.config).map_err(|error| RunError::new_err(error.to_string()))
}

/// A configuration of JSON as the text of a file.
#[pyfunction]
pub(crate) fn write_config(json: &str) -> PyResult<String> {
    toml_of(json)
}

/// Messages of the thread that works to the one that waits.
pub(crate) enum Message<R> {
    Event(Value),
    Done(Box<R>),
}

/// Hands events on. Steps come by the thousand, and no eye sees more than some a second.
struct Teller<R> {
    to: Sender<Message<R>>,
    last: Instant,
    rows: u64,
}

impl<R: Send> Observer for Teller<R> {
    fn event(&mut self, event: &Event<'_>) {
        let told = match event {
            Event::Start { epochs, rows, done } => {
                self.rows = *rows;
                json!({ "event": "start", "epochs": epochs, "rows": rows, "done": done })
            }
            Event::Epoch { record, best } => match serde_json::to_value(record) {
                Ok(record) => json!({ "event": "epoch", "record": record, "best": best }),
                Err(_) => return,
            },
            Event::Warning(text) => json!({ "event": "warning", "text": text }),
            Event::Step { epoch, rows } if self.last.elapsed() > LOOK => {
                self.last = Instant::now();
                json!({ "event": "step", "epoch": epoch, "rows": rows, "of": self.rows })
            }
            Event::Loading(progress) if self.last.elapsed() > LOOK => {
                self.last = Instant::now();
                json!({ "event": "loading", "rows": progress.rows })
            }
            Event::Explaining { rows, of } if self.last.elapsed() > LOOK => {
                self.last = Instant::now();
                json!({ "event": "explaining", "rows": rows, "of": of })
            }
            _ => return,
        };
        // The other side may be gone already.
        drop(self.to.send(Message::Event(told)));
    }
}

impl<R> Teller<R> {
    fn new(to: &Sender<Message<R>>) -> Self {
        Self { to: to.clone(), last: Instant::now(), rows: 0 }
    }
}

/// Works on a thread of its own, and gives the result; events go to `callback` meanwhile. An exception of the callback, and
/// Ctrl-C, stop the work after the step at hand and are raised when it has ended.
pub(crate) fn beside<R: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    callback: Option<&Bound<'_, PyAny>>,
    interrupt: &Interrupt,
    work: impl FnOnce(Sender<Message<R>>) -> R + Send,
) -> PyResult<R> {
    let (to, from) = channel();
    let callback = callback.map(|callback| callback.clone().unbind());
    py.detach(move || {
        std::thread::scope(|scope| {
            let done = to.clone();
            scope.spawn(move || {
                let result = pool::install(threads, || work(to));
                if let Ok(result) = result {
                    drop(done.send(Message::Done(Box::new(result))));
                }
            });
            wait(&from, callback.as_ref(), interrupt)
        })
    })
}

fn wait<R>(from: &Receiver<Message<R>>, callback: Option<&Py<PyAny>>, interrupt: &Interrupt) -> PyResult<R> {
    let mut raised: Option<PyErr> = None;
    let mut stop = |error: PyErr| {
        interrupt.flag().store(SIGINT, Ordering::Relaxed);
        raised.get_or_insert(error);
    };
    let result = loop {
        match from.recv_timeout(LOOK) {
            Ok(Message::Done(result)) => break Some(*result),
            Ok(Message::Event(event)) => {
                if let Some(callback) = callback {
                    let told = Python::attach(|py| callback.call1(py, (event.to_string(),)).map(drop));
                    told.unwrap_or_else(&mut stop);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break None,
        }
        Python::attach(|py| py.check_signals()).unwrap_or_else(&mut stop);
    };
    match (raised, result) {
        (Some(error), _) => Err(error),
        (None, Some(result)) => Ok(result),
        (None, None) => Err(RunError::new_err("the threads that were to do the work could not be started")),
    }
}

/// Rows by split; `None` where files have them.
fn memory_of(rows: Option<&Bound<'_, PyDict>>) -> PyResult<Option<MemoryRows>> {
    let Some(rows) = rows else { return Ok(None) };
    let of = |name: &str| -> PyResult<_> {
        let Some(rows) = rows.get_item(name)?.filter(|rows| !rows.is_none()) else { return Ok(None) };
        let (rows, beside) = rows.extract::<(Bound<'_, PyAny>, Bound<'_, PyDict>)>()?;
        Ok(Some(Arc::new(rows::with_columns(rows::batches(&rows)?, &beside)?)))
    };
    Ok(Some(MemoryRows { train: of("train")?.unwrap_or_default(), valid: of("valid")?, test: of("test")? }))
}

/// Trains a model into the folder `out`; gives what `metrics.json` says. `rows` has the rows of `train`, and perhaps `valid` and
/// `test`, each a frame and a dict of columns beside it; without `rows` the configuration names files.
#[pyfunction]
#[pyo3(signature = (config, rows, out, *, resume = false, threads = None, callback = None))]
pub(crate) fn train(
    py: Python<'_>,
    config: &str,
    rows: Option<&Bound<'_, PyDict>>,
    out: PathBuf,
    resume: bool,
    threads: Option<usize>,
    callback: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let memory = memory_of(rows)?;
    let config = config_of(config, memory.as_ref())?;
    let interrupt = Interrupt::default();
    let trained = beside(py, threads, callback, &interrupt, |to| {
        let mut teller = Teller::new(&to);
        let options = TrainOptions {
            config: &config,
            model: None,
            out: &out,
            init: None,
            resume,
            rows: memory.as_ref(),
            pages: Some(&Html),
        };
        pleiad_train::train(&options, &interrupt, &mut teller)
    })?;
    let (TrainOutcome::Finished(report) | TrainOutcome::AlreadyDone(report)) = trained.map_err(raise)?;
    serde_json::to_string(&report).map_err(|error| RunError::new_err(error.to_string()))
}

/// Compares the models of `[compare]` in the folder `out`; gives what `compare.json` says.
#[pyfunction]
#[pyo3(signature = (config, rows, out, *, threads = None, callback = None))]
pub(crate) fn compare(
    py: Python<'_>,
    config: &str,
    rows: Option<&Bound<'_, PyDict>>,
    out: PathBuf,
    threads: Option<usize>,
    callback: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let memory = memory_of(rows)?;
    let config = config_of(config, memory.as_ref())?;
    let interrupt = Interrupt::default();
    let compared = beside(py, threads, callback, &interrupt, |to| {
        let options = CompareOptions { config: &config, out: &out, rows: memory.as_ref(), pages: Some(&Html) };
        pleiad_train::compare::compare(options, &interrupt, &mut |stage| {
            if let CompareStage::Run { model, seed, number, of, known } = stage {
                let told = json!({
                    "event": "run", "model": model, "seed": seed, "number": number, "of": of, "known": known
                });
                drop(to.send(Message::Event(told)));
            }
            Box::new(Teller::new(&to))
        })
    })?;
    serde_json::to_string(&compared.map_err(raise)?).map_err(|error| RunError::new_err(error.to_string()))
}
