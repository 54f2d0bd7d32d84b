//! Columns as inputs: each once for each form in which features read it.

use std::collections::BTreeMap;

use super::lists::owners;
use super::{TableRows, lists};
use crate::schema::DataType;
use crate::writer::{BATCH, NetworkWriter, Value, named};

/// In which form a column is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// f64.
    Number,
    /// A text, or a list of them.
    Text,
    /// int64, or a list of them.
    Integer,
    /// A row of a table with so many, or a list of them.
    Row(u64),
}

/// The separator distinguishes a list from others of its column.
type Key = (String, Form, Option<String>);

/// Columns that are inputs already.
#[derive(Debug, Default)]
pub(super) struct Sources {
    singles: BTreeMap<Key, Value>,
    lists: BTreeMap<Key, (Value, Value, Value)>,
    lengths: BTreeMap<(String, String), Value>,
}

impl Sources {
    /// A column with one value a row, `[B]`.
    pub(super) fn single(
        &mut self,
        w: &mut NetworkWriter,
        column: &str,
        form: Form,
        what: &str,
        feature: &str,
    ) -> Value {
        let key = (column.to_owned(), form.clone(), None);
        if let Some(value) = self.singles.get(&key) {
            note(w, value, feature);
            return value.clone();
        }
        let name = match (&form, self.singles.keys().any(|(other, form, _)| other == column && is_raw(form))) {
            (Form::Row(_), _) => format!("{column}.row"),
            (_, false) => column.to_owned(),
            (Form::Number, true) => format!("{column}.number"),
            (Form::Text, true) => format!("{column}.text"),
            (Form::Integer, true) => format!("{column}.integer"),
        };
        let holds = format!("column \"{column}\": {what}");
        let value = w.input(&name, elements(&form), &[named(BATCH)], holds, feature);
        self.singles.insert(key, value.clone());
        value
    }

    /// A column with any number of values a row: the values `[T]`, the row of the batch that each belongs to, and how many
    /// each row has.
    pub(super) fn list(
        &mut self,
        w: &mut NetworkWriter,
        (column, separator): (&str, &str),
        form: Form,
        what: &str,
        feature: &str,
    ) -> (Value, Value, Value) {
        let key = (column.to_owned(), form.clone(), Some(separator.to_owned()));
        if let Some((values, owners, lengths)) = self.lists.get(&key) {
            [values, lengths].into_iter().for_each(|value| note(w, value, feature));
            return (values.clone(), owners.clone(), lengths.clone());
        }
        let part = if matches!(form, Form::Row(_)) { "rows" } else { "values" };
        let holds = format!("column \"{column}\": {what}; of all rows, in order");
        let flat = w.ragged();
        let values = w.input(&format!("{column}.{part}"), elements(&form), &[flat], holds, feature);
        let lengths = match self.lengths.get(&(column.to_owned(), separator.to_owned())) {
            Some(lengths) => {
                note(w, lengths, feature);
                lengths.clone()
            }
            None => {
                let holds = format!("column \"{column}\": number of values of each row");
                let name = format!("{column}.lengths");
                let lengths = w.input(&name, DataType::Int64, &[named(BATCH)], holds, feature);
                self.lengths.insert((column.to_owned(), separator.to_owned()), lengths.clone());
                lengths
            }
        };
        let owners = owners(w, column, &values, &lengths);
        self.lists.insert(key, (values.clone(), owners.clone(), lengths.clone()));
        (values, owners, lengths)
    }

    /// Numbers of columns, `[B]`.
    pub(super) fn numbers(&self) -> Vec<(String, Value)> {
        let numbers = self.singles.iter().filter(|((_, form, _), _)| *form == Form::Number);
        numbers.map(|((column, _, _), value)| (column.clone(), value.clone())).collect()
    }
}

/// Table rows that are all within their table, and which rows of the batch have one that is not.
pub(super) fn within(w: &mut NetworkWriter, rows: TableRows, table_rows: u64) -> (TableRows, Value) {
    let (TableRows::Single(given) | TableRows::Multiple { rows: given, .. }) = &rows;
    let at = |part: &str| format!("{given}/{part}");
    let [zero, end] = [0, table_rows as i64].map(|bound| w.int64(bound));
    let below = w.op("Less", &at("below"), &[given, &zero], vec![]);
    let above = w.op("GreaterOrEqual", &at("above"), &[given, &end], vec![]);
    let outside = w.op("Or", &at("outside"), &[&below, &above], vec![]);
    let inside = w.op("Where", &at("inside"), &[&outside, &zero, given], vec![]);
    match &rows {
        TableRows::Single(_) => (TableRows::Single(inside), outside),
        TableRows::Multiple { owners, lengths, .. } => {
            let counted = w.cast(&outside, &at("counted"), DataType::Int64);
            let sums = lists::sums(w, given, &counted, owners, lengths);
            let bad = w.op("Greater", &at("bad"), &[&sums, &zero], vec![]);
            (TableRows::Multiple { rows: inside, owners: owners.clone(), lengths: lengths.clone() }, bad)
        }
    }
}

fn is_raw(form: &Form) -> bool {
    !matches!(form, Form::Row(_))
}

fn elements(form: &Form) -> DataType {
    match form {
        Form::Number => DataType::Double,
        Form::Text => DataType::String,
        Form::Integer | Form::Row(_) => DataType::Int64,
    }
}

/// One more feature reads an input.
fn note(w: &mut NetworkWriter, value: &str, feature: &str) {
    if let Some(port) = w.inputs.iter_mut().find(|port| port.name == value)
        && !feature.is_empty()
        && !port.features.iter().any(|other| other == feature)
    {
        port.features.push(feature.to_owned());
    }
}
