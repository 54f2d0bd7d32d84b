//! Backward pass of a product: through activation and bias, then the gradients of its weights and of its
//! input.

use std::ops::Range;

use pleiad_model::graph::Activation;

use super::backward::contribution;
use super::layers::weights;
use super::{Shard, Shared};
use crate::kernels::delta::{Delta, Piece, STRIPE, Shape, Signs, Stripe, Sums, Through};
use crate::kernels::linear::{Layer, Part, Target};
use crate::kernels::product::Matrix;
use crate::kernels::{Columns, bias};
use crate::plan::{BackStep, Block, Onward, Region, Segment, Step, View, stride};

/// Elements of a lane's gradient that a core's own caches do not hold, large ones of today's included (4 MiB).
const FAR: usize = 1 << 20;

/// A product in the backward pass over a shard.
#[derive(Clone, Copy)]
struct Product<'p> {
    shared: Shared<'p>,
    layer: &'p Layer,
    step: usize,
    x: View,
    y: View,
    weight: Block,
    bias: Region,
    segments: &'p [Segment],
    /// Whether its sums began with what rows gathered: the gradient of the sums is read again then.
    onto: bool,
    rows: usize,
    /// Whether gradients of parameters are added to what is there.
    accumulate: bool,
}

impl<'p> Product<'p> {
    /// The product of a step, if it is one.
    fn of(shared: Shared<'p>, step: usize, rows: usize, accumulate: bool) -> Option<Self> {
        let Step::Product { x, y, weight, bias, segments, onto } = &shared.plan.steps[step] else { return None };
        let layer = shared.layers.of(step);
        let (x, y, weight, bias, onto) = (*x, *y, *weight, *bias, *onto);
        Some(Self { shared, layer, step, x, y, weight, bias, segments, onto, rows, accumulate })
    }

    /// From the gradient d of the outputs `cols` to that of their sums, and on to their biases'. A layer that rounds
    /// puts it into `delta`, stripe by stripe, and only then may d stay unchanged: no other step reads it.
    fn finish(
        &self,
        cols: Range<usize>,
        (d, d_at): (&mut [f32], Columns),
        (out, out_at): Part<'_>,
        signs: Option<&Signs>,
        delta: &mut Delta,
        gradient: &mut [f32],
    ) {
        let Self { layer, rows, .. } = *self;
        let whole = Shape { rows, cols: self.y.at.width };
        let wanted = self.shared.layers.wants(self.step);
        let gradient = &mut gradient[self.bias.range()];
        if !self.accumulate && cols.start < self.bias.len {
            gradient[cols.start..cols.end.min(self.bias.len)].fill(0.0);
        }
        let meets = |segment: &&Segment| segment.cols.start < cols.end && cols.start < segment.cols.end;
        let parts = self.segments.iter().filter(meets).map(|segment| {
            let part = segment.cols.start.max(cols.start)..segment.cols.end.min(cols.end);
            (segment, part)
        });
        // Biases are those of the first outputs.
        let bias = |of: &Segment, part: &Range<usize>| if of.biased { part.clone() } else { 0..0 };
        let at_once = layer.rounds()
            && parts.clone().all(|(segment, part)| {
                let simple = matches!(segment.activation, Activation::Relu | Activation::Identity);
                simple && part.start.is_multiple_of(STRIPE)
            });
        let stripe = if layer.rounds() { STRIPE } else { rows.max(1) };
        for row in (0..rows).step_by(stripe) {
            let high = stripe.min(rows - row);
            let (d, out) = (&mut d[row * d_at.ld..], &out[row * out_at.ld..]);
            let mut pass = |(segment, part): (&Segment, Range<usize>)| {
                let skipped = part.start - cols.start;
                let through = match (segment.activation, signs) {
                    (Activation::Relu, Some(signs)) if layer.tells() => {
                        let (words, row) = signs.from(row, part.start);
                        Through::Signs(words, row)
                    }
                    (Activation::Relu, _) => Through::Outputs(&out[out_at.col + skipped..], out_at.ld),
                    _ => Through::Nothing,
                };
                let stripe = Stripe {
                    d: &mut d[d_at.col + skipped..],
                    ld: d_at.ld,
                    shape: Shape { rows: high, cols: part.len() },
                    row,
                    col: part.start,
                    through,
                    bias: &mut gradient[bias(segment, &part)],
                    keep: self.onto,
                };
                layer.pass(delta, whole, stripe, wanted)
            };
            if at_once && parts.clone().all(&mut pass) {
                continue;
            }
            for (segment, part) in parts.clone() {
                let at = |of: Columns| Columns { col: of.col + part.start - cols.start, width: part.len(), ..of };
                let bias_gradient = &mut gradient[bias(segment, &part)];
                bias::backward(out, at(out_at), d, at(d_at), high, segment.activation, bias_gradient);
            }
            if layer.rounds() {
                let shape = Shape { rows: high, cols: cols.len() };
                let piece = Piece { data: &d[d_at.col..], ld: d_at.ld, shape, row, col: cols.start };
                layer.put(delta, whole, piece, wanted);
            }
        }
    }
}

/// Goes back through the product of `back`. Gradients of its parameters are written to `gradient`, or added to it where the
/// lane has had a shard before.
pub(super) fn backward(
    shared: Shared<'_>,
    shard: &mut Shard<'_>,
    back: &BackStep,
    gradient: &mut [f32],
    accumulate: bool,
) {
    let rows = shard.span_of(shared.plan, &shared.plan.steps[back.step]).len();
    let Some(product) = Product::of(shared, back.step, rows, accumulate || back.again) else { return };
    let (values, gradients) = (&shared.plan.values, &shared.plan.gradients);
    let Product { layer, x, y, .. } = product;
    let mut scratch = std::mem::take(shard.scratch);
    // One that is put together by several steps has memory of its own.
    let own = shard.deltas[back.step].take();
    let several = own.is_some();
    let mut delta = own.unwrap_or_else(|| std::mem::take(&mut scratch.delta));
    let all = 0..y.at.width;
    let signs = shard.signs[back.step].take();
    for cols in if layer.rounds() { &back.left } else { std::slice::from_ref(&all) } {
        let part = y.part(cols.clone());
        shard.write(gradients, part, |shard, d| {
            let (out, at) = shard.read(values, part);
            product.finish(cols.clone(), (d, part.at), (out, at), signs.as_ref(), &mut delta, gradient);
        });
    }
    shard.signs[back.step] = signs;
    let target = match product.accumulate {
        true => Target::Sum,
        false if gradient.len() >= FAR => Target::Far,
        false => Target::New,
    };
    let w = weights(shared.params, product.weight);
    let w_gradient = Matrix::new(&mut gradient[product.weight.range()], w.rows, w.cols, w.row_stride);
    let input = shard.read(values, x);
    layer.weight_gradient(w_gradient, sums(shard, product, &delta), input, rows, target, &mut scratch);
    if let Some((x_part, add)) = contribution(back, 0) {
        let skipped = x_part.at.col - x.at.col;
        let w = (Matrix { data: &w.data[skipped..], cols: x_part.at.width, ..w }, skipped);
        match &back.onward {
            Some(onward) if layer.rounds() => {
                let mut numbers = std::mem::take(&mut scratch.numbers);
                let at = Columns { ld: stride(x.at.width), col: 0, width: x.at.width };
                let d = numbers.room(rows * at.ld);
                layer.input_gradient((d, at), Sums::Rounded(&delta), w, rows, false, &mut scratch);
                go_on(shared, shard, onward, (d, at), x, gradient, accumulate);
                scratch.numbers = numbers;
            }
            _ => shard.write(gradients, x_part, |shard, memory| {
                let sums = sums(shard, product, &delta);
                layer.input_gradient((memory, x_part.at), sums, w, rows, add, &mut scratch);
            }),
        }
    }
    if several {
        shard.deltas[back.step] = Some(delta);
    } else {
        scratch.delta = delta;
    }
    *shard.scratch = scratch;
}

/// The gradient of a product's sums: as it lies, or put together.
fn sums<'a>(shard: &'a Shard<'_>, product: Product<'a>, delta: &'a Delta) -> Sums<'a> {
    match product.layer.rounds() {
        true => Sums::Rounded(delta),
        false => Sums::Exact(shard.read(&product.shared.plan.gradients, product.y)),
    }
}

/// Finishes the gradient of outputs `x` of an earlier product, which is complete.
fn go_on(
    shared: Shared<'_>,
    shard: &mut Shard<'_>,
    onward: &Onward,
    d: (&mut [f32], Columns),
    x: View,
    gradient: &mut [f32],
    accumulate: bool,
) {
    let rows = shard.span_of(shared.plan, &shared.plan.steps[onward.step]).len();
    let Some(product) = Product::of(shared, onward.step, rows, accumulate) else { return };
    let mut delta = shard.deltas[onward.step].take().unwrap_or_default();
    let (out, signs) = (shard.read(&shared.plan.values, x), shard.signs[onward.step].as_ref());
    product.finish(onward.cols.clone(), d, out, signs, &mut delta, gradient);
    shard.deltas[onward.step] = Some(delta);
}
