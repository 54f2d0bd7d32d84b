//! [`BadRow`]: a row that cannot be used, and why.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::shorten;
use crate::advice::Key;

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
    /// A value that the row does not have in common with the first row of its request.
    #[error(
        "is not the value of the request's first row, and the feature is one of requests; rows with one value of {column:?} \
         that follow one another are one request"
    )]
    DiffersInRequest {
        /// The column that names requests.
        column: String,
    },
    /// A row without a weight.
    #[error("a weight is missing; write 0 where a row is to be left out")]
    MissingWeight,
    /// A negative weight.
    #[error("is below 0; a weight is 0 or above")]
    NegativeWeight,
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
    /// Not a whole number of 64 bits.
    #[error("is not a whole number of 64 bits, which encoding `integer_hash` needs (`hash` takes every value)")]
    NotAnInteger,
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
}
