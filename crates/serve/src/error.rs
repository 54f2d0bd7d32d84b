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
    #[error("cannot listen on {address}: {source}; give another address with --http")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificates or a key that cannot be used.
    #[error("{}: {reason}", .path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of tokens that cannot be used.
    #[error("{}{}: {reason}", .path.display(), .line.map_or_else(String::new, |line| format!(", line {line}")))]
    Tokens {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of changes that cannot be written.
    #[error("{}: the audit cannot be written: {source}; give another file with --audit", .path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A version that cannot take the exponents that were set by a call.
    #[error(
        "model {name:?}: its score was changed by a call, and the new version cannot take that: {reason}; take it back first"
    )]
    Weights {
        /// The model.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Other machines could ask, and nobody said that they may.
    #[error(
        "{address} can be reached from other machines, and every request would be answered; give --token-file FILE, listen on \
         127.0.0.1 behind a proxy, or give --no-token to serve everybody who can connect"
    )]
    Exposed {
        /// The address.
        address: String,
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
