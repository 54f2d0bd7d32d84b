//! [`RawRows`]: a few training rows as they were read, before encoding.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, LargeListArray, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::encode::Plan;
use crate::read::{Cell, Chunk, Column, Times};
use crate::value::TimeKind;

/// Rows that are kept raw, at most.
pub const RAW_ROWS: usize = 16;

/// No more rows are kept once their texts take so many bytes.
const RAW_BYTES: usize = 1 << 22;

/// Training rows with the column of every feature, typed as they were read. A saved model keeps them as JSON, so that
/// a program that opens it can check that its encoder still gives the same values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRows {
    rows: usize,
    columns: Vec<RawColumn>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: String,
    values: RawValues,
}

/// What a [`Column`] may hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RawValues {
    /// Only missing values, this many.
    Missing(usize),
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Uint(Vec<Option<u64>>),
    /// Also floats of 32 bits, as the numbers that they stand for.
    Float(Vec<Option<Real>>),
    /// All digits of each, since JSON has no number of so many; the last `scale` of them stand behind the point.
    Decimal {
        scale: i8,
        digits: Vec<Option<String>>,
    },
    /// Since 1970, or since midnight; in days, where no second has parts.
    Time {
        kind: TimeKind,
        per_second: Option<i64>,
        values: Vec<Option<i64>>,
    },
    Bool(Vec<Option<bool>>),
    /// How many values each row has, unless it has no list, and the values of all rows.
    List {
        lengths: Vec<Option<usize>>,
        values: Box<RawValues>,
    },
}

/// A float as its shortest text, since JSON has neither NaN nor infinities.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Real(f64);

impl PartialEq for Real {
    /// By bits: NaN is NaN, and 0 is not -0.
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl From<Real> for String {
    fn from(real: Real) -> Self {
        format!("{:?}", real.0)
    }
}

impl TryFrom<String> for Real {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl RawRows {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows as Arrow columns, from which readers make the very values that these were made of.
    ///
    /// # Errors
    /// What contradicts itself in rows that come from a file.
    pub fn to_records(&self) -> Result<RecordBatch, String> {
        let arrays = self.columns.iter().map(|column| column.values.to_arrow()).collect::<Result<Vec<_>, _>>()?;
        let field =
            |(column, array): (&RawColumn, &ArrayRef)| Field::new(&column.name, array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(self.columns.iter().zip(&arrays).map(field).collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|error| error.to_string())
    }
}

impl RawValues {
    /// Rows `index` of a column.
    fn of(column: &Column, index: &[usize]) -> Self {
        let cells = index.iter().map(|&row| column.cell(row));
        match column {
            Column::Missing(_) => Self::Missing(index.len()),
            Column::Text(_) | Column::Repeated(_) => Self::Text(
                cells.map(|cell| if let Cell::Text(text) = cell { Some(text.to_owned()) } else { None }).collect(),
            ),
            Column::Int(_) => {
                Self::Int(cells.map(|cell| if let Cell::Int(value) = cell { Some(value) } else { None }).collect())
            }
            Column::UInt(_) => {
                Self::Uint(cells.map(|cell| if let Cell::UInt(value) = cell { Some(value) } else { None }).collect())
            }
            Column::Float(_) | Column::Single(_) => Self::Float(
                cells.map(|cell| if let Cell::Float(value) = cell { Some(Real(value)) } else { None }).collect(),
            ),
            Column::Decimal(array) => Self::Decimal {
                scale: array.scale(),
                digits: index.iter().map(|&row| array.is_valid(row).then(|| array.value(row).to_string())).collect(),
            },
            Column::Time(times) => Self::Time {
                kind: times.kind(),
                per_second: times.per_second(),
                values: index.iter().map(|&row| times.value(row)).collect(),
            },
            Column::Bool(_) => {
                Self::Bool(cells.map(|cell| if let Cell::Bool(value) = cell { Some(value) } else { None }).collect())
            }
            Column::List(list) => {
                let length = |&row: &usize| (column.cell(row) == Cell::List).then(|| list.range(row).len());
                let of_lists: Vec<usize> = index.iter().flat_map(|&row| list.range(row)).collect();
                let values = Box::new(Self::of(list.values(), &of_lists));
                Self::List { lengths: index.iter().map(length).collect(), values }
            }
        }
    }

    /// Appends other values, unless they are of another type.
    fn append(&mut self, more: Self) -> bool {
        match (self, more) {
            (Self::Missing(rows), Self::Missing(more)) => *rows += more,
            (Self::Text(values), Self::Text(more)) => values.extend(more),
            (Self::Int(values), Self::Int(more)) => values.extend(more),
            (Self::Uint(values), Self::Uint(more)) => values.extend(more),
            (Self::Float(values), Self::Float(more)) => values.extend(more),
            (Self::Decimal { scale, digits }, Self::Decimal { scale: other, digits: more }) if *scale == other => {
                digits.extend(more);
            }
            (
                Self::Time { kind, per_second, values },
                Self::Time { kind: other_kind, per_second: other, values: more },
            ) if (*kind, *per_second) == (other_kind, other) => values.extend(more),
            (Self::Bool(values), Self::Bool(more)) => values.extend(more),
            (Self::List { lengths, values }, Self::List { lengths: more, values: others }) => {
                if !values.append(*others) {
                    return false;
                }
                lengths.extend(more);
            }
            _ => return false,
        }
        true
    }

    fn to_arrow(&self) -> Result<ArrayRef, String> {
        Ok(match self {
            Self::Missing(rows) => Arc::new(NullArray::new(*rows)),
            Self::Text(values) => Arc::new(StringArray::from_iter(values)),
            Self::Int(values) => Arc::new(Int64Array::from(values.clone())),
            Self::Uint(values) => Arc::new(UInt64Array::from(values.clone())),
            Self::Float(values) => {
                Arc::new(Float64Array::from_iter(values.iter().map(|value| value.map(|real| real.0))))
            }
            Self::Decimal { scale, digits } => {
                let value = |digits: &Option<String>| digits.as_ref().map(|digits| digits.parse::<i128>()).transpose();
                let values: Vec<_> = digits.iter().map(value).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
                let array = Decimal128Array::from(values).with_precision_and_scale(DECIMAL128_MAX_PRECISION, *scale);
                Arc::new(array.map_err(|e| e.to_string())?)
            }
            Self::Time { kind, per_second, values } => Times::to_arrow(*kind, *per_second, values)?,
            Self::Bool(values) => Arc::new(BooleanArray::from(values.clone())),
            Self::List { lengths, values } => {
                let values = values.to_arrow()?;
                let mut offsets = vec![0i64];
                let mut end = 0usize;
                for length in lengths {
                    end = end.checked_add(length.unwrap_or(0)).ok_or("lists are too long")?;
                    offsets.push(i64::try_from(end).map_err(|_| "lists are too long")?);
                }
                if end != values.len() {
                    return Err(format!("lists of {end} values have {}", values.len()));
                }
                let nulls: NullBuffer = lengths.iter().map(Option::is_some).collect::<Vec<bool>>().into();
                let item = Arc::new(Field::new("item", values.data_type().clone(), true));
                let offsets = OffsetBuffer::new(offsets.into());
                Arc::new(LargeListArray::try_new(item, offsets, values, Some(nulls)).map_err(|e| e.to_string())?)
            }
        })
    }

    /// About how many bytes its texts take.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(values) => values.iter().flatten().map(String::len).sum(),
            Self::List { lengths, values } => lengths.len() + values.bytes(),
            _ => 0,
        }
    }
}

/// Collects [`RawRows`] while the training files are read for the first time.
#[derive(Debug, Default)]
pub(crate) struct RawSample {
    rows: RawRows,
    /// Whether there will be no more.
    complete: bool,
}

impl RawSample {
    /// Whether more rows are wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.complete
    }

    /// Takes some of the rows `good` of a chunk, spread evenly over them. A chunk whose columns have other types than those
    /// before it gives none.
    pub(crate) fn add(&mut self, plan: &Plan, chunk: &Chunk, good: &[usize]) {
        let count = good.len().min(RAW_ROWS - self.rows.rows);
        // One row at a time: texts may be long.
        for row in (0..count).map(|i| good[i * good.len() / count]) {
            if self.complete {
                return;
            }
            let columns = plan.feature_columns().filter_map(|(at, name)| {
                let values = RawValues::of(chunk.columns.get(at)?.as_ref()?, &[row]);
                Some(RawColumn { name: name.to_owned(), values })
            });
            self.append(columns.collect());
        }
    }

    fn append(&mut self, columns: Vec<RawColumn>) {
        if self.rows.rows == 0 {
            self.rows.columns = columns;
        } else {
            let mut longer = self.rows.columns.clone();
            let same = longer.len() == columns.len()
                && longer.iter_mut().zip(columns).all(|(column, more)| column.values.append(more.values));
            if !same {
                return;
            }
            self.rows.columns = longer;
        }
        self.rows.rows += 1;
        let bytes: usize = self.rows.columns.iter().map(|column| column.values.bytes()).sum();
        self.complete = self.rows.rows == RAW_ROWS || bytes > RAW_BYTES;
    }

    /// All training rows have been seen.
    pub(crate) fn end(&mut self) {
        self.complete = true;
    }

    pub(crate) fn rows(&self) -> RawRows {
        self.rows.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{
        Date32Array, Float32Array, Time32SecondArray, Time64MicrosecondArray, TimestampNanosecondArray,
        TimestampSecondArray,
    };
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    fn columns() -> Vec<(&'static str, ArrayRef)> {
        let lists = [Some(vec![Some(1), None]), None, Some(vec![])];
        let prices = Decimal128Array::from(vec![Some(i128::MAX), None, Some(-150)]);
        vec![
            ("text", Arc::new(StringArray::from(vec![Some("ä|b"), None, Some("")]))),
            ("number", Arc::new(Float64Array::from(vec![f64::NAN, -0.0, f64::INFINITY]))),
            ("price", Arc::new(prices.with_precision_and_scale(38, 2).unwrap())),
            ("day", Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_454)]))),
            ("second", Arc::new(TimestampSecondArray::from(vec![Some(-1), None, Some(i64::MAX)]))),
            ("instant", Arc::new(TimestampNanosecondArray::from(vec![1, 2, i64::MIN]).with_timezone("UTC"))),
            ("clock", Arc::new(Time64MicrosecondArray::from(vec![1, 0, 45_000_000_000]))),
            ("id", Arc::new(Int64Array::from(vec![i64::MIN, 0, i64::MAX]))),
            ("large", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(1)]))),
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("none", Arc::new(NullArray::new(3))),
            ("list", Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
        ]
    }

    fn of(columns: &[(&str, ArrayRef)], index: &[usize]) -> RawRows {
        let values = |array| RawValues::of(&Column::from_arrow(array).unwrap(), index);
        let columns = columns.iter().map(|(name, array)| RawColumn { name: (*name).to_owned(), values: values(array) });
        RawRows { rows: index.len(), columns: columns.collect() }
    }

    #[test]
    fn every_type_comes_back_as_it_was_read() {
        let all = of(&columns(), &[0, 1, 2]);
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<RawRows>(&json).unwrap(), all);
        let records = all.to_records().unwrap();
        let again: Vec<(&str, ArrayRef)> =
            columns().iter().zip(records.columns()).map(|((name, _), array)| (*name, Arc::clone(array))).collect();
        assert_eq!(of(&again, &[0, 1, 2]), all);
        for ((name, wanted), found) in columns().iter().zip(records.columns()) {
            assert_eq!(found.data_type(), wanted.data_type(), "{name}");
        }
        assert_eq!(RawRows::default().to_records().unwrap().num_rows(), 0);
    }

    #[test]
    fn narrow_types_come_back_as_what_they_stand_for() {
        let narrow: [(&str, ArrayRef); 2] = [
            ("float", Arc::new(Float32Array::from(vec![0.1]))),
            ("clock", Arc::new(Time32SecondArray::from(vec![45_000]))),
        ];
        let records = of(&narrow, &[0]).to_records().unwrap();
        for (at, text) in [(0, "0.1"), (1, "12:30:00")] {
            let column = Column::from_arrow(records.column(at)).unwrap();
            column.cell(0).with_text(|found| assert_eq!(found, Some(text)));
        }
    }

    #[test]
    fn rows_are_appended_unless_a_type_differs() {
        let mut sample = RawSample::default();
        for row in [2, 0] {
            sample.append(of(&columns(), &[row]).columns);
        }
        assert_eq!(sample.rows(), of(&columns(), &[2, 0]));
        let mut others = columns();
        others[0].1 = Arc::new(Int64Array::from(vec![1, 2, 3]));
        sample.append(of(&others, &[1]).columns);
        let mut others = columns();
        others[2].1 = Arc::new(Decimal128Array::from(vec![1, 2, 3]).with_precision_and_scale(38, 3).unwrap());
        sample.append(of(&others, &[1]).columns);
        let mut others = columns();
        others[4].1 = Arc::new(TimestampNanosecondArray::from(vec![1, 2, 3]));
        sample.append(of(&others, &[1]).columns);
        assert_eq!(sample.rows(), of(&columns(), &[2, 0]));
        while sample.is_wanted() {
            sample.append(of(&columns(), &[1]).columns);
        }
        assert_eq!(sample.rows().rows(), RAW_ROWS);
    }

    #[test]
    fn long_texts_are_few() {
        let mut sample = RawSample::default();
        let long: [(&str, ArrayRef); 1] = [("text", Arc::new(StringArray::from(vec!["x".repeat(RAW_BYTES)])))];
        sample.append(of(&long, &[0]).columns);
        assert!(sample.is_wanted());
        sample.append(of(&long, &[0]).columns);
        assert!(!sample.is_wanted());
        assert_eq!(sample.rows().rows(), 2);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for json in [
            r#"{"rows":2,"columns":[{"name":"a","values":{"int":[1]}}]}"#,
            r#"{"rows":1,"columns":[{"name":"a","values":{"missing":99999999999}}]}"#,
            r#"{"rows":1,"columns":[{"name":"a","values":{"list":{"lengths":[2],"values":{"int":[1]}}}}]}"#,
            r#"{"rows":2,"columns":[{"name":"a","values":{"list":{"lengths":[18446744073709551615,2],"values":{"int":[1]}}}}]}"#,
            r#"{"rows":1,"columns":[{"name":"a","values":{"decimal":{"scale":0,"digits":["1e5"]}}}]}"#,
            r#"{"rows":1,"columns":[{"name":"a","values":{"decimal":{"scale":99,"digits":["1"]}}}]}"#,
            r#"{"rows":1,"columns":[{"name":"a","values":{"time":{"kind":"utc","per_second":7,"values":[1]}}}]}"#,
            r#"{"rows":1,"columns":[{"name":"a","values":{"time":{"kind":"of_day","per_second":null,"values":[1]}}}]}"#,
            r#"{"rows":1,"columns":[{"name":"a","values":{"time":{"kind":"local","per_second":null,"values":[9999999999]}}}]}"#,
        ] {
            assert!(serde_json::from_str::<RawRows>(json).unwrap().to_records().is_err(), "{json}");
        }
        for json in [r#"{"rows":1,"columns":[{"name":"a","values":{"float":["x"]}}]}"#, "[]", "{}", "3"] {
            assert!(serde_json::from_str::<RawRows>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn floats_keep_their_bits(bits in any::<u64>()) {
            let real = Real(f64::from_bits(bits));
            let back = Real::try_from(String::from(real)).unwrap();
            prop_assert!(back == real || real.0.is_nan() && back.0.is_nan());
        }
    }
}
