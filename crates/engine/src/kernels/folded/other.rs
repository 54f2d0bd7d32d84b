//! Stub for other processors, which take the plain path.

use super::{Looked, MatMut, MatRef};

/// Not at all: there is no instruction, here and below.
pub(super) fn forward<const WIDE: usize>(_: MatMut<'_>, _: MatRef<'_>, _: &Looked) -> bool {
    false
}

/// See [`forward`].
pub(super) fn backward<const WIDE: usize>(_: MatMut<'_>, _: MatRef<'_>, _: &mut Looked, _: bool) -> bool {
    false
}

/// See [`forward`].
pub(super) fn narrow(_: MatMut<'_>, _: MatRef<'_>, _: MatRef<'_>) -> bool {
    false
}
