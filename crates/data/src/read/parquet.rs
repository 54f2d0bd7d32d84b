//! Parquet.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::chunk::{CHUNK_ROWS, Chunk, Origin, Wanted};
use super::column::Column;
use super::guard::guarded;
use super::{locate, reduce};
use crate::error::{Error, Result};

pub(super) struct ParquetReader {
    path: Arc<Path>,
    batches: ParquetRecordBatchReader,
    picker: Picker,
    next_row: u64,
}

impl ParquetReader {
    pub(super) fn open(path: &Arc<Path>, wanted: &[Wanted], by_configuration: bool) -> Result<Self> {
        let file = super::open_file(path)?;
        if file.metadata().map_err(|source| Error::Read { path: path.to_path_buf(), source })?.len() == 0 {
            return Err(Error::EmptyFile { path: path.to_path_buf() });
        }
        let builder = guarded(path, || ParquetRecordBatchReaderBuilder::try_new(file))?;
        let header: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let fields = locate(path, &header, wanted, by_configuration)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), fields.iter().flatten().copied());
        let batches = guarded(path, || builder.with_projection(mask).with_batch_size(CHUNK_ROWS).build())?;
        Ok(Self { path: Arc::clone(path), batches, picker: Picker::new(&fields, wanted), next_row: 0 })
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let Self { path, batches, .. } = self;
        let Some(batch) = guarded(path, || batches.next().transpose())? else {
            return Ok(None);
        };
        let columns = self.picker.pick(&self.path, &batch)?;
        let rows = batch.num_rows();
        let origin =
            Origin { path: Some(Arc::clone(&self.path)), first_row: self.next_row, position: 0, lines: Vec::new() };
        self.next_row += rows as u64;
        Ok(Some(Chunk { rows, columns, origin, broken: Vec::new() }))
    }
}

/// Takes the wanted columns out of batches that hold only those, in the file's order.
pub(super) struct Picker {
    wanted: Vec<Wanted>,
    /// Place of each wanted column in a batch.
    places: Vec<Option<usize>>,
}

impl Picker {
    pub(super) fn new(fields: &[Option<usize>], wanted: &[Wanted]) -> Self {
        let mut present: Vec<usize> = fields.iter().flatten().copied().collect();
        present.sort_unstable();
        present.dedup();
        let places = fields.iter().map(|field| field.and_then(|field| present.binary_search(&field).ok())).collect();
        Self { wanted: wanted.to_vec(), places }
    }

    pub(super) fn pick(&self, path: &Path, batch: &RecordBatch) -> Result<Vec<Option<Column>>> {
        let column = |(wanted, place): (&Wanted, &Option<usize>)| {
            place.and_then(|at| batch.columns().get(at)).map(|array| reduce(path, &wanted.name, array)).transpose()
        };
        self.wanted.iter().zip(&self.places).map(column).collect()
    }
}
