//! Errors as Python exceptions: one class for each exit code of the command that means a failure.

use pleiad_train::ErrorKind;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(
    pleiad,
    Error,
    PyRuntimeError,
    "A failure of Pleiad: a full disk, a loss that is no number any more.

Examples
--------
>>> issubclass(pleiad.RunError, pleiad.Error)
True
"
);
create_exception!(
    pleiad,
    RunError,
    Error,
    "It failed while it ran.

Examples
--------
>>> try:
...     pleiad.Ranker(small, optimizer={'kind': 'sgd', 'learning_rate': 1e30}).fit(x, y)
... except pleiad.RunError as error:
...     print('the learning rate 1e30 is high' in str(error))
True
"
);
create_exception!(
    pleiad,
    ConfigError,
    PyValueError,
    "Parameters that cannot be meant.

Examples
--------
>>> try:
...     pleiad.Ranker(pleiad.MMoE(expert=3)).fit(x, y)
... except pleiad.ConfigError as error:
...     print('did you mean `experts`?' in str(error))
True
"
);
create_exception!(
    pleiad,
    DataError,
    PyValueError,
    "Rows that cannot be read, or are not what the parameters say.

Examples
--------
>>> try:
...     ranker.predict({'age': [30.0]})
... except pleiad.DataError as error:
...     print('has no column \"city\"' in str(error))
True
"
);

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
