//! Candidates as a stream of Arrow IPC: in, and out.
//!
//! In: a row is a candidate, a column a field of it. The schema's metadata may have the key `pleiad` with JSON of the other keys of a
//! request, such as `{"request": {..}, "top": 10}`. Out: `index`, `id`, `score` and `predictions`, a struct of the tasks, in the order
//! of the scores; the metadata's key `pleiad` has the rest of the answer.
//!
//! A body is data of a stranger. What a message says of its size is compared with the body before anything is allocated, and types
//! are refused whose rows can be more than their bytes: views, runs, compressed buffers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float32Array, Float64Array, RecordBatch, RecordBatchOptions, StructArray, UInt64Array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::root_as_message;
use arrow::ipc::writer::StreamWriter;
use pleiad_data::read::guarded;
use pleiad_rank::cells::{Cell, column};

use crate::answer::{Asked, Ranked};
use crate::cells::batch;
use crate::columns::Columns;
use crate::refusal::{Place, Refusal};
use crate::request::{RankRequest, ignored};

/// The key of the schema's metadata.
const KEY: &str = "pleiad";

/// What a whole number that ends a stream, and one that begins a message, are.
const CONTINUES: [u8; 4] = [255; 4];

fn bad(message: impl Into<String>, advice: &str) -> Refusal {
    Refusal::new(400, "malformed_arrow", message, advice)
}

fn of_field(name: &str, status: u16, code: &'static str, message: String, advice: &str) -> Refusal {
    let place = Place { field: Some(name.to_owned()), ..Place::default() };
    Refusal::new(status, code, message, advice).at(place)
}

/// Reads the candidates of a body, at most `most`.
pub(crate) fn asked<'a>(body: &[u8], columns: &Columns, most: usize) -> Result<Asked<'a>, Refusal> {
    check_sizes(body)?;
    // The decoder trusts some fields, and panics where they contradict each other.
    let read = guarded(Path::new("the body"), || Ok::<_, String>(read(body, columns, most)));
    let read = read.map_err(|error| bad(error.to_string(), "send a stream as Arrow's own libraries write it"))?;
    let (schema, names, batches) = read?;
    let told = schema.metadata().get(KEY).map_or("{}", String::as_str);
    let (mut told, id) = RankRequest::told(told, columns)?;
    let candidates = batches.iter().map(RecordBatch::num_rows).sum();
    let one = concat_batches(&batches.first().map_or(Arc::new(Schema::empty()), RecordBatch::schema), &batches);
    let one = one.map_err(|error| bad(error.to_string(), "send batches of one schema"))?;
    let in_request: Vec<bool> = told.request.iter().map(Option::is_some).collect();
    told.candidates = candidates;
    let (top, explain, score) = (told.top.unwrap_or(usize::MAX), told.explain, told.score.take());
    let mut left: Vec<&str> = told.ignored.iter().map(String::as_str).collect();
    left.extend(names.iter().map(String::as_str).filter(|&name| columns.index(name).is_none() && name != id));
    let ignored = ignored(left);
    let ids = match names.iter().position(|name| *name == id) {
        // It was read if it is a column, too.
        Some(_) => ids(&id, one.column_by_name(&id), candidates)?,
        None => Vec::new(),
    };
    let shared = batch(told, columns)?;
    let (mut fields, mut arrays) = (shared.schema().fields().to_vec(), shared.columns().to_vec());
    for (field, array) in one.schema().fields().iter().zip(one.columns()) {
        let Some(at) = columns.index(field.name()) else { continue };
        if in_request[at] {
            let message = format!("field {:?} stands in `request` and in the candidates", field.name());
            return Err(of_field(field.name(), 400, "bad_request", message, "give it in one of both"));
        }
        fields.push(Arc::clone(field));
        arrays.push(Arc::clone(array));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(candidates));
    let records = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
    let records = records.map_err(|error| bad(error.to_string(), "send each column once"))?;
    Ok(Asked {
        records: (candidates > 0).then_some(records),
        candidates,
        ids,
        score,
        top,
        explain,
        ignored,
        in_request,
    })
}

type StreamParts = (Arc<Schema>, Vec<String>, Vec<RecordBatch>);

/// The schema, the names of all columns, and batches of those that are columns of the model or ids.
fn read(body: &[u8], columns: &Columns, most: usize) -> Result<StreamParts, Refusal> {
    let advice = "send a stream of Arrow IPC, as pyarrow.ipc.new_stream writes it";
    let broken = |error: arrow::error::ArrowError| bad(error.to_string(), advice);
    let schema = StreamReader::try_new(body, None).map_err(broken)?.schema();
    let id = id_of(&schema)?;
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let is_wanted = |name: &str| columns.index(name).is_some() || name == id;
    let wanted: Vec<usize> = (0..names.len()).filter(|&at| is_wanted(&names[at])).collect();
    for &at in &wanted {
        let field = schema.field(at);
        let is_list = columns.index(field.name()).is_some_and(|at| columns.lists[at]);
        if !is_plain(field.data_type(), is_list) {
            let message = format!("field {:?} is of type {}", field.name(), field.data_type());
            let advice = "cast it to numbers, texts, truth values, or lists of these";
            return Err(of_field(field.name(), 422, "bad_value", message, advice));
        }
        if names.iter().filter(|name| *name == field.name()).count() > 1 {
            let message = format!("field {:?} stands twice", field.name());
            return Err(of_field(field.name(), 400, "bad_request", message, "give it once"));
        }
    }
    let mut batches = Vec::new();
    let mut rows = 0usize;
    for batch in StreamReader::try_new(body, Some(wanted)).map_err(broken)? {
        let batch = batch.map_err(broken)?;
        rows = rows.saturating_add(batch.num_rows());
        if rows > most {
            let message = format!("more than {most} candidates");
            return Err(Refusal::new(413, "too_many_candidates", message, "send fewer, in several requests"));
        }
        batches.push(batch);
    }
    Ok((schema, names, batches))
}

/// The JSON in the metadata of a stream, if there is one that can be read.
pub(crate) fn told_of(body: &[u8]) -> Option<String> {
    check_sizes(body).ok()?;
    let read = || StreamReader::try_new(body, None).map(|stream| stream.schema()).map_err(|error| error.to_string());
    guarded(Path::new("the body"), read).ok()?.metadata().get(KEY).cloned()
}

/// The field that is a candidate's id, as the metadata says.
fn id_of(schema: &Schema) -> Result<String, Refusal> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: Option<String>,
    }
    // Whatever else is wrong with it is said later, with its place.
    let id = schema.metadata().get(KEY).and_then(|told| serde_json::from_str::<Id>(told).ok()?.id);
    Ok(id.unwrap_or_else(|| "id".to_owned()))
}

/// Whether a column's rows are no more than its bytes. A text of a dictionary may stand in every row, so it must be no list.
fn is_plain(of: &DataType, is_list: bool) -> bool {
    let is_value = |of: &DataType| {
        matches!(of, DataType::Null | DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8)
            || of.is_integer()
            || of.is_floating()
            || matches!(of, DataType::Decimal128(..) | DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
    };
    match of {
        DataType::List(item) | DataType::LargeList(item) => is_value(item.data_type()),
        DataType::Dictionary(_, values) => !is_list && is_value(values),
        of => is_value(of),
    }
}

/// Ids as an answer has them.
fn ids<'a>(name: &str, array: Option<&ArrayRef>, candidates: usize) -> Result<Vec<Cell<'a>>, Refusal> {
    let Some(array) = array.filter(|_| candidates > 0) else { return Ok(Vec::new()) };
    let refuse = || {
        let message = format!("field {name:?} is of type {}", array.data_type());
        of_field(name, 422, "bad_value", message, "an id is a text or a whole number")
    };
    let values = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        own => own,
    };
    let to = match values {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::LargeUtf8,
        DataType::UInt64 => DataType::UInt64,
        of if of.is_integer() => DataType::Int64,
        DataType::Null => return Ok(Vec::new()),
        _ => return Err(refuse()),
    };
    let array = cast(array, &to).map_err(|_| refuse())?;
    let any = array.as_any();
    let cells = |of: &dyn Fn(usize) -> Cell<'a>| {
        (0..array.len()).map(|at| if array.is_null(at) { Cell::Null } else { of(at) }).collect()
    };
    if let Some(texts) = any.downcast_ref::<arrow::array::LargeStringArray>() {
        return Ok(cells(&|at| Cell::Text(Cow::Owned(texts.value(at).to_owned()))));
    }
    if let Some(numbers) = any.downcast_ref::<UInt64Array>() {
        return Ok(cells(&|at| Cell::UInt(numbers.value(at))));
    }
    match any.downcast_ref::<arrow::array::Int64Array>() {
        Some(numbers) => Ok(cells(&|at| Cell::Int(numbers.value(at)))),
        None => Err(refuse()),
    }
}

/// Refuses messages that say more of their size than the body has, and compressed ones. What cannot be read at all is left to the
/// decoder, which has better words for it.
fn check_sizes(body: &[u8]) -> Result<(), Refusal> {
    let mut rest = body;
    loop {
        if rest.starts_with(&CONTINUES) {
            rest = &rest[4..];
        }
        let Some((length, behind)) = rest.split_first_chunk::<4>() else { return Ok(()) };
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 {
            return Ok(());
        }
        let cut = |bytes: i64| bad(format!("a message of {bytes} bytes is cut off"), "send the whole stream");
        let Some((head, behind)) = behind.split_at_checked(length) else {
            return Err(cut(i64::try_from(length).unwrap_or(i64::MAX)));
        };
        let Ok(message) = root_as_message(head) else { return Ok(()) };
        let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
        if batch.is_some_and(|batch| batch.compression().is_some()) {
            return Err(bad("the batches are compressed", "send them as they are"));
        }
        let bytes = message.bodyLength();
        let body = usize::try_from(bytes).ok().and_then(|length| behind.split_at_checked(length));
        let Some((_, behind)) = body else { return Err(cut(bytes)) };
        rest = behind;
    }
}

/// An answer as a stream: a batch of the candidates that are answered; `rest` is what else it says, as JSON.
pub(crate) fn answer(ranked: &[Ranked<'_>], tasks: &[&str], rest: String) -> Result<Vec<u8>, Refusal> {
    let internal = |error: String| Refusal::new(500, "internal", error, "this is a mistake of the server; report it");
    let index = UInt64Array::from_iter_values(ranked.iter().map(|one| one.index as u64));
    let mut fields = vec![Field::new("index", DataType::UInt64, false)];
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(index)];
    if ranked.iter().any(|one| one.id.is_some()) {
        let ids: Vec<Cell<'_>> = ranked.iter().map(|one| one.id.cloned().unwrap_or(Cell::Null)).collect();
        let ids = column(&ids).map_err(|error| internal(error.to_string()))?;
        fields.push(Field::new("id", ids.data_type().clone(), true));
        arrays.push(ids);
    }
    fields.push(Field::new("score", DataType::Float64, false));
    arrays.push(Arc::new(Float64Array::from_iter_values(ranked.iter().map(|one| one.score))));
    let of_task = |task: usize| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(ranked.iter().map(|one| one.predictions.of(task))))
    };
    let of_tasks: Fields = tasks.iter().map(|task| Field::new(*task, DataType::Float32, false)).collect();
    let predictions = (0..tasks.len()).map(of_task).collect();
    let predictions = StructArray::try_new(of_tasks.clone(), predictions, None);
    fields.push(Field::new("predictions", DataType::Struct(of_tasks), false));
    arrays.push(Arc::new(predictions.map_err(|error| internal(error.to_string()))?));
    stream(fields, arrays, rest).map_err(|error| internal(error.to_string()))
}

/// A stream of one batch; `rest` is JSON of what its columns do not say.
pub(crate) fn stream(fields: Vec<Field>, arrays: Vec<ArrayRef>, rest: String) -> Result<Vec<u8>, ArrowError> {
    let metadata = HashMap::from([(KEY.to_owned(), rest)]);
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&batch)?;
    writer.into_inner()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;
    use proptest::prelude::*;

    use super::*;

    fn written(options: IpcWriteOptions) -> Vec<u8> {
        let ages: ArrayRef = Arc::new(Float64Array::from_iter_values((0..64).map(f64::from)));
        let batch = RecordBatch::try_from_iter([("age", ages)]).unwrap();
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn columns() -> Columns {
        let by_name = [("age".to_owned(), 0)].into();
        Columns { names: vec!["age".to_owned()], lists: vec![false], by_name }
    }

    #[test]
    fn batches_are_candidates() {
        let body = written(IpcWriteOptions::default());
        let asked = asked(&body, &columns(), 128).unwrap();
        assert_eq!((asked.candidates, asked.records.unwrap().num_rows()), (128, 128));
        let refused = |body: &[u8], most| super::asked(body, &columns(), most).map(|_| ()).unwrap_err();
        assert_eq!(refused(&body, 127).status, 413);
        for cut in [3, 20, body.len() / 2, body.len() - 20] {
            assert_eq!(refused(&body[..cut], 128).status, 400, "{cut}");
        }
        let compressed = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        assert!(refused(&written(compressed), 128).message.contains("compressed"));
        // The first message says that it has 2 GiB.
        let mut long = body;
        long[4..8].copy_from_slice(&i32::MAX.to_le_bytes());
        assert!(refused(&long, 128).message.contains("cut off"));
    }

    proptest! {
        #[test]
        fn damage_is_an_answer_or_a_refusal(at in 0usize..1 << 16, byte in any::<u8>()) {
            let mut body = written(IpcWriteOptions::default());
            let length = body.len();
            body[at % length] ^= byte;
            if let Err(refusal) = asked(&body, &columns(), 1000) {
                prop_assert!([400, 413, 422].contains(&refusal.status), "{refusal:?}");
            }
        }
    }
}
