//! [`Column`]: the values of one column of a chunk, reduced to the few types that matter; [`Cell`]: one of them.

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeListArray, ListArray, OffsetSizeTrait, StringArray,
    UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, filter};
use arrow::datatypes::DataType;

use super::repeated::Repeated;

/// Values of one column. A file's many types become these few, without a loss: signed integers i64, unsigned ones u64,
/// floats and decimals f64, texts (also dictionaries and UTF-8 in binary columns) UTF-8; dates and times become their
/// ISO 8601 text, which is what CSV holds.
#[derive(Debug, Clone)]
pub enum Column {
    /// Only missing values, this many.
    Missing(usize),
    /// Texts.
    Text(StringArray),
    /// Texts of which many are equal. They mean what [`Column::Text`] would.
    Repeated(Repeated),
    /// Signed integers.
    Int(Int64Array),
    /// Unsigned integers.
    UInt(UInt64Array),
    /// Floats.
    Float(Float64Array),
    /// true and false.
    Bool(BooleanArray),
    /// Any number of values per row.
    List(List),
}

/// Any number of values per row.
#[derive(Debug, Clone)]
pub struct List {
    /// `[rows + 1]`; the values of row `i` are `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
    nulls: Option<NullBuffer>,
    /// All rows' values.
    values: Box<Column>,
}

impl List {
    /// All rows' values, one after the other.
    #[must_use]
    pub fn values(&self) -> &Column {
        &self.values
    }

    /// Where row `i`'s values stand; empty for a missing list.
    #[must_use]
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(i)) {
            return 0..0;
        }
        self.offsets[i]..self.offsets[i + 1]
    }
}

/// One value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Missing,
    /// A text.
    Text(&'a str),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A float.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// A list, which is no single value.
    List,
}

/// Whole numbers up to here are exact in f64, each unlike its neighbours.
pub(crate) const EXACT_IN_F64: f64 = 9_007_199_254_740_992.0;

impl Cell<'_> {
    /// Calls `f` with the value's canonical text: a whole number's decimal digits (of whatever type it is), `true` or
    /// `false`, the text itself; with `None` if the value is missing, or a float that is no category.
    pub fn with_text<T>(&self, f: impl FnOnce(Option<&str>) -> T) -> T {
        let mut digits = Digits::default();
        match *self {
            Cell::Missing | Cell::List => f(None),
            Cell::Text(text) => f(Some(text)),
            Cell::Int(value) => f(Some(digits.signed(value))),
            Cell::UInt(value) => f(Some(digits.unsigned(value))),
            Cell::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT_IN_F64 => {
                f(Some(digits.signed(value as i64)))
            }
            Cell::Float(_) => f(None),
            Cell::Bool(value) => f(Some(if value { "true" } else { "false" })),
        }
    }

    /// The value as a number: true and false are 1 and 0, also where they are written out. `None` if it is none; the
    /// number may be NaN or infinite.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match *self {
            Cell::Missing | Cell::List => None,
            Cell::Text(text) => text.parse().ok().or_else(|| text_truth(text).map(|truth| f64::from(u8::from(truth)))),
            Cell::Int(value) => Some(value as f64),
            Cell::UInt(value) => Some(value as f64),
            Cell::Float(value) => Some(value),
            Cell::Bool(value) => Some(f64::from(u8::from(value))),
        }
    }

    /// The value as true or false, which 1 and 0 are as well.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        match *self {
            Cell::Bool(value) => Some(value),
            Cell::Text("1") => Some(true),
            Cell::Text("0") => Some(false),
            Cell::Missing | Cell::List => None,
            cell => match cell.number()? {
                0.0 => Some(false),
                1.0 => Some(true),
                _ => None,
            },
        }
    }
}

impl std::fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Missing => Ok(()),
            Cell::Text(text) => f.write_str(text),
            Cell::Int(value) => write!(f, "{value}"),
            Cell::UInt(value) => write!(f, "{value}"),
            Cell::Float(value) => write!(f, "{value}"),
            Cell::Bool(value) => write!(f, "{value}"),
            Cell::List => f.write_str("[..]"),
        }
    }
}

fn text_truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Decimal digits of an integer, without an allocation.
#[derive(Default)]
pub(crate) struct Digits([u8; 20]);

impl Digits {
    pub(crate) fn unsigned(&mut self, value: u64) -> &str {
        let start = self.fill(value);
        self.text(start)
    }

    pub(crate) fn signed(&mut self, value: i64) -> &str {
        let mut start = self.fill(value.unsigned_abs());
        if value < 0 {
            start -= 1;
            self.0[start] = b'-';
        }
        self.text(start)
    }

    fn fill(&mut self, mut value: u64) -> usize {
        let mut start = self.0.len();
        loop {
            start -= 1;
            self.0[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return start;
            }
        }
    }

    fn text(&self, start: usize) -> &str {
        std::str::from_utf8(&self.0[start..]).unwrap_or_default()
    }
}

impl Column {
    /// Reduces an Arrow array.
    ///
    /// # Errors
    /// A sentence without subject, where the type is none of those that can be read, or a value of it cannot be.
    pub fn from_arrow(array: &ArrayRef) -> Result<Self, String> {
        match array.data_type() {
            DataType::Null => Ok(Self::Missing(array.len())),
            DataType::Utf8 => Ok(Self::Text(downcast(array)?)),
            DataType::Boolean => Ok(Self::Bool(downcast(array)?)),
            DataType::Int64 => Ok(Self::Int(downcast(array)?)),
            DataType::UInt64 => Ok(Self::UInt(downcast(array)?)),
            DataType::Float64 => Ok(Self::Float(downcast(array)?)),
            DataType::Int8 | DataType::Int16 | DataType::Int32 => {
                Ok(Self::Int(downcast(&to(array, &DataType::Int64)?)?))
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
                Ok(Self::UInt(downcast(&to(array, &DataType::UInt64)?)?))
            }
            DataType::Float16
            | DataType::Float32
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => Ok(Self::Float(downcast(&to(array, &DataType::Float64)?)?)),
            DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..) => Ok(Self::Text(downcast(&to(array, &DataType::Utf8)?)?)),
            DataType::Dictionary(_, values) => match Repeated::from_dictionary(array) {
                Some(repeated) => Ok(Self::Repeated(repeated)),
                None => Self::from_arrow(&to(array, values)?),
            },
            DataType::List(_) => {
                let list: ListArray = downcast(array)?;
                Self::list(list.value_offsets(), list.nulls(), list.values())
            }
            DataType::LargeList(_) => {
                let list: LargeListArray = downcast(array)?;
                Self::list(list.value_offsets(), list.nulls(), list.values())
            }
            DataType::FixedSizeList(field, _) | DataType::ListView(field) | DataType::LargeListView(field) => {
                Self::from_arrow(&to(array, &DataType::LargeList(field.clone()))?)
            }
            other => Err(format!("values of type {other}")),
        }
    }

    fn list<O: OffsetSizeTrait>(offsets: &[O], nulls: Option<&NullBuffer>, all: &ArrayRef) -> Result<Self, String> {
        let offsets: Vec<usize> = offsets.iter().map(|offset| offset.as_usize()).collect();
        // A slice of a long list array still carries all of its values: take its own alone.
        let (start, end) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
        let values = Self::from_arrow(&all.slice(start, end - start))?;
        let offsets = offsets.into_iter().map(|offset| offset - start).collect();
        if matches!(values, Self::List(_)) {
            return Err("lists of lists".to_owned());
        }
        Ok(Self::List(List { offsets, nulls: nulls.cloned(), values: Box::new(values) }))
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Missing(rows) => *rows,
            Self::Text(array) => array.len(),
            Self::Repeated(repeated) => repeated.len(),
            Self::Int(array) => array.len(),
            Self::UInt(array) => array.len(),
            Self::Float(array) => array.len(),
            Self::Bool(array) => array.len(),
            Self::List(list) => list.offsets.len() - 1,
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value of row `i`.
    #[must_use]
    pub fn cell(&self, i: usize) -> Cell<'_> {
        match self {
            Self::Missing(_) => Cell::Missing,
            Self::Text(array) if array.is_valid(i) => Cell::Text(array.value(i)),
            Self::Repeated(repeated) => repeated.text(i).map_or(Cell::Missing, Cell::Text),
            Self::Int(array) if array.is_valid(i) => Cell::Int(array.value(i)),
            Self::UInt(array) if array.is_valid(i) => Cell::UInt(array.value(i)),
            Self::Float(array) if array.is_valid(i) => Cell::Float(array.value(i)),
            Self::Bool(array) if array.is_valid(i) => Cell::Bool(array.value(i)),
            Self::List(list) if list.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i)) => Cell::List,
            _ => Cell::Missing,
        }
    }

    /// What the values are, for messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing values",
            Self::Text(_) | Self::Repeated(_) => "texts",
            Self::Int(_) | Self::UInt(_) => "whole numbers",
            Self::Float(_) => "floats",
            Self::Bool(_) => "true/false",
            Self::List(_) => "lists",
        }
    }

    /// The rows that `keep` marks.
    #[must_use]
    pub fn filter(&self, keep: &[bool]) -> Self {
        let mask = BooleanArray::from(keep.to_vec());
        match self {
            Self::Missing(_) => Self::Missing(keep.iter().filter(|&&k| k).count()),
            Self::Text(array) => Self::Text(filtered(array, &mask)),
            Self::Repeated(repeated) => Self::Repeated(repeated.filter(keep)),
            Self::Int(array) => Self::Int(filtered(array, &mask)),
            Self::UInt(array) => Self::UInt(filtered(array, &mask)),
            Self::Float(array) => Self::Float(filtered(array, &mask)),
            Self::Bool(array) => Self::Bool(filtered(array, &mask)),
            Self::List(list) => Self::List(list.filter(keep)),
        }
    }
}

impl List {
    fn filter(&self, keep: &[bool]) -> Self {
        let mut offsets = vec![0];
        let mut wanted = vec![false; self.values.len()];
        for (i, _) in keep.iter().enumerate().filter(|(_, keep)| **keep) {
            let range = self.range(i);
            offsets.push(offsets.last().copied().unwrap_or_default() + range.len());
            wanted[range].fill(true);
        }
        let nulls = self.nulls.as_ref().map(|nulls| {
            keep.iter()
                .enumerate()
                .filter(|(_, keep)| **keep)
                .map(|(i, _)| nulls.is_valid(i))
                .collect::<Vec<_>>()
                .into()
        });
        Self { offsets, nulls, values: Box::new(self.values.filter(&wanted)) }
    }
}

/// `filter` of arrays fails only where lengths differ, and then nothing can be kept.
fn filtered<A: Array + Clone + 'static + From<arrow::array::ArrayData>>(array: &A, mask: &BooleanArray) -> A {
    let empty = || A::from(arrow::array::ArrayData::new_empty(array.data_type()));
    filter(array, mask).ok().and_then(|kept| kept.as_any().downcast_ref::<A>().cloned()).unwrap_or_else(empty)
}

fn downcast<A: Array + Clone + 'static>(array: &ArrayRef) -> Result<A, String> {
    array.as_any().downcast_ref::<A>().cloned().ok_or_else(|| format!("values of type {}", array.data_type()))
}

fn to(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &strict).map_err(|error| format!("a value of type {} ({error})", array.data_type()))
}
