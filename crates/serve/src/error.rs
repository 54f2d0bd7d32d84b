//! [`Error`]: why a server does not start, or ends other than it should.

use std::ops::Range;
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
    /// A file of routes that cannot be used.
    #[error("{}{}", .path.display(), shown(.place.as_ref(), .reason))]
    Routes {
        /// The file.
        path: PathBuf,
        /// Where in it, if it is about a part of it.
        place: Option<FilePlace>,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A version that cannot take the exponents that a route has for it.
    #[error(
        "model {name:?}: {user} has exponents for it that the new version cannot take: {reason}; change the route first"
    )]
    RouteScore {
        /// The model.
        name: String,
        /// The route and its arm or shadow.
        user: String,
        /// What is wrong.
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

/// A place in a file of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Characters that are meant, at least one.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl FilePlace {
    /// Where a range of bytes begins.
    pub(crate) fn of(text: &str, span: &Range<usize>) -> Self {
        let start = (0..=span.start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let before = &text[..start];
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[begin..].lines().next().unwrap_or_default();
        let end = span.end.clamp(start, (begin + line.len()).max(start));
        let width = text.get(start..end).map_or(1, |meant| meant.chars().count().max(1));
        let column = before[begin..].chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column, width, text: line.to_owned() }
    }
}

/// `:LINE:COLUMN: what is wrong`, and the line with what is meant.
fn shown(place: Option<&FilePlace>, reason: &str) -> String {
    let Some(FilePlace { line, column, width, text }) = place else { return format!(": {reason}") };
    let gutter = " ".repeat(line.to_string().len());
    // Tabs keep their width in the line of carets.
    let indent: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let carets = "^".repeat(*width);
    format!(":{line}:{column}: {reason}\n{gutter} |\n{line} | {text}\n{gutter} | {indent}{carets}")
}
