//! Parquet: row groups, decoded side by side where they are not too large.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::chunk::{CHUNK_ROWS, Chunk, Origin, Wanted};
use super::column::Column;
use super::guard::guarded;
use super::piece::Part;
use super::{locate, reduce};
use crate::error::{Error, Result};

/// Row groups of up to so many bytes (before compression) are decoded whole, each on whatever thread has time.
const GROUP_BYTES: i64 = 32 << 20;

pub(super) struct ParquetReader {
    file: Arc<ParquetFile>,
    next_group: usize,
    next_row: u64,
    /// The row group at hand, where it is too large to be decoded at once.
    batches: Option<ParquetRecordBatchReader>,
}

/// What every row group's decoding needs.
struct ParquetFile {
    path: Arc<Path>,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    picker: Picker,
}

/// A row group that is yet to be decoded.
pub(super) struct RowGroup {
    file: Arc<ParquetFile>,
    number: usize,
    first_row: u64,
}

impl ParquetReader {
    pub(super) fn open(path: &Arc<Path>, wanted: &[Wanted], by_configuration: bool) -> Result<Self> {
        let file = super::open_file(path)?;
        if file.metadata().map_err(|source| Error::Read { path: path.to_path_buf(), source })?.len() == 0 {
            return Err(Error::EmptyFile { path: path.to_path_buf() });
        }
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()))?;
        let header: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
        let fields = locate(path, &header, wanted, by_configuration)?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), fields.iter().flatten().copied());
        let picker = Picker::new(&fields, wanted);
        let file = Arc::new(ParquetFile { path: Arc::clone(path), metadata, mask, picker });
        Ok(Self { file, next_group: 0, next_row: 0, batches: None })
    }

    pub(super) fn next_part(&mut self) -> Result<Option<Part>> {
        let file = Arc::clone(&self.file);
        loop {
            if let Some(batches) = &mut self.batches {
                if let Some(batch) = guarded(&file.path, || batches.next().transpose())? {
                    let chunk = file.chunk(&batch, self.next_row)?;
                    self.next_row += chunk.rows as u64;
                    return Ok(Some(Part::Rows(chunk)));
                }
                self.batches = None;
            }
            let groups = file.metadata.metadata().row_groups();
            let Some(group) = groups.get(self.next_group) else { return Ok(None) };
            let number = self.next_group;
            self.next_group += 1;
            if group.total_byte_size() > GROUP_BYTES {
                self.batches = Some(file.decoder(number)?);
                continue;
            }
            let first_row = self.next_row;
            self.next_row = self.next_row.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
            return Ok(Some(Part::RowGroup(RowGroup { file, number, first_row })));
        }
    }
}

impl ParquetFile {
    fn decoder(&self, group: usize) -> Result<ParquetRecordBatchReader> {
        // A handle of its own, since copies of one share their position.
        let file = super::open_file(&self.path)?;
        guarded(&self.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(self.mask.clone())
                .with_batch_size(CHUNK_ROWS)
                .build()
        })
    }

    fn chunk(&self, batch: &RecordBatch, first_row: u64) -> Result<Chunk> {
        let columns = self.picker.pick(&self.path, batch)?;
        let origin = Origin { path: Some(Arc::clone(&self.path)), first_row, position: 0, lines: Vec::new() };
        Ok(Chunk { rows: batch.num_rows(), columns, origin, broken: Vec::new() })
    }
}

impl RowGroup {
    pub(super) fn decode(self) -> Result<Vec<Chunk>> {
        let Self { file, number, mut first_row } = self;
        let mut batches = file.decoder(number)?;
        let mut chunks = Vec::new();
        while let Some(batch) = guarded(&file.path, || batches.next().transpose())? {
            let chunk = file.chunk(&batch, first_row)?;
            first_row += chunk.rows as u64;
            chunks.push(chunk);
        }
        Ok(chunks)
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
