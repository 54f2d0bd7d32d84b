//! [`MemoryReader`]: reads rows from a program as from a file.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::chunk::{CHUNK_ROWS, Chunk, Wanted};
use crate::error::Result;

/// Record batches, one after the other, a chunk at a time.
pub(super) struct MemoryReader {
    batches: Arc<Vec<RecordBatch>>,
    wanted: Vec<Wanted>,
    null: Vec<String>,
    by_configuration: bool,
    /// The batch at hand, and its rows that were given.
    at: (usize, usize),
    /// Rows before it.
    before: u64,
}

impl MemoryReader {
    pub(super) fn new(
        batches: Arc<Vec<RecordBatch>>,
        wanted: &[Wanted],
        null: &[String],
        by_configuration: bool,
    ) -> Self {
        let (wanted, null) = (wanted.to_vec(), null.to_vec());
        Self { batches, wanted, null, by_configuration, at: (0, 0), before: 0 }
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            let (index, given) = self.at;
            let Some(batch) = self.batches.get(index) else { return Ok(None) };
            let rows = (batch.num_rows() - given).min(CHUNK_ROWS);
            // A frame without rows has its columns looked at, too.
            if rows == 0 && (given > 0 || self.batches.len() > 1) {
                self.at = (index + 1, 0);
                continue;
            }
            let part = batch.slice(given, rows);
            let mut chunk = Chunk::of_rows(&part, &self.wanted, &self.null, self.by_configuration)?;
            chunk.origin.first_row = self.before;
            self.before += rows as u64;
            self.at = if rows == 0 { (index + 1, 0) } else { (index, given + rows) };
            return Ok(Some(chunk));
        }
    }
}
