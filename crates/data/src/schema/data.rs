//! `[data]`: which files, how they are written, how they are split.

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use super::scalar::Scalar;
use super::untagged::{self, Untagged};
use crate::error::Result;

/// `[data]`.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Files of the training rows: a path, a list of paths, or a glob (`logs/*.parquet`, taken in sorted order). It is missing
    /// only where a program hands over the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Files>,
    /// Validation rows: files, or a part of the training files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<SplitConfig>,
    /// Test rows: files, or a part of the training files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<SplitConfig>,
    /// Format of all files; by default each file's ending decides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How CSV files are written.
    #[serde(default)]
    pub csv: CsvConfig,
    /// What to do about a row that cannot be read.
    #[serde(default)]
    pub on_bad_row: OnBadRow,
    /// Column of what each row counts in the losses and metrics of all tasks: a number, 0 or above. A row of weight 0 is left
    /// out. By default all rows count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Column that names the request of each row. Rows with the same value that follow one another are one request: the
    /// candidates that one person was shown at once. Features with `per = "request"` are the same for all of them; training
    /// shuffles whole requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Folder for encoded rows, which the next run reads instead of the files as long as nothing has changed that they
    /// depend on. By default nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Whether rows stay on disk, encoded, and are read again in every epoch: for logs that do not fit in memory. `true`,
    /// or `{ window = 262144 }` with the number of rows that are in memory to be shuffled.
    #[serde(default, skip_serializing_if = "Stream::is_off")]
    pub stream: Stream,
}

impl DataConfig {
    /// Refuses a configuration that names no files: where no program hands over rows, there are none.
    ///
    /// # Errors
    /// [`crate::Error::Schema`] with the key.
    pub fn check_files(&self) -> Result<()> {
        super::check::has_files(self)
    }

    /// Files of all splits that have some of their own.
    pub fn files(&self) -> impl Iterator<Item = &Files> {
        let splits = [&self.valid, &self.test].into_iter().flatten();
        self.train.iter().chain(splits.filter_map(|split| match split {
            SplitConfig::Files(files) => Some(files),
            SplitConfig::Part(_) => None,
        }))
    }
}

/// `stream = true` or `stream = { window = 262144 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)] // for writing alone; `Deserialize` is by hand
pub enum Stream {
    /// Whether rows stay on disk; if so, with a window of [`DEFAULT_WINDOW`].
    Switch(bool),
    /// They do, with a window of one's own.
    Window(WindowConfig),
}

impl Default for Stream {
    fn default() -> Self {
        Self::Switch(false)
    }
}

/// `{ window = 262144 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Rows that are shuffled at a time, at least 1. They are those of blocks of 4,096 rows, drawn from all over the log
    /// anew in each epoch.
    #[schemars(range(min = 1))]
    pub window: usize,
}

/// Rows of a window, unless said otherwise.
pub const DEFAULT_WINDOW: usize = 1 << 18;

impl Stream {
    /// Rows of a window; `None` where all rows are in memory.
    #[must_use]
    pub fn window(self) -> Option<usize> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(DEFAULT_WINDOW),
            Self::Window(WindowConfig { window }) => Some(window),
        }
    }

    fn is_off(&self) -> bool {
        self.window().is_none()
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl<'de> Untagged<'de> for Stream {
    const EXPECTING: &'static str = "true, false, or { window = .. }";

    fn from_bool<E: de::Error>(value: bool) -> Result<Self, E> {
        Ok(Self::Switch(value))
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        WindowConfig::deserialize(MapAccessDeserializer::new(map)).map(Self::Window)
    }
}

/// One path or glob, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)] // for writing alone; `Deserialize` is by hand
pub enum Files {
    /// A path or a glob.
    One(String),
    /// Paths and globs, in order.
    Many(Vec<String>),
}

impl Files {
    /// The paths and globs, in order.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::Many(patterns) => patterns,
        }
    }
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl<'de> Untagged<'de> for Files {
    const EXPECTING: &'static str = "a path, a glob, or a list of them";

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        Ok(Self::One(value.to_owned()))
    }

    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Self::Many)
    }
}

/// Where the validation or test rows come from.
///
/// Rows taken from the training files are not trained on. Where both `valid` and `test` claim a row, `test` has it;
/// a column's value is asked before a fraction.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)] // for writing alone; `Deserialize` is by hand
pub enum SplitConfig {
    /// Files of their own.
    Files(Files),
    /// A part of the training files.
    Part(PartConfig),
}

/// A part of the training rows: `{ fraction = 0.1 }`, `{ column = "day", equals = 7 }` or
/// `{ column = "day", from = 6, to = 8 }` (`from` inclusive, `to` exclusive, either may be left out).
#[derive(Debug, Clone, Default, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartConfig {
    /// Share of the rows, chosen by a hash of the row's position over all training files: the same rows in every run,
    /// whatever the other keys say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// The column whose value decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Rows with this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Scalar>,
    /// Rows with at least this value. It is compared in the column's own type: numbers exactly, times as times (`2026-01-06`,
    /// `2026-01-06 12:30:00`, with or without quotes); in CSV as what both read as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Scalar>,
    /// Rows below this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Scalar>,
    /// The rows are no part of the training rows: a program hands them over, as it does these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    pub memory: bool,
}

impl<'de> Deserialize<'de> for SplitConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl<'de> Untagged<'de> for SplitConfig {
    const EXPECTING: &'static str =
        "a path, a glob, a list of them, { fraction = .. }, or { column = .., equals = .. | from = .., to = .. }";

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        Files::from_text(value).map(Self::Files)
    }

    fn from_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        Files::from_seq(seq).map(Self::Files)
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        PartConfig::deserialize(MapAccessDeserializer::new(map)).map(Self::Part)
    }
}

/// Format of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// CSV, plain or compressed with gzip or zstd (`.csv`, `.tsv`, `.txt`, each also with `.gz` or `.zst`).
    Csv,
    /// Parquet (`.parquet`, `.pq`).
    Parquet,
    /// Arrow IPC, file or stream (`.arrow`, `.arrows`, `.feather`, `.ipc`).
    Arrow,
}

/// `[data.csv]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvConfig {
    /// Whether the first row names the columns.
    pub header: bool,
    /// Names of the columns of a file without header; ranges such as `x[0..512]` are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Between two fields: one character or several, such as `"::"`. Default: a tab in files named `.tsv`, else a comma.
    #[serde(deserialize_with = "separator", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub separator: Option<String>,
    /// Around fields that hold separators, quotes or line ends; one ASCII character, doubled inside of a field.
    /// `""` switches quoting off.
    #[serde(with = "quote")]
    #[schemars(with = "String", length(max = 1))]
    pub quote: Option<char>,
    /// Before a quote that is part of a field, one ASCII character, such as `"\\"`; before an escape, a separator or a line
    /// end as well. It has this meaning between quotes, and everywhere where quoting is off. Default: none.
    #[serde(with = "quote", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 1))]
    pub escape: Option<char>,
    /// What the text is encoded in, by its label in the WHATWG Encoding Standard, such as `"latin1"` or `"gb18030"`.
    /// Default: UTF-8, and UTF-16 where the file begins with its mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Whether spaces and tabs around a field are not part of it.
    pub trim: bool,
    /// Fields that mean "missing"; in files of other formats, texts that do. Default: the empty field alone, since `NA` or
    /// `null` may well be a category.
    pub null: Vec<String>,
}

impl CsvConfig {
    /// The keys of `[data.csv]`.
    pub const KEYS: [&'static str; 8] =
        ["header", "columns", "separator", "quote", "escape", "encoding", "trim", "null"];

    /// Expands ranges of columns, and checks all.
    ///
    /// # Errors
    /// [`crate::Error::Schema`] with the key, on the first thing that cannot be.
    pub fn resolve(&self) -> Result<Self> {
        super::check::csv(self)?;
        Ok(Self { columns: super::check::csv_columns(self)?, ..self.clone() })
    }
}

impl Default for CsvConfig {
    fn default() -> Self {
        Self {
            header: true,
            columns: Vec::new(),
            separator: None,
            quote: Some('"'),
            escape: None,
            encoding: None,
            trim: false,
            null: vec![String::new()],
        }
    }
}

/// A tab may be written as `\t` where its text is taken as it is.
fn separator<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let separator = Option::<String>::deserialize(deserializer)?;
    Ok(separator.map(|separator| separator.replace("\\t", "\t")))
}

mod quote {
    use serde::de::{Deserialize, Deserializer, Error, Unexpected};
    use serde::ser::Serializer;

    #[expect(clippy::ref_option, reason = "serde's `with` hands over a reference to the field")]
    pub(super) fn serialize<S: Serializer>(quote: &Option<char>, serializer: S) -> Result<S::Ok, S::Error> {
        match quote {
            Some(quote) => serializer.serialize_char(*quote),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<char>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (quote, None) => Ok(quote),
            _ => Err(D::Error::invalid_value(Unexpected::Str(&text), &"one character, or \"\" for none")),
        }
    }
}

/// What to do about a row that cannot be read: text in a number, an id out of range, too few fields, ...
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBadRow {
    /// Stop with an error that names file, row, column, value and reason.
    #[default]
    Stop,
    /// Leave the row out everywhere and count it.
    Skip,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DataConfig, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn files_are_a_path_or_a_list() {
        let data = parse("train = 'a.csv'\nvalid = ['b.csv', 'c/*.csv']").unwrap();
        assert_eq!(data.train.unwrap().patterns(), ["a.csv"]);
        let Some(SplitConfig::Files(valid)) = data.valid else { panic!("{:?}", data.valid) };
        assert_eq!(valid.patterns(), ["b.csv", "c/*.csv"]);
        assert_eq!(data.csv, CsvConfig::default());
    }

    #[test]
    fn parts_are_tables() {
        let data = parse(
            "train = 'a.csv'\nvalid = { fraction = 0.1 }\ntest = { column = 'day', from = '2024-01-05', to = 7 }",
        )
        .unwrap();
        assert_eq!(data.valid, Some(SplitConfig::Part(PartConfig { fraction: Some(0.1), ..Default::default() })));
        assert_eq!(
            data.test,
            Some(SplitConfig::Part(PartConfig {
                column: Some("day".into()),
                from: Some(Scalar::Text("2024-01-05".into())),
                to: Some(Scalar::Integer(7)),
                ..Default::default()
            }))
        );
    }

    #[test]
    fn streams_have_a_switch_and_a_window() {
        let window = |text: &str| parse(&format!("train = 'a.csv'\n{text}")).map(|data| data.stream.window());
        assert_eq!(window(""), Ok(None));
        assert_eq!(window("stream = false"), Ok(None));
        assert_eq!(window("stream = true"), Ok(Some(DEFAULT_WINDOW)));
        assert_eq!(window("stream = { window = 7 }"), Ok(Some(7)));
        assert!(window("stream = 7").unwrap_err().contains("expected true, false, or { window = .. }"));
        assert!(window("stream = { widow = 7 }").unwrap_err().contains("unknown field `widow`"));
    }

    #[test]
    fn errors_point_at_the_key() {
        let error = parse("train = 'a.csv'\nvalid = { fractoin = 0.1 }").unwrap_err();
        assert!(error.contains("line 2") && error.contains("unknown field `fractoin`"), "{error}");
        let error = parse("train = 3").unwrap_err();
        assert!(error.contains("expected a path, a glob, or a list of them"), "{error}");
        let error = parse("train = 'a'\n[csv]\nquote = '--'").unwrap_err();
        assert!(error.contains("line 3") && error.contains("\"\" for none"), "{error}");
    }

    #[test]
    fn what_is_written_reads_back() {
        let data = parse(
            "train = ['a.csv']\nvalid = { column = 'd', equals = true }\non_bad_row = 'skip'\nformat = 'csv'\n\
             cache = 'c'\nstream = { window = 9 }\n\
             [csv]\nquote = ''\nseparator = ';'\nheader = false\ncolumns = ['x[0..3]']\nnull = ['?']",
        )
        .unwrap();
        let json = serde_json::to_string(&data).unwrap();
        assert_eq!(serde_json::from_str::<DataConfig>(&json).unwrap(), data);
        let dialect = "train = 'a'\n[csv]\nseparator = '::'\nescape = '\\'\nencoding = 'gbk'";
        let data = parse(dialect).unwrap();
        let json = serde_json::to_string(&data).unwrap();
        assert_eq!(serde_json::from_str::<DataConfig>(&json).unwrap(), data);
    }

    #[test]
    fn all_keys_of_csv_are_known() {
        let config = CsvConfig {
            columns: vec!["a".into()],
            separator: Some(",".into()),
            escape: Some('\\'),
            encoding: Some("gbk".into()),
            ..CsvConfig::default()
        };
        let json = serde_json::to_value(config).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = CsvConfig::KEYS;
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
    }

    #[test]
    fn a_tab_may_be_written_out() {
        let separator = |text: &str| parse(&format!("train = 'a'\n[csv]\nseparator = {text}")).unwrap().csv.separator;
        assert_eq!(separator(r#""\t""#).as_deref(), Some("\t"));
        assert_eq!(separator(r"'\t'").as_deref(), Some("\t"));
        assert_eq!(separator("'::'").as_deref(), Some("::"));
    }
}
