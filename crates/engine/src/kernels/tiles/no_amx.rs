//! Stub for systems and processors without AMX kernels.

use super::{Amx, Kernel, Pair, Strip};

/// Never.
pub(crate) fn has_amx() -> bool {
    false
}

impl Kernel for Amx {
    type Unit = Pair;
    type Held = ();

    fn available() -> bool {
        false
    }

    unsafe fn hold() {}

    unsafe fn strip(_: &Strip<Pair>) {
        unreachable!("tiles are asked for before they are used")
    }
}
