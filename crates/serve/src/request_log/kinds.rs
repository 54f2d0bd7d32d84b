//! [`Kind`]: the type of a column in the log. It is the one that the column has in the training log, as far as the rows that the model
//! keeps say, and a wider one from the first value on that it cannot hold: whole numbers, numbers, texts. A category is the same in each
//! of these, and so is a number.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeListArray, StringArray, UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use pleiad_data::read::{Cell, Column};
use pleiad_data::schema::{FeatureKind, Schema};

/// Whole numbers up to here are floats without a loss.
const EXACT: f64 = (1u64 << 53) as f64;

/// The type of a column in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    UInt,
    Float,
    Text,
    /// Lists, whose values are of this type; the separator of a text that is a list, too.
    List(Box<Kind>, Option<String>),
}

/// A value that a column of this type cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooNarrow;

impl Kind {
    /// Of each column of a model: its name and type. `sample` are rows as they were read.
    pub(super) fn of_columns(names: &[String], schema: &Schema, sample: &[(String, DataType)]) -> Vec<Self> {
        let of = |name: &String| {
            let features: Vec<&FeatureKind> = schema
                .features
                .iter()
                .filter(|feature| feature.column() == name)
                .map(|feature| &feature.read)
                .collect();
            let sampled = sample.iter().find(|(own, _)| own == name).and_then(|(_, of)| Self::of_type(of));
            let multiple = |kind: &&FeatureKind| match kind {
                FeatureKind::Categorical { multiple: Some(multiple), .. } => Some(multiple.separator.clone()),
                _ => None,
            };
            // A column that another feature reads as one value is no list in any row.
            if let Some(separators) = features.iter().map(multiple).collect::<Option<Vec<_>>>() {
                let item = match sampled {
                    Some(Self::List(item, _)) => *item,
                    _ => Self::Text,
                };
                return Self::List(Box::new(item), separators.into_iter().next());
            }
            let is_category = features.iter().any(|kind| matches!(kind, FeatureKind::Categorical { .. }));
            match sampled {
                Some(Self::List(..)) | None if is_category => Self::Text,
                Some(Self::List(..)) | None => Self::Float,
                Some(kind) => kind,
            }
        };
        names.iter().map(of).collect()
    }

    /// That of a type in which rows were read; `None` where no value was there.
    fn of_type(of: &DataType) -> Option<Self> {
        Some(match of {
            DataType::Null => return None,
            DataType::Boolean => Self::Bool,
            DataType::Int64 => Self::Int,
            DataType::UInt64 => Self::UInt,
            DataType::Float64 | DataType::Decimal128(..) => Self::Float,
            DataType::LargeList(item) => {
                Self::List(Box::new(Self::of_type(item.data_type()).unwrap_or(Self::Text)), None)
            }
            // Times, too: a category is the text that it is written as.
            _ => Self::Text,
        })
    }

    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::UInt => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::List(item, _) => DataType::LargeList(Arc::new(Field::new("item", item.data_type(), true))),
        }
    }

    /// The next type that holds more; text holds everything.
    pub(super) fn wider(&self) -> Self {
        match self {
            Self::Int => Self::Float,
            Self::Bool | Self::UInt | Self::Float | Self::Text => Self::Text,
            Self::List(item, separator) => Self::List(Box::new(item.wider()), separator.clone()),
        }
    }

    /// A column of a request in this type, its values as they are.
    pub(super) fn array(&self, array: &ArrayRef) -> Result<ArrayRef, TooNarrow> {
        let to = self.data_type();
        match array.data_type() {
            own if *own == to => return Ok(Arc::clone(array)),
            DataType::Null => return Ok(new_null_array(&to, array.len())),
            DataType::Dictionary(_, values) if *self == Self::Text && **values == DataType::Utf8 => {
                return cast(array, &to).map_err(|_| TooNarrow);
            }
            _ => {}
        }
        let column = Column::from_arrow(array).map_err(|_| TooNarrow)?;
        self.of_column(&column)
    }

    fn of_column(&self, column: &Column) -> Result<ArrayRef, TooNarrow> {
        let cells = || (0..column.len()).map(|row| column.cell(row));
        Ok(match self {
            Self::Bool => {
                let of = |cell: Cell<'_>| match cell {
                    Cell::Missing => Ok(None),
                    Cell::Bool(value) => Ok(Some(value)),
                    _ => Err(TooNarrow),
                };
                Arc::new(cells().map(of).collect::<Result<BooleanArray, _>>()?)
            }
            Self::Int => {
                let of = |cell: Cell<'_>| match cell {
                    Cell::Missing => Ok(None),
                    Cell::Int(value) => Ok(Some(value)),
                    Cell::UInt(value) => i64::try_from(value).map(Some).map_err(|_| TooNarrow),
                    Cell::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => Ok(Some(value as i64)),
                    _ => Err(TooNarrow),
                };
                Arc::new(cells().map(of).collect::<Result<Int64Array, _>>()?)
            }
            Self::UInt => {
                let of = |cell: Cell<'_>| match cell {
                    Cell::Missing => Ok(None),
                    Cell::UInt(value) => Ok(Some(value)),
                    Cell::Int(value) => u64::try_from(value).map(Some).map_err(|_| TooNarrow),
                    Cell::Float(value) if value.fract() == 0.0 && (0.0..=EXACT).contains(&value) => {
                        Ok(Some(value as u64))
                    }
                    _ => Err(TooNarrow),
                };
                Arc::new(cells().map(of).collect::<Result<UInt64Array, _>>()?)
            }
            Self::Float => {
                let of = |cell: Cell<'_>| match cell {
                    Cell::Missing => Ok(None),
                    Cell::Float(value) => Ok(Some(value)),
                    Cell::Int(value) if value.unsigned_abs() <= EXACT as u64 => Ok(Some(value as f64)),
                    Cell::UInt(value) if value <= EXACT as u64 => Ok(Some(value as f64)),
                    _ => Err(TooNarrow),
                };
                Arc::new(cells().map(of).collect::<Result<Float64Array, _>>()?)
            }
            Self::Text => Arc::new(cells().map(text).collect::<Result<StringArray, _>>()?),
            Self::List(item, separator) => {
                let split;
                let list = match (column, separator) {
                    (Column::List(list), _) => list,
                    (Column::Missing(rows), _) => return Ok(new_null_array(&self.data_type(), *rows)),
                    (Column::Text(_) | Column::Repeated(_), Some(separator)) => {
                        split = column.clone().split(separator, &[]);
                        match &split {
                            Column::List(list) => list,
                            _ => return Err(TooNarrow),
                        }
                    }
                    _ => return self.of_single(column, item),
                };
                // Values of missing lists may stand between those of others.
                let lengths: Vec<usize> = (0..column.len()).map(|row| list.range(row).len()).collect();
                let there: Vec<bool> = cells().map(|cell| cell != Cell::Missing).collect();
                let mut values = item.of_column(list.values())?;
                if lengths.iter().sum::<usize>() != values.len() {
                    let at: UInt64Array =
                        (0..column.len()).flat_map(|row| list.range(row)).map(|at| Some(at as u64)).collect();
                    values = arrow::compute::take(&values, &at, None).map_err(|_| TooNarrow)?;
                }
                of_lists(values, lengths, there)?
            }
        })
    }

    /// Lists of one value each.
    fn of_single(&self, column: &Column, item: &Kind) -> Result<ArrayRef, TooNarrow> {
        let there: Vec<bool> = (0..column.len()).map(|row| column.cell(row) != Cell::Missing).collect();
        let at: UInt64Array = (0..column.len()).filter(|&row| there[row]).map(|row| Some(row as u64)).collect();
        let values = arrow::compute::take(&item.of_column(column)?, &at, None).map_err(|_| TooNarrow)?;
        of_lists(values, there.iter().map(|&there| usize::from(there)).collect(), there)
    }
}

fn of_lists(values: ArrayRef, lengths: Vec<usize>, there: Vec<bool>) -> Result<ArrayRef, TooNarrow> {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = LargeListArray::try_new(item, offsets, values, Some(NullBuffer::from(there)));
    list.map(|list| Arc::new(list) as ArrayRef).map_err(|_| TooNarrow)
}

/// The text that a value is written as.
fn text(cell: Cell<'_>) -> Result<Option<String>, TooNarrow> {
    match cell {
        Cell::Missing => Ok(None),
        Cell::Text(text) => Ok(Some(text.to_owned())),
        Cell::List => Err(TooNarrow),
        // What is no category, such as NaN, is a number at least.
        Cell::Float(value) => Ok(Some(cell.with_text(|text| text.map_or_else(|| value.to_string(), str::to_owned)))),
        cell => Ok(cell.with_text(|text| text.map(str::to_owned))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{AsArray, DictionaryArray, NullArray};
    use arrow::datatypes::{Float64Type, Int64Type, UInt16Type};
    use pleiad_rank::cells::{self, column};

    use super::*;

    fn of(cells: &[cells::Cell<'_>]) -> ArrayRef {
        column(cells).unwrap()
    }

    fn texts(array: &ArrayRef) -> Vec<Option<&str>> {
        array.as_string::<i32>().iter().collect()
    }

    #[test]
    fn a_value_that_does_not_fit_widens_its_column() {
        use cells::Cell::{Bool, Float, Int, Null, Text};
        let halves = of(&[Float(0.5), Null, Int(3)]);
        assert_eq!(Kind::Int.array(&halves), Err(TooNarrow));
        assert_eq!(Kind::Int.wider(), Kind::Float);
        let floats = Kind::Float.array(&halves).unwrap();
        assert_eq!(floats.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(0.5), None, Some(3.0)]);
        assert_eq!(texts(&Kind::Text.array(&halves).unwrap()), [Some("0.5"), None, Some("3")]);
        let whole = Kind::Int.array(&of(&[Float(2.0), Float(-7.0)])).unwrap();
        assert_eq!(whole.as_primitive::<Int64Type>().values(), &[2, -7]);
        assert_eq!(Kind::Bool.array(&of(&[Int(1)])), Err(TooNarrow));
        assert_eq!(texts(&Kind::Text.array(&of(&[Bool(true), Null])).unwrap()), [Some("true"), None]);
        assert_eq!(Kind::Float.array(&of(&[Int((1 << 53) + 1)])), Err(TooNarrow));
        assert_eq!(Kind::Float.array(&of(&[Text("7".into())])), Err(TooNarrow));
        assert_eq!(texts(&Kind::Text.array(&of(&[Text("007".into())])).unwrap()), [Some("007")]);
        let nothing: ArrayRef = Arc::new(NullArray::new(2));
        assert_eq!(Kind::UInt.array(&nothing).unwrap().null_count(), 2);
        let dictionary: DictionaryArray<UInt16Type> = vec![Some("a"), None].into_iter().collect();
        assert_eq!(texts(&Kind::Text.array(&(Arc::new(dictionary) as ArrayRef)).unwrap()), [Some("a"), None]);
    }

    #[test]
    fn lists_are_lists_however_they_come() {
        use cells::Cell::{Int, List, Null, Text};
        let kind = Kind::List(Box::new(Kind::Text), Some("|".to_owned()));
        let of_rows = |array: ArrayRef| {
            let array = kind.array(&array).unwrap();
            let list = array.as_list::<i64>();
            let row = |row: usize| {
                list.is_valid(row)
                    .then(|| texts(&list.value(row)).into_iter().flatten().map(str::to_owned).collect::<Vec<_>>())
            };
            (0..list.len()).map(row).collect::<Vec<_>>()
        };
        let expected = [Some(vec!["a".to_owned(), "b".to_owned()]), None, Some(vec!["c".to_owned()])];
        let lists = of(&[List(vec![Text("a".into()), Text("b".into())]), Null, List(vec![Text("c".into())])]);
        assert_eq!(of_rows(lists), expected);
        assert_eq!(of_rows(of(&[Text("a|b".into()), Null, Text("c".into())])), expected);
        assert_eq!(of_rows(of(&[Int(7), Null])), [Some(vec!["7".to_owned()]), None]);
        let numbers = Kind::List(Box::new(Kind::Int), None);
        assert_eq!(numbers.array(&of(&[List(vec![Text("x".into())])])), Err(TooNarrow));
        assert_eq!(numbers.wider().wider().array(&of(&[List(vec![Text("x".into())])])).unwrap().len(), 1);
    }
}
