//! Stub for other processors; there the caller makes several passes.

use super::{Pair, Rows, Stripe};

/// No processor here can.
pub(super) fn available() -> bool {
    false
}

/// Never called.
///
/// # Safety
/// None is needed.
pub(super) unsafe fn run<const SQUARES: bool>(_: Stripe<'_>, _: &mut [Pair], _: usize, _: Option<Rows<'_>>) {}
