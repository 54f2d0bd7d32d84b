//! [`Manifest`]: the sources of encoded rows, and how to find and check the rows.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

use super::BLOCK_ROWS;
use super::key::{Key, Stamp};
use crate::counts::LabelCount;
use crate::encode::Encoder;
use crate::error::{Error, Result};
use crate::raw::RawRows;
use crate::seen::FeatureCount;
use crate::skipped::Skipped;

/// Begins the file; the hash of all that follows comes next.
const MAGIC: &str = "pleiad-encoded-rows ";

const NAME: &str = "manifest";

/// The file `manifest`: a line with a hash, and JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) key: Key,
    pub(super) sources: Vec<Stamp>,
    pub(super) encoder: Encoder,
    pub(super) skipped: Skipped,
    pub(super) raw: RawRows,
    pub(super) splits: [Option<SplitManifest>; 3],
}

/// The rows of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SplitManifest {
    pub(super) rows: u64,
    /// Labels of each task.
    pub(super) labels: Vec<LabelCount>,
    /// Values of each feature.
    pub(super) features: Vec<FeatureCount>,
    pub(super) blocks: Vec<StoredBlock>,
}

/// Up to [`BLOCK_ROWS`] rows: a record batch of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Entry", into = "Entry")]
pub(super) struct StoredBlock {
    /// Where it begins in the file.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) rows: u32,
    /// Rows with a label of any task.
    pub(super) labelled: u32,
    /// XXH64 of the bytes.
    pub(super) hash: u64,
    /// [`crate::Batch::xxh64`] of the rows: unlike the bytes it is the same whatever wrote them.
    pub(super) content: u64,
}

/// A block as it is written, since there are many.
type Entry = (u64, u64, u32, u32, u64, u64);

impl From<Entry> for StoredBlock {
    fn from((offset, bytes, rows, labelled, hash, content): Entry) -> Self {
        Self { offset, bytes, rows, labelled, hash, content }
    }
}

impl From<StoredBlock> for Entry {
    fn from(block: StoredBlock) -> Self {
        (block.offset, block.bytes, block.rows, block.labelled, block.hash, block.content)
    }
}

impl Manifest {
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let json = serde_json::to_string(self)
            .map_err(|error| Error::Write { path: path.clone(), reason: error.to_string() })?;
        let text = format!("{MAGIC}{:016x}\n{json}\n", xxh64(json.as_bytes(), 0));
        fs::write(&path, text).map_err(|source| Error::Io { path, source })
    }

    /// Reads it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let damaged = || "the manifest that was there is damaged".to_owned();
        let text = match fs::read_to_string(folder.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(damaged()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err("there were none".to_owned()),
            Err(error) => return Err(format!("those that were there cannot be read: {error}")),
        };
        let (hash, json) = text.strip_prefix(MAGIC).and_then(|rest| rest.split_once('\n')).ok_or_else(damaged)?;
        let json = json.strip_suffix('\n').ok_or_else(damaged)?;
        if hash != format!("{:016x}", xxh64(json.as_bytes(), 0)) {
            return Err(damaged());
        }
        let manifest: Self = serde_json::from_str(json)
            .map_err(|_| "those that were there are of another version of this program".to_owned())?;
        manifest.splits.iter().flatten().try_for_each(SplitManifest::check)?;
        Ok(manifest)
    }
}

impl SplitManifest {
    /// Refuses numbers that contradict each other, before anything is allocated by them.
    fn check(&self) -> Result<(), String> {
        let last = self.blocks.len().saturating_sub(1);
        let is_sound = |(at, block): (usize, &StoredBlock)| {
            let rows = block.rows as usize;
            block.labelled <= block.rows
                && if at < last { rows == BLOCK_ROWS } else { (1..=BLOCK_ROWS).contains(&rows) }
        };
        let rows: u64 = self.blocks.iter().map(|block| u64::from(block.rows)).sum();
        if rows == self.rows && self.blocks.iter().enumerate().all(is_sound) {
            Ok(())
        } else {
            Err("the manifest that was there contradicts itself".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_contradict_each_other_are_refused() {
        let block = StoredBlock { offset: 8, bytes: 64, rows: BLOCK_ROWS as u32, labelled: 9, hash: 1, content: 2 };
        let last = StoredBlock { rows: 5, labelled: 5, ..block };
        let split =
            SplitManifest { rows: BLOCK_ROWS as u64 + 5, labels: vec![], features: vec![], blocks: vec![block, last] };
        assert_eq!(split.check(), Ok(()));
        assert!(SplitManifest { rows: 7, ..split.clone() }.check().is_err());
        for blocks in [
            vec![last, block],
            vec![block, StoredBlock { labelled: 6, ..last }],
            vec![block, StoredBlock { rows: 0, ..last }],
        ] {
            let rows = blocks.iter().map(|block| u64::from(block.rows)).sum();
            assert!(SplitManifest { rows, blocks, labels: vec![], features: vec![] }.check().is_err());
        }
        assert_eq!(StoredBlock::from(Entry::from(block)), block);
    }
}
