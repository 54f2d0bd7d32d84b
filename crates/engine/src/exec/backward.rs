//! Backward steps.

use super::forward::{column_of, waves};
use super::{Shard, Shared, copy, gather, products};
use crate::kernels::dropout::Mask;
use crate::kernels::mixture::Share;
use crate::kernels::periodic::WavesGradient;
use crate::kernels::{Columns, activation, combine, conjunction, inner, mixture, pairs, segment};
use crate::plan::{BackStep, Gathered, Step, View, Weights};

/// Runs the plan backward over the shard. Gradients of dense parameters, and behind them what folds sum, are written to
/// `gradient` (the plan's layout), or added to it where the lane has had a shard before.
pub(crate) fn backward(shared: Shared<'_>, shard: &mut Shard<'_>, gradient: &mut [f32], accumulate: bool) {
    let plan = shared.plan;
    let (values, gradients) = (&plan.values, &plan.gradients);
    let drawn = shared.drawn();
    for back in &plan.backward {
        let span = shard.span_of(plan, &plan.steps[back.step]);
        let (rows, first) = (span.len(), span.start);
        for &view in &back.clear {
            let rows = shard.span(gradients[view.buffer].space).len();
            shard.write(gradients, view, |_, memory| view.at.rows_mut(memory, rows).for_each(|row| row.fill(0.0)));
        }
        match &plan.steps[back.step] {
            Step::Numeric { .. } | Step::Lookup { .. } | Step::Events { .. } => {}
            step @ Step::Periodic { column, frequencies, weight, bias, y } => {
                if let Some(drawn) = drawn {
                    shard.write(gradients, *y, |_, d| drawn.mask_column(*column, d, y.at, first, rows));
                }
                let own = [frequencies, weight, bias].map(|region| {
                    let gradient = &mut gradient[region.range()];
                    if !accumulate {
                        gradient.fill(0.0);
                    }
                    region.range()
                });
                // One parameter lies behind the other, with room between them.
                let [frequencies, weight, bias] = own;
                let (head, tail) = gradient.split_at_mut(weight.start);
                let (middle, tail) = tail.split_at_mut(bias.start - weight.start);
                let gradient = WavesGradient {
                    frequencies: &mut head[frequencies],
                    weight: &mut middle[..weight.len()],
                    bias: &mut tail[..bias.len()],
                };
                let (y_of, d) = (shard.read(values, *y), shard.read(gradients, *y));
                let x = column_of(shared.rows(plan.space(step)), first, *column);
                waves(shared.params, step).backward(gradient, y_of, d, x, rows);
            }
            Step::Copy { y, .. } => {
                if let Some((x, accumulate)) = back.contribution(0) {
                    copy(shard, gradients, *y, x, accumulate);
                }
            }
            Step::Gather { from: Gathered::Table(fold), y, .. } => {
                gather::to_tables(plan, shard, *fold, *y, gradient, accumulate);
            }
            Step::Gather { from: Gathered::Space(_), y, .. } => {
                if let Some((x, accumulate)) = back.contribution(0) {
                    gather::to_space(shared, shard, *y, x, accumulate);
                }
            }
            Step::Product { .. } => products::backward(shared, shard, back, gradient, accumulate),
            Step::Activate { function, x, y } => {
                let kept = if function.invertible() { *y } else { *x };
                shard.write(gradients, *y, |shard, d| {
                    activation::backward(*function, shard.matrix(values, kept), y.at.of_mut(d, rows));
                });
                if let Some((x, accumulate)) = back.contribution(0) {
                    copy(shard, gradients, *y, x, accumulate);
                }
            }
            Step::Dropout { node, rate, y, .. } => {
                if let Some((x, accumulate)) = back.contribution(0) {
                    let mask = Mask::new(shared.seed, shared.step, *node, *rate);
                    shard.write(gradients, x, |shard, memory| {
                        let (d, d_at) = shard.read(gradients, *y);
                        mask.apply(memory, x.at, d, d_at, first, rows, accumulate);
                    });
                }
            }
            Step::GateMix { gate, experts, y } => {
                mix(shard, shared, back, *gate, experts, *y, true);
            }
            Step::Softmax { y, .. } => {
                shard.write(gradients, *y, |shard, d| {
                    let (g, g_at) = shard.read(values, *y);
                    mixture::gate_backward(g, g_at, d, y.at, rows);
                });
                if let Some((x, accumulate)) = back.contribution(0) {
                    copy(shard, gradients, *y, x, accumulate);
                }
            }
            Step::Mix { gate, experts, y } => mix(shard, shared, back, *gate, experts, *y, false),
            Step::Combine { weights, inputs, y } => {
                for (n, &x) in inputs.iter().enumerate() {
                    if let Weights::Learned(region) = weights {
                        let sum = combine::weight_gradient(shard.read(gradients, *y), shard.read(values, x), rows);
                        let d = &mut gradient[region.offset + n];
                        *d = if accumulate { *d + sum } else { sum };
                    }
                    if let Some((d_x, accumulate)) = back.contribution(n) {
                        let w = weights.of(n, shared.params);
                        shard.write(gradients, d_x, |shard, memory| {
                            combine::input_gradient(memory, d_x.at, w, shard.read(gradients, *y), rows, accumulate);
                        });
                    }
                }
            }
            Step::Conjunction { first, second, y } => {
                for (n, (x, other)) in [(first, second), (second, first)].into_iter().enumerate() {
                    if let Some((d_x, accumulate)) = back.contribution(n) {
                        shard.write(gradients, d_x, |shard, memory| {
                            let (d, x, other) =
                                (shard.read(gradients, *y), shard.read(values, *x), shard.read(values, *other));
                            conjunction::gradient(memory, d_x.at, d, x, other, rows, accumulate);
                        });
                    }
                }
            }
            Step::Dot { scale, a, b, y } => {
                for (n, other) in [b, a].into_iter().enumerate() {
                    if let Some((d_x, accumulate)) = back.contribution(n) {
                        shard.write(gradients, d_x, |shard, memory| {
                            let (d, other) = (shard.read(gradients, *y), shard.read(values, *other));
                            inner::gradient(memory, d_x.at, *scale, d, other, rows, accumulate);
                        });
                    }
                }
            }
            Step::Pairs { inputs, y } => all_pairs(shard, shared, back, inputs, *y),
            Step::Segment { mean, x, y } => {
                if let Some((d_x, accumulate)) = back.contribution(0) {
                    let ends = shard.ends(values[x.buffer].space);
                    shard.write(gradients, d_x, |shard, memory| {
                        segment::sum_gradient(memory, d_x.at, shard.read(gradients, *y), ends, *mean, accumulate);
                    });
                }
            }
            Step::SegmentSoftmax { x, y } => {
                let ends = shard.ends(values[x.buffer].space);
                shard.write(gradients, *y, |shard, d| {
                    let (g, g_at) = shard.read(values, *y);
                    segment::softmax_gradient(g, g_at, d, y.at, ends);
                });
                if let Some((x, accumulate)) = back.contribution(0) {
                    copy(shard, gradients, *y, x, accumulate);
                }
            }
            Step::SegmentMix { weights, x, y } => {
                let ends = shard.ends(values[x.buffer].space);
                if let Some((d_w, accumulate)) = back.contribution(0) {
                    shard.write(gradients, d_w, |shard, memory| {
                        let (d, x) = (shard.read(gradients, *y), shard.read(values, *x));
                        segment::mix_weight_gradient(memory, d_w.at, d, x, ends, accumulate);
                    });
                }
                if let Some((d_x, accumulate)) = back.contribution(1) {
                    shard.write(gradients, d_x, |shard, memory| {
                        let (d, w) = (shard.read(gradients, *y), shard.read(values, *weights));
                        segment::mix_gradient(memory, d_x.at, d, w, ends, accumulate);
                    });
                }
            }
        }
    }
    // Nothing more is added to what tables gather after all shards.
    for step in drawn.iter().flat_map(|_| &plan.steps) {
        match (drawn, step) {
            (Some(drawn), Step::Lookup { slot, y, .. }) => {
                let span = shard.span_of(plan, step);
                shard.write(gradients, *y, |_, memory| {
                    drawn.mask_slot(*slot, memory, y.at, span.start, span.len());
                });
            }
            (Some(drawn), Step::Events { slot, y, .. }) => {
                let space = plan.space(step);
                shard.write(gradients, *y, |shard, memory| {
                    gather::mask_events(shard, drawn, (*slot, space), memory, y.at);
                });
            }
            _ => {}
        }
    }
}

/// Backward pass of products of pairs.
fn all_pairs(shard: &mut Shard<'_>, shared: Shared<'_>, back: &BackStep, inputs: &[View], y: View) {
    let (values, gradients) = (&shared.plan.values, &shared.plan.gradients);
    let rows = shard.span(values[y.buffer].space).len();
    let mut scratch = std::mem::take(shard.scratch);
    let at = Columns { ld: y.at.width, col: 0, width: y.at.width };
    let sums = scratch.numbers.room(rows * at.ld);
    if inputs.len() > 2 {
        let inputs: Vec<_> = inputs.iter().map(|&x| shard.read(values, x)).collect();
        pairs::sum(sums, &inputs, rows);
    }
    for n in 0..inputs.len() {
        let Some((d_x, accumulate)) = back.contribution(n) else { continue };
        shard.write(gradients, d_x, |shard, memory| {
            let (sum, own) = match inputs {
                // The other one, to the bit.
                [a, b] => (shard.read(values, if n == 0 { *b } else { *a }), None),
                _ => ((&*sums, at), Some(shard.read(values, inputs[n]))),
            };
            pairs::gradient(memory, d_x.at, shard.read(gradients, y), sum, own, rows, accumulate);
        });
    }
    *shard.scratch = scratch;
}

/// Backward pass of a mixture and, where the gate is `fused`, through its softmax.
fn mix(shard: &mut Shard<'_>, shared: Shared<'_>, back: &BackStep, gate: View, experts: &[View], y: View, fused: bool) {
    let (values, gradients) = (&shared.plan.values, &shared.plan.gradients);
    let rows = shard.span(values[y.buffer].space).len();
    let mut scratch = std::mem::take(shard.scratch);
    let weights = scratch.numbers.room(rows * gate.at.width);
    // Experts of one product have their outputs in one buffer: one pass for all of them.
    let mut done = vec![false; experts.len()];
    for first in 0..experts.len() {
        if done[first] {
            continue;
        }
        let in_buffer = experts[first];
        let mut shares = Vec::with_capacity(experts.len());
        for (e, &x) in experts.iter().enumerate().skip(first).filter(|(_, x)| x.buffer == in_buffer.buffer) {
            done[e] = true;
            match back.contribution(e + 1) {
                Some((d_x, add)) => shares.push(Share { e, x: x.at, d_x: d_x.at, add }),
                None => {
                    let (d, x) = (shard.read(gradients, y), shard.read(values, x));
                    mixture::weight_gradient(weights, gate.at.width, e, d, x, rows);
                }
            }
        }
        if shares.is_empty() {
            continue;
        }
        shard.write(gradients, in_buffer, |shard, memory| {
            let (x, _) = shard.read(values, in_buffer);
            mixture::backward(memory, x, &shares, shard.read(gradients, y), shard.read(values, gate), weights, rows);
        });
    }
    if let Some((d_gate, add)) = back.contribution(0) {
        shard.write(gradients, d_gate, |shard, memory| {
            mixture::gather_weights(memory, d_gate.at, weights, rows, add);
            if fused {
                let (g, g_at) = shard.read(values, gate);
                mixture::gate_backward(g, g_at, memory, d_gate.at, rows);
            }
        });
    }
    *shard.scratch = scratch;
}
