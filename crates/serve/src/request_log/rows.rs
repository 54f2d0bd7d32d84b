//! A request as rows of the log: the server's columns ([`pleiad_rank::score::logged::columns`]), then those that the model reads.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use pleiad_rank::score::logged::columns;

use super::Logged;
use super::kinds::{Kind, TooNarrow};

/// The schema of a file: tasks, and the model's columns with their types.
pub(super) fn schema(tasks: &[&str], names: &[String], kinds: &[Kind]) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new(columns::REQUEST, DataType::Utf8, false),
        Field::new(columns::TIME, time, false),
        Field::new(columns::MODEL, DataType::Utf8, false),
        Field::new(columns::VERSION, DataType::Utf8, false),
        Field::new(columns::LABEL, DataType::Utf8, true),
        Field::new(columns::CANDIDATE, DataType::Utf8, true),
        Field::new(columns::INDEX, DataType::Int64, false),
        Field::new(columns::RANK, DataType::Int64, true),
        Field::new(columns::SCORE, DataType::Float64, false),
        Field::new(columns::NUMBER, DataType::Float64, true),
        Field::new(columns::SCORING, DataType::Utf8, false),
    ];
    let of_task = |prefix: &str, of: DataType, is_missing| {
        let field = move |task: &&str| Field::new(format!("{prefix}{task}"), of.clone(), is_missing);
        tasks.iter().map(field).collect::<Vec<_>>()
    };
    fields.extend(of_task(columns::PREDICTION, DataType::Float32, false));
    fields.extend(of_task(columns::EXPONENT, DataType::Float64, true));
    fields.extend(names.iter().zip(kinds).map(|(name, kind)| Field::new(name, kind.data_type(), true)));
    Arc::new(Schema::new(fields))
}

/// Why a request has no rows.
pub(super) enum NoRows {
    /// A column of this number has a value that its type does not hold.
    TooNarrow(usize),
    /// Arrow refused.
    Refused(String),
}

/// The rows of a request in the schema of a file; `scoring` is [`pleiad_rank::Scoring`] as JSON.
pub(super) fn record(
    schema: &SchemaRef,
    logged: &Logged,
    scoring: &str,
    names: &[String],
    kinds: &[Kind],
) -> Result<RecordBatch, NoRows> {
    let answered = &logged.answered;
    let rows = answered.scores.len();
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let mut ranks = vec![None; rows];
    for (&index, rank) in answered.order.iter().zip(1i64..) {
        if let Some(own) = ranks.get_mut(index) {
            *own = Some(rank);
        }
    }
    let candidates: StringArray = (0..rows).map(|row| answered.ids.get(row).cloned().flatten()).collect();
    let numbers: Float64Array = (0..rows).map(|row| answered.numbers.get(row).copied()).collect();
    let mut arrays: Vec<ArrayRef> = vec![
        same(&logged.id),
        Arc::new(TimestampMillisecondArray::from(vec![logged.time; rows]).with_timezone("UTC")),
        same(logged.served.name()),
        same(logged.served.version()),
        Arc::new(StringArray::from(vec![answered.label.as_deref(); rows])),
        Arc::new(candidates),
        Arc::new((0i64..).take(rows).map(Some).collect::<Int64Array>()),
        Arc::new(Int64Array::from(ranks)),
        Arc::new(Float64Array::from(answered.scores.clone())),
        Arc::new(numbers),
        same(scoring),
    ];
    arrays.extend(answered.predictions.iter().map(|task| Arc::new(Float32Array::from(task.clone())) as ArrayRef));
    for task in logged.served.model().tasks() {
        let exponent = answered.rank.score.get(&task.name).copied();
        arrays.push(Arc::new(Float64Array::from(vec![exponent; rows])));
    }
    for (at, (name, kind)) in names.iter().zip(kinds).enumerate() {
        let array = answered.records.column_by_name(name);
        arrays.push(match array {
            Some(array) => kind.array(array).map_err(|TooNarrow| NoRows::TooNarrow(at))?,
            None => new_null_array(&kind.data_type(), rows),
        });
    }
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|error| NoRows::Refused(error.to_string()))
}
