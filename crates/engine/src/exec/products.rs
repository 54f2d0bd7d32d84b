//! Backward pass of a product: through activation and bias, then the gradients of its weights and of its
//! input.

use super::{Shard, Shared};
use crate::kernels::MatMut;
use crate::kernels::linear::Back;
use crate::kernels::packing::Target;
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
    let (values, gradients) = (&shared.plan.values, &shared.plan.gradients);
    let Step::Product { x, y, weight, bias, .. } = &shared.plan.steps[back.step] else { return };
    let Some(layer) = shared.layers.of(back.step) else { return };
    let (rows, accumulate) = (shard.span(values[y.buffer].space).len(), accumulate || back.again);
    let target = match accumulate {
        true => Target::Sum,
        false if gradient.len() >= FAR => Target::Far,
        false => Target::New,
    };
    // One lies behind the other.
    let (weight_gradient, bias_gradient) = if weight.offset < bias.offset {
        let (head, tail) = gradient.split_at_mut(bias.offset);
        (&mut head[weight.offset..], &mut tail[..bias.len])
    } else {
        let (head, tail) = gradient.split_at_mut(weight.offset);
        (tail, &mut head[bias.range()])
    };
    if !accumulate {
        bias_gradient.fill(0.0);
    }
    let mut scratch = std::mem::take(shard.scratch);
    shard.write(gradients, *y, |shard, d| {
        let mut go_back = |shard: &Shard<'_>, input_gradient: Option<(MatMut<'_>, bool)>| {
            let back = Back {
                x: shard.matrix(values, *x),
                y: shard.matrix(values, *y),
                d: y.at.of_mut(d, rows),
                weights: weight.of(shared.params),
                weight_gradient: MatMut::new(weight_gradient, weight.rows, weight.cols, weight.ld),
                target,
                bias_gradient,
                input_gradient,
            };
            layer.backward(back, &mut scratch);
        };
        match back.contribution(0) {
            None => go_back(shard, None),
            Some((part, add)) => shard.write(gradients, part, |shard, memory| {
                go_back(shard, Some((part.at.of_mut(memory, rows), add)));
            }),
        }
    });
    *shard.scratch = scratch;
}
