//! Inputs without encoders: numbers and table rows as the model reads them. Nothing is checked.

use pleiad_data::{Input, InputLayout};

use super::lists::owners;
use super::{Encoded, TableRows};
use crate::schema::DataType;
use crate::writer::{BATCH, NetworkWriter, Value, named, size};

/// An input for each feature of the layout.
pub(crate) fn ids(w: &mut NetworkWriter, layout: &InputLayout) -> Encoded {
    let mut encoded = Encoded { width: layout.numeric_width(), ..Encoded::default() };
    let mut numbers: Vec<Value> = Vec::new();
    // The pieces of a number stand side by side under one name.
    for run in layout.inputs.chunk_by(|a, b| is_number(a) && is_number(b) && a.name() == b.name()) {
        match &run[0] {
            Input::Numeric { name, .. } if run.len() > 1 => {
                let holds = format!("feature \"{name}\", encoded: {} numbers a row", run.len());
                numbers.push(w.input(name, DataType::Float, &[named(BATCH), size(run.len())], holds, name));
            }
            Input::Numeric { name, .. } | Input::Periodic { name, .. } => {
                let holds = format!("feature \"{name}\", encoded: a number after its transforms");
                let number = w.input(name, DataType::Float, &[named(BATCH)], holds, name);
                numbers.push(w.column(&number));
            }
            Input::Categorical { name, rows, pooling: None, .. } => {
                let holds = format!("feature \"{name}\", encoded: a table row from 0 to {}", rows - 1);
                let row = w.input(&format!("{name}.row"), DataType::Int64, &[named(BATCH)], holds, name);
                encoded.categories.push(TableRows::Single(row));
            }
            Input::Categorical { name, rows, pooling: Some(_), .. } => {
                let holds =
                    format!("feature \"{name}\", encoded: table rows from 0 to {}; of all rows, in order", rows - 1);
                let flat = w.ragged();
                let rows = w.input(&format!("{name}.rows"), DataType::Int64, &[flat], holds, name);
                let holds = format!("feature \"{name}\": number of table rows of each row");
                let lengths = w.input(&format!("{name}.lengths"), DataType::Int64, &[named(BATCH)], holds, name);
                let owners = owners(w, name, &rows, &lengths);
                encoded.categories.push(TableRows::Multiple { rows, owners, lengths });
            }
        }
    }
    if !numbers.is_empty() {
        encoded.numbers = w.concat("numbers", &numbers, 1);
    }
    encoded
}

fn is_number(input: &Input) -> bool {
    matches!(input, Input::Numeric { .. })
}
