//! The three products of a linear layer `y = x W^T + b`, in the chosen arithmetic.
//!
//! With `d` the gradient of the layer's sums, these are the forward product `x W^T`, the gradient of the weights
//! `d^T x`, and the gradient of the input `d W`. [`Layer`] holds the weights, prepared once per step for every shard;
//! [`Scratch`] holds the prepared operands of one shard.

use std::ops::Range;

use super::packing::{Packing, weight_gradient};
use super::product::{Matrix, product};
use super::tiles::amx::has_amx;
use super::tiles::{Amx, Kernel, Pair, Panels, round_to_bf16};
use super::{Columns, Lines, dispatch};
use crate::precision::{Kernels, Precision};

/// How products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// f32 by the `gemm` crate.
    Plain,
    /// f32 by our own tiles.
    Tiles,
    /// bf16 by our own tiles.
    PairTiles,
    /// bf16 by the processor's.
    Amx,
    /// f32 by the `gemm` crate, of operands rounded to bf16.
    Rounded,
}

impl Arithmetic {
    /// What gives `precision` on this processor.
    pub(crate) fn choose(precision: Precision, kernels: Kernels) -> Self {
        let fastest = kernels == Kernels::Fastest;
        #[cfg(test)]
        if let (Precision::Bf16, true, Some(forced)) = (precision, fastest, FORCED.get()) {
            return forced;
        }
        match precision {
            Precision::F32 if fastest && f32::available() => Self::Tiles,
            Precision::F32 => Self::Plain,
            Precision::Bf16 if fastest && has_amx() => Self::Amx,
            Precision::Bf16 if fastest && Pair::available() => Self::PairTiles,
            Precision::Bf16 => Self::Rounded,
        }
    }

    /// Products of f32, as near to this as there are.
    pub(crate) fn of_f32(self) -> Self {
        match self {
            Self::Tiles | Self::PairTiles | Self::Amx if f32::available() => Self::Tiles,
            _ => Self::Plain,
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "f32 (gemm)",
            Self::Tiles => "f32 (AVX-512)",
            Self::PairTiles => "bf16 (AVX512-BF16)",
            Self::Amx => "bf16 (AMX)",
            Self::Rounded => "bf16 (emulated: rounded to bf16, multiplied in f32)",
        }
    }
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Arithmetic>> = const { std::cell::Cell::new(None) };
}

/// What `run` gives if `arithmetic` is what this thread has as the fastest products of bf16.
#[cfg(test)]
pub(crate) fn with_fastest_bf16<R>(arithmetic: Arithmetic, run: impl FnOnce() -> R) -> R {
    FORCED.set(Some(arithmetic));
    let result = run();
    FORCED.set(None);
    result
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

/// What a layer writes its outputs to.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub(crate) y: &'a mut [f32],
    pub(crate) at: Columns,
    /// Whether they are added to what is there.
    pub(crate) onto: bool,
}

impl<'a> Output<'a> {
    /// Columns of which nothing else is asked.
    pub(crate) fn new(y: &'a mut [f32], at: Columns) -> Self {
        Self { y, at, onto: false }
    }
}

/// Columns of a row-major matrix.
pub(crate) type Part<'a> = (&'a [f32], Columns);

/// The weights of a linear layer as its products want them. Made anew whenever weights have changed.
#[derive(Debug)]
pub(crate) enum Layer {
    /// As they lie, or rounded: the `gemm` crate multiplies.
    Gemm(Option<Vec<f32>>),
    /// In panels of f32.
    Tiles(Box<Packing<f32>>),
    /// In panels of bf16.
    PairTiles(Box<Packing<Pair>>),
    /// In panels of bf16 for AMX.
    Amx(Box<Packing<Amx>>),
}

/// Operands of one shard and other intermediate numbers, and their memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    panels: Panels<f32>,
    pair_panels: Panels<Pair>,
    amx_panels: Panels<Amx>,
    left: Lines<Pair>,
    rounded: [Vec<f32>; 2],
    /// Intermediate numbers between two passes.
    pub(crate) numbers: Lines<f32>,
}

impl Layer {
    /// A layer whose outputs `rectified` are rectified.
    pub(crate) fn new(arithmetic: Arithmetic, outputs: usize, rectified: impl Iterator<Item = Range<usize>>) -> Self {
        let floor = || {
            let mut floor = vec![f32::NEG_INFINITY; outputs];
            rectified.for_each(|columns| floor[columns].fill(0.0));
            floor
        };
        match arithmetic {
            Arithmetic::Plain => Self::Gemm(None),
            Arithmetic::Tiles => Self::Tiles(Box::new(Packing::new(floor()))),
            Arithmetic::PairTiles => Self::PairTiles(Box::new(Packing::new(floor()))),
            Arithmetic::Amx => Self::Amx(Box::new(Packing::new(floor()))),
            Arithmetic::Rounded => Self::Gemm(Some(Vec::new())),
        }
    }

    /// Prepares `weights` `[outputs, inputs]`, of whose inputs `wanted` want a gradient. The first outputs have a `bias`.
    pub(crate) fn prepare(&mut self, weights: Matrix<&[f32]>, bias: &[f32], wanted: Option<Range<usize>>) {
        match self {
            Self::Gemm(None) => {}
            Self::Tiles(packing) => packing.prepare(weights, bias, wanted),
            Self::PairTiles(packing) => packing.prepare(weights, bias, wanted),
            Self::Amx(packing) => packing.prepare(weights, bias, wanted),
            Self::Gemm(Some(rounded)) => {
                rounded.resize(weights.data.len(), 0.0);
                dispatch(
                    #[inline(always)]
                    || rounded.iter_mut().zip(weights.data).for_each(|(y, &x)| *y = round_to_bf16(x)),
                );
            }
        }
    }

    /// Whether [`Layer::forward`] adds biases and rectifies, too.
    pub(crate) fn finishes(&self) -> bool {
        matches!(self, Self::Tiles(_) | Self::PairTiles(_) | Self::Amx(_))
    }

    /// `y = x W^T`, or `y += x W^T`, and more if [`Layer::finishes`].
    pub(crate) fn forward(
        &self,
        out: Output<'_>,
        x: Part<'_>,
        weights: Matrix<&[f32]>,
        rows: usize,
        scratch: &mut Scratch,
    ) {
        let (at, onto) = (out.at, out.onto);
        match self {
            Self::Gemm(own) => {
                let (x, w) = match own {
                    Some(own) => (rounded(&mut scratch.rounded[0], x, rows), Matrix { data: &own[..], ..weights }),
                    None => (x, weights),
                };
                let y = Matrix::new(&mut out.y[at.col..], rows, at.width, at.ld);
                product(y, matrix(x, rows), w.transposed(), onto);
            }
            Self::Tiles(p) => p.forward(out, x, rows, &mut scratch.left),
            Self::PairTiles(p) => p.forward(out, x, rows, &mut scratch.left),
            Self::Amx(p) => p.forward(out, x, rows, &mut scratch.left),
        }
    }

    /// `out = d^T x`, or `out += d^T x` where the target is a sum.
    pub(crate) fn weight_gradient(
        &self,
        out: Matrix<&mut [f32]>,
        d: Part<'_>,
        x: Part<'_>,
        rows: usize,
        target: Target,
        scratch: &mut Scratch,
    ) {
        let add = target == Target::Sum;
        let Scratch { panels, pair_panels, amx_panels, left, rounded: memory, .. } = scratch;
        match self {
            Self::Gemm(own) => {
                let (x, d) = match (own, memory) {
                    (Some(_), [of_x, of_d]) => (rounded(of_x, x, rows), rounded(of_d, d, rows)),
                    (None, _) => (x, d),
                };
                product(out, matrix(d, rows).transposed(), matrix(x, rows), add);
            }
            Self::Tiles(_) => weight_gradient(out, d, x, rows, target, panels, left),
            Self::PairTiles(_) => weight_gradient(out, d, x, rows, target, pair_panels, left),
            Self::Amx(_) => weight_gradient(out, d, x, rows, target, amx_panels, left),
        }
    }

    /// `out = d W`, or `out += d W` where `add`, for the inputs that want a gradient: `weights` are their columns,
    /// `skipped` how many stand before them.
    pub(crate) fn input_gradient(
        &self,
        out: (&mut [f32], Columns),
        d: Part<'_>,
        (weights, skipped): (Matrix<&[f32]>, usize),
        rows: usize,
        add: bool,
        scratch: &mut Scratch,
    ) {
        let (out, at) = (&mut out.0[out.1.col..], out.1);
        let left = &mut scratch.left;
        match self {
            Self::Gemm(own) => {
                let (d, w) = match own {
                    Some(own) => {
                        (rounded(&mut scratch.rounded[1], d, rows), Matrix { data: &own[skipped..], ..weights })
                    }
                    None => (d, weights),
                };
                product(Matrix::new(out, rows, at.width, at.ld), matrix(d, rows), w, add);
            }
            Self::Tiles(p) => p.input_gradient(out, at.ld, d, rows, add, left),
            Self::PairTiles(p) => p.input_gradient(out, at.ld, d, rows, add, left),
            Self::Amx(p) => p.input_gradient(out, at.ld, d, rows, add, left),
        }
    }
}

/// A part as a matrix.
fn matrix((data, at): Part<'_>, rows: usize) -> Matrix<&[f32]> {
    Matrix::new(&data[at.col..], rows, at.width, at.ld)
}

/// A part with every element rounded to bf16.
fn rounded<'m>(memory: &'m mut Vec<f32>, (data, at): Part<'_>, rows: usize) -> Part<'m> {
    memory.resize(memory.len().max(rows * at.width), 0.0);
    dispatch(
        #[inline(always)]
        || {
            for (y, x) in memory.chunks_mut(at.width.max(1)).zip(at.rows(data, rows)) {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = round_to_bf16(x));
            }
        },
    );
    (memory, Columns { ld: at.width, col: 0, width: at.width })
}

#[cfg(test)]
mod tests {
    use super::super::tiles::amx_here;
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
        let (x_at, y_at) = (Columns { ld: 16, col: 3, width: inputs }, Columns { ld: 64, col: 5, width: outputs });
        let (x, d, w) = (values(rows * 16, 1), values(rows * 64, 2), values(outputs * 12, 3));
        let weights = Matrix::new(&w[..], outputs, inputs, 12);
        let mut layer = Layer::new(arithmetic, outputs, std::iter::empty());
        layer.prepare(weights, &[], Some(2..inputs));
        let mut scratch = Scratch::default();
        let mut y = vec![0.5; rows * 64];
        layer.forward(Output::new(&mut y, y_at), (&x, x_at), weights, rows, &mut scratch);
        let mut w_gradient = vec![0.5; outputs * 12];
        let mut x_gradient = vec![0.5; rows * 16];
        let dx_at = Columns { ld: 16, col: 5, width: inputs - 2 };
        for (add, target) in [(false, Target::Far), (true, Target::Sum)].into_iter().take(1 + usize::from(twice)) {
            let out = Matrix::new(&mut w_gradient[..], outputs, inputs, 12);
            layer.weight_gradient(out, (&d, y_at), (&x, x_at), rows, target, &mut scratch);
            let part = Matrix { data: &w[2..], cols: inputs - 2, ..weights };
            layer.input_gradient((&mut x_gradient, dx_at), (&d, y_at), (part, 2), rows, add, &mut scratch);
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
    fn amx_is_not_chosen_where_it_is_emulated() {
        amx_here();
        let chosen = Arithmetic::choose(Precision::Bf16, Kernels::Fastest);
        assert_eq!(chosen == Arithmetic::Amx, has_amx(), "{chosen:?}");
        assert_eq!(Arithmetic::choose(Precision::Bf16, Kernels::Plain), Arithmetic::Rounded);
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
    fn biases_and_rectifiers_are_column_by_column() {
        for arithmetic in ALL.into_iter().filter(here) {
            let weights = [1.0f32, -1.0, 2.0, -2.0];
            let weights = Matrix::new(&weights[..], 4, 1, 1);
            let mut layer = Layer::new(arithmetic, 4, std::iter::once(0..2));
            layer.prepare(weights, &[0.25, 0.25, 0.25], None);
            let at = Columns { ld: 4, col: 0, width: 4 };
            let mut y = [9.0; 4];
            let x = (&[1.0f32][..], Columns { ld: 1, col: 0, width: 1 });
            layer.forward(Output::new(&mut y, at), x, weights, 1, &mut Scratch::default());
            let expected = if layer.finishes() { [1.25, 0.0, 2.25, -2.0] } else { [1.0, -1.0, 2.0, -2.0] };
            assert_eq!(y, expected, "{arithmetic:?}");
        }
    }
}
