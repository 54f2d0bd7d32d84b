//! [`Error`]: why a server does not start, or ends other than it should.

use std::path::PathBuf;

/// Why a server does not start, or ends other than it should. What is wrong with a request is a [`crate::Refusal`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model cannot be used.
    #[error("model {name:?}: {source}")]
    Model {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: Box<pleiad_rank::Error>,
    },
    /// A pointer file does not lead to a model.
    #[error("{}: {reason}", .path.display())]
    Pointer {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A model that was replaced again and again while it was opened.
    #[error("{}: the model was replaced each time that it was opened; publish less often, or into a new folder", .path.display())]
    Restless {
        /// The folder.
        path: PathBuf,
    },
    /// Models that cannot be told apart, or a name that no address can have.
    #[error("model {given:?}: {reason}")]
    Name {
        /// As it was given.
        given: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Nobody can connect.
    #[error("cannot listen on {address}: {source}; give another address with --listen")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gave no thread or no timer.
    #[error("cannot start {what}: {reason}")]
    Start {
        /// What was to be started.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The bench could not measure.
    #[error("cannot measure the server: {reason}")]
    Load {
        /// Why.
        reason: String,
    },
    /// Requests were still being answered when the time to drain was over.
    #[error(
        "{requests} requests were cut off: they were not answered within {seconds} s after the signal; raise --drain"
    )]
    Cut {
        /// How many.
        requests: usize,
        /// How long it was waited for them.
        seconds: u64,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
