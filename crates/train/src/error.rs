//! [`Error`]: everything that can go wrong between a configuration and a trained model.

use std::fmt;
use std::path::{Path, PathBuf};

use pleiad_data::disk::Holder;
use pleiad_rank::{ErrorKind, kind_of_engine};

/// Everything that can go wrong between a configuration and a trained model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot be meant.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Data that cannot be read, or are not what the configuration says.
    #[error(transparent)]
    Data(#[from] pleiad_data::Error),
    /// A graph or an artifact that does not hold together.
    #[error(transparent)]
    Model(#[from] pleiad_model::Error),
    /// No configuration can be made of the rows.
    #[error(transparent)]
    Infer(#[from] crate::infer::InferProblem),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] pleiad_engine::Error),
    /// A saved model could not be used so.
    #[error(transparent)]
    Rank(pleiad_rank::Error),
    /// A file of a run could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Weights of a package that no structure here computes with.
    #[error("{}: tensor {tensor:?} of {package} cannot be carried over: {reason}", .path.display())]
    NotCarried {
        /// The file of the weights.
        path: PathBuf,
        /// Whose they are.
        package: &'static str,
        /// The tensor.
        tensor: String,
        /// Why not.
        reason: String,
    },
    /// Weights of a package are not those of the configuration's model.
    #[error("{}: these weights of {package} are not those of the configuration's model: {problem}; leave [model] out, or write\n{model}", .path.display())]
    ForeignModel {
        /// The file of the weights.
        path: PathBuf,
        /// Whose they are.
        package: &'static str,
        /// What differs.
        problem: Box<pleiad_model::Error>,
        /// The `[model]` that the tensors have, in TOML.
        model: String,
    },
    /// A feature or task of the configuration that a package has not.
    #[error("{}: {what} {name:?}: {reason}", .path.display())]
    ForeignFeature {
        /// The configuration.
        path: PathBuf,
        /// `feature` or `task`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why it does not go together with the package's weights, and what to do.
        reason: String,
    },
    /// A log of requests that is none, or does not fit what is asked of it.
    #[error("{}{}{reason}", .path.display(), if .path.as_os_str().is_empty() { "" } else { ": " })]
    RequestLog {
        /// The file; empty where all are meant.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// What is asked of a replay or of a search for weights cannot be.
    #[error("{option}: {reason}")]
    Ask {
        /// The option of the command.
        option: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// No row is in the sample space of any task.
    #[error(
        "none of the {rows} training rows is in the sample space of a task; check `where` and `label` of each [[task]]"
    )]
    NoTrainingRows {
        /// Training rows read.
        rows: usize,
    },
    /// Each task is to keep its own best epoch, and tasks share weights.
    #[error(
        "best_epoch = \"per-task\" keeps of each task the weights of its own best epoch, and tasks share weights, such as {tensor:?}: \
         leave best_epoch out"
    )]
    SharedWeights {
        /// One of the tensors that several tasks reach.
        tensor: String,
    },
    /// The metric that is to choose the best epoch is not defined on the validation rows.
    #[error("{metric} is not defined on the validation rows, so it cannot choose the best epoch: {reason}")]
    NoSelection {
        /// The metric.
        metric: String,
        /// Why it is not, and what to do.
        reason: String,
    },
    /// A loss or prediction is no longer a number.
    #[error("step {step} (epoch {epoch}): {what} of task {task:?} is {value}{}", because(.cause.as_deref()))]
    NonFinite {
        /// The training step, from 1.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// The task.
        task: String,
        /// `the loss` or `a prediction`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What probably happened and what to do about it; `None` where nothing was found.
        cause: Option<String>,
    },
    /// Most of the weights can move no more.
    #[error(
        "step {step} (epoch {epoch}): squared gradients of {weights} of {of} dense weights have overflowed to infinity, so \
         that no step moves these weights any more{}",
        because(.cause.as_deref())
    )]
    Overflow {
        /// The training step, from 1.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// Weights that stand still.
        weights: u64,
        /// Dense weights in all.
        of: u64,
        /// What probably happened and what to do about it; `None` where nothing was found.
        cause: Option<String>,
    },
    /// A model gives something that is not a number.
    #[error("the model predicts {value} for task {task:?} (row {row} of those read)")]
    NonFinitePrediction {
        /// The task.
        task: String,
        /// Row, from 1.
        row: u64,
        /// What it predicts.
        value: f32,
    },
    /// What is to be written is there already, or cannot be there.
    #[error("{} {what}; {advice}", .path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Another process writes there.
    #[error(
        "{} is being written by {holder}; wait until it ends, or end it, or name another folder with --out", .path.display()
    )]
    Held {
        /// The folder that it writes.
        path: PathBuf,
        /// Who it is.
        holder: Holder,
    },
    /// The folder that is written was removed or replaced meanwhile.
    #[error(
        "{} was removed or replaced while it was being written, so that nothing more was written there; start again", .path.display()
    )]
    Replaced {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that cannot be made, or not be written to.
    #[error("{}: cannot write to the folder {}: {reason}; name another", .path.display(), .folder.display())]
    Unwritable {
        /// What is to be written.
        path: PathBuf,
        /// The folder that is there.
        folder: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A run cannot go on with another configuration, or on other data, than it began with.
    #[error("{} was begun with another configuration and cannot be resumed with this one:\n{}", .path.display(), .differences.join("\n"))]
    Differs {
        /// The run.
        path: PathBuf,
        /// What differs, one line each.
        differences: Vec<String>,
    },
    /// A checkpoint or another file of a run is damaged.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A checkpoint that another version of this program wrote.
    #[error(
        "{}: the checkpoint has format version {found}, this version of Pleiad reads {supported}: {}",
        .path.display(),
        if found > supported {
            "use a newer version of Pleiad"
        } else {
            "let the version that began the run finish it, or train again in another folder"
        }
    )]
    Version {
        /// Its `state.json`.
        path: PathBuf,
        /// Format version found.
        found: u64,
        /// The version that is read.
        supported: u64,
    },
    /// There are checkpoints, and none of them can be gone on from.
    #[error("{newest}; no checkpoint before it is whole: remove {} to train from the beginning", .folder.display())]
    NoCheckpoint {
        /// The folder of the checkpoints.
        folder: PathBuf,
        /// What is wrong with the newest.
        newest: String,
    },
    /// A value could not be written down.
    #[error("cannot encode: {reason}")]
    Encode {
        /// Why.
        reason: String,
    },
    /// A signal asked it to stop; it ended in order.
    #[error("{what}")]
    Interrupted {
        /// The number in the [`crate::Interrupt`].
        signal: usize,
        /// What was done and what was left.
        what: String,
    },
}

impl From<pleiad_rank::Error> for Error {
    /// Errors that both crates have are one variant here, so that callers match on one place.
    fn from(error: pleiad_rank::Error) -> Self {
        use pleiad_rank::Error as E;
        match error {
            E::Data(error) => Self::Data(error),
            E::Model(error) => Self::Model(error),
            E::Engine(error) => Self::Engine(error),
            E::NonFinitePrediction { task, row, value } => Self::NonFinitePrediction { task, row, value },
            E::Exists { path, what, advice } => Self::Exists { path, what, advice },
            E::Encode { reason } => Self::Encode { reason },
            E::Interrupted { signal, what } => Self::Interrupted { signal, what },
            other => Self::Rank(other),
        }
    }
}

impl Error {
    /// Whom the error is for.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Rank(error) => error.kind(),
            Self::SharedWeights { .. } | Self::ForeignModel { .. } | Self::ForeignFeature { .. } => ErrorKind::Config,
            Self::NotCarried { .. } | Self::RequestLog { .. } => ErrorKind::Data,
            Self::Ask { .. } => ErrorKind::Config,
            Self::Config(_) | Self::Exists { .. } | Self::Held { .. } | Self::Differs { .. } => ErrorKind::Config,
            Self::Infer(crate::infer::InferProblem::NoRows) => ErrorKind::Data,
            Self::Infer(_) => ErrorKind::Config,
            Self::Data(error) => error.kind().into(),
            Self::Model(error) => error.kind().into(),
            Self::NoTrainingRows { .. } | Self::NoSelection { .. } => ErrorKind::Data,
            Self::Engine(error) => kind_of_engine(error),
            Self::Damaged { .. } | Self::Version { .. } | Self::NoCheckpoint { .. } => ErrorKind::Data,
            Self::Io { .. } | Self::Replaced { .. } | Self::Unwritable { .. } => ErrorKind::Run,
            Self::NonFinite { .. } | Self::Overflow { .. } => ErrorKind::Run,
            Self::NonFinitePrediction { .. } | Self::Encode { .. } => ErrorKind::Run,
            Self::Interrupted { signal, .. } => ErrorKind::Interrupted(*signal),
        }
    }

    /// A file or folder, and what the system said.
    #[must_use]
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}

/// The end of a message about numbers that are none: the likely cause, if one was found.
pub(crate) fn because(cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("; likely cause: {cause}"),
        None => "; features, labels, weights and rates of this step show no cause; lower [train] optimizer.learning_rate, or \
                 set clip_norm = 1.0"
            .to_owned(),
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A mistake in a configuration, and where it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The configuration file.
    pub file: PathBuf,
    /// Where in it.
    pub place: Place,
    /// The key that is wrong or missing, with dots (`train.optimizer.learning_rate`), where it is one key.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Where a part of a configuration was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A place in the file.
    Line(Position),
    /// A `--set` of the command line, as it was given.
    Set(String),
}

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Number of characters meant.
    pub width: usize,
    /// The line.
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.place {
            Place::File => write!(f, "{file}: {}", self.message),
            Place::Set(set) => write!(f, "--set {set}: {}", self.message),
            Place::Line(at) => {
                writeln!(f, "{file}:{}:{}: {}", at.line, at.column, self.message)?;
                let gutter = at.line.to_string().len();
                // Tabs keep their width in the line of carets.
                let indent: String =
                    at.text.chars().take(at.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                writeln!(f, "{:gutter$} |", "")?;
                writeln!(f, "{} | {}", at.line, at.text)?;
                write!(f, "{:gutter$} | {indent}{}", "", "^".repeat(at.width))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
