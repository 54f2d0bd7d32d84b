//! [`Column`]: the values of one column of a chunk, reduced to a few types.

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int64Array,
    LargeListArray, ListArray, OffsetSizeTrait, StringArray, StringBuilder, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Decimal256Type, Float16Type, TimeUnit, i256};

use super::casts::{downcast, filtered, to};
use super::cell::Cell;
use super::repeated::Repeated;
use super::times::Times;
use crate::value::{Decimal, TimeKind, widen, widen_half};

/// Values of one column. A file's many types become these few, without a loss: signed integers i64, unsigned ones u64,
/// floats, decimals, dates and times as they are, texts (also dictionaries and UTF-8 in binary columns) UTF-8.
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
    /// Floats of 32 bits, which stand for the numbers that they are written as.
    Single(Float32Array),
    /// Decimal fractions, all of one scale.
    Decimal(Decimal128Array),
    /// Dates and times.
    Time(Times),
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

    /// `[rows + 1]` offsets, and which rows have a list.
    pub(super) fn parts(&self) -> (&[usize], Option<&NullBuffer>) {
        (&self.offsets, self.nulls.as_ref())
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
            DataType::Float32 => Ok(Self::Single(downcast(array)?)),
            DataType::Float16 => {
                let halves = array.as_primitive_opt::<Float16Type>().ok_or("16-bit floats")?;
                Ok(Self::Float(halves.unary(widen_half)))
            }
            DataType::Decimal128(_, scale) if *scale >= 0 => Ok(Self::Decimal(downcast(array)?)),
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) if *scale >= 0 => {
                Ok(Self::Decimal(downcast(&to(array, &DataType::Decimal128(WIDEST, *scale))?)?))
            }
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
                Ok(Self::Decimal(downcast(&to(array, &DataType::Decimal128(WIDEST, 0))?)?))
            }
            DataType::Decimal256(_, scale) => Self::from_wide_decimals(array, *scale),
            DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView => Ok(Self::Text(downcast(&to(array, &DataType::Utf8)?)?)),
            DataType::Date32 => Ok(Self::Time(Times::of(array, None, TimeKind::Local)?)),
            DataType::Date64 => Ok(Self::Time(Times::of(array, Some(TimeUnit::Millisecond), TimeKind::Local)?)),
            DataType::Time32(unit) | DataType::Time64(unit) => {
                Ok(Self::Time(Times::of(array, Some(*unit), TimeKind::OfDay)?))
            }
            DataType::Timestamp(unit, None) => Ok(Self::Time(Times::of(array, Some(*unit), TimeKind::Local)?)),
            // Values are instants; a zone says no more than how they are shown.
            DataType::Timestamp(unit, Some(_)) => Ok(Self::Time(Times::of(array, Some(*unit), TimeKind::Utc)?)),
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
            DataType::RunEndEncoded(_, values) => Self::from_arrow(&to(array, values.data_type())?),
            other => Err(format!("values of type {other}")),
        }
    }

    /// Decimals of up to 76 digits: where one has more than 38 of them, as the texts that they would be in CSV.
    fn from_wide_decimals(array: &ArrayRef, scale: i8) -> Result<Self, String> {
        if let Ok(narrow) = to(array, &DataType::Decimal128(WIDEST, scale.max(0))) {
            return Ok(Self::Decimal(downcast(&narrow)?));
        }
        let wide = array.as_primitive_opt::<Decimal256Type>().ok_or("256-bit decimals")?;
        // With a negative scale a zero would be written as several.
        let text = |row| match wide.is_valid(row) {
            true if wide.value(row) == i256::ZERO => Some("0".to_owned()),
            valid => valid.then(|| wide.value_as_string(row)),
        };
        Ok(Self::Text((0..wide.len()).map(text).collect()))
    }

    /// Makes the texts `null` missing values, which they are in every format, also within lists.
    #[must_use]
    pub(crate) fn without(self, null: &[String]) -> Self {
        let is_null = |text: &str| null.iter().any(|null| null == text);
        match self {
            Self::Text(texts) if texts.iter().flatten().any(is_null) => {
                let mask = texts.iter().map(|text| Some(text.is_some_and(is_null))).collect();
                let kept = nullif(&texts, &mask).ok();
                Self::Text(kept.and_then(|kept| kept.as_string_opt().cloned()).unwrap_or(texts))
            }
            Self::Repeated(repeated) => Self::Repeated(repeated.without(is_null)),
            Self::List(List { offsets, nulls, values }) => {
                Self::List(List { offsets, nulls, values: Box::new(values.without(null)) })
            }
            other => other,
        }
    }

    /// Makes lists of texts that have `separator` between their values, without the values `null`.
    #[must_use]
    pub fn split(&self, separator: &str, null: &[String]) -> Self {
        let (mut offsets, mut values) = (vec![0], StringBuilder::new());
        for row in 0..self.len() {
            if let Cell::Text(text) = self.cell(row) {
                let parts = text.split(separator).filter(|part| !null.iter().any(|null| null == part));
                parts.for_each(|part| values.append_value(part));
            }
            offsets.push(values.len());
        }
        Self::List(List { offsets, nulls: None, values: Box::new(Self::Text(values.finish())) })
    }

    /// The same times, of no zone, as instants; also within lists.
    pub(super) fn into_instants(self) -> Self {
        match self {
            Self::Time(times) => Self::Time(times.into_instants()),
            Self::List(List { offsets, nulls, values }) => {
                Self::List(List { offsets, nulls, values: Box::new(values.into_instants()) })
            }
            other => other,
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
            Self::Single(array) => array.len(),
            Self::Decimal(array) => array.len(),
            Self::Time(times) => times.len(),
            Self::Bool(array) => array.len(),
            Self::List(list) => list.offsets.len() - 1,
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value of row `i`. A float that is NaN is a missing value.
    #[must_use]
    pub fn cell(&self, i: usize) -> Cell<'_> {
        match self {
            Self::Missing(_) => Cell::Missing,
            Self::Text(array) if array.is_valid(i) => Cell::Text(array.value(i)),
            Self::Repeated(repeated) => repeated.text(i).map_or(Cell::Missing, Cell::Text),
            Self::Int(array) if array.is_valid(i) => Cell::Int(array.value(i)),
            Self::UInt(array) if array.is_valid(i) => Cell::UInt(array.value(i)),
            Self::Float(array) if array.is_valid(i) && !array.value(i).is_nan() => Cell::Float(array.value(i)),
            Self::Single(array) if array.is_valid(i) && !array.value(i).is_nan() => Cell::Float(widen(array.value(i))),
            Self::Decimal(array) if array.is_valid(i) => {
                Decimal::new(array.value(i), array.scale()).map_or(Cell::Missing, Cell::Decimal)
            }
            Self::Time(times) => times.time(i).map_or(Cell::Missing, Cell::Time),
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
            Self::Float(_) | Self::Single(_) => "floats",
            Self::Decimal(_) => "decimals",
            Self::Time(_) => "times",
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
            Self::Single(array) => Self::Single(filtered(array, &mask)),
            Self::Decimal(array) => Self::Decimal(filtered(array, &mask)),
            Self::Time(times) => Self::Time(times.filter(&mask)),
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

/// Most digits of a 128-bit decimal.
const WIDEST: u8 = 38;
