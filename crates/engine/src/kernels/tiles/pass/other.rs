//! Other processors have none of this; what calls it goes in several passes.

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
