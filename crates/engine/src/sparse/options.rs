//! [`TableOptions`]: where tables are kept, and in which precision.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an engine keeps its embedding tables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableOptions {
    /// What rows are made of.
    pub precision: TablePrecision,
    /// Folder of the files that tables are mapped from; `None` keeps them in memory.
    ///
    /// A file has no name, so that nothing is left of it however the process ends. The system writes and reads its pages
    /// as memory allows.
    pub folder: Option<PathBuf>,
}

/// What the rows of a table are made of: weights and optimizer state alike. Sums and steps are computed in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TablePrecision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, the upper half of an f32, in half the memory.
    ///
    /// An update is rounded at random, up with a probability equal to the covered share of the distance: steps that are
    /// too small for the 8 bits of a fraction happen as often as they must, and are right on average. The random bits
    /// depend on seed, table, step, row and element alone. What is loaded or drawn is rounded to nearest.
    Bf16,
}
