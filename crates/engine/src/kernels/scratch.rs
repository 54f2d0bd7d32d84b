//! [`Scratch`]: what a shard keeps between the steps of a product.

use super::Lines;
use super::tiles::{Pair, Panels, Unit};

/// Operands of one product, of a unit.
#[derive(Debug, Default)]
pub(crate) struct Operands<U> {
    pub(super) left: Lines<U>,
    pub(super) right: Panels<U>,
}

/// Operands of one shard and other intermediate numbers, and their memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    of_numbers: Operands<f32>,
    of_pairs: Operands<Pair>,
    pub(super) rounded: [Vec<f32>; 2],
    /// Intermediate numbers between two passes.
    pub(crate) numbers: Lines<f32>,
}

/// A unit for whose operands a [`Scratch`] has room.
pub(crate) trait Room: Unit {
    /// That room.
    fn operands(scratch: &mut Scratch) -> &mut Operands<Self>;
}

impl Room for f32 {
    fn operands(scratch: &mut Scratch) -> &mut Operands<Self> {
        &mut scratch.of_numbers
    }
}

impl Room for Pair {
    fn operands(scratch: &mut Scratch) -> &mut Operands<Self> {
        &mut scratch.of_pairs
    }
}
