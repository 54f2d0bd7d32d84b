//! [`Source`]: files given on the command line.

use std::path::{Path, PathBuf};

use pleiad_data::read::{DataFile, expand};
use pleiad_data::schema::{CsvConfig, Files, Format};
use pleiad_data::{Encoder, StreamOptions, nearest};
use toml::Value;

use crate::error::{Error, Result};

/// Data files to measure a model on or to predict for.
#[derive(Debug, Clone)]
pub struct Source {
    files: Vec<DataFile>,
    format: Option<Format>,
    /// Keys of `[data.csv]` that are other than the model's, and their values.
    csv: Vec<(String, Value)>,
}

impl Source {
    /// Paths, folders and globs, relative to the working directory; `-` is the standard input. Without a `format` the
    /// ending of each file says it; a file without a known ending has the format of the training files.
    ///
    /// # Errors
    /// [`Error::Data`] if a pattern matches no file, or a folder holds none.
    pub fn new(patterns: &[String], format: Option<Format>) -> Result<Self> {
        let files = expand(Path::new(""), &Files::Many(patterns.to_vec()), format)?;
        Ok(Self { files, format, csv: Vec::new() })
    }

    /// CSV files are written as the training files were, but for these: `separator=;`. Keys are those of `[data.csv]`, values
    /// are read as TOML, and as text where they are none.
    ///
    /// # Errors
    /// If one has no such form, or no such key.
    pub fn with_csv(mut self, options: &[String]) -> Result<Self> {
        for option in options {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| wrong(option, "expected KEY=VALUE, such as separator=';'".to_owned()))?;
            let key = key.trim();
            if !CsvConfig::KEYS.contains(&key) {
                let hint = match nearest(key, CsvConfig::KEYS) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("there are {}", CsvConfig::KEYS.join(", ")),
                };
                return Err(wrong(option, format!("unknown key `{key}`; {hint}")));
            }
            self.csv.push((key.to_owned(), value_of(key, value)));
        }
        Ok(self)
    }

    /// The files, as readers take them.
    #[must_use]
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// The files.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// How CSV files are written where there is no model, and the keys that were given.
    ///
    /// # Errors
    /// If what is said of them cannot be.
    pub fn csv(&self) -> Result<(CsvConfig, Vec<&str>)> {
        Ok((self.csv_of(&CsvConfig::default())?, self.csv.iter().map(|(key, _)| key.as_str()).collect()))
    }

    /// The format that was given.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// How these files are read for a model.
    ///
    /// # Errors
    /// If what is said of CSV files cannot be.
    pub fn options(&self, encoder: &Encoder) -> Result<StreamOptions> {
        let mut options = StreamOptions::new(encoder, self.files.clone());
        options.format = self.format;
        if !self.csv.is_empty() {
            options.csv = self.csv_of(&options.csv)?;
        }
        Ok(options)
    }

    fn csv_of(&self, model: &CsvConfig) -> Result<CsvConfig> {
        let encode = |error: toml::ser::Error| Error::Encode { reason: error.to_string() };
        let mut table = toml::Table::try_from(model).map_err(encode)?;
        // A header replaces the names that the model's options have.
        if self.csv.iter().any(|(key, value)| key == "header" && value.as_bool() == Some(true)) {
            table.remove("columns");
        }
        for (key, value) in &self.csv {
            table.insert(key.clone(), value.clone());
            // One at a time, so that an error names the option that makes it.
            let checked: Result<CsvConfig, _> = Value::Table(table.clone()).try_into();
            checked.map_err(|error| wrong(&format!("{key}={value}"), error.message().to_owned()))?;
        }
        let config: CsvConfig = Value::Table(table).try_into().map_err(|e| wrong("", e.message().to_owned()))?;
        config.resolve().map_err(|error| match error {
            pleiad_data::Error::Schema { place, problem } => {
                let key = place.key.as_deref().and_then(|key| key.strip_prefix("csv.")).unwrap_or_default();
                wrong(key, problem.to_string())
            }
            other => other.into(),
        })
    }
}

fn wrong(key: &str, reason: String) -> Error {
    Error::Data(pleiad_data::Error::CsvOption { key: key.to_owned(), reason })
}

/// The value of a key: lists may be given as their one element, and texts need no quotes.
fn value_of(key: &str, text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
    let text = || Value::String(text.to_owned());
    match (key, parsed) {
        ("columns" | "null", Some(list @ Value::Array(_))) => list,
        ("columns" | "null", Some(Value::String(one))) => Value::Array(vec![Value::String(one)]),
        ("columns" | "null", _) => Value::Array(vec![text()]),
        ("header" | "trim", Some(value)) => value,
        (_, Some(value @ Value::String(_))) => value,
        _ => text(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn csv(model: &CsvConfig, options: &[&str]) -> Result<CsvConfig, String> {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let source = Source { files: Vec::new(), format: None, csv: Vec::new() };
        source.with_csv(&options).and_then(|source| source.csv_of(model)).map_err(|error| error.to_string())
    }

    #[test]
    fn options_stand_above_what_the_model_has() {
        let model = CsvConfig { header: false, columns: vec!["a".into()], trim: true, ..CsvConfig::default() };
        let read = |options: &[&str]| csv(&model, options).unwrap();
        assert_eq!(read(&["separator=;", "escape=\\"]).separator.as_deref(), Some(";"));
        assert_eq!(read(&["separator=\\t"]).separator.as_deref(), Some("\t"));
        assert_eq!(read(&["separator=1"]).separator.as_deref(), Some("1"));
        assert_eq!(read(&["separator=\"::\"", "escape=\"\\\\\""]).escape, Some('\\'));
        assert_eq!(read(&["quote="]).quote, None);
        assert_eq!(read(&["quote='"]).quote, Some('\''));
        assert_eq!(read(&["null=NA"]).null, ["NA"]);
        assert_eq!(read(&["null=['', 'NA']"]).null, ["", "NA"]);
        assert!(!read(&["trim=false"]).trim);
        let header = read(&["header=true"]);
        assert!(header.header && header.columns.is_empty() && header.trim);
        assert_eq!(read(&["columns=['x[0..2]']"]).columns, ["x0", "x1"]);
    }

    #[test]
    fn what_cannot_be_is_told_with_its_key() {
        let fails = |option: &str| csv(&CsvConfig::default(), &[option]).unwrap_err();
        assert_eq!(fails("seperator=;"), "--csv seperator=;: unknown key `seperator`; did you mean `separator`?");
        assert!(fails("zzz=;").ends_with("there are header, columns, separator, quote, escape, encoding, trim, null"));
        assert_eq!(fails("separator"), "--csv separator: expected KEY=VALUE, such as separator=';'");
        assert!(fails("quote=ab").starts_with("--csv quote=\"ab\": "), "{}", fails("quote=ab"));
        assert!(fails("trim=maybe").starts_with("--csv trim=\"maybe\": "), "{}", fails("trim=maybe"));
        assert!(
            fails("encoding=latin-1").ends_with("has this label; did you mean \"latin1\"?"),
            "{}",
            fails("encoding=latin-1")
        );
        assert!(fails("header=false").starts_with("--csv columns: is missing"), "{}", fails("header=false"));
        assert!(fails("separator=").starts_with("--csv separator: "), "{}", fails("separator="));
    }
}
