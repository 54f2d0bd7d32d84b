//! [`Error`]: why a model is not exported.

use std::path::PathBuf;

/// Why a model is not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder of a model that cannot be used.
    #[error(transparent)]
    Model(pleiad_rank::Error),
    /// There is a file already.
    #[error("{} exists, and an export replaces nothing; remove it, or name another file with --onnx", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Numbers of a vocabulary that are equal in ONNX.
    #[error(
        "feature \"{feature}\" cannot be exported with its encoder: ONNX cannot tell {a} from {b}, two values of its vocabulary; \
         export with --inputs ids, which takes table rows instead"
    )]
    Inseparable {
        /// The feature.
        feature: String,
        /// One number.
        a: f64,
        /// The other.
        b: f64,
    },
    /// A file's folder cannot be written to.
    #[error("cannot write {}: the folder {} {reason}", .path.display(), .folder.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A graph whose parts alone, without weights, are larger than an ONNX file can be.
    #[error(
        "without weights the model still has {bytes} bytes, and an ONNX file holds 2 GiB: its vocabularies are too large; \
         export with --inputs ids, which has none"
    )]
    TooLarge {
        /// Bytes of graph and vocabularies.
        bytes: u64,
    },
    /// A score of something that the model does not have.
    #[error("[rank] of the model names {what} \"{name}\", which the model does not have")]
    Score {
        /// `the task` or `the column`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Parts that do not belong together.
    #[error("the model does not hold together: {reason}")]
    Inconsistent {
        /// What does not.
        reason: String,
    },
}

impl Error {
    /// Whether other options would avoid the error; else it failed while it ran.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Model(_) | Self::Io { .. } | Self::Folder { .. } | Self::Inconsistent { .. })
    }
}

/// What an export gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;
