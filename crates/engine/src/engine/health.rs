//! Checks whether steps still move the weights. A finite loss does not show this.

use rayon::prelude::*;

use super::{Engine, UPDATE_CHUNK};

/// Weights that no step moves any more, because a square in their optimizer state has overflowed to infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stuck {
    /// How many dense parameters this holds for.
    pub dense: u64,
    /// The number of all dense parameters.
    pub of: u64,
    /// Rows of embedding tables, among those that the last step touched.
    pub table_rows: u64,
}

impl Stuck {
    /// Whether no weight is stuck.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.dense == 0 && self.table_rows == 0
    }
}

impl Engine {
    /// Looks for optimizer state that is no finite number: the square of a gradient above 1.8e19 is infinite in f32, and
    /// what is divided by its root is zero, in this step and in all that follow.
    #[must_use]
    pub fn stuck(&self) -> Stuck {
        let count = |state: &[f32]| {
            let of_chunk = |chunk: &[f32]| chunk.iter().filter(|value| !value.is_finite()).count() as u64;
            state.par_chunks(UPDATE_CHUNK).map(of_chunk).sum::<u64>()
        };
        let tables = self.parameters.tables.iter().zip(&self.touched);
        Stuck {
            // Of Adam's two states the squares overflow first; a weight is not counted for both.
            dense: self.state.iter().map(|state| count(state)).max().unwrap_or(0),
            of: self.graph.params.iter().map(|param| param.len() as u64).sum(),
            table_rows: tables.map(|(table, touched)| table.stuck_rows(touched)).sum(),
        }
    }
}
