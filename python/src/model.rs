//! [`Model`]: a saved model in use.

use std::path::PathBuf;

use pleiad_rank::{Model as Saved, RankConfig, Rows};
use pleiad_train::inspect;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::json;

use crate::error::{RunError, raise_of_model};
use crate::{pool, rows};

/// A saved model, opened and verified. Any number of threads may ask one at once.
#[pyclass(frozen, module = "pleiad._pleiad")]
pub(crate) struct Model {
    saved: Saved,
}

impl Model {
    /// Encoded rows of an object; of several batches, one after the other.
    fn encoded(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<Vec<Rows>> {
        let batches = rows::batches(rows)?;
        let encode = || batches.iter().map(|batch| self.saved.encode(batch)).collect::<pleiad_rank::Result<Vec<_>>>();
        py.detach(|| pool::install(None, encode))?.map_err(raise_of_model)
    }
}

#[pymethods]
impl Model {
    /// Opens and verifies the model in a folder.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = py.detach(|| pool::install(None, || Saved::open(&path)))?;
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
