//! A first configuration of rows in memory.

use std::path::Path;

use pleiad_data::read::Sample;
use pleiad_train::infer::{InferOptions, read_sample, sample_rows};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;

use crate::error::{ConfigError, DataError, RunError, raise};
use crate::rows;

/// What is to be seen in some of the rows: JSON with the configuration as a commented text (`toml`), its features as tables, and the
/// columns that were left out, with the reasons. `beside` are further columns, labels among them; `labels` is as `--label` of
/// the command.
#[pyfunction]
pub(crate) fn infer(
    py: Python<'_>,
    rows: &Bound<'_, PyAny>,
    beside: &Bound<'_, PyDict>,
    labels: Vec<String>,
) -> PyResult<String> {
    let batches = rows::with_columns(rows::batches(rows)?, beside)?;
    let most = sample_rows(batches.first().map_or(0, |batch| batch.num_columns()));
    let mut left = most;
    let mut some = Vec::new();
    for batch in &batches {
        let rows = batch.num_rows().min(left);
        if rows > 0 {
            some.push(batch.slice(0, rows));
        }
        left -= rows;
    }
    let whole = batches.iter().map(|batch| batch.num_rows()).sum::<usize>() <= most;
    let options = InferOptions { labels, ..InferOptions::default() };
    py.detach(|| {
        let mut sample = Sample::of_batches(&some, &[]).map_err(|error| DataError::new_err(error.to_string()))?;
        sample.is_whole &= whole;
        inferred(&sample, &options)
    })
}

/// [`infer`] for the rows of files: paths, folders or globs.
#[pyfunction]
pub(crate) fn infer_files(py: Python<'_>, paths: Vec<String>, labels: Vec<String>) -> PyResult<String> {
    let mut options = InferOptions { labels, train: paths, ..InferOptions::default() };
    py.detach(|| {
        let sample = read_sample(Path::new(""), &mut options, &|_| false).map_err(raise)?;
        inferred(&sample, &options)
    })
}

fn inferred(sample: &Sample, options: &InferOptions) -> PyResult<String> {
    let refused = |problem: pleiad_train::infer::InferProblem| ConfigError::new_err(problem.to_string());
    let inferred = pleiad_train::infer::infer(sample, options).map_err(refused)?;
    let table: toml::Table =
        inferred.toml.parse().map_err(|error: toml::de::Error| RunError::new_err(error.to_string()))?;
    let found = json!({
        "toml": inferred.toml,
        "config": table,
        "tasks": inferred.tasks,
        "left_out": inferred.left_out,
    });
    Ok(found.to_string())
}
