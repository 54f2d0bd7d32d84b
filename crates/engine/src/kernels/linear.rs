//! A linear layer `y = f(x W^T + b)` and its way back, in the chosen arithmetic.
//!
//! With `d` the gradient of the layer's sums, its three products are the forward product `x W^T`, the gradient of the
//! weights `d^T x`, and the gradient of the input `d W`. [`Layer`] holds the weights, prepared once per step for every
//! shard; [`Scratch`] holds the prepared operands of one shard.

use std::ops::Range;

use pleiad_model::graph::Activation;

use super::arithmetic::Arithmetic;
use super::packing::{Packing, Target};
use super::product::product;
use super::scratch::Scratch;
use super::tiles::{Amx, Pair, round_to_bf16};
use super::{MatMut, MatRef, activation, bias, dispatch};

/// Output columns of a layer that are treated alike after its product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Relative to the layer's output.
    pub(crate) cols: Range<usize>,
    pub(crate) activation: Activation,
    /// Whether they have a bias.
    pub(crate) biased: bool,
}

/// A linear layer, its weights as its products want them: made anew whenever weights have changed.
#[derive(Debug)]
pub(crate) struct Layer {
    segments: Vec<Segment>,
    /// Inputs that want a gradient.
    wanted: Option<Range<usize>>,
    /// Of every output; zero of those without.
    bias: Vec<f32>,
    /// Lower bound of every output: 0 of a rectified one, else minus infinity.
    floor: Vec<f32>,
    products: Products,
}

/// Who multiplies, with weights prepared for it.
#[derive(Debug)]
enum Products {
    /// The `gemm` crate, with weights as they lie, or with what they are rounded to.
    Gemm(Option<Vec<f32>>),
    Tiles(Box<Packing<f32>>),
    PairTiles(Box<Packing<Pair>>),
    Amx(Box<Packing<Amx>>),
}

/// What a layer's way back reads and writes.
#[derive(Debug)]
pub(crate) struct Back<'a> {
    /// What [`Layer::forward`] read.
    pub(crate) x: MatRef<'a>,
    pub(crate) weights: MatRef<'a>,
    /// What it gave.
    pub(crate) y: MatRef<'a>,
    /// Gradient of y; it becomes that of the sums.
    pub(crate) d: MatMut<'a>,
    pub(crate) weight_gradient: MatMut<'a>,
    /// What the gradient of the weights is written to.
    pub(crate) target: Target,
    /// Of the outputs that have a bias; it is added to.
    pub(crate) bias_gradient: &'a mut [f32],
    /// Gradient of the inputs that want one, and whether it is added to.
    pub(crate) input_gradient: Option<(MatMut<'a>, bool)>,
}

impl Layer {
    /// A layer of so many outputs, of whose inputs `wanted` want a gradient.
    pub(crate) fn new(
        arithmetic: Arithmetic,
        outputs: usize,
        segments: Vec<Segment>,
        wanted: Option<Range<usize>>,
    ) -> Self {
        let mut floor = vec![f32::NEG_INFINITY; outputs];
        let rectified = segments.iter().filter(|segment| segment.activation == Activation::Relu);
        rectified.for_each(|segment| floor[segment.cols.clone()].fill(0.0));
        let products = match arithmetic {
            Arithmetic::Plain => Products::Gemm(None),
            Arithmetic::Rounded => Products::Gemm(Some(Vec::new())),
            Arithmetic::Tiles => Products::Tiles(Box::new(Packing::new())),
            Arithmetic::PairTiles => Products::PairTiles(Box::new(Packing::new())),
            Arithmetic::Amx => Products::Amx(Box::new(Packing::new())),
        };
        Self { segments, wanted, bias: vec![0.0; outputs], floor, products }
    }

    /// Prepares `weights` `[outputs, inputs]`. The first outputs have a `bias`.
    pub(crate) fn prepare(&mut self, weights: MatRef<'_>, bias: &[f32]) {
        self.bias[..bias.len()].copy_from_slice(bias);
        let wanted = self.wanted.clone();
        match &mut self.products {
            Products::Gemm(None) => {}
            Products::Gemm(Some(own)) => _ = rounded(own, weights),
            Products::Tiles(packing) => packing.prepare(weights, wanted),
            Products::PairTiles(packing) => packing.prepare(weights, wanted),
            Products::Amx(packing) => packing.prepare(weights, wanted),
        }
    }

    /// `y = f(x W^T + b)`, or `y = f(y + x W^T + b)` where `add`, for the `weights` that it was prepared for.
    pub(crate) fn forward(
        &self,
        mut y: MatMut<'_>,
        add: bool,
        x: MatRef<'_>,
        weights: MatRef<'_>,
        scratch: &mut Scratch,
    ) {
        let (out, shift) = (y.by_ref(), [&self.bias[..], &self.floor[..]]);
        match &self.products {
            Products::Gemm(own) => {
                let (x, weights) = match own {
                    Some(own) => (rounded(&mut scratch.rounded[0], x), like(weights, own)),
                    None => (x, weights),
                };
                product(out, x, weights.transposed(), add);
                for Segment { cols, activation, biased } in &self.segments {
                    let bias = if *biased { &self.bias[cols.clone()] } else { &[] };
                    bias::forward(y.columns(cols.clone()), bias, *activation);
                }
                return;
            }
            Products::Tiles(packing) => packing.forward(out, add, x, shift, scratch),
            Products::PairTiles(packing) => packing.forward(out, add, x, shift, scratch),
            Products::Amx(packing) => packing.forward(out, add, x, shift, scratch),
        }
        // These have added biases and rectified.
        for segment in self.segments.iter().filter(|segment| segment.activation != Activation::Relu) {
            activation::forward(segment.activation, y.columns(segment.cols.clone()));
        }
    }

    /// Goes back through activation and bias, then makes the gradients of the weights and of the input.
    pub(crate) fn backward(&self, back: Back<'_>, scratch: &mut Scratch) {
        let Back { x, y, mut d, weights, weight_gradient, target, bias_gradient, input_gradient } = back;
        for Segment { cols, activation, biased } in &self.segments {
            let own = if *biased { cols.clone() } else { 0..0 };
            let (y, d) = (y.columns(cols.clone()), d.columns(cols.clone()));
            bias::backward(y, d, *activation, &mut bias_gradient[own]);
        }
        let d = d.as_ref();
        match &self.products {
            Products::Gemm(own) => {
                let [of_x, of_d] = &mut scratch.rounded;
                let (x, d, weights) = match own {
                    Some(own) => (rounded(of_x, x), rounded(of_d, d), like(weights, own)),
                    None => (x, d, weights),
                };
                product(weight_gradient, d.transposed(), x, target == Target::Sum);
                if let (Some((out, add)), Some(wanted)) = (input_gradient, self.wanted.clone()) {
                    product(out, d, weights.columns(wanted), add);
                }
            }
            Products::Tiles(packing) => packing.backward(weight_gradient, target, d, x, input_gradient, scratch),
            Products::PairTiles(packing) => packing.backward(weight_gradient, target, d, x, input_gradient, scratch),
            Products::Amx(packing) => packing.backward(weight_gradient, target, d, x, input_gradient, scratch),
        }
    }
}

/// Every element of `x` rounded to bf16, one row right behind the other.
fn rounded<'m>(memory: &'m mut Vec<f32>, x: MatRef<'_>) -> MatRef<'m> {
    memory.resize(memory.len().max(x.rows() * x.cols()), 0.0);
    dispatch(
        #[inline(always)]
        || {
            for (y, x) in memory.chunks_mut(x.cols().max(1)).zip(x.each_row()) {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = round_to_bf16(x));
            }
        },
    );
    like(x, memory)
}

/// What [`rounded`] gave of a matrix of this shape.
fn like<'m>(x: MatRef<'_>, memory: &'m [f32]) -> MatRef<'m> {
    MatRef::new(memory, x.rows(), x.cols(), x.cols())
}

#[cfg(test)]
mod tests {
    use super::super::tiles::{Kernel, amx_here};
    use super::*;

    const ALL: [Arithmetic; 5] =
        [Arithmetic::Plain, Arithmetic::Tiles, Arithmetic::PairTiles, Arithmetic::Amx, Arithmetic::Rounded];

    fn here(arithmetic: &Arithmetic) -> bool {
        match arithmetic {
            Arithmetic::Tiles => f32::available(),
            Arithmetic::PairTiles => Pair::available(),
            Arithmetic::Amx => amx_here(),
            Arithmetic::Plain | Arithmetic::Rounded => true,
        }
    }

    fn values(n: usize, seed: u32) -> Vec<f32> {
        (0..n).map(|i| ((i as u32 + seed).wrapping_mul(2_654_435_761) >> 16) as f32 / 65536.0 - 0.5).collect()
    }

    /// Output, gradient of the weights, gradient of inputs 2 to 11.
    fn products(arithmetic: Arithmetic, twice: bool) -> [Vec<f32>; 3] {
        let (rows, inputs, outputs) = (19, 11, 53);
        let (x, d, w) = (values(rows * 16, 1), values(rows * 64, 2), values(outputs * 12, 3));
        let (x, weights) = (MatRef::new(&x[3..], rows, inputs, 16), MatRef::new(&w, outputs, inputs, 12));
        let mut layer = Layer::new(arithmetic, outputs, Vec::new(), Some(2..inputs));
        layer.prepare(weights, &[]);
        let mut scratch = Scratch::default();
        let mut y = vec![0.5; rows * 64];
        layer.forward(MatMut::new(&mut y[5..], rows, outputs, 64), false, x, weights, &mut scratch);
        let mut w_gradient = vec![0.5; outputs * 12];
        let mut x_gradient = vec![0.5; rows * 16];
        for (add, target) in [(false, Target::Far), (true, Target::Sum)].into_iter().take(1 + usize::from(twice)) {
            let mut d = d.clone();
            let back = Back {
                x,
                y: MatRef::new(&y[5..], rows, outputs, 64),
                d: MatMut::new(&mut d[5..], rows, outputs, 64),
                weights,
                weight_gradient: MatMut::new(&mut w_gradient, outputs, inputs, 12),
                target,
                bias_gradient: &mut [],
                input_gradient: Some((MatMut::new(&mut x_gradient[5..], rows, inputs - 2, 16), add)),
            };
            layer.backward(back, &mut scratch);
        }
        [y, w_gradient, x_gradient]
    }

    fn distance(a: &[Vec<f32>; 3], b: &[Vec<f32>; 3]) -> f32 {
        a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn every_arithmetic_multiplies_the_same_matrices() {
        let plain = products(Arithmetic::Plain, false);
        for arithmetic in ALL.iter().filter(|a| here(a)) {
            let found = products(*arithmetic, false);
            // bf16 keeps 8 bits: 53 products of numbers below 1/2, each off by 2^-9 at the most.
            let (exact, most) = match arithmetic {
                Arithmetic::Plain | Arithmetic::Tiles => (true, 1e-5),
                Arithmetic::PairTiles | Arithmetic::Amx | Arithmetic::Rounded => (false, 0.05),
            };
            let distance = distance(&plain, &found);
            assert!(distance < most && (exact || distance > 1e-4), "{arithmetic:?}: {distance}");
        }
    }

    #[test]
    fn emulated_bf16_is_bf16_up_to_the_order_of_sums() {
        for arithmetic in [Arithmetic::PairTiles, Arithmetic::Amx].into_iter().filter(here) {
            let found = distance(&products(arithmetic, true), &products(Arithmetic::Rounded, true));
            assert!(found < 1e-5, "{arithmetic:?}: {found}");
        }
    }

    #[test]
    fn gradients_add_up() {
        for arithmetic in ALL.into_iter().filter(here) {
            let (once, twice) = (products(arithmetic, false), products(arithmetic, true));
            // Elements that no product touches keep their 0.5.
            for (once, twice) in once[1..].iter().flatten().zip(twice[1..].iter().flatten()) {
                assert!((2.0 * once - twice).abs() < 1e-5 || (*once == 0.5 && *twice == 0.5), "{arithmetic:?}");
            }
        }
    }

    #[test]
    fn segments_have_their_biases_and_activations() {
        for arithmetic in ALL.into_iter().filter(here) {
            let w = [1.0f32, -1.0, 2.0, -2.0];
            let (weights, x) = (MatRef::new(&w, 4, 1, 1), MatRef::new(&[1.0], 1, 1, 1));
            let segment = |cols, activation, biased| Segment { cols, activation, biased };
            let segments = vec![
                segment(0..2, Activation::Relu, true),
                segment(2..3, Activation::LeakyRelu, true),
                segment(3..4, Activation::LeakyRelu, false),
            ];
            let mut layer = Layer::new(arithmetic, 4, segments, None);
            layer.prepare(weights, &[0.25, 0.25, 0.25]);
            let (mut y, mut scratch) = ([9.0; 4], Scratch::default());
            layer.forward(MatMut::new(&mut y, 1, 4, 4), false, x, weights, &mut scratch);
            assert_eq!(y, [1.25, 0.0, 2.25, -0.02], "{arithmetic:?}");
            let (mut d, mut w_gradient, mut bias_gradient) = ([1.0; 4], [9.0; 4], [1.0; 3]);
            let back = Back {
                x,
                y: MatRef::new(&y, 1, 4, 4),
                d: MatMut::new(&mut d, 1, 4, 4),
                weights,
                weight_gradient: MatMut::new(&mut w_gradient, 4, 1, 1),
                target: Target::New,
                bias_gradient: &mut bias_gradient,
                input_gradient: None,
            };
            layer.backward(back, &mut scratch);
            let of_sums = [1.0, 0.0, 1.0, 0.01];
            assert_eq!((d, bias_gradient), (of_sums, [2.0, 1.0, 2.0]), "{arithmetic:?}");
            let off = w_gradient.iter().zip(of_sums).map(|(found, d)| (found - d).abs());
            assert!(off.fold(0.0, f32::max) < 1e-4, "{arithmetic:?}: {w_gradient:?}");
        }
    }
}
