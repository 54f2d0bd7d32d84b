//! Weights that were trained elsewhere.

use std::path::PathBuf;

use pleiad_train::{ConfigFile, ImportOptions, Interrupt, Package, Silent, import};
use pyo3::prelude::*;

use crate::error::{ConfigError, RunError, raise};
use crate::pool;

/// Makes a model of the weights in a safetensors file, as `pleiad import`; gives what that reports, as JSON.
#[pyfunction]
pub(crate) fn import_weights(
    py: Python<'_>,
    config: PathBuf,
    sets: Vec<String>,
    weights: PathBuf,
    package: Option<String>,
    out: PathBuf,
) -> PyResult<String> {
    let package = package
        .map(|name| {
            let known = Package::ALL.map(Package::name).join(", ");
            Package::named(&name)
                .ok_or_else(|| ConfigError::new_err(format!("source is one of {known}, or None, not {name:?}")))
        })
        .transpose()?;
    let config = ConfigFile::load(&config, &sets).map_err(raise)?;
    let options = ImportOptions { config: &config, model: None, weights: &weights, package, out: &out };
    let imported = py.detach(|| pool::install(None, || import(&options, &Interrupt::default(), &mut Silent)))?;
    serde_json::to_string(&imported.map_err(raise)?).map_err(|error| RunError::new_err(error.to_string()))
}
