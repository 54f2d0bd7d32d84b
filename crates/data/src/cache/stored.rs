//! [`StoredRows`]: encoded rows of a split on disk, read a block at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::buffer::{Buffer, MutableBuffer};
use arrow::ipc::reader::FileDecoder;
use arrow::ipc::{Block as Message, MetadataVersion};
use rayon::prelude::*;
use xxhash_rust::xxh64::{Xxh64, xxh64};

use super::BLOCK_ROWS;
use super::columns::StoredColumns;
use super::manifest::{SplitManifest, StoredBlock};
use crate::ahead::Ahead;
use crate::batch::Batch;
use crate::counts::LabelCount;
use crate::disk::TemporaryFolder;
use crate::error::{Error, Result};
use crate::load::Request;
use crate::read::guarded;
use crate::seen::FeatureCount;

/// Blocks that are read ahead.
const WAITING: usize = 2;

/// Before the metadata of a message stand four bytes of ones and its length.
const PREFIX: usize = 8;

/// Encoded rows of a split on disk. They stand in blocks of [`BLOCK_ROWS`] (the last may have fewer), in the order of the
/// log; each block is checked against its hash whenever it is read. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct StoredRows(Arc<Stored>);

#[derive(Debug)]
struct Stored {
    path: PathBuf,
    /// Held open, so that a cache that is built anew beside this run does not take it away.
    file: File,
    columns: Arc<StoredColumns>,
    manifest: SplitManifest,
    /// Removed with the last of its rows.
    _temporary: Option<Arc<TemporaryFolder>>,
}

impl StoredRows {
    /// Opens the file.
    ///
    /// # Errors
    /// Why it cannot be that of the manifest.
    pub(super) fn open(
        path: PathBuf,
        columns: Arc<StoredColumns>,
        manifest: SplitManifest,
        temporary: Option<Arc<TemporaryFolder>>,
    ) -> Result<Self, String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = File::open(&path).map_err(|error| format!("{name} that was there cannot be read: {error}"))?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let fits = |block: &StoredBlock| block.offset.checked_add(block.bytes).is_some_and(|end| end <= length);
        if !manifest.blocks.iter().all(fits) {
            return Err(format!("{name} that was there is cut off"));
        }
        Ok(Self(Arc::new(Stored { path, file, columns, manifest, _temporary: temporary })))
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.manifest.rows
    }

    /// Labels of each task.
    #[must_use]
    pub fn label_counts(&self) -> &[LabelCount] {
        &self.0.manifest.labels
    }

    /// Values of each feature, in the order of the schema.
    #[must_use]
    pub fn feature_counts(&self) -> &[FeatureCount] {
        &self.0.manifest.features
    }

    /// For each block, its rows with a label of any task.
    pub fn labelled_rows(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.0.manifest.blocks.iter().map(|block| block.labelled as usize)
    }

    /// Changes when a row changes; the same wherever and whenever they were written.
    #[must_use]
    pub fn xxh64(&self) -> u64 {
        let mut hash = Xxh64::new(0);
        self.0.manifest.blocks.iter().for_each(|block| hash.update(&block.content.to_le_bytes()));
        hash.digest()
    }

    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.0.manifest.blocks.len()
    }

    /// Rows of block `block`, from 0.
    ///
    /// # Errors
    /// [`Error::Encoded`] if there is no such block, or it is not what it was when it was written.
    pub fn read(&self, block: usize) -> Result<Batch> {
        self.decode(block).map_err(|reason| Error::Encoded { path: self.0.path.clone(), reason })
    }

    fn decode(&self, number: usize) -> Result<Batch, String> {
        let Stored { columns, manifest, path, .. } = &*self.0;
        let block = manifest.blocks.get(number).ok_or_else(|| format!("there is no block {number}"))?;
        let bytes = self.bytes(number)?;
        let contradiction = || format!("block {number} contradicts itself");
        let length = bytes.get(4..PREFIX).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
        let header = length.and_then(|length| PREFIX.checked_add(length as usize)).ok_or_else(contradiction)?;
        let body = bytes.len().checked_sub(header).ok_or_else(contradiction)?;
        let message = Message::new(0, i32::try_from(header).map_err(|_| contradiction())?, body as i64);
        let decoder = FileDecoder::new(Arc::clone(columns.schema()), MetadataVersion::V5);
        let record = guarded(path, || decoder.read_record_batch(&message, &bytes))
            .map_err(|error| error.to_string())?
            .ok_or_else(contradiction)?;
        if record.num_rows() != block.rows as usize {
            return Err(contradiction());
        }
        columns.decode(&record).map_err(|reason| format!("block {number} holds {reason}"))
    }

    /// Bytes of a block that have its hash.
    fn bytes(&self, number: usize) -> Result<Buffer, String> {
        let block = &self.0.manifest.blocks[number];
        let size = usize::try_from(block.bytes).map_err(|_| format!("block {number} is too large"))?;
        let mut bytes = MutableBuffer::from_len_zeroed(size);
        read_at(&self.0.file, &self.0.path, bytes.as_slice_mut(), block.offset).map_err(|error| error.to_string())?;
        if xxh64(&bytes, 0) != block.hash {
            return Err(format!("block {number} has changed since it was written"));
        }
        Ok(bytes.into())
    }

    /// Checks the hash of every block.
    ///
    /// # Errors
    /// The first one that does not have it.
    pub(super) fn verify(&self) -> Result<(), String> {
        (0..self.blocks()).into_par_iter().try_for_each(|block| self.bytes(block).map(drop)).map_err(|r| self.was(&r))
    }

    fn was(&self, reason: &str) -> String {
        let name = self.0.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name} that was there is damaged: {reason}")
    }

    /// All rows.
    ///
    /// # Errors
    /// Why they are not what was written.
    pub(super) fn read_all(&self, request: &Request<'_>) -> Result<Batch, String> {
        let mut all: Option<Batch> = None;
        // Some blocks at a time, since each is there twice until it is appended.
        let group = 8 * rayon::current_num_threads();
        for start in (0..self.blocks()).step_by(group) {
            let blocks = start..self.blocks().min(start + group);
            let read: Vec<Batch> = blocks
                .into_par_iter()
                .map(|block| self.decode(block))
                .collect::<Result<_, _>>()
                .map_err(|r| self.was(&r))?;
            let mut read = read.into_iter();
            if all.is_none() {
                all = read.next();
                if let Some(all) = &mut all {
                    all.reserve_rows(self.rows() as usize);
                }
            }
            if let Some(all) = &mut all {
                all.append_all(&read.collect::<Vec<_>>());
            }
            request.go_on().map_err(|error| error.to_string())?;
        }
        all.ok_or_else(|| "there are no rows".to_owned())
    }

    /// The blocks in order, read on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn in_order(&self) -> Result<Ahead<Batch>> {
        let (rows, mut next) = (self.clone(), 0);
        Ahead::start("pleiad-blocks", WAITING, move || {
            next += 1;
            if next > rows.blocks() { Ok(None) } else { rows.read(next - 1).map(Some) }
        })
    }

    /// At most `most` rows from all over: row `i * rows / count` for each `i` below their count.
    ///
    /// # Errors
    /// As [`StoredRows::read`].
    pub fn sample(&self, most: usize) -> Result<Batch> {
        let count = (most as u64).min(self.rows());
        let row = |i: u64| (u128::from(i) * u128::from(self.rows()) / u128::from(count.max(1))) as u64;
        let mut of_blocks: Vec<(usize, Vec<usize>)> = Vec::new();
        for row in (0..count).map(row) {
            let (block, at) = ((row / BLOCK_ROWS as u64) as usize, (row % BLOCK_ROWS as u64) as usize);
            match of_blocks.last_mut() {
                Some((last, rows)) if *last == block => rows.push(at),
                _ => of_blocks.push((block, vec![at])),
            }
        }
        let take = |(block, index): &(usize, Vec<usize>)| {
            let rows = self.read(*block)?;
            let mut taken = rows.clone();
            taken.gather_from(&rows, index);
            Ok(taken)
        };
        let taken: Vec<Batch> = of_blocks.par_iter().map(take).collect::<Result<_>>()?;
        let mut taken = taken.into_iter();
        let Some(mut sample) = taken.next() else { return self.read(0).map(|rows| rows.slice(0..0)) };
        sample.append_all(&taken.collect::<Vec<_>>());
        Ok(sample)
    }
}

#[cfg(unix)]
fn read_at(file: &File, _: &Path, into: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

#[cfg(not(unix))]
fn read_at(_: &File, path: &Path, into: &mut [u8], offset: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    // A file of its own, since threads would move each other's position.
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(into)
}
