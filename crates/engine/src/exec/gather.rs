//! Rows that gather what they name in another space, and the transpose: gradients of the rows that name one row are added
//! up, in the order of the rows.

use pleiad_data::Ids;
use pleiad_model::graph::Space;

use super::{Shard, Shared};
use crate::kernels::fields::Drawn;
use crate::kernels::{Columns, MatMut, folded};
use crate::plan::{Plan, View};

/// `y_i = sum_f P_f[id_if]`: what the layer made of the rows of small tables. The backward pass needs the ids, too.
pub(super) fn of_tables(shared: Shared<'_>, shard: &mut Shard<'_>, fold: usize, y: View) {
    let of = &shared.plan.folds[fold];
    let (batch, span) = (shared.rows(of.space), shard.span(of.space));
    let fields = of.features.iter().map(|field| match &batch.categorical[field.slot] {
        Ids::Single(ids) => (&ids[span.clone()], field.first),
        Ids::Multiple { .. } => unreachable!("no field that is pooled is folded, and the batch was checked"),
    });
    shard.looked[fold].take(of.rows, span.len(), fields);
    if let Some(drawn) = shared.drawn() {
        shard.looked[fold].drop(|row, field| !drawn.keeps_slot(of.features[field].slot, span.start + row));
    }
    shard.write(&shared.plan.values, y, |shard, memory| {
        let products = shared.layers.products(shared.plan, fold);
        folded::forward(y.at.of_mut(memory, span.len()), products, &shard.looked[fold]);
    });
}

/// Adds the gradients of the rows to those of the tables' rows that they read, which stand in `gradient`, or writes them.
pub(super) fn to_tables(
    plan: &Plan,
    shard: &mut Shard<'_>,
    fold: usize,
    y: View,
    gradient: &mut [f32],
    accumulate: bool,
) {
    let of = &plan.folds[fold];
    let mut looked = std::mem::take(&mut shard.looked[fold]);
    looked.sort();
    let sums = MatMut::new(&mut gradient[of.sums.range()], of.rows, of.outputs, of.ld);
    folded::backward(sums, shard.matrix(&plan.gradients, y), &mut looked, accumulate);
    shard.looked[fold] = looked;
}

/// `y_i = x_r(i)` or `y_i += x_r(i)`, r(i) the row of x's space that row i of y's space names.
pub(super) fn of_space(shared: Shared<'_>, shard: &mut Shard<'_>, x: View, y: View, add: bool) {
    let values = &shared.plan.values;
    let (from, to) = (values[x.buffer].space, values[y.buffer].space);
    shard.write(values, y, |shard, memory| {
        let (data, x_at) = shard.read(values, x);
        each_named(shard, to, from, |i, named| {
            let (y, x) = (y.at.row_mut(memory, i), x_at.row(data, named));
            if add {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
            } else {
                y.copy_from_slice(x);
            }
        });
    });
}

/// `dx_r = sum of dy_i over the rows i that name r`, in their order, added to what is there or written.
pub(super) fn to_space(shared: Shared<'_>, shard: &mut Shard<'_>, y: View, x: View, accumulate: bool) {
    let gradients = &shared.plan.gradients;
    let (from, to) = (gradients[x.buffer].space, gradients[y.buffer].space);
    shard.write(gradients, x, |shard, memory| {
        let (data, d_at) = shard.read(gradients, y);
        // Every request has a row, but not every row an event.
        let all_are_named = to == Space::Row;
        if !accumulate && !all_are_named {
            let rows = shard.span(from).len();
            x.at.rows_mut(memory, rows).for_each(|row| row.fill(0.0));
        }
        let mut before = None;
        each_named(shard, to, from, |i, named| {
            let (sum, d) = (x.at.row_mut(memory, named), d_at.row(data, i));
            if accumulate || !all_are_named || before == Some(named) {
                sum.iter_mut().zip(d).for_each(|(sum, d)| *sum += d);
            } else {
                sum.copy_from_slice(d);
            }
            before = Some(named);
        });
    });
}

/// Calls `each` with every row of space `fine` that the shard has and the row of `coarse` that it names, in order; both are
/// counted from the shard's first.
#[inline(always)]
fn each_named(shard: &Shard<'_>, fine: Space, coarse: Space, mut each: impl FnMut(usize, usize)) {
    let first = shard.requests.start;
    let requests = shard.of_batch.of_rows(shard.rows.clone());
    let request = |row: usize| requests[row] as usize - first;
    if fine == Space::Row {
        (0..shard.rows.len()).for_each(|row| each(row, request(row)));
        return;
    }
    let ends = shard.ends(fine);
    let events = ends.windows(2).map(|pair| pair[0] - ends[0]..pair[1] - ends[0]).enumerate();
    if coarse == fine.owner() {
        events.for_each(|(owner, events)| events.for_each(|event| each(event, owner)));
    } else if coarse == Space::Request {
        events.for_each(|(row, events)| events.for_each(|event| each(event, request(row))));
    } else {
        let theirs = shard.ends(coarse);
        events.for_each(|(row, events)| {
            let from = theirs[request(row)] - theirs[0];
            events.enumerate().for_each(|(at, event)| each(event, from + at));
        });
    }
}

/// Masks what a feature in a categorical slot gave the events of a space, or its gradient: all those of one row alike.
pub(super) fn mask_events(
    shard: &Shard<'_>,
    drawn: Drawn<'_>,
    (slot, space): (usize, Space),
    memory: &mut [f32],
    at: Columns,
) {
    let (ends, first) = (shard.ends(space), shard.span(space.owner()).start);
    for (row, pair) in ends.windows(2).enumerate() {
        for event in pair[0] - ends[0]..pair[1] - ends[0] {
            drawn.mask_slot(slot, &mut memory[event * at.ld..], at, first + row, 1);
        }
    }
}
