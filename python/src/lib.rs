//! The extension module `pleiad._pleiad`: what Python needs of `pleiad-rank` and `pleiad-train`, in few and plain types
//! (JSON texts, Arrow streams, bytes of little-endian numbers). What users see is written in Python beside it.

mod command;
mod error;
mod export;
mod import;
mod infer;
mod model;
mod pool;
mod rows;
mod scorer;
mod training;

use pyo3::prelude::*;

#[pymodule]
mod _pleiad {
    #[pymodule_export]
    use super::command::run_command;
    #[pymodule_export]
    use super::error::{ConfigError, DataError, Error, RunError};
    #[pymodule_export]
    use super::export::export_onnx;
    #[pymodule_export]
    use super::import::import_weights;
    #[pymodule_export]
    use super::infer::{infer, infer_files};
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::scorer::Scorer;
    #[pymodule_export]
    use super::training::{compare, load_config, train, write_config};

    use pyo3::prelude::*;

    /// Names the version.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
