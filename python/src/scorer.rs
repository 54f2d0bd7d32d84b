//! [`Scorer`]: a saved model over one batch of rows after the other, as engines of batch processing hand them over.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use pleiad_data::encode::Plan;
use pleiad_data::read::Chunk;
use pleiad_data::schema::OnBadRow;
use pleiad_data::{BadRow, SplitRules};
use pleiad_rank::{Error, Model as Saved, RankConfig, check_finite};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;

use crate::error::raise_of_model;
use crate::{pool, rows};

/// Rows that are encoded and predicted at once: what an encoded part holds stays near the core.
const PART: usize = 8192;

/// A saved model with its score, opened once for many batches.
#[pyclass(frozen, module = "pleiad._pleiad")]
pub(crate) struct Scorer {
    saved: Saved,
    scorer: Option<pleiad_rank::Scorer>,
    plan: Plan,
    threads: Option<usize>,
}

/// What is known of some rows; of those that were skipped as bad NaN.
struct Scored {
    tasks: Vec<Vec<f32>>,
    scores: Vec<f64>,
    /// Rows that were skipped, from 0.
    skipped: Vec<u64>,
}

impl Scorer {
    fn part(&self, rows: &RecordBatch) -> pleiad_rank::Result<Scored> {
        let encoder = self.saved.encoder();
        let chunk = Chunk::from_rows(rows, self.plan.wanted(), &encoder.schema().csv.null)?;
        let encoded = encoder.encode(self.plan.parse(chunk)?);
        let all = rows.num_rows();
        if encoder.schema().on_bad_row == OnBadRow::Stop
            && let Some(bad) = encoded.bad.into_iter().next()
        {
            return Err(Error::Data(pleiad_data::Error::BadRow(Box::<BadRow>::new(bad))));
        }
        let predictions = self.saved.predictor().predict(&encoded.batch)?;
        check_finite(&predictions, self.saved.tasks(), 0)?;
        let scores = self.scorer.as_ref().map(|scorer| scorer.score(&predictions, &encoded.numbers, 0)).transpose()?;
        let (scores, tasks) = (scores.unwrap_or_default(), predictions.tasks);
        if encoded.positions.len() == all {
            return Ok(Scored { tasks, scores, skipped: Vec::new() });
        }
        let mut skipped = Vec::new();
        let mut good = encoded.positions.iter().peekable();
        for row in 0..all as u64 {
            if good.next_if_eq(&&row).is_none() {
                skipped.push(row);
            }
        }
        Ok(Scored {
            tasks: tasks.into_iter().map(|task| spread(task, &encoded.positions, all, f32::NAN)).collect(),
            scores: if self.scorer.is_some() { spread(scores, &encoded.positions, all, f64::NAN) } else { scores },
            skipped,
        })
    }

    fn answer(&self, batches: &[RecordBatch]) -> pleiad_rank::Result<Vec<Scored>> {
        let parts: Vec<RecordBatch> = batches.iter().flat_map(parts).collect();
        let answered = parts.par_iter().map(|part| self.part(part)).collect::<pleiad_rank::Result<Vec<_>>>();
        // An error counts rows from the start of what it was given: the whole batch gives the number that a user can look up.
        answered.or_else(|_| batches.iter().map(|batch| self.part(batch)).collect())
    }
}

/// The batch, cut where it is long.
fn parts(batch: &RecordBatch) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let starts = (0..rows.max(1)).step_by(PART);
    starts.map(|start| batch.slice(start, PART.min(rows - start))).collect()
}

/// Values at their positions among `all` rows.
fn spread<T: Copy>(values: Vec<T>, positions: &[u64], all: usize, missing: T) -> Vec<T> {
    let mut spread = vec![missing; all];
    for (value, &position) in values.into_iter().zip(positions) {
        if let Some(place) = spread.get_mut(position as usize) {
            *place = value;
        }
    }
    spread
}

#[pymethods]
impl Scorer {
    /// Opens and verifies the model in a folder. `sets` change `[rank]`; `threads` is the number of threads a batch is computed by.
    #[staticmethod]
    #[pyo3(signature = (path, *, score = false, sets = Vec::new(), threads = None))]
    fn open(py: Python<'_>, path: PathBuf, score: bool, sets: Vec<String>, threads: Option<usize>) -> PyResult<Self> {
        let opened = py.detach(|| on(threads, || Saved::open(&path)))?;
        let saved = opened.map_err(raise_of_model)?;
        let scorer = match (score, sets.is_empty()) {
            (false, _) => None,
            (true, true) => Some(saved.scorer().map_err(raise_of_model)?.clone()),
            (true, false) => {
                let rank = RankConfig::with_sets(saved.rank(), &sets).map_err(raise_of_model)?;
                Some(pleiad_rank::Scorer::new(&rank, saved.encoder().schema()).map_err(raise_of_model)?)
            }
        };
        let plan = Plan::new(saved.encoder().schema(), SplitRules::default(), false, &[]);
        let plan = plan.with_numbers_of(scorer.as_ref().and_then(pleiad_rank::Scorer::feature));
        Ok(Self { saved, scorer, plan, threads })
    }

    /// Names of its tasks.
    fn tasks(&self) -> Vec<String> {
        self.saved.tasks().iter().map(|task| task.name.clone()).collect()
    }

    /// Columns that it reads, each once.
    fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for wanted in self.plan.wanted() {
            if !columns.contains(&wanted.name) {
                columns.push(wanted.name.clone());
            }
        }
        columns
    }

    /// Of rows: each task's predictions as little-endian 32-bit floats, the scores as 64-bit floats (empty without a score), and the
    /// rows that were skipped as bad, whose values are NaN.
    #[allow(clippy::type_complexity)]
    fn answer_rows<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
    ) -> PyResult<(Vec<Bound<'py, PyBytes>>, Bound<'py, PyBytes>, Vec<u64>)> {
        let batches = rows::batches(rows)?;
        let answers = py.detach(|| on(self.threads, || self.answer(&batches)))?.map_err(raise_of_model)?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let task = |task: usize| {
            let parts = answers.iter().filter_map(|answer| answer.tasks.get(task));
            bytes(py, rows * 4, parts.flatten().map(|value| value.to_le_bytes()))
        };
        let tasks = (0..self.saved.tasks().len()).map(task).collect::<PyResult<Vec<_>>>()?;
        let scores = answers.iter().flat_map(|answer| &answer.scores).map(|value| value.to_le_bytes());
        let scores = bytes(py, if self.scorer.is_some() { rows * 8 } else { 0 }, scores)?;
        let (mut skipped, mut before) = (Vec::new(), 0);
        for answer in &answers {
            skipped.extend(answer.skipped.iter().map(|row| row + before));
            before += answer.tasks.first().map_or(0, Vec::len) as u64;
        }
        Ok((tasks, scores, skipped))
    }
}

fn bytes<'py, const N: usize>(
    py: Python<'py>,
    length: usize,
    values: impl Iterator<Item = [u8; N]>,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, length, |buffer| {
        for (place, value) in buffer.chunks_exact_mut(N).zip(values) {
            place.copy_from_slice(&value);
        }
        Ok(())
    })
}

thread_local! {
    /// A thread that computes for this one, of this process.
    static OWN: RefCell<Option<(u32, Arc<rayon::ThreadPool>)>> = const { RefCell::new(None) };
}

/// Runs `work` on `threads` threads. With one thread, each calling thread has its own, so that an engine's threads do not wait for
/// each other.
fn on<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    if threads != Some(1) {
        return pool::install(threads, work);
    }
    let process = std::process::id();
    let known = OWN.with_borrow(|own| own.as_ref().filter(|(of, _)| *of == process).map(|(_, pool)| Arc::clone(pool)));
    let pool = match known {
        Some(pool) => pool,
        None => {
            let pool = pool::started(1)?;
            let before = OWN.with_borrow_mut(|own| own.replace((process, Arc::clone(&pool))));
            // The thread of a parent process is not here, and nothing may wait for it.
            std::mem::forget(before);
            pool
        }
    };
    Ok(pool.install(work))
}
