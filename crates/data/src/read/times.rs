//! [`Times`]: the dates and times of a column.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int64Array, Time64MicrosecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};

use super::casts::{downcast, filtered, to};
use crate::value::{Time, TimeKind};

/// Dates and times, whole numbers of days or of parts of a second.
#[derive(Debug, Clone)]
pub struct Times {
    values: Int64Array,
    /// Values in a second; `None` if a value is a day.
    per_second: Option<i64>,
    kind: TimeKind,
}

impl Times {
    pub(super) fn of(array: &ArrayRef, unit: Option<TimeUnit>, kind: TimeKind) -> Result<Self, String> {
        let per_second = unit.map(|unit| match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        });
        Ok(Self { values: downcast(&to(array, &DataType::Int64)?)?, per_second, kind })
    }

    /// An Arrow array that reads as times of these values.
    ///
    /// # Errors
    /// A sentence, if there are no such times.
    pub(crate) fn to_arrow(
        kind: TimeKind,
        per_second: Option<i64>,
        values: &[Option<i64>],
    ) -> Result<ArrayRef, String> {
        let scaled = |factor: i64| -> Result<Vec<Option<i64>>, String> {
            let value =
                |value: &Option<i64>| value.map(|value| value.checked_mul(factor).ok_or("a time is out of range"));
            values.iter().map(|own| value(own).transpose().map_err(str::to_owned)).collect()
        };
        let values = values.to_vec();
        let zone = (kind == TimeKind::Utc).then_some("UTC");
        Ok(match (kind, per_second) {
            (TimeKind::Local, None) => {
                let days = values.into_iter().map(|day| day.map(i32::try_from).transpose());
                Arc::new(days.collect::<Result<Date32Array, _>>().map_err(|_| "a date is out of range")?)
            }
            // All times of the day that can be are there in microseconds.
            (TimeKind::OfDay, Some(per_second @ (1 | 1_000 | 1_000_000))) => {
                Arc::new(Time64MicrosecondArray::from(scaled(1_000_000 / per_second)?))
            }
            (TimeKind::OfDay, Some(1_000_000_000)) => Arc::new(Time64NanosecondArray::from(values)),
            (_, Some(1)) => Arc::new(TimestampSecondArray::from(values).with_timezone_opt(zone)),
            (_, Some(1_000)) => Arc::new(TimestampMillisecondArray::from(values).with_timezone_opt(zone)),
            (_, Some(1_000_000)) => Arc::new(TimestampMicrosecondArray::from(values).with_timezone_opt(zone)),
            (_, Some(1_000_000_000)) => Arc::new(TimestampNanosecondArray::from(values).with_timezone_opt(zone)),
            (kind, per_second) => return Err(format!("there are no times {kind:?} of {per_second:?} in a second")),
        })
    }

    /// The same times, of no zone, as instants.
    pub(super) fn into_instants(self) -> Self {
        let kind = if self.kind == TimeKind::Local { TimeKind::Utc } else { self.kind };
        Self { kind, ..self }
    }

    /// What they count from.
    #[must_use]
    pub fn kind(&self) -> TimeKind {
        self.kind
    }

    /// Values in a second; `None` if a value is a day.
    pub(crate) fn per_second(&self) -> Option<i64> {
        self.per_second
    }

    /// Value of row `i`, unless it is missing.
    pub(crate) fn value(&self, i: usize) -> Option<i64> {
        self.values.is_valid(i).then(|| self.values.value(i))
    }

    pub(super) fn time(&self, i: usize) -> Option<Time> {
        let value = self.value(i)?;
        Some(self.per_second.map_or_else(|| Time::of_day(value), |per_second| Time::new(value, per_second, self.kind)))
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn filter(&self, mask: &BooleanArray) -> Self {
        Self { values: filtered(&self.values, mask), ..self.clone() }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.get_array_memory_size()
    }
}
