//! The one error type of this crate.

use std::path::PathBuf;

const GIB: f64 = (1u64 << 30) as f64;

/// Everything that can go wrong between a graph and its predictions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A constant of an optimizer or schedule that no training could use.
    #[error("`{key}` = {value}: expected {expected}")]
    InvalidOption {
        /// The key.
        key: &'static str,
        /// Its value as written.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A batch names a row that its embedding table does not have.
    #[error("table `{table}`: id {id} (batch row {row}) is out of range, the table has {rows} rows")]
    IdOutOfRange {
        /// Name of the table.
        table: String,
        /// The id.
        id: u64,
        /// Row of the batch, from 0.
        row: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// An embedding table for which there is no memory.
    #[error(
        "table `{table}`: {rows} rows of {dim} numbers with {slots} optimizer state(s) each do not fit in memory; \
         `[train] table_folder` keeps tables in files, `embedding_precision = \"bf16\"` in half the space"
    )]
    TableTooLarge {
        /// Name of the table.
        table: String,
        /// Rows asked for.
        rows: u64,
        /// Width of a row.
        dim: usize,
        /// State values per weight.
        slots: usize,
    },
    /// Embedding tables that need more memory than there is.
    #[error(
        "embedding tables need {:.1} GiB with their optimizer state, {:.1} GiB of memory are free; the largest is \
         `{largest}` with {rows} rows; `[train] table_folder` keeps tables in files, `embedding_precision = \"bf16\"` in \
         half the space", *bytes as f64 / GIB, *free as f64 / GIB
    )]
    TablesTooLarge {
        /// Bytes of all tables.
        bytes: u64,
        /// Bytes that are free.
        free: u64,
        /// Name of the largest table.
        largest: String,
        /// Its rows.
        rows: u64,
    },
    /// Dense parameters, and what training or predicting keeps beside them, that need more memory than there is.
    #[error(
        "the model needs {:.1} GiB with all that is kept beside its weights, {:.1} GiB of memory are free; \
         the largest part is `{largest}` with {parameters} numbers", *bytes as f64 / GIB, *free as f64 / GIB
    )]
    ModelTooLarge {
        /// Bytes that are needed.
        bytes: u64,
        /// Bytes that are free.
        free: u64,
        /// Name of the largest parameter.
        largest: String,
        /// Its elements.
        parameters: u64,
    },
    /// An embedding table whose file cannot be had.
    #[error("table `{table}`: no file of {bytes} bytes in {}: {source}", folder.display())]
    TableFile {
        /// Name of the table.
        table: String,
        /// Where it should be.
        folder: PathBuf,
        /// Its size.
        bytes: u64,
        /// What the system says.
        source: std::io::Error,
    },
    /// A tensor that is to be loaded has another shape than what it is loaded into.
    #[error("tensor `{tensor}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// Two layers that name one parameter, and are not part of groups that share all.
    #[error(
        "parameter {name:?} is used by two layers: each needs one of its own, or all layers that read one node must be those that read another"
    )]
    SharedParameter {
        /// Name of the parameter.
        name: String,
    },
    /// A node that a prediction needs and that nothing computes.
    #[error("node {node} of the graph has no place in the plan")]
    Unplaced {
        /// Position of the node.
        node: usize,
    },
    /// A batch that is not what the model reads.
    #[error("batch does not fit the model: {message}")]
    Batch {
        /// What differs.
        message: String,
    },
    /// A graph that does not hold together.
    #[error(transparent)]
    Model(#[from] pleiad_model::Error),
}

impl Error {
    pub(crate) fn option(key: &'static str, value: impl std::fmt::Debug, expected: &'static str) -> Self {
        Self::InvalidOption { key, value: format!("{value:?}"), expected }
    }
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
