//! Forward steps.

use pleiad_data::Batch;

use super::{Shard, Shared, copy, gather};
use crate::kernels::dropout::Mask;
use crate::kernels::periodic::Waves;
use crate::kernels::{Columns, activation, combine, conjunction, inner, mixture, pairs, segment};
use crate::plan::{Gathered, Step, View};

/// Runs every step of the plan over the shard.
pub(crate) fn forward(shared: Shared<'_>, shard: &mut Shard<'_>) {
    let values = &shared.plan.values;
    let drawn = shared.drawn();
    for (at, step) in shared.plan.steps.iter().enumerate() {
        let (batch, span) = (shared.rows(shared.plan.space(step)), shard.span_of(shared.plan, step));
        let (rows, first_row) = (span.len(), span.start);
        match step {
            Step::Numeric { first, y } => {
                let width = batch.numeric_width();
                let numeric = &batch.numeric[first_row * width..];
                let x_at = Columns { ld: width, col: *first, width: y.at.width };
                shard.write(values, *y, |_, memory| {
                    y.at.rows_mut(memory, rows).zip(x_at.rows(numeric, rows)).for_each(|(y, x)| y.copy_from_slice(x));
                    if let Some(drawn) = drawn {
                        drawn.mask_columns(*first, memory, y.at, first_row, rows);
                    }
                });
            }
            Step::Lookup { table, slot, pooling, y } => {
                let ids = &batch.categorical[*slot];
                shard.write(values, *y, |_, memory| {
                    shared.tables[*table].lookup(ids, span, *pooling, memory, y.at.ld, y.at.col);
                    if let Some(drawn) = drawn {
                        drawn.mask_slot(*slot, memory, y.at, first_row, rows);
                    }
                });
            }
            Step::Events { table, slot, y } => {
                let (ids, space) = (&batch.categorical[*slot].table_rows()[span], values[y.buffer].space);
                shard.write(values, *y, |shard, memory| {
                    shared.tables[*table].lookup_each(ids, memory, y.at.ld, y.at.col);
                    if let Some(drawn) = drawn {
                        gather::mask_events(shard, drawn, (*slot, space), memory, y.at);
                    }
                });
            }
            Step::Periodic { column, y, .. } => {
                let (numbers, x_at) = column_of(batch, first_row, *column);
                let waves = waves(shared.params, step);
                shard.write(values, *y, |_, memory| {
                    waves.forward(memory, y.at, numbers, x_at, rows);
                    if let Some(drawn) = drawn {
                        drawn.mask_column(*column, memory, y.at, first_row, rows);
                    }
                });
            }
            Step::Copy { x, y } => copy(shard, values, *x, *y, false),
            Step::Product { x, y, weight, onto, .. } => {
                let Some(layer) = shared.layers.of(at) else { continue };
                shard.multiply(values, *y, |shard, memory, scratch| {
                    let (x, weights) = (shard.matrix(values, *x), weight.of(shared.params));
                    layer.forward(y.at.of_mut(memory, rows), *onto, x, weights, scratch);
                });
            }
            Step::Gather { from: Gathered::Table(fold), y, .. } => gather::of_tables(shared, shard, *fold, *y),
            Step::Gather { from: Gathered::Space(x), y, add } => gather::of_space(shared, shard, *x, *y, *add),
            Step::Activate { function, x, y } => {
                copy(shard, values, *x, *y, false);
                shard.write(values, *y, |_, memory| activation::forward(*function, y.at.of_mut(memory, rows)));
            }
            Step::Dropout { node, rate, x, y } => {
                let mask = Mask::new(shared.seed, shared.step, *node, *rate);
                shard.write(values, *y, |shard, memory| {
                    let (data, at) = shard.read(values, *x);
                    mask.apply(memory, y.at, data, at, first_row, rows, false);
                });
            }
            Step::GateMix { gate, experts, y } => {
                shard.write(values, *gate, |_, memory| mixture::gate_forward(memory, gate.at, rows));
                mix(shard, shared, *gate, experts, *y);
            }
            Step::Softmax { x, y } => {
                copy(shard, values, *x, *y, false);
                shard.write(values, *y, |_, memory| mixture::gate_forward(memory, y.at, rows));
            }
            Step::Mix { gate, experts, y } => mix(shard, shared, *gate, experts, *y),
            Step::Combine { weights, inputs, y } => shard.write(values, *y, |shard, memory| {
                let weighed = |(n, &x): (usize, &View)| (weights.of(n, shared.params), shard.read(values, x));
                let inputs: Vec<_> = inputs.iter().enumerate().map(weighed).collect();
                combine::forward(memory, y.at, &inputs, rows);
            }),
            Step::Conjunction { first, second, y } => shard.write(values, *y, |shard, memory| {
                let (a, b) = (shard.read(values, *first), shard.read(values, *second));
                conjunction::forward(memory, y.at, a, b, rows);
            }),
            Step::Dot { scale, a, b, y } => shard.write(values, *y, |shard, memory| {
                let (a, b) = (shard.read(values, *a), shard.read(values, *b));
                inner::forward(memory, y.at, *scale, a, b, rows);
            }),
            Step::Pairs { inputs, y } => shard.write(values, *y, |shard, memory| {
                let inputs: Vec<_> = inputs.iter().map(|&x| shard.read(values, x)).collect();
                pairs::forward(memory, y.at, &inputs, rows);
            }),
            Step::Segment { mean, x, y } => shard.write(values, *y, |shard, memory| {
                let ends = shard.ends(values[x.buffer].space);
                segment::sum(memory, y.at, shard.read(values, *x), ends, *mean);
            }),
            Step::SegmentSoftmax { x, y } => {
                copy(shard, values, *x, *y, false);
                let ends = shard.ends(values[x.buffer].space);
                shard.write(values, *y, |_, memory| segment::softmax(memory, y.at, ends));
            }
            Step::SegmentMix { weights, x, y } => shard.write(values, *y, |shard, memory| {
                let ends = shard.ends(values[x.buffer].space);
                segment::mix(memory, y.at, shard.read(values, *weights), shard.read(values, *x), ends);
            }),
        }
    }
}

/// The numbers of a numeric column from a row on.
pub(super) fn column_of(batch: &Batch, first_row: usize, column: usize) -> (&[f32], Columns) {
    let width = batch.numeric_width();
    (&batch.numeric[first_row * width..], Columns { ld: width, col: column, width: 1 })
}

/// What a step of waves has learned; nothing of another step.
pub(super) fn waves<'s>(params: &'s [f32], step: &Step) -> Waves<'s> {
    let Step::Periodic { frequencies, weight, bias, .. } = step else {
        return Waves { frequencies: &[], weight: &[], bias: &[] };
    };
    let [frequencies, weight, bias] = [frequencies, weight, bias].map(|region| &params[region.range()]);
    Waves { frequencies, weight, bias }
}

fn mix(shard: &mut Shard<'_>, shared: Shared<'_>, gate: View, experts: &[View], y: View) {
    let values = &shared.plan.values;
    let rows = shard.span(values[y.buffer].space).len();
    shard.write(values, y, |shard, memory| {
        let (g, g_at) = shard.read(values, gate);
        let experts: Vec<_> = experts.iter().map(|&x| shard.read(values, x)).collect();
        mixture::forward(memory, y.at, g, g_at, &experts, rows);
    });
}
