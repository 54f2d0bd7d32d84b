//! Stub for other processors, which take the plain path.

use super::Shape;
use crate::kernels::product::Matrix;

/// No processor here can.
pub(super) fn available() -> bool {
    false
}

/// Never called.
///
/// # Safety
/// None is needed.
pub(super) unsafe fn forward<const WIDE: usize>(_: &mut [f32], _: Shape, _: &[f32], _: Shape, _: &[u32], _: usize) {}

/// Never called.
///
/// # Safety
/// None is needed.
pub(super) unsafe fn backward<const WIDE: usize>(
    _: &mut [f32],
    _: Shape,
    _: &[f32],
    _: Shape,
    _: (&[u32], &[u16]),
    _: &mut [f32],
    _: bool,
) {
}

/// Never called.
///
/// # Safety
/// None is needed.
pub(super) unsafe fn narrow(_: Matrix<&mut [f32]>, _: Matrix<&[f32]>, _: Matrix<&[f32]>) {}
