//! Errors as Python exceptions: one class for each way of failing that the command's exit codes tell apart.

use pleiad_train::ErrorKind;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(
    pleiad,
    Error,
    PyRuntimeError,
    "A failure of Pleiad: a full disk, a loss that is no number any more."
);
create_exception!(pleiad, RunError, Error, "It failed while it ran.");
create_exception!(pleiad, ConfigError, PyValueError, "Parameters that cannot be meant.");
create_exception!(pleiad, DataError, PyValueError, "Rows that cannot be read, or are not what the parameters say.");

/// The exception of an error.
pub(crate) fn raise(error: pleiad_train::Error) -> PyErr {
    let message = error.to_string();
    match error.kind() {
        ErrorKind::Config => ConfigError::new_err(message),
        ErrorKind::Data => DataError::new_err(message),
        ErrorKind::Run => RunError::new_err(message),
        ErrorKind::Interrupted(_) => PyKeyboardInterrupt::new_err(message),
    }
}

/// The exception of an error of a saved model.
pub(crate) fn raise_of_model(error: pleiad_rank::Error) -> PyErr {
    raise(error.into())
}
