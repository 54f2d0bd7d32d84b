//! The place of an error, for programs: the fields beside `kind`, `code` and `message`.
//!
//! In a configuration `line` and `column` are numbers; in data `column` is the column's name.

use std::path::Path;

use pleiad_train::{ConfigError, Error, Place};
use serde_json::{Map, Value, json};

/// Fields that are known, and those alone.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => {}
            value => {
                self.0.insert(name.to_owned(), value);
            }
        }
        self
    }

    /// Nothing for an empty path, which names no file.
    fn file(self, path: &Path) -> Self {
        if path.as_os_str().is_empty() { self } else { self.with("file", path.display().to_string()) }
    }
}

/// The fields of an error.
pub(crate) fn of(error: &Error) -> Map<String, Value> {
    let fields = Fields::default();
    let fields = match error {
        Error::Config(error) => configuration(error),
        Error::Data(error) => data(error),
        Error::Model(error) => model(error),
        Error::Engine(error) => engine(error),
        Error::Io { path, .. }
        | Error::Exists { path, .. }
        | Error::Held { path, .. }
        | Error::Unwritable { path, .. }
        | Error::Version { path, .. }
        | Error::NoCheckpoint { folder: path, .. }
        | Error::RequestLog { path, .. }
        | Error::Damaged { path, .. } => fields.file(path),
        Error::Ask { option, .. } => fields.with("argument", *option),
        Error::Infer(problem) => infer(problem),
        Error::Overflow { step, epoch, .. } => fields.with("step", *step).with("epoch", *epoch),
        Error::Differs { path, differences } => fields.file(path).with("differences", json!(differences)),
        Error::NoTrainingRows { rows } => fields.with("rows", *rows),
        Error::NoSelection { metric, .. } => fields.with("metric", metric.as_str()),
        Error::NonFinite { step, epoch, task, .. } => {
            fields.with("task", task.as_str()).with("step", *step).with("epoch", *epoch)
        }
        Error::NonFinitePrediction { task, row, .. } => fields.with("task", task.as_str()).with("row", *row),
        Error::Rank(error) => ranking(error),
        _ => fields,
    };
    fields.0
}

fn ranking(error: &pleiad_rank::Error) -> Fields {
    use pleiad_rank::Error as E;
    let fields = Fields::default();
    match error {
        E::NonFiniteScore { row, .. } => fields.with("row", *row),
        E::NoGroup { row, column } => fields.with("row", *row).with("column", column.as_str()),
        E::Column { column, .. } => fields.with("column", column.as_str()),
        E::Rank { key, .. } => fields.with("key", key.join(".")),
        E::Set { set, .. } => fields.with("set", set.as_str()),
        _ => fields,
    }
}

fn configuration(error: &ConfigError) -> Fields {
    let fields = Fields::default().file(&error.file).with("key", error.key.clone());
    match &error.place {
        Place::File => fields,
        Place::Line(at) => fields.with("line", at.line).with("column", at.column),
        Place::Set(set) => fields.with("set", set.as_str()),
    }
}

fn infer(problem: &pleiad_train::infer::InferProblem) -> Fields {
    use pleiad_train::infer::InferProblem as P;
    let fields = Fields::default();
    match problem {
        P::NoLabel { candidates } => {
            fields.with("candidates", candidates.iter().map(|(name, _)| json!(name)).collect::<Value>())
        }
        P::NoColumn { column, nearest, .. } => fields.with("column", column.as_str()).with("nearest", nearest.clone()),
        P::Label { column, .. } => fields.with("column", column.as_str()),
        _ => fields,
    }
}

fn data(error: &pleiad_data::Error) -> Fields {
    use pleiad_data::Error as E;
    let fields = Fields::default();
    match error {
        E::Io { path, .. }
        | E::Folder { path, .. }
        | E::Held { path, .. }
        | E::LockPlace { path, .. }
        | E::Read { path, .. }
        | E::UnknownFormat { path, .. }
        | E::Damaged { path, .. }
        | E::EmptyFile { path, .. }
        | E::EmptyFolder { path, .. }
        | E::OtherForm { path, .. }
        | E::Pipe { path, .. }
        | E::UnknownEnding { path, .. }
        | E::Write { path, .. }
        | E::Interrupted { path, .. }
        | E::Encoded { path, .. } => fields.file(path),
        E::MissingColumn(missing) => {
            fields.file(&missing.path).with("column", missing.column.as_str()).with("nearest", missing.nearest.clone())
        }
        E::TwiceInFile { path, column, .. } | E::ColumnType { path, column, .. } => {
            fields.file(path).with("column", column.as_str())
        }
        E::Comparison(compared) => fields
            .file(&compared.path)
            .with("column", compared.column.as_str())
            .with("value", compared.value.as_str())
            .with("key", compared.key.as_str()),
        E::BadRow(bad) => bad
            .path
            .as_deref()
            .map_or(Fields::default(), |path| Fields::default().file(path))
            .with("line", bad.line)
            .with("row", bad.row)
            .with("column", bad.column.clone())
            .with("value", bad.value.clone()),
        E::NoMatch { pattern, .. } | E::Pattern { pattern, .. } => fields.with("pattern", pattern.as_str()),
        E::UselessTask { task, .. } => fields.with("task", task.as_str()),
        E::CsvOption { key, .. } => fields.with("argument", "--csv").with("value", key.as_str()),
        E::SynthOption { option, value, .. } => {
            fields.with("argument", format!("--{option}")).with("value", value.as_str())
        }
        _ => fields,
    }
}

fn model(error: &pleiad_model::Error) -> Fields {
    use pleiad_model::Error as E;
    let fields = Fields::default();
    match error {
        E::Config { key, .. } => fields.with("key", format!("model.{key}")),
        E::Io { path, .. }
        | E::NotAnArtifact { path, .. }
        | E::Version { path, .. }
        | E::Damaged { path, .. }
        | E::Inconsistent { path, .. }
        | E::TooLarge { path, .. }
        | E::GoldenRow { path, .. }
        | E::Occupied { path, .. } => fields.file(path),
        E::MissingTensor { path, tensor, nearest } | E::UnknownTensor { path, tensor, nearest } => {
            fields.file(path).with("tensor", tensor.as_str()).with("nearest", nearest.clone())
        }
        E::TensorShape { path, tensor, .. } | E::TensorType { path, tensor, .. } => {
            fields.file(path).with("tensor", tensor.as_str())
        }
        E::Golden { task, row, .. } => fields.with("task", task.as_str()).with("golden_row", *row),
        _ => fields,
    }
}

fn engine(error: &pleiad_engine::Error) -> Fields {
    use pleiad_engine::Error as E;
    let fields = Fields::default();
    match error {
        E::InvalidOption { key, value, .. } => fields.with("key", *key).with("value", value.as_str()),
        E::IdOutOfRange { table, .. } | E::TableTooLarge { table, .. } | E::TableFile { table, .. } => {
            fields.with("table", table.as_str())
        }
        E::Shape { tensor, .. } => fields.with("tensor", tensor.as_str()),
        E::Model(error) => model(error),
        _ => fields,
    }
}
