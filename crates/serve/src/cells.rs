//! Cells into Arrow columns, typed as `pleiad_rank` types rows by name; what candidates share stands once where it can.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, LargeListArray, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, UInt16Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Schema, UInt16Type};

use crate::columns::Columns;
use crate::refusal::{Place, Refusal};
use crate::request::RankRequest;
use crate::value::Cell;

/// Most values, or bytes of texts that are lists, that a list of `request` may become when each candidate gets its own.
const MOST_SHARED: usize = 1 << 22;

/// Whole numbers up to here are floats without a loss.
const EXACT: i64 = 1 << 53;

/// The columns of a request's candidates. A column that neither `request` nor a candidate has is left out.
pub(crate) fn batch(request: RankRequest<'_>, columns: &Columns) -> Result<RecordBatch, Refusal> {
    let rows = request.candidates;
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    let cells = request.request.into_iter().zip(request.columns);
    for (((shared, own), name), is_list) in cells.zip(&columns.names).zip(&columns.lists) {
        let array = match (shared, own) {
            (_, Some(mut cells)) => {
                cells.resize(rows, Cell::Null);
                column(&cells)
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

fn kind(cell: &Cell<'_>) -> Option<Kind> {
    match cell {
        Cell::Null => None,
        Cell::Bool(_) => Some(Kind::Bool),
        Cell::Int(_) => Some(Kind::Signed),
        Cell::UInt(_) => Some(Kind::Unsigned),
        Cell::Float(_) => Some(Kind::Float),
        Cell::Text(_) => Some(Kind::Text),
        Cell::List(_) => Some(Kind::List),
    }
}

fn column(cells: &[Cell<'_>]) -> Result<ArrayRef, Problem> {
    let mut kinds = cells.iter().filter_map(kind);
    let Some(first) = kinds.next() else { return Ok(Arc::new(NullArray::new(cells.len()))) };
    let (mut all, mut numbers) = (true, matches!(first, Kind::Signed | Kind::Float));
    for kind in kinds {
        all &= kind == first;
        numbers &= matches!(kind, Kind::Signed | Kind::Float);
    }
    Ok(match (all, first) {
        (true, Kind::Bool) => {
            let of = |cell: &Cell<'_>| if let Cell::Bool(value) = cell { Some(*value) } else { None };
            Arc::new(cells.iter().map(of).collect::<BooleanArray>())
        }
        (true, Kind::Signed) => {
            let of = |cell: &Cell<'_>| if let Cell::Int(value) = cell { Some(*value) } else { None };
            Arc::new(cells.iter().map(of).collect::<Int64Array>())
        }
        (true, Kind::Unsigned) => {
            let of = |cell: &Cell<'_>| if let Cell::UInt(value) = cell { Some(*value) } else { None };
            Arc::new(cells.iter().map(of).collect::<UInt64Array>())
        }
        (true, Kind::Float) => Arc::new(cells.iter().map(float).collect::<Float64Array>()),
        (true, Kind::Text) => Arc::new(cells.iter().map(own_text).collect::<StringArray>()),
        (true, Kind::List) => lists(cells)?,
        _ if cells.iter().any(|cell| matches!(cell, Cell::List(_))) => return Err(Problem::Mixed),
        // A number that is whole in some rows alone: its text is that of the whole number either way.
        _ if numbers && cells.iter().all(is_exact) => Arc::new(cells.iter().map(float).collect::<Float64Array>()),
        // As in a text file, where each cell is the text that it is written as.
        _ => Arc::new(cells.iter().map(text).collect::<StringArray>()),
    })
}

fn is_exact(cell: &Cell<'_>) -> bool {
    !matches!(cell, Cell::Int(value) if !(-EXACT..=EXACT).contains(value))
}

fn float(cell: &Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Float(value) => Some(*value),
        Cell::Int(value) => Some(*value as f64),
        _ => None,
    }
}

fn own_text<'a>(cell: &'a Cell<'_>) -> Option<&'a str> {
    if let Cell::Text(text) = cell { Some(text) } else { None }
}

/// The text that a cell is written as.
fn text<'a>(cell: &'a Cell<'_>) -> Option<Cow<'a, str>> {
    match cell {
        Cell::Null | Cell::List(_) => None,
        Cell::Text(text) => Some(Cow::Borrowed(text)),
        Cell::Bool(value) => Some(Cow::Owned(value.to_string())),
        Cell::Int(value) => Some(Cow::Owned(value.to_string())),
        Cell::UInt(value) => Some(Cow::Owned(value.to_string())),
        Cell::Float(value) => serde_json::Number::from_f64(*value).map(|number| Cow::Owned(number.to_string())),
    }
}

fn lists(cells: &[Cell<'_>]) -> Result<ArrayRef, Problem> {
    let items_of = |cell: &Cell<'_>| if let Cell::List(items) = cell { items.len() } else { 0 };
    let (mut items, mut present) = (Vec::new(), Vec::with_capacity(cells.len()));
    for cell in cells {
        if let Cell::List(own) = cell {
            items.extend_from_slice(own);
        }
        present.push(matches!(cell, Cell::List(_)));
    }
    list(column(&items)?, cells.iter().map(items_of), Some(present.into()))
}

fn list(
    items: ArrayRef,
    lengths: impl IntoIterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, Problem> {
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    let lists = LargeListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, nulls);
    lists.map(|lists| Arc::new(lists) as ArrayRef).map_err(|error| Problem::Arrow(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Float64Type};

    use super::*;

    fn of(cells: &[Cell<'_>]) -> ArrayRef {
        column(cells).ok().unwrap()
    }

    fn text(text: &str) -> Cell<'_> {
        Cell::Text(text.into())
    }

    #[test]
    fn a_column_has_the_type_of_its_values() {
        let large = Cell::Int(i64::MAX);
        for (cells, expected) in [
            (vec![Cell::Null, Cell::Null], DataType::Null),
            (vec![Cell::Bool(true), Cell::Null], DataType::Boolean),
            (vec![Cell::Int(-1), Cell::Int(2)], DataType::Int64),
            (vec![Cell::UInt(u64::MAX)], DataType::UInt64),
            (vec![Cell::Float(0.5), Cell::Int(2)], DataType::Float64),
            (vec![Cell::Float(0.5), large], DataType::Utf8),
            (vec![Cell::Int(1), Cell::UInt(u64::MAX)], DataType::Utf8),
            (vec![text("a"), Cell::Null], DataType::Utf8),
            (vec![text("a"), Cell::Bool(true)], DataType::Utf8),
        ] {
            let array = of(&cells);
            assert_eq!((array.data_type(), array.len()), (&expected, cells.len()), "{cells:?}");
        }
        let numbers = of(&[Cell::Float(0.5), Cell::Null, Cell::Int(2)]);
        let numbers: Vec<Option<f64>> = numbers.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(numbers, [Some(0.5), None, Some(2.0)]);
        let texts = of(&[text("a"), Cell::Int(3), Cell::Float(2.5)]);
        assert_eq!(texts.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "3", "2.5"]);
        assert!(matches!(column(&[Cell::List(vec![]), Cell::Int(1)]), Err(Problem::Mixed)));
    }

    #[test]
    fn a_shared_list_is_that_of_each_row() {
        let cell = Cell::List(vec![Cell::Int(3), Cell::Null, Cell::Int(5)]);
        let shared = repeated(&cell, 4, true).ok().unwrap();
        assert_eq!(&shared.to_data(), &of(&vec![cell.clone(); 4]).to_data());
        assert!(matches!(repeated(&cell, MOST_SHARED / 3 + 1, true), Err(Problem::TooLarge(_))));
        assert!(matches!(repeated(&text("a|b"), MOST_SHARED, true), Err(Problem::TooLarge(_))));
        assert!(repeated(&text("a|b"), MOST_SHARED, false).is_ok());
    }
}
