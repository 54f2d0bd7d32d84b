//! Stub for systems and processors without AMX kernels.

use std::convert::Infallible;

use super::{Amx, Kernel, LANES, Pair, Strip, left};
use crate::kernels::{Lines, MatRef};

/// Never.
pub(crate) fn has_amx() -> bool {
    false
}

impl Kernel for Amx {
    type Unit = Pair;
    type Held = Infallible;

    const UNITS: usize = LANES;
    const BAND: usize = LANES;

    fn hold() -> Option<Infallible> {
        None
    }

    fn left<'a>(memory: &'a mut Lines<Pair>, x: MatRef<'a>) -> MatRef<'a, Pair> {
        left::squares(memory, x)
    }

    fn strip(held: &Infallible, _: Strip<'_, Self>) {
        match *held {}
    }
}
