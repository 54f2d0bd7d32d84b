//! Rows by name, as they come in JSON, into columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeListArray, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Schema};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The columns of these names, of those rows. A column that no row names is left out.
pub(crate) fn records<'n>(rows: &[Map<String, Value>], names: impl Iterator<Item = &'n str>) -> Result<RecordBatch> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for name in names {
        let values: Vec<&Value> = rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null)).collect();
        if rows.iter().all(|row| !row.contains_key(name)) && !rows.is_empty() {
            continue;
        }
        let array = column(name, &values)?;
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| Error::Encode { reason: error.to_string() })
}

/// What a column holds beside null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
    Text,
    List,
}

fn kind(value: &Value) -> Option<Kind> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Bool(_) => Some(Kind::Bool),
        Value::Number(number) if number.is_i64() => Some(Kind::Signed),
        Value::Number(number) if number.is_u64() => Some(Kind::Unsigned),
        Value::Number(_) => Some(Kind::Float),
        Value::String(_) => Some(Kind::Text),
        Value::Array(_) => Some(Kind::List),
    }
}

fn column(name: &str, values: &[&Value]) -> Result<ArrayRef> {
    let refuse = |problem: &str| Err(Error::Column { column: name.to_owned(), problem: problem.to_owned() });
    if values.iter().any(|value| value.is_object()) {
        return refuse("holds an object; give a number, a text, true, false, null or a list of them");
    }
    let mut kinds = values.iter().filter_map(|value| kind(value));
    let Some(first) = kinds.next() else { return Ok(Arc::new(NullArray::new(values.len()))) };
    let only = kinds.all(|kind| kind == first).then_some(first);
    Ok(match only {
        Some(Kind::Bool) => Arc::new(values.iter().map(|value| value.as_bool()).collect::<BooleanArray>()),
        Some(Kind::Signed) => Arc::new(values.iter().map(|value| value.as_i64()).collect::<Int64Array>()),
        Some(Kind::Unsigned) => Arc::new(values.iter().map(|value| value.as_u64()).collect::<UInt64Array>()),
        Some(Kind::Float) => Arc::new(values.iter().map(|value| value.as_f64()).collect::<Float64Array>()),
        Some(Kind::Text) => Arc::new(values.iter().map(|value| value.as_str()).collect::<StringArray>()),
        Some(Kind::List) => lists(name, values)?,
        None if values.iter().any(|value| value.is_array()) => {
            return refuse("holds lists in some rows and single values in others; give one of both");
        }
        // As in a text file, where each cell is the text that it is written as.
        None => Arc::new(values.iter().map(|value| text(value)).collect::<StringArray>()),
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn lists(name: &str, values: &[&Value]) -> Result<ArrayRef> {
    let items: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
    if items.iter().any(|item| item.is_array()) {
        let problem = "holds lists of lists; give a list of numbers or texts".to_owned();
        return Err(Error::Column { column: name.to_owned(), problem });
    }
    let items = column(name, &items)?;
    let lengths = values.iter().map(|value| value.as_array().map_or(0, Vec::len));
    let nulls: NullBuffer = values.iter().map(|value| value.is_array()).collect::<Vec<bool>>().into();
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    let lists = LargeListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, Some(nulls));
    lists.map(|lists| Arc::new(lists) as ArrayRef).map_err(|error| Error::Encode { reason: error.to_string() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::datatypes::DataType;
    use serde_json::json;

    use super::*;

    fn rows(rows: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(rows).unwrap()
    }

    #[test]
    fn each_column_has_the_type_of_its_values() {
        let rows = rows(json!([
            { "i": 1, "f": 0.5, "t": "a", "b": true, "l": [1, 2], "m": 1, "n": null, "u": u64::MAX, "beside": {} },
            { "i": -3, "f": 2.5, "t": null, "b": false, "l": [], "m": "x", "u": u64::MAX },
        ]));
        let names = ["i", "f", "t", "b", "l", "m", "n", "u", "absent"];
        let records = records(&rows, names.into_iter()).unwrap();
        let types: Vec<_> =
            records.schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        let list = DataType::LargeList(Arc::new(Field::new("item", DataType::Int64, true)));
        let expected = [
            ("i", DataType::Int64),
            ("f", DataType::Float64),
            ("t", DataType::Utf8),
            ("b", DataType::Boolean),
            ("l", list),
            ("m", DataType::Utf8),
            ("n", DataType::Null),
            ("u", DataType::UInt64),
        ];
        assert_eq!(types, expected.map(|(name, data_type)| (name.to_owned(), data_type)));
        assert_eq!(records.num_rows(), 2);
        let mixed = records.column_by_name("m").unwrap();
        assert_eq!(mixed.as_any().downcast_ref::<StringArray>().unwrap().value(0), "1");
    }

    #[test]
    fn what_is_no_cell_is_refused_with_its_column() {
        for (value, says) in [
            (json!([{ "a": { "b": 1 } }]), "holds an object"),
            (json!([{ "a": [1] }, { "a": 1 }]), "single values in others"),
            (json!([{ "a": [[1]] }]), "lists of lists"),
        ] {
            let error = records(&rows(value), ["a"].into_iter()).unwrap_err().to_string();
            assert!(error.starts_with("column \"a\"") && error.contains(says), "{error}");
        }
        assert_eq!(records(&[], ["a"].into_iter()).unwrap().num_rows(), 0);
    }
}
