//! Exit codes, and which error gives which.

use pleiad_rank::ErrorKind;
use serde_json::{Map, Value};

use crate::{details, stderr};

/// Failed while running.
const RUN: u8 = 1;
/// Bad usage or configuration; clap's own code, too.
const USAGE: u8 = 2;
/// Bad data.
const DATA: u8 = 3;
/// Added to the number of the signal that ended the work.
const SIGNAL: u8 = 128;

/// Why the process does not end with 0.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// Whose mistake it is, in a word for programs.
    kind: &'static str,
    message: String,
    /// What the error knows of where it arose.
    details: Map<String, Value>,
}

impl Failure {
    fn new(code: u8, kind: &'static str, message: String) -> Self {
        Self { code, kind, message, details: Map::new() }
    }

    /// Something failed while it ran.
    pub(crate) fn run(message: impl Into<String>) -> Self {
        Self::new(RUN, "run", message.into())
    }

    /// Asked for something that cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, "usage", message.into())
    }

    /// Ended by a signal, in order.
    pub(crate) fn interrupted(signal: usize, message: impl Into<String>) -> Self {
        let code = SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0));
        Self::new(code, "interrupted", message.into())
    }

    /// The same with details.
    pub(crate) fn with(self, details: Map<String, Value>) -> Self {
        Self { details, ..self }
    }

    /// The same with more words behind the message.
    pub(crate) fn saying(mut self, words: &str) -> Self {
        self.message.push_str(words);
        self
    }

    /// Writes the message and gives the exit code.
    pub(crate) fn report(&self) -> u8 {
        stderr::failure(self.kind, self.code, &self.message, &self.details);
        self.code
    }
}

impl From<pleiad_train::Error> for Failure {
    fn from(error: pleiad_train::Error) -> Self {
        let (code, kind) = match error.kind() {
            ErrorKind::Config => (USAGE, "configuration"),
            ErrorKind::Data => (DATA, "data"),
            ErrorKind::Run => (RUN, "run"),
            ErrorKind::Interrupted(signal) => return Self::interrupted(signal, error.to_string()),
        };
        Self::new(code, kind, error.to_string()).with(details::of(&error))
    }
}

impl From<pleiad_data::Error> for Failure {
    fn from(error: pleiad_data::Error) -> Self {
        pleiad_train::Error::from(error).into()
    }
}

impl From<pleiad_rank::Error> for Failure {
    fn from(error: pleiad_rank::Error) -> Self {
        pleiad_train::Error::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::run(error.to_string())
    }
}
