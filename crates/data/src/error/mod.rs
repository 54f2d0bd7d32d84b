//! [`Error`]: everything that can go wrong between files and batches. It is above 400 lines, most of which are
//! messages: they are in one list, so that each error has one message.

mod bad_row;
mod problem;

use std::path::PathBuf;

pub use bad_row::{BadRow, Hint, Reason};
pub use problem::{Block, KeyPlace, Problem};

use crate::advice::Key;
use crate::disk::Holder;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a log file and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file cannot be made in a folder.
    #[error("{}: cannot write to the folder {}: {reason}", .path.display(), .folder.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Where it was to be.
        folder: PathBuf,
        /// What the system said.
        reason: String,
    },

    /// Another process is writing what was to be written.
    #[error("{}: {holder} is writing these encoded rows; wait until it ends, then they are read from there, or give this \
             run another `cache`", .path.display())]
    Held {
        /// Where the rows are kept.
        path: PathBuf,
        /// Who writes.
        holder: Holder,
    },

    /// The configuration asks for something that cannot be.
    #[error("{place}: {problem}")]
    Schema {
        /// The block and key.
        place: KeyPlace,
        /// What is wrong with it.
        problem: Problem,
    },

    /// A data file could not be opened or read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A pattern matches no file.
    #[error("no file matches \"{pattern}\"{}", but_for(.passed_over))]
    NoMatch {
        /// The pattern, relative paths already resolved.
        pattern: String,
        /// What it would match but for its name.
        passed_over: String,
    },

    /// A folder without data.
    #[error(
        "the folder {} holds no data file: {}",
        .path.display(),
        if .holds.is_empty() { "it is empty" } else { .holds }
    )]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// What it holds instead.
        holds: String,
    },

    /// A pipe where a file is needed that can be read again.
    #[error("{} is a pipe, and {reason}", .path.display())]
    Pipe {
        /// The pipe.
        path: PathBuf,
        /// Why it cannot be used, and what to do.
        reason: String,
    },

    /// A file in a form that is known, but not read.
    #[error("{} is {form}; {advice}", .path.display())]
    OtherForm {
        /// The file.
        path: PathBuf,
        /// What it is.
        form: String,
        /// What to do about it.
        advice: String,
    },

    /// A pattern is not a valid glob.
    #[error("\"{pattern}\" is not a valid glob: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Neither the ending nor the configuration gives the format of a file.
    #[error(
        "cannot tell the format of {}: its ending is none of .csv, .tsv, .txt (also with .gz or .zst), .parquet, .pq, \
         .arrow, .arrows, .feather, .ipc; rename it, or {}",
        .path.display(),
        Key::format().text("csv", *.by_configuration)
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Whether a configuration says the format of files, rather than an option of a command.
        by_configuration: bool,
    },

    /// A file is damaged, cut off, or not what its ending says.
    #[error("{} {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, as it reads after the file's name.
        reason: String,
    },

    /// A file has no bytes at all.
    #[error("{} is empty", .path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },

    /// A column that is needed is not in the file.
    #[error("{0}")]
    MissingColumn(Box<MissingColumn>),

    /// A column that is needed stands twice in a file.
    #[error("{} has two columns named \"{column}\"", .path.display())]
    TwiceInFile {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },

    /// A column's type cannot be read as what is asked of it.
    #[error("{}, column \"{column}\": {found} cannot be read as {expected}", .path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Type of the column.
        found: String,
        /// What is asked of it.
        expected: String,
    },

    /// A column whose type no value of the configuration is of.
    #[error("{0}")]
    Comparison(Box<Comparison>),

    /// A row cannot be used.
    #[error("{0}")]
    BadRow(Box<BadRow>),

    /// There is no row where rows are needed.
    #[error("there is no {split} row in {}{}", files(.paths), detail(.reason))]
    NoRows {
        /// `training`, `validation` or `test`.
        split: &'static str,
        /// The files that were read.
        paths: Vec<PathBuf>,
        /// Why, where it is known.
        reason: String,
    },

    /// A task that no training row belongs to, or no positive one.
    #[error("task \"{task}\": {reason}")]
    UselessTask {
        /// The task.
        task: String,
        /// What the training rows hold instead.
        reason: String,
    },

    /// Something else has the name of the file that a lock is held by.
    #[error("{} is {what}; a file of that name is locked there while rows are written: remove it", .path.display())]
    LockPlace {
        /// The name.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },

    /// An option of a synthetic log is out of its range.
    #[error("--{option} {value}: {reason}")]
    SynthOption {
        /// The option's name, as the shell spells it after the dashes.
        option: &'static str,
        /// What was given.
        value: String,
        /// Which values are allowed.
        reason: String,
    },

    /// A synthetic log could not be made: a mistake of the generator.
    #[error("cannot make synthetic rows: {reason}")]
    Synth {
        /// What went wrong.
        reason: String,
    },

    /// An option of a command that says how CSV files are written.
    #[error("--csv {key}: {reason}")]
    CsvOption {
        /// What was given, or its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The ending of a file to be written names no format.
    #[error("{}: the ending says the format to write; use one of {known}", .path.display())]
    UnknownEnding {
        /// The file.
        path: PathBuf,
        /// The endings that are known.
        known: String,
    },

    /// Rows could not be written.
    #[error("{}: cannot write rows: {reason}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong, and where.
        reason: String,
    },

    /// The caller asked to stop; nothing was left behind.
    #[error("{}: interrupted after {rows} rows; nothing was written", .path.display())]
    Interrupted {
        /// The file that was being written.
        path: PathBuf,
        /// Rows that had been written until then.
        rows: u64,
    },

    /// The caller of [`crate::Splits::load`] asked to stop.
    #[error("stopped after {rows} rows were read")]
    Stopped {
        /// Rows of the pass at hand.
        rows: u64,
    },

    /// Encoded rows on disk have changed, or cannot be read, while they are in use.
    #[error("{}: {reason}; remove the folder {} and start again", .path.display(), .path.parent().unwrap_or(.path).display())]
    Encoded {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },

    /// A saved encoder contradicts itself.
    #[error("the saved encoder is damaged: {reason}")]
    Encoder {
        /// What is wrong with it.
        reason: String,
    },
}

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The configuration is wrong.
    Configuration,
    /// Data are wrong or missing.
    Data,
    /// Something failed while it ran, such as a full disk.
    Runtime,
}

impl Error {
    /// Who has to act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. }
            | Self::Folder { .. }
            | Self::Synth { .. }
            | Self::Write { .. }
            | Self::Interrupted { .. }
            | Self::Encoded { .. }
            | Self::Stopped { .. } => ErrorKind::Runtime,
            Self::Held { .. }
            | Self::LockPlace { .. }
            | Self::Schema { .. }
            | Self::Pattern { .. }
            | Self::Pipe { .. }
            | Self::UnknownFormat { .. }
            | Self::SynthOption { .. }
            | Self::CsvOption { .. }
            | Self::UnknownEnding { .. } => ErrorKind::Configuration,
            Self::MissingColumn(missing) if missing.by_configuration => ErrorKind::Configuration,
            Self::Read { .. }
            | Self::NoMatch { .. }
            | Self::EmptyFolder { .. }
            | Self::OtherForm { .. }
            | Self::Damaged { .. }
            | Self::EmptyFile { .. }
            | Self::MissingColumn(_)
            | Self::TwiceInFile { .. }
            | Self::ColumnType { .. }
            | Self::Comparison(_)
            | Self::BadRow(_)
            | Self::NoRows { .. }
            | Self::UselessTask { .. }
            | Self::Encoder { .. } => ErrorKind::Data,
        }
    }

    /// Whether data are wrong or missing, rather than the configuration.
    #[must_use]
    pub fn is_data(&self) -> bool {
        self.kind() == ErrorKind::Data
    }

    /// Block and key of the configuration that are at fault, where one is.
    #[must_use]
    pub fn place(&self) -> Option<&KeyPlace> {
        match self {
            Self::Schema { place, .. } => Some(place),
            _ => None,
        }
    }
}

/// A column that is needed and is not in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} has no column \"{column}\", which {needed_by} needs{}{}",
    .path.display(), there(.elsewhere), hint(.nearest.as_deref(), .columns, .elsewhere.is_none(), *.by_configuration)
)]
pub struct MissingColumn {
    /// The file.
    pub path: PathBuf,
    /// The column.
    pub column: String,
    /// Who asks for it, as it reads before "needs".
    pub needed_by: String,
    /// The column with the nearest name, if one is near.
    pub nearest: Option<String>,
    /// All columns of the file.
    pub columns: Vec<String>,
    /// Whether the configuration is at fault (nothing has ever been read by that name) rather than the file.
    pub by_configuration: bool,
    /// Another file of the log that has it.
    pub elsewhere: Option<PathBuf>,
}

/// A value of the configuration that no value of a column can be compared with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, column \"{column}\": its {found} cannot be compared with {value}, which is {key}; {advice}", .path.display())]
pub struct Comparison {
    /// The file.
    pub path: PathBuf,
    /// The column.
    pub column: String,
    /// What it holds.
    pub found: &'static str,
    /// The value.
    pub value: String,
    /// The key that has it.
    pub key: String,
    /// What to do.
    pub advice: &'static str,
}

fn hint(nearest: Option<&str>, columns: &[String], may_be_form: bool, by_configuration: bool) -> String {
    if let [column] = columns
        && may_be_form
        && let Some(separator) = [';', '\t', '|', ','].into_iter().find(|&separator| column.contains(separator))
    {
        let set = Key::csv("separator").text(&separator.to_string(), by_configuration);
        return format!("; it has \"{}\" alone: {set} if that is several columns", shorten(column));
    }
    match nearest {
        Some(nearest) => format!("; did you mean \"{nearest}\"?"),
        None if columns.is_empty() => "; it has no columns at all".to_owned(),
        None => {
            let shown = columns.iter().take(12).map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(", ");
            let more = columns.len().saturating_sub(12);
            if more == 0 { format!("; it has {shown}") } else { format!("; it has {shown} and {more} more") }
        }
    }
}

fn there(elsewhere: &Option<PathBuf>) -> String {
    elsewhere.as_ref().map_or_else(String::new, |path| format!(" and {} has", path.display()))
}

fn but_for(names: &str) -> String {
    if names.is_empty() { String::new() } else { format!("; passed over: {names}") }
}

/// The first of them, and how many there are beside it.
fn files(paths: &[PathBuf]) -> String {
    match paths {
        [] => "the files".to_owned(),
        [path] => path.display().to_string(),
        [path, other] => format!("{} and {}", path.display(), other.display()),
        [path, others @ ..] => format!("{} and {} other files", path.display(), others.len()),
    }
}

fn detail(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// At most 80 characters of a value, line ends made visible. Quotes and backslashes stay as they are.
fn shorten(value: &str) -> String {
    let visible = |char: char| match char {
        '"' | '\\' | '\'' => char.to_string(),
        char => char.escape_debug().to_string(),
    };
    let mut short: String = value.chars().take(80).map(visible).collect();
    if value.chars().nth(80).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shorten(&"x".repeat(81)).chars().count(), 81);
        assert_eq!(shorten(&"é".repeat(80)).chars().count(), 80);
    }
}
