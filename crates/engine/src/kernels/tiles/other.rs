//! Stub for processors without our tiles; there [`crate::kernels::product`] multiplies.

use std::convert::Infallible;

use super::{Kernel, LANES, Pair, Strip, Unit, left};
use crate::kernels::{Lines, MatRef};

impl Kernel for f32 {
    type Unit = Self;
    type Held = Infallible;

    fn hold() -> Option<Infallible> {
        None
    }

    fn left<'a>(_: &'a mut Lines<Self>, x: MatRef<'a>) -> MatRef<'a> {
        x
    }

    fn strip(held: &Infallible, _: Strip<'_, Self>) {
        match *held {}
    }
}

pub(crate) fn has_avx512() -> bool {
    false
}

impl Kernel for Pair {
    type Unit = Self;
    type Held = Infallible;

    fn hold() -> Option<Infallible> {
        None
    }

    fn left<'a>(memory: &'a mut Lines<Self>, x: MatRef<'a>) -> MatRef<'a, Self> {
        left::pairs(memory, x)
    }

    fn strip(held: &Infallible, _: Strip<'_, Self>) {
        match *held {}
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
pub(super) fn turn_pairs(_: &mut [[Pair; LANES]; LANES], _: MatRef<'_>) -> bool {
    false
}

/// None of it: there is no instruction.
pub(super) fn pair_rows(_: &[f32], _: &[f32], _: &mut [Pair]) -> usize {
    0
}
