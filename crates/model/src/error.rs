//! The one error type of this crate.

use std::path::{Path, PathBuf};

use pleiad_data::ErrorKind;

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
    /// Inputs of an operation that differ in width where they must not.
    #[error("{scope}: what is put together element by element must be equally wide, but {} gives {} numbers and {} gives {}", first.0, first.1, other.0, other.1)]
    UnequalWidths {
        /// The operation.
        scope: String,
        /// First input and its width.
        first: (String, usize),
        /// Another input and its width.
        other: (String, usize),
    },
    /// Features whose embeddings are multiplied element by element, and are not equally wide.
    #[error(
        "[interaction] kind = \"fm\" multiplies embeddings element by element, so all must be equally wide, but {feature:?} has {width} numbers and {other:?} has {expected}: give it an embedding of {expected}, too"
    )]
    FieldWidths {
        /// The feature that differs from most.
        feature: String,
        /// Width of its embedding.
        width: usize,
        /// Width of most embeddings.
        expected: usize,
        /// The first feature of that width.
        other: String,
    },
    /// An input of another width than the operation takes.
    #[error("{scope}: takes {expected} number(s), but {input} gives {found}")]
    InputWidth {
        /// The operation.
        scope: String,
        /// The width it takes.
        expected: usize,
        /// The input.
        input: String,
        /// The input's width.
        found: usize,
    },
    /// Something that is to be applied again and has no weights.
    #[error("{scope}: only a linear layer can be applied again, {found} is none")]
    NoLayer {
        /// Where.
        scope: String,
        /// What was to be applied.
        found: String,
    },
    /// A feature that a structure names and the configuration does not have.
    #[error("{}there is no feature {feature:?} {wanted}{}", in_scope(scope), did_you_mean(nearest.as_deref()))]
    NoFeature {
        /// Where it is named; empty at the root of the model.
        scope: String,
        /// The name.
        feature: String,
        /// What kind of feature it must be, as `with an embedding`.
        wanted: &'static str,
        /// The nearest name of such a feature.
        nearest: Option<String>,
    },
    /// An operation on the events of rows that reads something without events.
    #[error("{scope}: reads the events of each row, but {input:?} has none: take the values of a list, by `events`")]
    NoEvents {
        /// The operation.
        scope: String,
        /// What it reads.
        input: String,
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
    /// A graph of more parts than any model needs.
    #[error("{scope}: the model would have more than {most} {what}: take fewer experts, levels or layers")]
    TooManyParts {
        /// Where there was one too many.
        scope: String,
        /// What they are.
        what: &'static str,
        /// How many are possible.
        most: usize,
    },
    /// A model configuration that makes no model.
    #[error("model.{key}: {message}")]
    Config {
        /// Key below `[model]`.
        key: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// Keys below `[model]` that the structure does not take.
    #[error("model of kind {kind:?}: {message}")]
    Keys {
        /// The structure.
        kind: &'static str,
        /// What serde says of them.
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
    /// A file or directory that could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// `read` or `write`.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A path that does not lead to an artifact.
    #[error("{} is not a model of Pleiad: {reason}", path.display())]
    NotAnArtifact {
        /// The path.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// An artifact that another version wrote.
    #[error(
        "{}: the artifact has format version {found}, this version of Pleiad reads {supported}: {}",
        path.display(),
        if found > supported { "use a newer version of Pleiad" } else { "train or import the model again with this one" }
    )]
    Version {
        /// Its `model.json`.
        path: PathBuf,
        /// Format version found.
        found: u64,
        /// The version that is read.
        supported: u64,
    },
    /// A file that is not what its format demands.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Parts of an artifact that do not belong together.
    #[error("{}: the parts of the model do not belong together: {reason}", path.display())]
    Inconsistent {
        /// The artifact.
        path: PathBuf,
        /// Which, and why.
        reason: String,
    },
    /// An artifact that this machine has no room for.
    #[error("{} cannot be opened: {reason}", path.display())]
    TooLarge {
        /// The artifact.
        path: PathBuf,
        /// How much is needed, and how much there is.
        reason: String,
    },
    /// Something else stands where an artifact is to be written.
    #[error("{} is in the way: {reason}; name another directory", path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
        /// What it is.
        reason: String,
    },
    /// A tensor that the model needs is not there.
    #[error("{}tensor {tensor:?} is missing{}", of_file(path), did_you_mean(nearest.as_deref()))]
    MissingTensor {
        /// The file; empty for weights in memory.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The nearest name that is there and not expected.
        nearest: Option<String>,
    },
    /// A tensor that the model does not know.
    #[error("{}the model has no tensor {tensor:?}{}", of_file(path), did_you_mean(nearest.as_deref()))]
    UnknownTensor {
        /// The file; empty for weights in memory.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The nearest name that the model knows.
        nearest: Option<String>,
    },
    /// A tensor of another shape than the model's.
    #[error("{}tensor {tensor:?} has shape {found:?}, the model needs {expected:?}", of_file(path))]
    TensorShape {
        /// The file; empty for weights in memory.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape found.
        found: Vec<usize>,
        /// Shape of the model's parameter or table.
        expected: Vec<usize>,
    },
    /// A tensor whose elements cannot be used.
    #[error("{}tensor {tensor:?} holds {found}, expected {expected}", of_file(path))]
    TensorType {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Type of its elements.
        found: String,
        /// Types that can be read.
        expected: &'static str,
    },
    /// A model that does not give its golden predictions.
    #[error(
        "the model does not reproduce its golden rows: task {task:?}, row {row}: {found} instead of {expected} (tolerance {tolerance}); it is damaged or was made by an incompatible version"
    )]
    Golden {
        /// Name of the task.
        task: String,
        /// Golden row, from 0.
        row: usize,
        /// The prediction it must give.
        expected: f32,
        /// What it gave.
        found: f32,
        /// How far they may lie apart.
        tolerance: f32,
    },
    /// A model whose encoder does not make of its raw golden rows what it made of them when it was saved.
    #[error(
        "{}: {reason}; this version of Pleiad reads values otherwise than the one that saved the model: train the model again",
        path.display()
    )]
    GoldenRow {
        /// The file of the golden rows.
        path: PathBuf,
        /// Row and feature, and what differs.
        reason: String,
    },
}

impl Error {
    /// Who has to act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { action: "write", .. } | Self::TooLarge { .. } => ErrorKind::Runtime,
            Self::Io { .. }
            | Self::NotAnArtifact { .. }
            | Self::Version { .. }
            | Self::Damaged { .. }
            | Self::Inconsistent { .. }
            | Self::MissingTensor { .. }
            | Self::UnknownTensor { .. }
            | Self::TensorShape { .. }
            | Self::TensorType { .. }
            | Self::Golden { .. }
            | Self::GoldenRow { .. }
            | Self::Graph { .. }
            | Self::GraphPart { .. } => ErrorKind::Data,
            _ => ErrorKind::Configuration,
        }
    }
}

/// `FILE: `, or nothing for weights that are in no file.
fn of_file(path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("{}: ", path.display()) }
}

/// `SCOPE: `, or nothing at the root of the model.
fn in_scope(scope: &str) -> String {
    if scope.is_empty() { String::new() } else { format!("{scope}: ") }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; the nearest name is {name:?}"))
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
