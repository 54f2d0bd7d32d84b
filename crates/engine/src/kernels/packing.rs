//! The products of a linear layer with our own tiles, for any kernel.

use std::ops::Range;

use super::scratch::{Operands, Room, Scratch};
use super::tiles::{Finish, Kernel, Panels, multiply};
use super::{MatMut, MatRef};

/// A layer's weights in panels.
#[derive(Debug)]
pub(super) struct Packing<K: Kernel> {
    /// W^T, for the forward pass.
    forward: Panels<K::Unit>,
    /// The columns of W whose input needs a gradient, for the backward pass.
    backward: Panels<K::Unit>,
}

/// What a gradient of weights is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Memory whose values mean nothing.
    New,
    /// As [`Target::New`], in an array that caches do not hold: most of it is written before it is read.
    Far,
    /// A sum that it is added to.
    Sum,
}

/// Elements of a gradient that goes past the caches wherever it lies: it would not find all of its lines there, and
/// fetching a line only to overwrite it is half of the traffic.
const LARGE: usize = 1 << 18;

/// Weights that are packed by one thread: fewer are done before another has taken them up.
const CUT: usize = 1 << 16;

impl<K: Kernel<Unit: Room>> Packing<K> {
    /// Without weights.
    pub(super) fn new() -> Self {
        Self { forward: Panels::default(), backward: Panels::default() }
    }

    /// Packs weights `[outputs, inputs]`, of whose inputs `wanted` want a gradient.
    pub(super) fn prepare(&mut self, weights: MatRef<'_>, wanted: Option<Range<usize>>) {
        let parallel = weights.rows() * weights.cols() > CUT;
        self.forward.pack::<K>(weights.transposed(), parallel);
        if let Some(wanted) = wanted {
            self.backward.pack::<K>(weights.columns(wanted), parallel);
        }
    }

    /// `y = max(x W^T + bias, floor)`, or `y = max(y + x W^T + bias, floor)` where `add`; `shift` are bias and floor.
    pub(super) fn forward(&self, y: MatMut<'_>, add: bool, x: MatRef<'_>, shift: [&[f32]; 2], scratch: &mut Scratch) {
        let x = K::left(&mut K::Unit::operands(scratch).left, x);
        multiply::<K>(y, x, &self.forward, Finish { add, past: false, shift: Some(shift) });
    }

    /// Gradients by `d`: of the weights `d^T x`, and of the input `d W` where it is wanted, added to it or not.
    pub(super) fn backward(
        &self,
        weight_gradient: MatMut<'_>,
        target: Target,
        d: MatRef<'_>,
        x: MatRef<'_>,
        input_gradient: Option<(MatMut<'_>, bool)>,
        scratch: &mut Scratch,
    ) {
        let Operands { left, right } = K::Unit::operands(scratch);
        // The right operand is the shard's, too, so it is packed here.
        right.pack::<K>(x, false);
        let large = weight_gradient.rows() * weight_gradient.ld() >= LARGE;
        let past = target == Target::Far || target == Target::New && large;
        let finish = Finish { add: target == Target::Sum, past, shift: None };
        multiply::<K>(weight_gradient, K::left(left, d.transposed()), right, finish);
        if let Some((out, add)) = input_gradient {
            multiply::<K>(out, K::left(left, d), &self.backward, Finish { add, ..Finish::default() });
        }
    }
}
