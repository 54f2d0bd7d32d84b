//! [`Cell`]: a value of a row by name, wherever it came from; [`column()`]: a column's cells as an Arrow array.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeListArray, NullArray, StringArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Field;
use serde::{Serialize, Serializer};

/// Whole numbers up to here are floats without a loss.
const EXACT: i64 = 1 << 53;

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'de> {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above [`i64::MAX`].
    UInt(u64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Cow<'de, str>),
    /// Several values, none of which is a list.
    List(Vec<Cell<'de>>),
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::UInt(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
        }
    }
}

/// What is wrong with a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnProblem {
    /// Lists beside single values.
    #[error("holds lists in some rows and single values in others; give one of both")]
    Mixed,
    /// Arrow refused.
    #[error("{0}")]
    Arrow(String),
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

/// The array of a column's cells, with the narrowest type that holds them: nothing but null, booleans, whole numbers, floats,
/// texts, or lists of these. Whole numbers beside floats are floats where nothing is lost; else cells of several kinds are the texts
/// that they are written as, as in a text file.
///
/// # Errors
/// [`ColumnProblem::Mixed`] for lists beside single values.
pub fn column(cells: &[Cell<'_>]) -> Result<ArrayRef, ColumnProblem> {
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
        _ if cells.iter().any(|cell| matches!(cell, Cell::List(_))) => return Err(ColumnProblem::Mixed),
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

fn lists(cells: &[Cell<'_>]) -> Result<ArrayRef, ColumnProblem> {
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

/// Lists of so many of `items` each.
///
/// # Errors
/// [`ColumnProblem::Arrow`] if there are fewer items.
pub fn list(
    items: ArrayRef,
    lengths: impl IntoIterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ColumnProblem> {
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    let lists = LargeListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, nulls);
    lists.map(|lists| Arc::new(lists) as ArrayRef).map_err(|error| ColumnProblem::Arrow(error.to_string()))
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
        assert!(matches!(column(&[Cell::List(vec![]), Cell::Int(1)]), Err(ColumnProblem::Mixed)));
    }
}
