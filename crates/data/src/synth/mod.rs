//! Generators of synthetic logs with known true probabilities or values: [`PaperLog`] (two correlated regressions),
//! [`FactorLog`] (regressions that share some factors) and [`VideoLog`] (the funnel of a video feed).
//! `docs/synthetic-logs.md` gives their formulas.
//!
//! A log is a sequence of blocks. Each block has a random stream of its own, keyed by seed and block number, so that a
//! log does not depend on the number of threads, a longer log begins with the shorter one, and memory does not depend
//! on the number of rows. The same build gives the same log everywhere; between platforms the last bit of a real
//! number may differ with the system's `sin`, `exp` and `ln`.

mod factors;
mod paper;
mod vectors;
pub mod video;

use std::ops::ControlFlow;
use std::path::Path;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use xxhash_rust::xxh64::xxh64;

pub use factors::{FactorLog, FactorOptions};
pub use paper::{PaperLog, PaperOptions};
pub use video::{VideoLog, VideoOptions};

use crate::write::RecordWriter;
use crate::{Error, Result};

/// A log that can be made block by block, in any order and from any thread.
pub trait SyntheticLog: Sync {
    /// Columns of every block.
    fn schema(&self) -> SchemaRef;

    /// Rows of the whole log.
    fn rows(&self) -> u64;

    /// Rows of every block but the last.
    fn block_rows(&self) -> u64;

    /// Block `index`, from 0 to [`SyntheticLog::blocks`]` - 1`.
    ///
    /// # Errors
    /// If Arrow refuses the columns, which would be a mistake of the generator.
    fn block(&self, index: u64) -> Result<RecordBatch>;

    /// Number of blocks.
    fn blocks(&self) -> u64 {
        self.rows().div_ceil(self.block_rows())
    }

    /// Rows of block `index`.
    fn rows_of(&self, index: u64) -> usize {
        // At most `block_rows`, which generators keep small.
        self.rows().saturating_sub(index * self.block_rows()).min(self.block_rows()) as usize
    }
}

/// Writes the whole log to `path` in the format of its ending, making blocks on the current rayon pool.
///
/// `progress` gets the number of rows written so far and may stop the work.
///
/// # Errors
/// Those of [`RecordWriter`]; [`Error::Interrupted`] if `progress` broke off. In either case nothing is left behind and
/// an older file at `path` is as it was.
pub fn write_log(
    log: &dyn SyntheticLog,
    path: impl AsRef<Path>,
    progress: &mut (dyn FnMut(u64) -> ControlFlow<()> + Send),
) -> Result<()> {
    let path = path.as_ref();
    let mut writer = RecordWriter::create(path, log.schema())?;
    let at_once = 2 * rayon::current_num_threads() as u64;
    let make = |from: u64| -> Vec<Result<RecordBatch>> {
        (from..log.blocks().min(from + at_once)).into_par_iter().map(|index| log.block(index)).collect()
    };
    let mut next = at_once;
    let mut ready = make(0);
    while !ready.is_empty() {
        let write = || {
            for block in ready {
                writer.write(&block?)?;
                if progress(writer.rows()).is_break() {
                    return Err(Error::Interrupted { path: path.to_path_buf(), rows: writer.rows() });
                }
            }
            Ok(())
        };
        // Compressing and writing is serial, so the next blocks are made meanwhile.
        let (written, following) = rayon::join(write, || make(next));
        written?;
        ready = following;
        next += at_once;
    }
    writer.finish()
}

/// Most rows of a log, so that no number of rows or block overflows.
const MOST_ROWS: u64 = 1 << 40;

fn check_rows(rows: u64) -> Result<()> {
    match rows {
        1..=MOST_ROWS => Ok(()),
        _ => refuse("rows", rows, format!("a log has 1 to {MOST_ROWS} rows")),
    }
}

/// Rows of a block of about a million numbers, whatever the number of inputs.
fn a_million_numbers(dimension: usize) -> u64 {
    ((1 << 20) / dimension as u64).clamp(16, 4096)
}

/// The random stream `index` of the part `name` of a log.
fn stream(seed: u64, name: &str, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(xxh64(name.as_bytes(), seed));
    rng.set_stream(index);
    rng
}

fn refuse<T>(option: &'static str, value: impl ToString, reason: impl ToString) -> Result<T> {
    Err(Error::SynthOption { option, value: value.to_string(), reason: reason.to_string() })
}

#[cfg(test)]
mod tests;
