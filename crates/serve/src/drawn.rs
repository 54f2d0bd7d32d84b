//! [`body`]: the body of a request whose candidates are drawn, in each form that clients may send.

use arrow::datatypes::Field;
use pleiad_rank::cells::{Cell, column};
use serde::de::DeserializeSeed;
use serde_json::{Map, Value, json};

use crate::arrow_body::stream;
use crate::error::{Error, Result};
use crate::served::BodyForm;
use crate::value::CELL;

/// How the candidates of a request are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Candidates {
    /// JSON, an object for each.
    #[default]
    Rows,
    /// JSON, a list for each field.
    Columns,
    /// A stream of Arrow IPC, which is answered with one.
    Arrow,
}

impl Candidates {
    /// The form of the body, which is that of its answer.
    pub(crate) fn form(self) -> BodyForm {
        match self {
            Self::Rows | Self::Columns => BodyForm::Json,
            Self::Arrow => BodyForm::Arrow,
        }
    }
}

/// The body of a request for these rows, all of the same fields; the first one's `shared` fields are the request's.
pub(crate) fn body(mut rows: Vec<Map<String, Value>>, shared: &[String], form: Candidates) -> Result<Vec<u8>> {
    let request: Map<String, Value> = match rows.first() {
        Some(first) => shared.iter().filter_map(|name| Some((name.clone(), first.get(name)?.clone()))).collect(),
        None => Map::new(),
    };
    rows.iter_mut().for_each(|row| row.retain(|name, _| !shared.contains(name)));
    if form == Candidates::Rows {
        return Ok(json!({ "request": request, "rows": rows }).to_string().into_bytes());
    }
    let names: Vec<String> = rows.first().map(|first| first.keys().cloned().collect()).unwrap_or_default();
    let mut columns: Vec<Vec<Value>> = vec![Vec::with_capacity(rows.len()); names.len()];
    for mut row in rows {
        for (name, values) in names.iter().zip(&mut columns) {
            values.push(row.remove(name).unwrap_or_default());
        }
    }
    if form == Candidates::Columns {
        let columns: Map<String, Value> = names.into_iter().zip(columns).map(|(name, of)| (name, of.into())).collect();
        return Ok(json!({ "request": request, "columns": columns }).to_string().into_bytes());
    }
    let failed = |reason: String| Error::Load { reason };
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, values) in names.into_iter().zip(&columns) {
        let cells: serde_json::Result<Vec<Cell<'_>>> = values.iter().map(|value| CELL.deserialize(value)).collect();
        let array = column(&cells.map_err(|error| failed(error.to_string()))?);
        let array = array.map_err(|problem| failed(format!("column {name:?} {problem}")))?;
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let rest = json!({ "request": request }).to_string();
    stream(fields, arrays, rest).map_err(|error| failed(error.to_string()))
}
