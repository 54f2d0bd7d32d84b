//! The one error type of this crate, and the one description of a bad row.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::advice::Key;
use crate::disk::Holder;
use crate::schema::{Place, Problem};

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
        place: Place,
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

    /// Neither the ending nor the configuration tells the format of a file.
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

    /// An option of a synthetic log is out of its range.
    #[error("{option} = {value}: {reason}")]
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
    #[error("{}: the ending tells the format to write; use one of {known}", .path.display())]
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
    pub fn place(&self) -> Option<&Place> {
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

/// A row that cannot be used, where it stands, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BadRow {
    /// The file; `None` for rows that were handed over in memory.
    pub path: Option<PathBuf>,
    /// Number of the row in the file, the first data row being 1.
    pub row: u64,
    /// Line of a text file, from 1, on which the row starts.
    pub line: Option<u64>,
    /// The column; `None` where the row as a whole is at fault.
    pub column: Option<String>,
    /// What stands there.
    pub value: Option<String>,
    /// Why it cannot be used.
    pub reason: Reason,
    /// Whether a command without a configuration reads the row, which has options for what a configuration says of files.
    #[serde(default, skip)]
    pub by_command: bool,
}

impl BadRow {
    /// What to do about it, as far as that depends on where the row comes from.
    fn advice(&self) -> Option<String> {
        let by_configuration = !self.by_command;
        let text = |key: &str, value: &str| Key::csv(key).text(value, by_configuration);
        let is_text = self.line.is_some();
        let hint = match &self.reason {
            Reason::Encoding if !is_text => {
                return Some("texts in Parquet and Arrow are UTF-8: write the file again".to_owned());
            }
            Reason::Encoding | Reason::NotEncoded { .. } => {
                return Some(format!("if the file is written in another encoding, {}", text("encoding", "latin1")));
            }
            Reason::BehindQuote | Reason::OpenQuote { .. } | Reason::TooLong { .. } => Hint::Escape,
            Reason::Fields { hint, .. } => (*hint)?,
            Reason::NotANumber { hint } => (*hint)?,
            _ => return None,
        };
        let is_blank = |char: char| char == ' ' || char == '\t';
        let blanks_behind = self.value.as_ref().is_some_and(|value| value.ends_with(is_blank));
        match hint {
            Hint::Escape if self.reason == Reason::BehindQuote && blanks_behind => {
                let set = Key::csv("trim").set("true", by_configuration);
                Some(format!(
                    "{set} if spaces around a field are not part of it, or {} if quotes within quotes are written \\\"",
                    text("escape", "\\")
                ))
            }
            Hint::Escape => Some(format!(
                "{} if quotes within quotes are written \\\", or {} if quotes are characters like others",
                text("escape", "\\"),
                text("quote", "")
            )),
            Hint::Trim if is_text => {
                let set = Key::csv("trim").set("true", by_configuration);
                Some(format!("{set} if the spaces around it are not part of it"))
            }
            Hint::Trim => None,
            Hint::Null if by_configuration && !is_text => Some(
                "if it means a missing value, add it to `null` in [data.csv], which is not for CSV alone".to_owned(),
            ),
            Hint::Null if by_configuration => {
                Some("if it means a missing value, add it to `null` in [data.csv]".to_owned())
            }
            Hint::Null => {
                let value = self.value.as_deref().unwrap_or_default();
                let set = Key::csv("null").set(&format!("'[\"\", \"{value}\"]'"), false);
                Some(format!("if it means a missing value, {set}"))
            }
        }
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}, ", path.display())?;
        }
        match self.line {
            Some(line) => write!(f, "line {line} (row {})", self.row)?,
            None => write!(f, "row {}", self.row)?,
        }
        if let Some(column) = &self.column {
            write!(f, ", column \"{column}\"")?;
        }
        f.write_str(": ")?;
        if let Some(value) = &self.value {
            write!(f, "\"{}\" ", shorten(value))?;
        }
        write!(f, "{}", self.reason)?;
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// Which key may make a row one that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Hint {
    /// `null`: the text looks like one that stands for a missing value.
    Null,
    /// `trim`: spaces stand around the value.
    Trim,
    /// `escape`: quotes seem to be written in another way.
    Escape,
}

/// Why a row cannot be used; reads after the value.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Too few or too many fields.
    #[error("{found} fields where {expected} are expected{}", if *.quoted {"; is a quote missing or left open?"} else {""})]
    Fields {
        /// Fields of the row.
        found: usize,
        /// Columns of the file.
        expected: usize,
        /// Whether a field of the row holds a line end, which a quote left open brings about.
        quoted: bool,
        /// What may help.
        #[serde(default)]
        hint: Option<Hint>,
    },
    /// A field that does not end with its quotes.
    #[error("goes on behind its closing quote")]
    BehindQuote,
    /// A quote that begins a field and is never closed. Where lines of the file are within it, they are lost with it, and the
    /// row cannot be left out.
    #[error("opens with a quote that is never closed{}", if *.lines > 0 {", so that all lines behind it are part of it"} else {""})]
    OpenQuote {
        /// Line ends within the field.
        lines: usize,
    },
    /// A record that is longer than any should be.
    #[error("the row is longer than {mebibytes} MiB: a quote may be left open")]
    TooLong {
        /// Longest record.
        mebibytes: u64,
    },
    /// Text that is not UTF-8.
    #[error("is not valid UTF-8")]
    Encoding,
    /// Bytes that mean no text in the file's encoding.
    #[error("is not valid {encoding}")]
    NotEncoded {
        /// The encoding.
        encoding: String,
    },
    /// A text where a number is needed.
    #[error("is not a number")]
    NotANumber {
        /// What may help.
        hint: Option<Hint>,
    },
    /// An infinity.
    #[error("is not finite; a missing value is an empty field or NaN in CSV, null or NaN in Parquet and Arrow")]
    NotFinite,
    /// A number beyond f32.
    #[error("is beyond the range of 32-bit floats")]
    TooLarge,
    /// A number that is as far from the training rows' as that.
    #[error("after its transforms the value is beyond the range of 32-bit floats: it is unlike all training rows")]
    TransformedTooLarge,
    /// A value that log1p is not defined for.
    #[error("is not above -1, which log1p needs")]
    Log1p,
    /// A missing number.
    #[error("a value is missing; set `missing` of this feature to \"mean\", \"zero\" or a number to allow it")]
    MissingNumber,
    /// A text that reads as NaN.
    #[error("is a missing value; set `missing` of this feature to \"mean\", \"zero\" or a number to allow it")]
    Nan,
    /// A missing id.
    #[error("an id is missing; encoding `ids` has no row for that (`hash` and `vocabulary` have)")]
    MissingId,
    /// A missing value in the column that decides the split.
    #[error("a value is missing, so the row can be put neither into training nor into a split")]
    MissingSplit,
    /// A value that contradicts the folder that the file lies in.
    #[error("is not what the folder \"{folder}\" says")]
    OtherThanFolder {
        /// Name of the folder.
        folder: String,
    },
    /// A value that cannot be compared with the bounds of a split.
    #[error("cannot be compared with {bound}, a bound of the split")]
    Incomparable {
        /// The bound.
        bound: String,
    },
    /// Not a whole number from 0 to 2^64 - 1.
    #[error("is not an id: ids are whole numbers from 0")]
    NotAnId,
    /// An id that is not below the table's rows.
    #[error("is out of range: encoding = {{ ids = {rows} }} takes ids from 0 to {}", .rows.saturating_sub(1))]
    IdOutOfRange {
        /// Rows of the table.
        rows: u64,
    },
    /// A float that is not a category.
    #[error("is not a category: whole numbers above 2^53 are rounded in a column of floats; write them as integers")]
    NotACategory,
    /// A label that is neither 0 nor 1.
    #[error("is not a label of a binary task: 0, 1, true or false (or set `positive` in `label`)")]
    NotABinaryLabel,
}

impl Reason {
    /// Whether more than the one row is lost, so that it cannot be left out.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::OpenQuote { lines: 1.. } | Self::TooLong { .. })
    }
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

/// The name among `known` that is nearest to `name`, if it is near enough to be a slip.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let folded = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        // The first of equally near names: `max_by` alone would take the last.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_row_reads_as_a_sentence() {
        let mut bad = BadRow {
            path: Some("log.csv".into()),
            row: 16,
            line: Some(17),
            column: Some("age".into()),
            value: Some("abc\n".into()),
            reason: Reason::NotANumber { hint: None },
            by_command: false,
        };
        assert_eq!(bad.to_string(), "log.csv, line 17 (row 16), column \"age\": \"abc\\n\" is not a number");
        bad = BadRow { path: None, line: None, value: None, column: None, reason: Reason::MissingNumber, ..bad };
        assert!(bad.to_string().starts_with("row 16: a value is missing"));
    }

    #[test]
    fn advice_is_for_those_who_can_follow_it() {
        let bad = |line, by_command, reason| BadRow {
            path: None,
            row: 1,
            line,
            column: None,
            value: Some("NA".into()),
            reason,
            by_command,
        };
        let null = || Reason::NotANumber { hint: Some(Hint::Null) };
        let says = |bad: BadRow, what: &str| assert!(bad.to_string().ends_with(what), "{bad}");
        says(bad(Some(2), false, null()), "; if it means a missing value, add it to `null` in [data.csv]");
        says(bad(Some(2), true, null()), r#"; if it means a missing value, give --csv null='["", "NA"]'"#);
        says(bad(None, false, null()), "add it to `null` in [data.csv], which is not for CSV alone");
        says(bad(Some(2), false, Reason::Encoding), r#"set encoding = "latin1" in [data.csv]"#);
        says(bad(Some(2), true, Reason::Encoding), "give --csv encoding=latin1");
        says(bad(None, true, Reason::Encoding), "texts in Parquet and Arrow are UTF-8: write the file again");
        says(bad(None, true, Reason::NotANumber { hint: Some(Hint::Trim) }), "is not a number");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shorten(&"x".repeat(81)).chars().count(), 81);
        assert_eq!(shorten(&"é".repeat(80)).chars().count(), 80);
    }

    #[test]
    fn nearest_finds_slips_and_no_strangers() {
        let known = ["wage_per_hour", "age", "education"];
        assert_eq!(nearest("educaton", known).as_deref(), Some("education"));
        assert_eq!(nearest("Age", known).as_deref(), Some("age"));
        assert_eq!(nearest("zzz", known), None);
    }
}
