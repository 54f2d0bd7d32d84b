//! [`Target`]: what a plan is compiled for beside the graph.

use crate::kernels::tiles::LANES;

/// Sizes of the machine that runs a plan. The plan itself knows no processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Rows that one shard holds at the most.
    pub(crate) shard_rows: usize,
    /// Rows that are worth a shard of their own where a batch is smaller than that: what it costs to read all weights again is
    /// little beside them.
    pub(crate) least_rows: usize,
    /// Numbers that one register holds: the grain of rows of sums.
    pub(crate) lanes: usize,
    /// Rows of a table that is multiplied as a whole, at the most. A step multiplies each of them, whether or not the batch
    /// reads it, and a batch of 512 rows should gain much from it.
    pub(crate) table_rows: usize,
    /// Rows of all tables that one layer multiplies as a whole, at the most: 48 columns of what they give take 192 KiB,
    /// which a core's own cache holds beside what else a shard works on.
    pub(crate) folded_rows: usize,
}

/// Rows of a shard. 256 rows of a few thousand activations stay in a core's outer cache, and the usual batches of 512 to 4096 rows
/// give every core some. Predictions alone take as long or longer with 64 to 128 rows.
const SHARD_ROWS: usize = 256;

/// Least rows of a shard that is predicted alone. On two threads 50 candidates of w7 took 0.84 ms as one shard, 0.50 as two
/// and 0.57 as four.
const LEAST_ROWS: usize = 16;

impl Target {
    /// The processor that this program runs on.
    pub(crate) fn cpu() -> Self {
        Self { shard_rows: SHARD_ROWS, least_rows: LEAST_ROWS, lanes: LANES, table_rows: 128, folded_rows: 1024 }
    }
}
