//! [`CacheWriter`]: encoded rows into files, block by block.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use rayon::prelude::*;
use xxhash_rust::xxh64::Xxh64;

use super::columns::StoredColumns;
use super::manifest::{SplitManifest, StoredBlock};
use super::{BLOCK_ROWS, PART_ROWS};
use crate::batch::Batch;
use crate::counts::LabelCount;
use crate::encode::Encoder;
use crate::error::{Error, Result};
use crate::seen::FeatureCount;
use crate::split::Split;

/// Name of the file of a split.
pub(super) fn file_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train.arrow",
        Split::Valid => "valid.arrow",
        Split::Test => "test.arrow",
    }
}

/// The files of all splits.
pub(super) struct CacheWriter {
    folder: PathBuf,
    wanted: [bool; 3],
    splits: [Option<SplitWriter>; 3],
}

impl CacheWriter {
    pub(super) fn new(folder: &Path, wanted: [bool; 3]) -> Result<Self> {
        Ok(Self { folder: folder.to_path_buf(), wanted, splits: [None, None, None] })
    }

    /// Opens the files, once it is known what the rows look like.
    pub(super) fn begin(&mut self, encoder: &Encoder) -> Result<()> {
        for split in Split::ALL.into_iter().filter(|&split| self.wanted[split as usize]) {
            let empty = Batch::empty(encoder.layout(), encoder.tasks().len());
            let path = self.folder.join(file_name(split));
            self.splits[split as usize] = Some(SplitWriter::create(path, StoredColumns::of(encoder, split), empty)?);
        }
        Ok(())
    }

    /// Appends rows to a split.
    pub(super) fn put(&mut self, split: Split, part: &Batch) -> Result<()> {
        self.splits[split as usize].as_mut().map_or(Ok(()), |writer| writer.put(part))
    }

    /// Completes the files; `counts` are those of the features in each split.
    pub(super) fn finish(self, counts: &[Vec<FeatureCount>; 3]) -> Result<[Option<SplitManifest>; 3]> {
        let [train, valid, test] = self.splits.map(|split| split.map(SplitWriter::finish).transpose());
        let mut manifests = [train?, valid?, test?];
        for (manifest, counts) in manifests.iter_mut().zip(counts) {
            manifest.iter_mut().for_each(|manifest| manifest.features.clone_from(counts));
        }
        Ok(manifests)
    }
}

struct SplitWriter {
    path: PathBuf,
    columns: StoredColumns,
    file: FileWriter<Hashing>,
    /// Rows that do not fill a block yet, or are too few to be worth several threads.
    pending: Batch,
    manifest: SplitManifest,
}

impl SplitWriter {
    fn create(path: PathBuf, columns: StoredColumns, empty: Batch) -> Result<Self> {
        let file = File::create(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let hashing = Hashing { inner: BufWriter::with_capacity(1 << 18, file), hash: Xxh64::new(0), at: 0 };
        let file = FileWriter::try_new(hashing, columns.schema())
            .map_err(|error| Error::Write { path: path.clone(), reason: error.to_string() })?;
        let labels = vec![LabelCount::default(); empty.labels.len()];
        let manifest = SplitManifest { rows: 0, labels, features: Vec::new(), blocks: Vec::new() };
        Ok(Self { path, columns, file, pending: empty, manifest })
    }

    fn put(&mut self, part: &Batch) -> Result<()> {
        self.pending.append(part);
        self.manifest.rows += part.rows as u64;
        for (sum, labels) in self.manifest.labels.iter_mut().zip(&part.labels) {
            sum.add(LabelCount::of(labels));
        }
        if self.pending.rows < PART_ROWS { Ok(()) } else { self.write(self.pending.rows / BLOCK_ROWS) }
    }

    /// Writes the first `blocks` blocks of the rows that wait.
    fn write(&mut self, blocks: usize) -> Result<()> {
        let error = |reason: String| Error::Write { path: self.path.clone(), reason };
        let rows = self.pending.rows;
        let encode = |block: usize| -> Result<(RecordBatch, StoredBlock), String> {
            let batch = self.pending.slice(block * BLOCK_ROWS..rows.min((block + 1) * BLOCK_ROWS));
            let labelled = (0..batch.rows).filter(|&row| batch.is_labelled(row)).count();
            let entry = StoredBlock {
                offset: 0,
                bytes: 0,
                rows: batch.rows as u32,
                labelled: labelled as u32,
                hash: 0,
                content: batch.xxh64(),
            };
            Ok((self.columns.encode(&batch)?, entry))
        };
        let encoded: Vec<_> = (0..blocks).into_par_iter().map(encode).collect::<Result<_, _>>().map_err(error)?;
        for (record, entry) in encoded {
            let offset = self.file.get_mut().cut().0;
            self.file.write(&record).map_err(|e| error(e.to_string()))?;
            let (end, hash) = self.file.get_mut().cut();
            self.manifest.blocks.push(StoredBlock { offset, bytes: end - offset, hash, ..entry });
        }
        self.pending = self.pending.slice(rows.min(blocks * BLOCK_ROWS)..rows);
        Ok(())
    }

    fn finish(mut self) -> Result<SplitManifest> {
        self.write(self.pending.rows.div_ceil(BLOCK_ROWS))?;
        self.file.finish().map_err(|error| Error::Write { path: self.path, reason: error.to_string() })?;
        Ok(self.manifest)
    }
}

/// Hashes what goes through it.
struct Hashing {
    inner: BufWriter<File>,
    hash: Xxh64,
    at: u64,
}

impl Hashing {
    /// Bytes so far, and the hash of those since the last cut.
    fn cut(&mut self) -> (u64, u64) {
        let hash = std::mem::replace(&mut self.hash, Xxh64::new(0)).digest();
        (self.at, hash)
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
