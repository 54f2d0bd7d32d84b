//! Backward pass of a product: through activation and bias, then the gradients of its weights and of its
//! input.

use super::backward::contribution;
use super::layers::weights;
use super::{Shard, Shared};
use crate::kernels::linear::Target;
use crate::kernels::product::Matrix;
use crate::kernels::{Columns, bias};
use crate::plan::{BackStep, Step};

/// Elements of a lane's gradient that a core's own caches do not hold, large ones of today's included (4 MiB).
const FAR: usize = 1 << 20;

/// Goes back through the product of `back`. Gradients of its parameters are written to `gradient`, or added to it where the
/// lane has had a shard before.
pub(super) fn backward(
    shared: Shared<'_>,
    shard: &mut Shard<'_>,
    back: &BackStep,
    gradient: &mut [f32],
    accumulate: bool,
) {
    let Step::Product { x, y, weight, bias: biases, segments, .. } = &shared.plan.steps[back.step] else { return };
    let (values, gradients, layer) = (&shared.plan.values, &shared.plan.gradients, shared.layers.of(back.step));
    let (rows, accumulate) = (shard.span(shared.plan.values[y.buffer].space).len(), accumulate || back.again);
    let bias_gradient = &mut gradient[biases.range()];
    if !accumulate {
        bias_gradient.fill(0.0);
    }
    shard.write(gradients, *y, |shard, d| {
        let (out, _) = shard.read(values, *y);
        for segment in segments {
            let at = Columns { col: y.at.col + segment.cols.start, width: segment.cols.len(), ..y.at };
            let own = if segment.biased { segment.cols.clone() } else { 0..0 };
            bias::backward(out, at, d, at, rows, segment.activation, &mut bias_gradient[own]);
        }
    });
    let target = match accumulate {
        true => Target::Sum,
        false if gradient.len() >= FAR => Target::Far,
        false => Target::New,
    };
    let w = weights(shared.params, *weight);
    let w_gradient = Matrix::new(&mut gradient[weight.range()], w.rows, w.cols, w.row_stride);
    let mut scratch = std::mem::take(shard.scratch);
    layer.weight_gradient(w_gradient, shard.read(gradients, *y), shard.read(values, *x), rows, target, &mut scratch);
    if let Some((x_part, add)) = contribution(back, 0) {
        let skipped = x_part.at.col - x.at.col;
        let w = (Matrix { data: &w.data[skipped..], cols: x_part.at.width, ..w }, skipped);
        shard.write(gradients, x_part, |shard, memory| {
            let d = shard.read(gradients, *y);
            layer.input_gradient((memory, x_part.at), d, w, rows, add, &mut scratch);
        });
    }
    *shard.scratch = scratch;
}
