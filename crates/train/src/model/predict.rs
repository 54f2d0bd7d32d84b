//! Predictions of a model, written to a file.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use pleiad_data::EncodedStream;
use pleiad_data::write::RecordWriter;

use super::{Model, Read, Source};
use crate::error::{Error, Result};
use crate::evaluate::check_finite;
use crate::fit::Interrupt;

impl Model {
    /// Predicts the rows of `source` and writes a column per task, named after it, in the format of `out`'s ending.
    ///
    /// Row i of the file belongs to row i of the source: a row that is skipped as bad is there with missing values.
    /// Memory does not depend on the number of rows. Gives the rows written, and what reading them gave.
    ///
    /// # Errors
    /// [`Error::Exists`] if `out` is a file of `source`, [`Error::Data`], [`Error::NonFinitePrediction`],
    /// [`Error::Interrupted`]; the file is not written then.
    pub fn predict(
        &mut self,
        source: &Source,
        out: &Path,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(u64, Read)> {
        // Complete or not, a file of predictions is no substitute for the log.
        if let Ok(target) = std::fs::canonicalize(out)
            && source.files.iter().any(|file| std::fs::canonicalize(&file.path).is_ok_and(|path| path == target))
        {
            return Err(Error::Exists {
                path: out.to_path_buf(),
                what: "is one of the files to read",
                advice: "name another file with --out",
            });
        }
        let Self { encoder, predictor, training_counts, .. } = self;
        let tasks = encoder.tasks();
        let fields: Vec<Field> = tasks.iter().map(|task| Field::new(&task.name, DataType::Float32, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let record = |columns: Vec<Vec<Option<f32>>>| {
            let columns = columns.into_iter().map(|values| Arc::new(Float32Array::from(values)) as ArrayRef).collect();
            RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|e| Error::Encode { reason: e.to_string() })
        };
        let mut writer = RecordWriter::create(out, Arc::clone(&schema))?;
        let mut options = source.options(encoder)?;
        options.stop = Some(interrupt.flag());
        let mut stream = EncodedStream::open(encoder, &options)?;
        let mut good = 0;
        for encoded in stream.by_ref() {
            let written = writer.rows();
            if let Some(signal) = interrupt.raised() {
                let what = format!("stopped after {written} rows; {} was not written", out.display());
                return Err(Error::Interrupted { signal, what });
            }
            let encoded = encoded?;
            let predictions = predictor.predict(&encoded.batch)?;
            check_finite(&predictions, tasks, good)?;
            good += encoded.batch.rows as u64;
            // Bad rows leave gaps between the others.
            let rows = encoded.positions.last().map_or(0, |last| last + 1 - written) as usize;
            let spread = |values: &Vec<f32>| {
                let mut column = vec![None; rows];
                for (position, &value) in encoded.positions.iter().zip(values) {
                    column[(position - written) as usize] = Some(value);
                }
                column
            };
            writer.write(&record(predictions.tasks.iter().map(spread).collect())?)?;
            progress(writer.rows());
        }
        // What is missing now are bad rows behind the last good one.
        let read = Read::of(&stream, encoder, training_counts.as_deref());
        let missing = (good + read.skipped.rows).saturating_sub(writer.rows()) as usize;
        if missing > 0 {
            writer.write(&record(vec![vec![None; missing]; tasks.len()])?)?;
        }
        let rows = writer.rows();
        writer.finish()?;
        Ok((rows, read))
    }
}
