//! Parquet: row groups, decoded side by side where they are not too large.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, Type as PhysicalType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Broken, CHUNK_ROWS, Chunk, Origin, Wanted};
use super::column::Column;
use super::guard::guarded;
use super::open::{OpenFile, ReopenAt, START};
use super::{encrypted, forms, locate, parquet_bytes, reduce};
use crate::error::{Error, Result};
use crate::footer;
use crate::schema::Format;

/// Row groups of up to so many bytes (before compression) are decoded whole, each on whatever thread has time.
const GROUP_BYTES: i64 = 32 << 20;

pub(super) struct ParquetReader {
    file: Arc<ParquetFile>,
    next_group: usize,
    next_row: u64,
    /// The row group at hand, where it is too large to be decoded at once.
    batches: Option<GroupBatches>,
    /// Rows before that one.
    group_begins: u64,
}

/// Batches of a row group.
struct GroupBatches {
    reader: ParquetRecordBatchReader,
    group: usize,
    rows: usize,
    /// Whether texts are bytes.
    as_bytes: bool,
}

/// What every row group's decoding needs.
struct ParquetFile {
    path: Arc<Path>,
    place: ReopenAt,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    picker: Picker,
    /// As `metadata`, with texts as bytes; `None` if there is no such.
    as_bytes: OnceLock<Option<ArrowReaderMetadata>>,
}

/// A part of a file.
pub(super) enum ParquetPart {
    /// Rows of a large row group.
    Rows(Chunk),
    /// A row group that can be decoded as a whole.
    Group(RowGroup),
}

/// A row group that is yet to be decoded.
pub(super) struct RowGroup {
    file: Arc<ParquetFile>,
    number: usize,
    first_row: u64,
}

impl ParquetReader {
    pub(super) fn open(
        path: &Arc<Path>,
        input: OpenFile,
        wanted: &[Wanted],
        null: &[String],
        by_configuration: bool,
    ) -> Result<Self> {
        let read_error = |source| Error::Read { path: path.to_path_buf(), source };
        let (mut file, place) = input.into_file(path)?;
        let mut start = Vec::new();
        (&mut file).take(START as u64).read_to_end(&mut start).map_err(read_error)?;
        if start.is_empty() {
            return Err(Error::EmptyFile { path: path.to_path_buf() });
        }
        if let Some(mistaken) = forms::mistaken(path, &start, Format::Parquet, by_configuration) {
            return Err(mistaken);
        }
        if !footer::verify(&mut file).map_err(read_error)? {
            return Err(damaged(path, "its footer is not as it was written"));
        }
        let load = |options| guarded(path, || ArrowReaderMetadata::load(&file, options));
        let metadata = match load(ArrowReaderOptions::default()) {
            // What the writer says of Arrow's types may be of one that is not known; Parquet's own types say enough.
            Err(error) => match load(ArrowReaderOptions::default().with_skip_arrow_metadata(true)) {
                Ok(metadata) if parquet_bytes::has_unknown(&metadata) => metadata,
                _ => return Err(error),
            },
            metadata => metadata?,
        };
        check_counts(path, metadata.metadata())?;
        let header: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
        let fields = locate(path, &header, wanted, by_configuration)?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), fields.iter().flatten().copied());
        check_compression(path, metadata.metadata(), &mask)?;
        let instants = instants(metadata.metadata());
        let picker = Picker { instants, ..Picker::new(&fields, wanted, null) };
        let (path, as_bytes) = (Arc::clone(path), OnceLock::new());
        let file = Arc::new(ParquetFile { path, place, metadata, mask, picker, as_bytes });
        Ok(Self { file, next_group: 0, next_row: 0, batches: None, group_begins: 0 })
    }

    /// All columns.
    pub(super) fn schema(&self) -> &arrow::datatypes::Schema {
        self.file.metadata.schema()
    }

    pub(super) fn next_part(&mut self) -> Result<Option<ParquetPart>> {
        let file = Arc::clone(&self.file);
        loop {
            if let Some(batches) = &mut self.batches {
                if let Some(batch) = batches.next(&file)? {
                    let chunk = file.chunk(&batch, self.next_row)?;
                    self.next_row += chunk.rows as u64;
                    return Ok(Some(ParquetPart::Rows(chunk)));
                }
                self.batches = None;
                file.check_rows(self.next_group - 1, self.next_row - self.group_begins)?;
            }
            let groups = file.metadata.metadata().row_groups();
            let Some(group) = groups.get(self.next_group) else { return Ok(None) };
            let number = self.next_group;
            self.next_group += 1;
            if group.total_byte_size() > GROUP_BYTES {
                self.batches = Some(GroupBatches::open(&file, number)?);
                self.group_begins = self.next_row;
                continue;
            }
            let first_row = self.next_row;
            self.next_row = self.next_row.saturating_add(u64::try_from(group.num_rows()).unwrap_or(0));
            return Ok(Some(ParquetPart::Group(RowGroup { file, number, first_row })));
        }
    }
}

/// Columns of 96-bit times, or of lists of them, which Spark writes for times with a zone by default, and which are in UTC.
fn instants(metadata: &ParquetMetaData) -> Vec<String> {
    let columns = metadata.file_metadata().schema_descr().columns().iter();
    let is_instant = |column: &&ColumnDescPtr| column.physical_type() == PhysicalType::INT96;
    columns.filter(is_instant).filter_map(|column| column.path().parts().first().cloned()).collect()
}

impl ParquetFile {
    fn decoder(&self, metadata: &ArrowReaderMetadata, group: usize, skip: usize) -> Result<ParquetRecordBatchReader> {
        // A handle of its own, since copies of one share their position.
        let file = self.place.open()?;
        let reader = guarded(&self.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(self.mask.clone())
                .with_batch_size(CHUNK_ROWS)
                .with_offset(skip)
                .build()
        });
        reader.map_err(|error| self.or_encrypted(error))
    }

    /// Why columns could not be decoded: it may be that they are encrypted.
    fn or_encrypted(&self, error: Error) -> Error {
        let footer = self.place.open().ok().and_then(|mut file| footer::bytes(&mut file).ok()).flatten();
        if !footer.is_some_and(|footer| encrypted::says(&footer)) {
            return error;
        }
        Error::OtherForm {
            path: self.path.to_path_buf(),
            form: "a Parquet file with encrypted columns, of which one is needed".to_owned(),
            advice: "decrypt it first".to_owned(),
        }
    }

    /// A page that is cut short gives fewer rows without a word.
    fn check_rows(&self, group: usize, found: u64) -> Result<()> {
        let told = self.metadata.metadata().row_groups().get(group).map_or(0, |group| group.num_rows());
        if u64::try_from(told).is_ok_and(|told| told == found) {
            return Ok(());
        }
        Err(damaged(&self.path, format!("row group {group} holds {found} rows, and its footer says {told}")))
    }

    /// Metadata by which texts are read as bytes, of which one that is not UTF-8 is no reason to refuse others.
    fn as_bytes(&self) -> Option<&ArrowReaderMetadata> {
        let make = || guarded(&self.path, || parquet_bytes::metadata(&self.metadata)).ok();
        self.as_bytes.get_or_init(make).as_ref()
    }

    fn chunk(&self, batch: &RecordBatch, first_row: u64) -> Result<Chunk> {
        let (columns, broken) = self.picker.pick(&self.path, batch)?;
        let origin = Origin { path: Some(Arc::clone(&self.path)), first_row, ..Origin::default() };
        Ok(Chunk { rows: batch.num_rows(), columns, origin, broken })
    }
}

impl GroupBatches {
    fn open(file: &ParquetFile, group: usize) -> Result<Self> {
        Ok(Self { reader: file.decoder(&file.metadata, group, 0)?, group, rows: 0, as_bytes: false })
    }

    /// The next batch; where it cannot be decoded, with texts as bytes, as all that follow.
    fn next(&mut self, file: &ParquetFile) -> Result<Option<RecordBatch>> {
        let mut next = guarded(&file.path, || self.reader.next().transpose());
        if next.is_err()
            && !self.as_bytes
            && let Some(metadata) = file.as_bytes()
            && let Ok(mut reader) = file.decoder(metadata, self.group, self.rows)
            && let Ok(batch) = guarded(&file.path, || reader.next().transpose())
        {
            (next, self.reader, self.as_bytes) = (Ok(batch), reader, true);
        }
        self.rows += next.as_ref().ok().and_then(Option::as_ref).map_or(0, RecordBatch::num_rows);
        next.map_err(|error| file.or_encrypted(error))
    }
}

impl RowGroup {
    pub(super) fn decode(self) -> Result<Vec<Chunk>> {
        let Self { file, number, first_row: begin } = self;
        let (mut batches, mut first_row) = (GroupBatches::open(&file, number)?, begin);
        let mut chunks = Vec::new();
        while let Some(batch) = batches.next(&file)? {
            let chunk = file.chunk(&batch, first_row)?;
            first_row += chunk.rows as u64;
            chunks.push(chunk);
        }
        file.check_rows(number, first_row - begin)?;
        Ok(chunks)
    }
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Damaged { path: path.to_owned(), reason: format!("is damaged: {reason}") }
}

/// Refuses a footer whose numbers of rows contradict each other.
fn check_counts(path: &Path, metadata: &ParquetMetaData) -> Result<()> {
    let groups = metadata.row_groups().iter().try_fold(0i64, |sum, group| {
        let is_whole = |column: &ColumnChunkMetaData| column.num_values() >= 0;
        let rows = group.num_rows();
        (rows >= 0 && group.columns().iter().all(is_whole)).then(|| sum.checked_add(rows)).flatten()
    });
    let told = metadata.file_metadata().num_rows();
    match groups {
        Some(groups) if groups == told => Ok(()),
        _ => Err(damaged(path, format!("its footer says {told} rows, and other numbers for its row groups"))),
    }
}

/// Refuses a compression that is not read, by name.
fn check_compression(path: &Path, metadata: &ParquetMetaData, mask: &ProjectionMask) -> Result<()> {
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns().iter().enumerate());
    let is_read = |column: &ColumnChunkMetaData| column.compression() != Compression::LZO;
    match columns.into_iter().find(|(leaf, column)| mask.leaf_included(*leaf) && !is_read(column)) {
        None => Ok(()),
        Some((_, column)) => Err(Error::OtherForm {
            path: path.to_owned(),
            form: format!("Parquet whose column \"{}\" is compressed with LZO", column.column_path().string()),
            advice: "Pleiad does not read that: write the file again with zstd or snappy".to_owned(),
        }),
    }
}

/// Takes the wanted columns out of batches that hold only those, in the file's order.
pub(super) struct Picker {
    wanted: Vec<Wanted>,
    /// Place of each wanted column in a batch.
    places: Vec<Option<usize>>,
    /// Texts that are missing values.
    null: Vec<String>,
    /// Wanted columns whose times are instants, though their type does not say so.
    instants: Vec<String>,
}

impl Picker {
    pub(super) fn new(fields: &[Option<usize>], wanted: &[Wanted], null: &[String]) -> Self {
        let mut present: Vec<usize> = fields.iter().flatten().copied().collect();
        present.sort_unstable();
        present.dedup();
        let places = fields.iter().map(|field| field.and_then(|field| present.binary_search(&field).ok())).collect();
        Self { wanted: wanted.to_vec(), places, null: null.to_vec(), instants: Vec::new() }
    }

    pub(super) fn pick(&self, path: &Path, batch: &RecordBatch) -> Result<(Vec<Option<Column>>, Vec<Broken>)> {
        let mut broken = Vec::new();
        let column = |(wanted, place): (&Wanted, &Option<usize>)| {
            let array = place.and_then(|at| batch.columns().get(at));
            let column = array.map(|array| reduce(path, &wanted.name, array, &self.null, &mut broken)).transpose()?;
            Ok(match column {
                Some(column) if self.instants.contains(&wanted.name) => Some(column.into_instants()),
                column => column,
            })
        };
        let columns = self.wanted.iter().zip(&self.places).map(column).collect::<Result<_>>()?;
        broken.sort_by_key(|broken| broken.row);
        Ok((columns, broken))
    }
}
