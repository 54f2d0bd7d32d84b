//! Stub for processors without our tiles; there [`crate::kernels::product`] multiplies.

use super::{Kernel, LANES, Pair, Strip, Unit};

impl Kernel for f32 {
    type Unit = Self;
    type Held = ();

    fn available() -> bool {
        false
    }

    unsafe fn hold() {}

    unsafe fn strip(_: &Strip<Self>) {
        unreachable!("tiles are asked for before they are used")
    }
}

impl Kernel for Pair {
    type Unit = Self;
    type Held = ();

    fn available() -> bool {
        false
    }

    unsafe fn hold() {}

    unsafe fn strip(_: &Strip<Self>) {
        unreachable!("tiles are asked for before they are used")
    }
}

/// Not at all: there is no instruction.
pub(super) fn turn_square<U: Unit>(_: &mut [[U; LANES]; LANES]) -> bool {
    false
}

/// None of it: there is no instruction.
pub(super) fn pair_runs(_: &[f32], _: &mut [Pair], _: usize) -> usize {
    0
}

/// Not at all: there is no instruction.
pub(super) fn turn_pairs(_: &mut [[Pair; LANES]; LANES], _: &[f32], _: usize) -> bool {
    false
}

/// None of it: there is no instruction.
pub(super) fn pair_rows(_: &[f32], _: &[f32], _: &mut [Pair]) -> usize {
    0
}
