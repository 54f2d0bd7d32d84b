//! Exports of a saved model.

use std::path::PathBuf;

use pleiad_onnx::{Inputs, MOST_BYTES, Options, export_saved};
use pyo3::prelude::*;
use serde_json::json;

use crate::error::{ConfigError, RunError, raise_of_model};
use crate::pool;

/// Writes the model in a folder as an ONNX file; gives its inputs and outputs as JSON.
#[pyfunction]
pub(crate) fn export_onnx(py: Python<'_>, model: PathBuf, out: PathBuf, inputs: &str) -> PyResult<String> {
    let inputs = match inputs {
        "columns" => Inputs::Columns,
        "ids" => Inputs::Ids,
        other => return Err(ConfigError::new_err(format!("inputs is \"columns\" or \"ids\", not {other:?}"))),
    };
    let options = Options { inputs, most_bytes: MOST_BYTES };
    let exported = py.detach(|| pool::install(None, || export_saved(&model, &options, &out)))?;
    let exported = exported.map_err(|error| match error {
        pleiad_onnx::Error::Model(error) => raise_of_model(error),
        error if error.is_usage() => ConfigError::new_err(error.to_string()),
        error => RunError::new_err(error.to_string()),
    })?;
    Ok(json!({ "inputs": exported.inputs, "outputs": exported.outputs }).to_string())
}
