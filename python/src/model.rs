//! [`Model`]: a saved model in use.

use std::path::PathBuf;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type};
use arrow::ipc::reader::FileReader;
use pleiad_rank::{Interrupt, Model as Saved, PredictOptions, RankConfig, Rows, Source};
use pleiad_train::{inspect, utilisation, utilisation_of};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;
use serde_json::json;

use crate::error::{RunError, raise, raise_of_model};
use crate::training::beside;
use crate::{pool, rows};

/// Rows that a thread encodes in one go.
const PART: usize = 8192;

/// A saved model, opened and verified. Any number of threads may ask one at once.
#[pyclass(frozen, module = "pleiad._pleiad")]
pub(crate) struct Model {
    saved: Saved,
}

impl Model {
    /// Encoded rows of an object, in order.
    fn encoded(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<Vec<Rows>> {
        let batches = rows::batches(rows)?;
        let encode = || {
            let parts: Vec<RecordBatch> = batches.iter().flat_map(parts).collect();
            let encoded = parts.par_iter().map(|part| self.saved.encode(part)).collect::<pleiad_rank::Result<Vec<_>>>();
            // What is wrong is said once more of the rows as they were handed over, whose numbers the message has.
            encoded.or_else(|_| batches.iter().map(|batch| self.saved.encode(batch)).collect())
        };
        py.detach(|| pool::install(None, encode))?.map_err(raise_of_model)
    }
}

/// A batch in parts that threads encode side by side.
fn parts(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let rows = batch.num_rows();
    // No rows are a part, too: their columns are looked at.
    (0..rows.max(1)).step_by(PART).map(move |first| batch.slice(first, PART.min(rows - first)))
}

#[pymethods]
impl Model {
    /// Opens and verifies the model in a folder. `sets` change `[rank]`: `rank.score.click=2`.
    #[staticmethod]
    #[pyo3(signature = (path, sets = Vec::new()))]
    fn open(py: Python<'_>, path: PathBuf, sets: Vec<String>) -> PyResult<Self> {
        let open = || {
            let saved = Saved::open(&path)?;
            if sets.is_empty() {
                return Ok(saved);
            }
            let rank = RankConfig::with_sets(saved.rank(), &sets)?;
            saved.with_rank(rank)
        };
        let opened = py.detach(|| pool::install(None, open))?;
        Ok(Self { saved: opened.map_err(raise_of_model)? })
    }

    /// Its tasks, structure and score as JSON.
    fn describe(&self) -> PyResult<String> {
        let encode = |error: serde_json::Error| RunError::new_err(error.to_string());
        let tasks = serde_json::to_value(&self.saved.encoder().schema().tasks).map_err(encode)?;
        let features = self.saved.encoder().schema().features.iter().map(|feature| feature.column());
        let description = json!({
            "kind": self.saved.kind(),
            "tasks": tasks,
            "columns": features.collect::<Vec<_>>(),
            "rank": serde_json::to_value(self.saved.rank()).map_err(encode)?,
            "inspection": serde_json::to_value(inspect(&self.saved)).map_err(encode)?,
        });
        Ok(description.to_string())
    }

    /// The predictions of each task, `[B]` little-endian 32-bit floats.
    fn predict<'py>(&self, py: Python<'py>, rows: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let encoded = self.encoded(py, rows)?;
        let predict = || encoded.iter().map(|rows| self.saved.predict(rows)).collect::<pleiad_rank::Result<Vec<_>>>();
        let predictions = py.detach(|| pool::install(None, predict))?.map_err(raise_of_model)?;
        let task = |task: usize| {
            let parts = predictions.iter().filter_map(|part| part.tasks.get(task));
            let bytes: Vec<u8> = parts.flatten().flat_map(|value| value.to_le_bytes()).collect();
            PyBytes::new(py, &bytes)
        };
        Ok((0..self.saved.tasks().len()).map(task).collect())
    }

    /// [`Model::predict`] for the rows of files, and where asked for the score of each: little-endian 64-bit floats. They go through
    /// `between`, an Arrow file that is left for the caller to remove. A row that is skipped as bad is NaN.
    fn predict_files<'py>(
        &self,
        py: Python<'py>,
        paths: Vec<String>,
        between: PathBuf,
        score: bool,
    ) -> PyResult<(Vec<Bound<'py, PyBytes>>, Bound<'py, PyBytes>)> {
        let interrupt = Interrupt::default();
        let work = || -> Result<(Vec<Vec<u8>>, Vec<u8>), PyErr> {
            let source = Source::new(&paths, None).map_err(raise_of_model)?;
            let options = PredictOptions { score, ..PredictOptions::default() };
            self.saved.predict_to(&source, &between, &options, &interrupt, &mut |_| ()).map_err(raise_of_model)?;
            let refused = |error: &dyn std::fmt::Display| RunError::new_err(format!("{}: {error}", between.display()));
            let file = std::fs::File::open(&between).map_err(|error| refused(&error))?;
            let reader = FileReader::try_new(file, None).map_err(|error| refused(&error))?;
            let (mut tasks, mut scores) = (vec![Vec::new(); self.saved.tasks().len()], Vec::new());
            for batch in reader {
                let batch = batch.map_err(|error| refused(&error))?;
                let mut columns = batch.columns().iter();
                if score && let Some(column) = columns.next() {
                    let of = |value: Option<f64>| value.unwrap_or(f64::NAN).to_le_bytes();
                    scores.extend(column.as_primitive::<Float64Type>().iter().flat_map(of));
                }
                for (bytes, column) in tasks.iter_mut().zip(columns) {
                    let of = |value: Option<f32>| value.unwrap_or(f32::NAN).to_le_bytes();
                    bytes.extend(column.as_primitive::<Float32Type>().iter().flat_map(of));
                }
            }
            Ok((tasks, scores))
        };
        let (tasks, scores) = beside(py, None, None, &interrupt, |_| work())??;
        Ok((tasks.iter().map(|bytes| PyBytes::new(py, bytes)).collect(), PyBytes::new(py, &scores)))
    }

    /// What gates and experts do on rows, as JSON.
    fn observe(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<String> {
        let encoded = self.encoded(py, rows)?;
        let observe = || utilisation_of(&self.saved, &encoded);
        let (gates, experts, alarms) = py.detach(|| pool::install(None, observe))?.map_err(raise)?;
        Ok(json!({ "gates": gates, "experts": experts, "alarms": alarms }).to_string())
    }

    /// [`Model::observe`] for the rows of files.
    fn observe_files(&self, py: Python<'_>, paths: Vec<String>) -> PyResult<String> {
        let interrupt = Interrupt::default();
        let observe = || {
            let source = Source::new(&paths, None)?;
            utilisation(&self.saved, &source, &interrupt, &mut |_| ())
        };
        let seen = beside(py, None, None, &interrupt, |_| observe())?.map_err(raise)?;
        Ok(json!({ "gates": seen.gates, "experts": seen.experts, "alarms": seen.alarms }).to_string())
    }

    /// The score of each row by equation 1, `[B]` little-endian 64-bit floats. `sets` change `[rank]`: `rank.score.click=2`.
    #[pyo3(signature = (rows, sets = Vec::new()))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        sets: Vec<String>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let scorer = if sets.is_empty() {
            self.saved.scorer().map_err(raise_of_model)?.clone()
        } else {
            let rank = RankConfig::with_sets(self.saved.rank(), &sets).map_err(raise_of_model)?;
            pleiad_rank::Scorer::new(&rank, self.saved.encoder().schema()).map_err(raise_of_model)?
        };
        let batches = rows::batches(rows)?;
        let score = || -> pleiad_rank::Result<Vec<u8>> {
            let (mut bytes, mut before) = (Vec::new(), 0);
            for batch in &batches {
                let rows = self.saved.encode_for(&scorer, batch)?;
                let predictions = self.saved.predict(&rows)?;
                let scores = scorer.score(&predictions, &rows.numbers, before)?;
                before += rows.batch.rows as u64;
                bytes.extend(scores.into_iter().flat_map(f64::to_le_bytes));
            }
            Ok(bytes)
        };
        let bytes = py.detach(|| pool::install(None, score))?.map_err(raise_of_model)?;
        Ok(PyBytes::new(py, &bytes))
    }
}
