//! The command `pleiad`, as the wheel brings it.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command of these arguments, the first of which is its name, and gives the exit code. The interpreter is free meanwhile.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| pleiad_cli::run(arguments))
}
