//! Arrow IPC, as a file or as a stream.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::reader::{FileReader, StreamReader};

use super::chunk::{CHUNK_ROWS, Chunk, Origin, Wanted};
use super::fields::{Field, of_schema};
use super::guard::guarded;
use super::messages::Messages;
use super::open::{OpenFile, ReopenAt, START};
use super::parquet::Picker;
use super::{envelope, forms, locate};
use crate::error::{Error, Result};
use crate::schema::Format;

const FILE_MAGIC: &[u8; 6] = b"ARROW1";

pub(super) struct ArrowReader {
    path: Arc<Path>,
    place: ReopenAt,
    batches: FileBatches,
    is_file: bool,
    /// All columns, and which of them cannot be read.
    fields: Vec<Field>,
    /// Fields that are wanted.
    projection: Vec<usize>,
    picker: Picker,
    /// What is left of the batch at hand; batches may be larger than a chunk.
    rest: Option<RecordBatch>,
    next_row: u64,
}

enum FileBatches {
    File(FileReader<BufReader<File>>),
    Stream(StreamReader<BufReader<File>>),
    /// Where one of the others gave up.
    Messages(Box<Messages>),
}

impl ArrowReader {
    pub(super) fn open(
        path: &Arc<Path>,
        input: OpenFile,
        wanted: &[Wanted],
        null: &[String],
        by_configuration: bool,
    ) -> Result<Self> {
        let read_error = |source| Error::Read { path: path.to_path_buf(), source };
        let (file, place) = input.into_file(path)?;
        let mut file = BufReader::new(file);
        let mut start = Vec::new();
        file.by_ref().take(START as u64).read_to_end(&mut start).map_err(read_error)?;
        if start.is_empty() {
            return Err(Error::EmptyFile { path: path.to_path_buf() });
        }
        if let Some(mistaken) = forms::mistaken(path, &start, Format::Arrow, by_configuration) {
            return Err(mistaken);
        }
        file.rewind().map_err(read_error)?;
        let is_file = start.starts_with(FILE_MAGIC);
        if let Err(wrong) = envelope::check(&mut file, is_file).map_err(read_error)? {
            let reason = format!("is damaged: it speaks of {wrong}");
            return Err(Error::Damaged { path: path.to_path_buf(), reason });
        }
        file.rewind().map_err(read_error)?;
        // The schema comes first, to know the projection that the reader is then built with.
        let schema = match is_file {
            true => guarded(path, || FileReader::try_new(&mut file, None).map(|reader| reader.schema())),
            false => guarded(path, || StreamReader::try_new(&mut file, None).map(|reader| reader.schema())),
        };
        file.rewind().map_err(read_error)?;
        let fields_of = |schema: &Schema| -> Result<Vec<Option<usize>>> {
            let header: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
            locate(path, &header, wanted, by_configuration)
        };
        let of_all = |fields: &[Option<usize>]| {
            let mut projection: Vec<usize> = fields.iter().flatten().copied().collect();
            projection.sort_unstable();
            projection.dedup();
            projection
        };
        let (all, fields, projection, batches) = match schema {
            Ok(schema) => {
                let fields = fields_of(&schema)?;
                let projection = of_all(&fields);
                let all = Some(projection.clone());
                let batches = match is_file {
                    true => FileBatches::File(guarded(path, || FileReader::try_new(file, all))?),
                    false => FileBatches::Stream(guarded(path, || StreamReader::try_new(file, all))?),
                };
                (of_schema(&schema), fields, projection, batches)
            }
            Err(error) => {
                let Some(messages) = otherwise(path, &place, file, is_file) else { return Err(error) };
                let fields = fields_of(messages.schema())?;
                if let Some(unknown) = fields.iter().position(|field| field.is_some_and(|at| messages.is_unknown(at))) {
                    return Err(Error::ColumnType {
                        path: path.to_path_buf(),
                        column: wanted[unknown].name.clone(),
                        found: "integers of 128 bits".to_owned(),
                        expected: "numbers; write them as decimals, texts or integers of 64 bits".to_owned(),
                    });
                }
                let projection = of_all(&fields);
                let mut all = of_schema(messages.schema());
                for (_, field) in all.iter_mut().enumerate().filter(|(at, _)| messages.is_unknown(*at)) {
                    field.refused = Some("integers of 128 bits".to_owned());
                }
                (all, fields, projection, FileBatches::Messages(Box::new(messages)))
            }
        };
        let (path, picker) = (Arc::clone(path), Picker::new(&fields, wanted, null));
        Ok(Self { path, place, batches, is_file, fields: all, projection, picker, rest: None, next_row: 0 })
    }

    /// All columns, and which of them cannot be read.
    pub(super) fn fields(&self) -> Vec<Field> {
        self.fields.clone()
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let batch = loop {
            if let Some(batch) = self.rest.take().filter(|batch| batch.num_rows() > 0) {
                break batch;
            }
            let Self { path, batches, projection, .. } = self;
            let next = guarded(path, || match batches {
                FileBatches::File(reader) => reader.next().transpose(),
                FileBatches::Stream(reader) => reader.next().transpose(),
                FileBatches::Messages(messages) => messages.next(projection),
            });
            let next = match next {
                Err(error) if !matches!(batches, FileBatches::Messages(_)) => Some(self.as_bytes().ok_or(error)?),
                next => next?,
            };
            match next {
                Some(batch) => self.rest = Some(batch),
                None => return Ok(None),
            }
        };
        let rows = batch.num_rows().min(CHUNK_ROWS);
        self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        let (columns, broken) = self.picker.pick(&self.path, &batch.slice(0, rows))?;
        let origin = Origin { path: Some(Arc::clone(&self.path)), first_row: self.next_row, ..Origin::default() };
        self.next_row += rows as u64;
        Ok(Some(Chunk { rows, columns, origin, broken }))
    }

    /// The batch that could not be decoded, with texts as bytes, as all that follow. `None` if it cannot be decoded so
    /// either.
    fn as_bytes(&mut self) -> Option<RecordBatch> {
        let file = self.place.open().ok()?;
        let Self { path, projection, is_file, .. } = self;
        let mut messages = guarded(path, || Messages::open(BufReader::new(file), *is_file)).ok()?;
        let mut rows = self.next_row;
        loop {
            let batch = guarded(path, || messages.next(projection)).ok()??;
            match rows.checked_sub(batch.num_rows() as u64) {
                Some(left) if rows > 0 => rows = left,
                _ if rows > 0 => return None,
                _ if batch.num_rows() == 0 => {}
                _ => {
                    self.batches = FileBatches::Messages(Box::new(messages));
                    return Some(batch);
                }
            }
        }
    }
}

/// Reads a file that the decoder refuses for a column of unknown type (harmless where the column is not used), or for a
/// text in a dictionary (which concerns only some rows). Damaged files are still refused.
fn otherwise(path: &Path, place: &ReopenAt, file: BufReader<File>, is_file: bool) -> Option<Messages> {
    let messages = guarded(path, || Messages::open(file, is_file)).ok()?;
    if messages.has_unknown() {
        return Some(messages);
    }
    let again = || {
        let file = place.open().ok()?;
        guarded(path, || Messages::open(BufReader::new(file), is_file)).ok()
    };
    let mut seen = again()?;
    let is_bad = guarded(path, || seen.has_bad_dictionary()).ok()?;
    is_bad.then(again).flatten()
}
