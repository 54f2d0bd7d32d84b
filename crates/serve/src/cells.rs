//! The cells of a request as Arrow columns; what candidates share stands once where it can.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, NullArray, RecordBatch, RecordBatchOptions,
    StringArray, UInt16Array, UInt64Array,
};
use arrow::datatypes::{Field, Schema, UInt16Type};
use pleiad_rank::cells::{Cell, ColumnProblem, column, list};

use crate::columns::Columns;
use crate::refusal::{Place, Refusal};
use crate::request::RankRequest;

/// Most values, or bytes of texts that are lists, that a list of `request` may become when each candidate gets its own.
const MOST_SHARED: usize = 1 << 22;

/// The columns of a request's candidates. A column that neither `request` nor a candidate has is left out.
pub(crate) fn batch(request: RankRequest<'_>, columns: &Columns) -> Result<RecordBatch, Refusal> {
    let rows = request.candidates;
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    let cells = request.request.into_iter().zip(request.columns);
    for (((shared, own), name), is_list) in cells.zip(&columns.names).zip(&columns.lists) {
        let array = match (shared, own) {
            (_, Some(mut cells)) => {
                cells.resize(rows, Cell::Null);
                column(&cells).map_err(Problem::from)
            }
            (Some(cell), None) => repeated(&cell, rows, *is_list),
            (None, None) => continue,
        };
        let array = array.map_err(|problem| problem.refusal(name))?;
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it"))
}

/// What is wrong with a column.
enum Problem {
    /// Lists beside single values.
    Mixed,
    /// So many values, if every candidate gets its own.
    TooLarge(usize),
    /// Arrow refused.
    Arrow(String),
}

impl From<ColumnProblem> for Problem {
    fn from(problem: ColumnProblem) -> Self {
        match problem {
            ColumnProblem::Mixed => Self::Mixed,
            ColumnProblem::Arrow(reason) => Self::Arrow(reason),
        }
    }
}

impl Problem {
    fn refusal(self, name: &str) -> Refusal {
        let place = Place { field: Some(name.to_owned()), ..Place::default() };
        match self {
            Self::Mixed => {
                let message = format!("field {name:?} holds lists in some candidates and single values in others");
                Refusal::new(422, "bad_value", message, "give one of both").at(place)
            }
            Self::TooLarge(values) => {
                let message = format!(
                    "field {name:?} of `request` is a list of {values} values over all candidates; {MOST_SHARED} are the most"
                );
                Refusal::new(413, "too_large", message, "send a shorter list, or fewer candidates").at(place)
            }
            Self::Arrow(reason) => {
                let message = format!("field {name:?}: {reason}");
                Refusal::new(500, "internal", message, "this is a mistake of the server; report it").at(place)
            }
        }
    }
}

/// One value for all rows.
fn repeated(cell: &Cell<'_>, rows: usize, is_list: bool) -> Result<ArrayRef, Problem> {
    Ok(match cell {
        Cell::Null => Arc::new(NullArray::new(rows)),
        Cell::Bool(value) => Arc::new(BooleanArray::from(vec![*value; rows])),
        Cell::Int(value) => Arc::new(Int64Array::from(vec![*value; rows])),
        Cell::UInt(value) => Arc::new(UInt64Array::from(vec![*value; rows])),
        Cell::Float(value) => Arc::new(Float64Array::from(vec![*value; rows])),
        Cell::Text(text) => {
            if is_list {
                within(text.len(), rows)?;
            }
            let texts = Arc::new(StringArray::from(vec![text.as_ref()]));
            let keys = UInt16Array::from(vec![0; rows]);
            let dictionary = DictionaryArray::<UInt16Type>::try_new(keys, texts);
            Arc::new(dictionary.map_err(|error| Problem::Arrow(error.to_string()))?)
        }
        Cell::List(items) => {
            within(items.len(), rows)?;
            let items = column(items)?;
            let at: Vec<u64> = (0..rows).flat_map(|_| 0..items.len() as u64).collect();
            let length = items.len();
            let all = arrow::compute::take(&items, &UInt64Array::from(at), None);
            let all = all.map_err(|error| Problem::Arrow(error.to_string()))?;
            list(all, (0..rows).map(|_| length), None)?
        }
    })
}

fn within(length: usize, rows: usize) -> Result<(), Problem> {
    match length.saturating_mul(rows) {
        values if values > MOST_SHARED => Err(Problem::TooLarge(values)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::Array;

    use super::*;

    #[test]
    fn a_shared_list_is_that_of_each_row() {
        let cell = Cell::List(vec![Cell::Int(3), Cell::Null, Cell::Int(5)]);
        let shared = repeated(&cell, 4, true).ok().unwrap();
        assert_eq!(&shared.to_data(), &column(&vec![cell.clone(); 4]).unwrap().to_data());
        assert!(matches!(repeated(&cell, MOST_SHARED / 3 + 1, true), Err(Problem::TooLarge(_))));
        assert!(matches!(repeated(&Cell::Text("a|b".into()), MOST_SHARED, true), Err(Problem::TooLarge(_))));
        assert!(repeated(&Cell::Text("a|b".into()), MOST_SHARED, false).is_ok());
    }
}
