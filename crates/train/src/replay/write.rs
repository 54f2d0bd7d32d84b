//! The new order as a file.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use pleiad_data::write::RecordWriter;
use pleiad_rank::score::logged::columns;
use pleiad_rank::{Interrupt, Source};

use super::LogRows;
use crate::error::{Error, Result};
use crate::lists::ordered;

/// Requests that are put together before they are written.
const TOGETHER: usize = 256;

/// Writes candidates request by request in their new order: the request, the candidate, its place before and now, its score before and
/// now, what each task predicts.
pub(super) fn write(log: &LogRows, scores: &[f64], out: &Path, source: &Source, interrupt: &Interrupt) -> Result<()> {
    if let Ok(target) = std::fs::canonicalize(out)
        && source.paths().iter().any(|path| std::fs::canonicalize(path).is_ok_and(|path| path == target))
    {
        let (what, advice) = ("is one of the files to read", "name another file with --out");
        return Err(Error::Exists { path: out.to_path_buf(), what, advice });
    }
    let mut fields = vec![
        Field::new(columns::REQUEST, DataType::Utf8, false),
        Field::new(columns::CANDIDATE, DataType::Utf8, true),
        Field::new(columns::INDEX, DataType::UInt64, false),
        Field::new("rank_before", DataType::UInt64, false),
        Field::new("rank", DataType::UInt64, false),
        Field::new("score_before", DataType::Float64, false),
        Field::new("score", DataType::Float64, false),
    ];
    let tasks = log.lists.tasks.iter();
    fields.extend(tasks.map(|task| Field::new(format!("{}{task}", columns::PREDICTION), DataType::Float32, false)));
    let schema = Arc::new(Schema::new(fields));
    let mut writer = RecordWriter::create(out, Arc::clone(&schema))?;
    let numbers: Vec<usize> = (0..log.lists.requests.len()).collect();
    for part in numbers.chunks(TOGETHER) {
        if let Some(signal) = interrupt.raised() {
            let what = format!("stopped while rows were written; {} was not written", out.display());
            return Err(Error::Interrupted { signal, what });
        }
        let (mut rows, mut ids, mut before, mut now) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for &request in part {
            let range = log.lists.requests[request].clone();
            let mut place = vec![0u64; range.len()];
            ordered(&log.scores[range.clone()]).into_iter().zip(1..).for_each(|(at, rank)| place[at] = rank);
            for (at, rank) in ordered(&scores[range.clone()]).into_iter().zip(1u64..) {
                rows.push(range.start + at);
                ids.push(log.ids[request].as_str());
                before.push(place[at]);
                now.push(rank);
            }
        }
        let float = |values: &[f64]| -> ArrayRef {
            Arc::new(rows.iter().map(|&row| Some(values[row])).collect::<Float64Array>())
        };
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(ids)),
            Arc::new(rows.iter().map(|&row| log.candidates[row].clone()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|&row| Some(log.index[row])).collect::<UInt64Array>()),
            Arc::new(UInt64Array::from(before)),
            Arc::new(UInt64Array::from(now)),
            float(&log.scores),
            float(scores),
        ];
        for task in &log.lists.predictions.tasks {
            arrays.push(Arc::new(rows.iter().map(|&row| Some(task[row])).collect::<Float32Array>()));
        }
        let record = RecordBatch::try_new(Arc::clone(&schema), arrays);
        writer.write(&record.map_err(|error| Error::Encode { reason: error.to_string() })?)?;
    }
    writer.finish()?;
    Ok(())
}
