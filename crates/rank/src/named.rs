//! Rows by name, as they come in JSON, into columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use serde_json::{Map, Value};

use crate::cells::{Cell, column};
use crate::error::{Error, Result};

/// The columns of these names, of those rows. A column that no row names is left out.
pub(crate) fn records<'n>(rows: &[Map<String, Value>], names: impl Iterator<Item = &'n str>) -> Result<RecordBatch> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for name in names {
        let values: Vec<&Value> = rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null)).collect();
        if rows.iter().all(|row| !row.contains_key(name)) && !rows.is_empty() {
            continue;
        }
        let array = array(name, &values)?;
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| Error::Encode { reason: error.to_string() })
}

/// The array of a column's values.
fn array(name: &str, values: &[&Value]) -> Result<ArrayRef> {
    let refuse = |problem: String| Error::Column { column: name.to_owned(), problem };
    let cells = values.iter().map(|value| cell(value, false));
    let cells = cells.collect::<std::result::Result<Vec<_>, _>>().map_err(|problem| refuse(problem.to_owned()))?;
    column(&cells).map_err(|problem| refuse(problem.to_string()))
}

fn cell(value: &Value, in_list: bool) -> std::result::Result<Cell<'_>, &'static str> {
    Ok(match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), ..) => Cell::Int(value),
            (_, Some(value), _) => Cell::UInt(value),
            (.., Some(value)) => Cell::Float(value),
            _ => Cell::Null,
        },
        Value::String(text) => Cell::Text(text.into()),
        Value::Array(_) if in_list => return Err("holds lists of lists; give a list of numbers or texts"),
        Value::Array(items) => {
            Cell::List(items.iter().map(|item| cell(item, true)).collect::<std::result::Result<_, _>>()?)
        }
        Value::Object(_) => return Err("holds an object; give a number, a text, true, false, null or a list of them"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::StringArray;
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
