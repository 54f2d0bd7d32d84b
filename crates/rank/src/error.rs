//! [`Error`]: everything that can go wrong between a saved model and its predictions.

use std::path::PathBuf;

/// Everything that can go wrong between a saved model and its predictions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Rows that cannot be read, or are not what the model's schema says.
    #[error(transparent)]
    Data(#[from] pleiad_data::Error),
    /// An artifact that does not hold together.
    #[error(transparent)]
    Model(#[from] pleiad_model::Error),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] pleiad_engine::Error),
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
    /// A score is not a finite number.
    #[error("the score of row {row} is {value}: {factors}; {advice}")]
    NonFiniteScore {
        /// Row, from 1.
        row: u64,
        /// The score.
        value: f64,
        /// The factors of the row, as they are multiplied.
        factors: String,
        /// What to do.
        advice: &'static str,
    },
    /// A score is asked of a model that has no [`crate::RankConfig`].
    #[error(
        "the model says nothing of a score: it was saved without [rank]. Give exponents of its tasks, such as \
         --set rank.score.{task}=1"
    )]
    NoRank {
        /// One of its tasks.
        task: String,
    },
    /// `[rank]` asks for what the model does not have.
    #[error("{}: {problem}", .key.join("."))]
    Rank {
        /// The key: `rank`, then one inside of the other.
        key: Vec<String>,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A change of `[rank]` that cannot be made.
    #[error("--set {set}: {problem}")]
    Set {
        /// The change, as it was given.
        set: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A column that is to be written cannot be.
    #[error("column {column:?} {problem}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A row that is to be ordered with others of its group has none.
    #[error("row {row} has no {column:?}, by whose value rows are ordered; leave such rows out, or order without --by")]
    NoGroup {
        /// Row, from 1.
        row: u64,
        /// The column.
        column: String,
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

/// The ways of failing, each with an exit code and an exception class of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Wrong usage or configuration.
    Config,
    /// The data are wrong or missing.
    Data,
    /// It failed while it ran.
    Run,
    /// This signal stopped it.
    Interrupted(usize),
}

impl From<pleiad_data::ErrorKind> for ErrorKind {
    fn from(kind: pleiad_data::ErrorKind) -> Self {
        match kind {
            pleiad_data::ErrorKind::Configuration => Self::Config,
            pleiad_data::ErrorKind::Data => Self::Data,
            pleiad_data::ErrorKind::Runtime => Self::Run,
        }
    }
}

/// Whom an error of the engine is for: settings and sizes come from a configuration.
#[must_use]
pub fn kind_of_engine(error: &pleiad_engine::Error) -> ErrorKind {
    use pleiad_engine::Error as E;
    match error {
        E::InvalidOption { .. } | E::TableTooLarge { .. } | E::TablesTooLarge { .. } | E::ModelTooLarge { .. } => {
            ErrorKind::Config
        }
        _ => ErrorKind::Run,
    }
}

impl Error {
    /// Whom the error is for.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Data(error) => error.kind().into(),
            Self::Model(error) => error.kind().into(),
            Self::Engine(error) => kind_of_engine(error),
            Self::Exists { .. } | Self::NoRank { .. } | Self::Rank { .. } | Self::Set { .. } | Self::Column { .. } => {
                ErrorKind::Config
            }
            Self::NoGroup { .. } => ErrorKind::Data,
            Self::NonFinitePrediction { .. } | Self::NonFiniteScore { .. } | Self::Encode { .. } => ErrorKind::Run,
            Self::Interrupted { signal, .. } => ErrorKind::Interrupted(*signal),
        }
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
