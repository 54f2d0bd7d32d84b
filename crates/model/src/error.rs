//! The one error type of this crate.

/// Everything that can go wrong between a model's description and its artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model has nothing to read.
    #[error("the model has no inputs: declare at least one [[feature]]")]
    NoInputs,
    /// The model has nothing to predict.
    #[error("the model has no tasks: declare at least one [[task]]")]
    NoTasks,
    /// Two features name one table with different sizes.
    #[error("table {table:?} is declared with {} rows of {} and with {} rows of {}: features that share a table need the same encoding and embedding", first.0, first.1, second.0, second.1)]
    TableShape {
        /// Name of the table.
        table: String,
        /// Rows and width of the first feature that named it.
        first: (u64, usize),
        /// Rows and width of the other feature.
        second: (u64, usize),
    },
    /// A parameter name was given twice.
    #[error("parameter {name:?} would be registered twice: every module needs a name of its own")]
    DuplicateParameter {
        /// Name of the parameter.
        name: String,
    },
    /// A layer without units.
    #[error("{scope}: a layer needs at least one unit")]
    ZeroWidth {
        /// The layer.
        scope: String,
    },
    /// A gate without experts.
    #[error("{scope}: a gate needs at least one expert to select")]
    NoExperts {
        /// The gate.
        scope: String,
    },
    /// Experts that cannot be mixed.
    #[error("{scope}: experts under one gate must be equally wide, but {} gives {} numbers and {} gives {}: make the last entries of their widths equal", first.0, first.1, other.0, other.1)]
    ExpertWidths {
        /// The gate.
        scope: String,
        /// First expert and its width.
        first: (String, usize),
        /// Another expert and its width.
        other: (String, usize),
    },
    /// A prediction that is not one number.
    #[error("the prediction of task {task:?} has {width} numbers, it must have one")]
    OutputWidth {
        /// Name of the task.
        task: String,
        /// Width found.
        width: usize,
    },
    /// A dropout rate outside of `[0, 1)`.
    #[error("{scope}: dropout = {rate} is not a rate: it must be at least 0 and below 1")]
    DropoutRate {
        /// Where.
        scope: String,
        /// The rate found.
        rate: f32,
    },
    /// A model configuration that makes no model.
    #[error("model.{key}: {message}")]
    Config {
        /// Key below `[model]`.
        key: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A graph read from a file that does not hold together.
    #[error("graph specification: node {node} ({scope}): {message}")]
    Graph {
        /// Position of the node.
        node: usize,
        /// Its scope.
        scope: String,
        /// What is wrong.
        message: String,
    },
    /// A graph read from a file with a part other than a node that does not hold together.
    #[error("graph specification: {message}")]
    GraphPart {
        /// What is wrong.
        message: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
