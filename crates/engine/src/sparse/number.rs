//! [`Number`]: what a number must be that rows of a table are kept in, and f32 as one.

use super::rounding::RowBits;
use crate::optim::StepRule;

/// A number that a table keeps; calculations are in f32.
///
/// Any bytes of its size must be one, all-zero bytes zero.
pub(crate) trait Number: Copy + Default + Send + Sync + 'static {
    /// Its value.
    fn value(self) -> f32;

    /// The number nearest to `x`, of two the even one.
    fn nearest(x: f32) -> Self;

    /// Moves a row `[weights | state 0 | state 1]` by `rule`. `scratch` is as long as the row; `bits` decide how what
    /// cannot be kept exactly is rounded.
    fn step(row: &mut [Self], grad: &[f32], rule: &StepRule, scale: f32, scratch: &mut [f32], bits: RowBits);
}

impl Number for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }

    #[inline(always)]
    fn nearest(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn step(row: &mut [Self], grad: &[f32], rule: &StepRule, scale: f32, _: &mut [f32], _: RowBits) {
        let (weights, state) = row.split_at_mut(grad.len());
        let (first, second) = state.split_at_mut(state.len().min(grad.len()));
        rule.update_inline(weights, grad, [first, second], scale);
    }
}
