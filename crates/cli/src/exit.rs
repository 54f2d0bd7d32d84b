//! Exit codes, and which error gives which.

use std::process::ExitCode;

use pleiad_train::ErrorKind;

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
    message: String,
}

impl Failure {
    /// Something failed while it ran.
    pub(crate) fn run(message: impl Into<String>) -> Self {
        Self { code: RUN, message: message.into() }
    }

    /// Asked for something that cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// Ended by a signal, in order.
    pub(crate) fn interrupted(signal: usize, message: impl Into<String>) -> Self {
        Self { code: SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0)), message: message.into() }
    }

    /// Prints the message and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let word = if self.code >= SIGNAL { "interrupted" } else { "error" };
        eprintln!("{word}: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<pleiad_train::Error> for Failure {
    fn from(error: pleiad_train::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Config => USAGE,
            ErrorKind::Data => DATA,
            ErrorKind::Run => RUN,
            ErrorKind::Interrupted(signal) => return Self::interrupted(signal, error.to_string()),
        };
        Self { code, message: error.to_string() }
    }
}

impl From<pleiad_data::Error> for Failure {
    fn from(error: pleiad_data::Error) -> Self {
        pleiad_train::Error::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::run(error.to_string())
    }
}
