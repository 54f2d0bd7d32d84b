//! Predictions of a model, written to a file: in the order of the rows here, ordered by score in [`crate::order`].

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, UInt64Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use pleiad_data::EncodedStream;
use pleiad_data::write::RecordWriter;

use crate::error::{Error, Result};
use crate::finite::check_finite;
use crate::interrupt::Interrupt;
use crate::model::{Model, Read};
use crate::order::Ordered;
use crate::predicted::{Order, Predicted, Sink, in_type, record, schema, type_of};
use crate::source::Source;

/// Name of the column of scores.
pub(crate) const SCORE: &str = "score";

/// Name of the column of places in a ranked file.
pub(crate) const RANK: &str = "rank";

/// What a file of predictions has beside them.
#[derive(Debug, Clone, Default)]
pub struct PredictOptions {
    /// Columns of the rows that are written as they are, before all others.
    pub keep: Vec<String>,
    /// Whether equation 1's score is written.
    pub score: bool,
    /// How rows are ordered; as they are read if `None`.
    pub order: Option<Order>,
}

impl Model {
    /// Predicts the rows of `source` and writes a column per task, named after it, in the format of `out`'s ending, behind those
    /// that `options` asks for.
    ///
    /// Without an order, row i of the file belongs to row i of the source: a row that is skipped as bad is there with
    /// missing values, and memory does not depend on the number of rows. In an ordered file bad rows are not there, a column
    /// `rank` counts the rows of each request from 1, and everything that is written is held in memory before. Gives
    /// the rows written, and what reading them gave.
    ///
    /// # Errors
    /// [`Error::Exists`] if `out` is a file of `source`, [`Error::Data`], [`Error::NonFinitePrediction`], [`Error::NoRank`],
    /// [`Error::NonFiniteScore`], [`Error::Column`], [`Error::NoGroup`], [`Error::Interrupted`]; the file is not written then.
    pub fn predict_to(
        &self,
        source: &Source,
        out: &Path,
        options: &PredictOptions,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(u64, Read)> {
        // Complete or not, a file of predictions is no substitute for the log.
        if let Ok(target) = std::fs::canonicalize(out)
            && source.paths().iter().any(|path| std::fs::canonicalize(path).is_ok_and(|path| path == target))
        {
            return Err(Error::Exists {
                path: out.to_path_buf(),
                what: "is one of the files to read",
                advice: "name another file with --out",
            });
        }
        let names = self.names(options)?;
        match &options.order {
            None => {
                let mut rows = InOrder { out, names: &names, writer: None, kept: options.kept() };
                // What cannot be written fails before rows are read, where the columns are known.
                if options.kept() == 0 {
                    rows.writer = Some(rows.create(self.types(options, &[]))?);
                }
                let (good, read) = self.each(source, options, interrupt, progress, out, &mut rows)?;
                let mut writer = match rows.writer.take() {
                    Some(writer) => writer,
                    None => rows.create(self.types(options, &vec![DataType::Utf8; options.kept()]))?,
                };
                // What is missing now are bad rows behind the last good one.
                let missing = (good + read.skipped.rows).saturating_sub(writer.rows()) as usize;
                if missing > 0 {
                    let columns = writer.schema().fields().iter().map(|f| new_null_array(f.data_type(), missing));
                    let columns = columns.collect();
                    writer.write(&record(writer.schema(), columns)?)?;
                }
                let rows = writer.rows();
                writer.finish()?;
                Ok((rows, read))
            }
            Some(order) => {
                let (at, names) = (options.kept(), with_rank(names, options.kept()));
                let probe: Vec<DataType> = vec![DataType::Utf8; at];
                drop(RecordWriter::create(out, schema(&names, &self.types(options, &probe)))?);
                let mut rows = Ordered::new(order, options.kept_names());
                let (_, read) = self.each(source, options, interrupt, progress, out, &mut rows)?;
                let written = rows.write(out, &names, &self.types(options, &probe), interrupt)?;
                Ok((written, read))
            }
        }
    }

    /// The columns of the file, without that of ranks.
    fn names(&self, options: &PredictOptions) -> Result<Vec<String>> {
        if options.score || options.order.is_some() {
            self.scorer()?;
        }
        let mut names = options.kept_names();
        names.extend(options.has_score().then(|| SCORE.to_owned()));
        names.extend(self.tasks().iter().map(|task| task.name.clone()));
        let mut all = names.clone();
        all.extend(options.order.as_ref().map(|_| RANK.to_owned()));
        for (at, name) in all.iter().enumerate() {
            if all[..at].contains(name) {
                let problem = "would be in the file twice: it is kept, and the name of a prediction, of the score or of the \
                               rank, or kept twice; leave it out of --keep";
                return Err(Error::Column { column: name.clone(), problem: problem.to_owned() });
            }
        }
        Ok(names)
    }

    /// The types of the file's columns, without that of ranks.
    fn types(&self, options: &PredictOptions, kept: &[DataType]) -> Vec<DataType> {
        let mut types = kept.to_vec();
        types.extend(options.has_score().then_some(DataType::Float64));
        types.extend(self.tasks().iter().map(|_| DataType::Float32));
        types
    }

    /// Hands every chunk of rows to `sink`, predicted. Gives the number of good rows, and what reading them gave.
    fn each(
        &self,
        source: &Source,
        options: &PredictOptions,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64),
        out: &Path,
        sink: &mut dyn Sink,
    ) -> Result<(u64, Read)> {
        let scorer = if options.has_score() { Some(self.scorer()?) } else { None };
        let mut wanted = source.options(self.encoder())?;
        wanted.stop = Some(interrupt.flag());
        wanted.extras = options.kept_names();
        wanted.numbers_of = scorer.and_then(|scorer| scorer.feature());
        let mut stream = EncodedStream::open(self.encoder(), &wanted)?;
        let (mut good, mut read) = (0, 0);
        for encoded in stream.by_ref() {
            if let Some(signal) = interrupt.raised() {
                let what = format!("stopped after {read} rows; {} was not written", out.display());
                return Err(Error::Interrupted { signal, what });
            }
            let encoded = encoded?;
            let predictions = self.predictor().predict(&encoded.batch)?;
            check_finite(&predictions, self.tasks(), good)?;
            let scores = scorer.map(|scorer| scorer.score(&predictions, &encoded.numbers, good)).transpose()?;
            let scores = scores.unwrap_or_default();
            good += encoded.batch.rows as u64;
            read = encoded.positions.last().map_or(read, |last| last + 1);
            let mut columns = Vec::new();
            for (column, name) in encoded.extras.iter().zip(&wanted.extras) {
                let array = column.to_arrow();
                columns.push(array.map_err(|problem| Error::Column { column: name.clone(), problem })?);
            }
            if scorer.is_some() {
                columns.push(Arc::new(Float64Array::from(scores.clone())));
            }
            columns.extend(predictions.tasks.into_iter().map(|task| Arc::new(Float32Array::from(task)) as ArrayRef));
            sink.add(Predicted { columns, positions: encoded.positions, scores })?;
            progress(read);
        }
        Ok((good, self.read(&stream)))
    }
}

impl PredictOptions {
    fn has_score(&self) -> bool {
        self.score || self.order.is_some()
    }

    /// Columns that are kept: that of requests among them, since a ranked file without it says nothing.
    fn kept_names(&self) -> Vec<String> {
        let by = self.order.as_ref().and_then(|order| order.by.clone()).filter(|by| !self.keep.contains(by));
        by.into_iter().chain(self.keep.iter().cloned()).collect()
    }

    fn kept(&self) -> usize {
        self.kept_names().len()
    }
}

/// The names with that of ranks behind the kept ones.
fn with_rank(mut names: Vec<String>, kept: usize) -> Vec<String> {
    names.insert(kept, RANK.to_owned());
    names
}

/// Writes rows in the order in which they are read.
struct InOrder<'a> {
    out: &'a Path,
    names: &'a [String],
    /// There once the types of kept columns are known.
    writer: Option<RecordWriter>,
    kept: usize,
}

impl InOrder<'_> {
    fn create(&self, types: Vec<DataType>) -> Result<RecordWriter> {
        Ok(RecordWriter::create(self.out, schema(self.names, &types))?)
    }
}

impl Sink for InOrder<'_> {
    fn add(&mut self, predicted: Predicted) -> Result<()> {
        if self.writer.is_none() {
            self.writer = Some(self.create(predicted.columns.iter().map(type_of).collect())?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = writer.rows();
        let rows = predicted.positions.last().map_or(0, |last| last + 1 - written) as usize;
        let fields = Arc::clone(writer.schema());
        let mut columns = predicted.columns;
        for ((array, name), field) in columns.iter_mut().zip(self.names).zip(fields.fields()).take(self.kept) {
            *array = in_type(name, array, field.data_type())?;
        }
        if rows > predicted.positions.len() {
            // Bad rows leave gaps between the others.
            let mut from = vec![None; rows];
            for (row, position) in predicted.positions.iter().enumerate() {
                from[(position - written) as usize] = Some(row as u64);
            }
            let from = UInt64Array::from(from);
            let spread = columns.iter().map(|column| take(column, &from, None)).collect::<Result<Vec<_>, _>>();
            columns = spread.map_err(|error| Error::Encode { reason: error.to_string() })?;
        }
        writer.write(&record(&fields, columns)?)?;
        Ok(())
    }
}
