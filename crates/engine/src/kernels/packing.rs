//! The products of a linear layer with our own tiles, for any kernel.

use std::ops::Range;

use super::Lines;
use super::linear::{Output, Part, Target};
use super::product::Matrix;
use super::tiles::{Finish, Kernel, Operand, Pair, Panels, Source};

/// A layer's weights in panels, and what is done with its sums.
#[derive(Debug)]
pub(crate) struct Packing<K: Kernel> {
    /// W^T, for the forward pass.
    forward: Panels<K>,
    /// The columns of W whose input needs a gradient, for the backward pass.
    backward: Panels<K>,
    bias: Vec<f32>,
    /// Lower bound of every output: 0 of a rectified one, else minus infinity.
    floor: Vec<f32>,
}

/// Elements of a gradient that goes past the caches wherever it lies: it would not find all of its lines there, and
/// fetching a line only to overwrite it is half of the traffic.
const LARGE: usize = 1 << 18;

/// Weights that are packed by one thread: fewer are done before another has taken them up.
const CUT: usize = 1 << 16;

impl<K: Operand> Packing<K> {
    /// A layer whose outputs have these lower bounds, without weights.
    pub(super) fn new(floor: Vec<f32>) -> Self {
        Self { forward: Panels::default(), backward: Panels::default(), bias: vec![0.0; floor.len()], floor }
    }

    /// [`super::linear::Layer::prepare`].
    pub(super) fn prepare(&mut self, w: Matrix<&[f32]>, bias: &[f32], wanted: Option<Range<usize>>) {
        let (outputs, inputs, ld) = (w.rows, w.cols, w.row_stride);
        let large = outputs * inputs > CUT;
        self.forward.pack(Source { data: w.data, terms: inputs, cols: outputs, row: 1, col: ld }, large);
        self.bias[..bias.len()].copy_from_slice(bias);
        if let Some(wanted) = wanted {
            let data = &w.data[wanted.start..];
            self.backward.pack(Source { data, terms: outputs, cols: wanted.len(), row: ld, col: 1 }, large);
        }
    }

    /// [`super::linear::Layer::forward`].
    pub(super) fn forward(&self, out: Output<'_>, (x, x_at): Part<'_>, rows: usize, left: &mut Lines<Pair>) {
        let Output { y, at, onto } = out;
        let x = K::along_rows(left, &x[x_at.col..], x_at.ld, rows, x_at.width);
        let finish = Finish::Shift { bias: &self.bias, floor: &self.floor, onto };
        self.forward.multiply(&mut y[at.col..], at.ld, rows, x, finish);
    }

    /// [`super::linear::Layer::input_gradient`], with `ld` the stride of `out`.
    pub(super) fn input_gradient(
        &self,
        out: &mut [f32],
        ld: usize,
        (d, at): Part<'_>,
        rows: usize,
        add: bool,
        left: &mut Lines<Pair>,
    ) {
        let d = K::along_rows(left, &d[at.col..], at.ld, rows, at.width);
        self.backward.multiply(out, ld, rows, d, if add { Finish::Add } else { Finish::Set });
    }
}

/// [`super::linear::Layer::weight_gradient`] by our own tiles. The right operand is the shard's, too, so it is packed here.
pub(super) fn weight_gradient<K: Operand>(
    out: Matrix<&mut [f32]>,
    (d, d_at): Part<'_>,
    (x, x_at): Part<'_>,
    rows: usize,
    target: Target,
    panels: &mut Panels<K>,
    left: &mut Lines<Pair>,
) {
    let d = K::along_columns(left, &d[d_at.col..], d_at.ld, rows, d_at.width);
    panels.pack(Source { data: &x[x_at.col..], terms: rows, cols: x_at.width, row: x_at.ld, col: 1 }, false);
    let finish = match target {
        Target::Sum => Finish::Add,
        Target::Far => Finish::SetAside,
        Target::New if out.rows * out.row_stride >= LARGE => Finish::SetAside,
        Target::New => Finish::Set,
    };
    panels.multiply(out.data, out.row_stride, out.rows, d, finish);
}
