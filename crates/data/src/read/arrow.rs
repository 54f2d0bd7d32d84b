//! Arrow IPC, as a file or as a stream.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::{FileReader, StreamReader};

use super::chunk::{CHUNK_ROWS, Chunk, Origin, Wanted};
use super::guard::guarded;
use super::open::{Input, START};
use super::parquet::Picker;
use super::{envelope, forms, locate};
use crate::error::{Error, Result};
use crate::schema::Format;

const FILE_MAGIC: &[u8; 6] = b"ARROW1";

pub(super) struct ArrowReader {
    path: Arc<Path>,
    batches: Batches,
    picker: Picker,
    /// What is left of the batch at hand; batches may be larger than a chunk.
    rest: Option<RecordBatch>,
    next_row: u64,
}

enum Batches {
    File(FileReader<BufReader<File>>),
    Stream(StreamReader<BufReader<File>>),
}

impl ArrowReader {
    pub(super) fn open(
        path: &Arc<Path>,
        input: Input,
        wanted: &[Wanted],
        null: &[String],
        by_configuration: bool,
    ) -> Result<Self> {
        let read_error = |source| Error::Read { path: path.to_path_buf(), source };
        // A copy of a pipe is open, so that its name can go.
        let (file, _) = input.into_file(path)?;
        let mut file = BufReader::new(file);
        let mut start = Vec::new();
        file.by_ref().take(START as u64).read_to_end(&mut start).map_err(read_error)?;
        if start.is_empty() {
            return Err(Error::EmptyFile { path: path.to_path_buf() });
        }
        if let Some(mistaken) = forms::mistaken(path, &start, Format::Arrow) {
            return Err(mistaken);
        }
        file.rewind().map_err(read_error)?;
        let is_file = start.starts_with(FILE_MAGIC);
        if let Err(wrong) = envelope::check(&mut file, is_file).map_err(read_error)? {
            let reason = format!("is damaged: it tells of {wrong}");
            return Err(Error::Damaged { path: path.to_path_buf(), reason });
        }
        file.rewind().map_err(read_error)?;
        // The schema comes first, to know the projection that the reader is then built with.
        let schema: SchemaRef = if is_file {
            guarded(path, || FileReader::try_new(&mut file, None).map(|reader| reader.schema()))?
        } else {
            guarded(path, || StreamReader::try_new(&mut file, None).map(|reader| reader.schema()))?
        };
        file.rewind().map_err(read_error)?;
        let header: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let fields = locate(path, &header, wanted, by_configuration)?;
        let mut projection: Vec<usize> = fields.iter().flatten().copied().collect();
        projection.sort_unstable();
        projection.dedup();
        let batches = if is_file {
            Batches::File(guarded(path, || FileReader::try_new(file, Some(projection)))?)
        } else {
            Batches::Stream(guarded(path, || StreamReader::try_new(file, Some(projection)))?)
        };
        Ok(Self {
            path: Arc::clone(path),
            batches,
            picker: Picker::new(&fields, wanted, null),
            rest: None,
            next_row: 0,
        })
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let batch = loop {
            if let Some(batch) = self.rest.take().filter(|batch| batch.num_rows() > 0) {
                break batch;
            }
            let Self { path, batches, .. } = self;
            let next = guarded(path, || match batches {
                Batches::File(reader) => reader.next().transpose(),
                Batches::Stream(reader) => reader.next().transpose(),
            })?;
            match next {
                Some(batch) => self.rest = Some(batch),
                None => return Ok(None),
            }
        };
        let rows = batch.num_rows().min(CHUNK_ROWS);
        self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        let columns = self.picker.pick(&self.path, &batch.slice(0, rows))?;
        let origin =
            Origin { path: Some(Arc::clone(&self.path)), first_row: self.next_row, position: 0, lines: Vec::new() };
        self.next_row += rows as u64;
        Ok(Some(Chunk { rows, columns, origin, broken: Vec::new() }))
    }
}
