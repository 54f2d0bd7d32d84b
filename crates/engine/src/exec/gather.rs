//! Rows that gather what they name in another space, and the transpose: gradients of the rows that name one row are added
//! up, in the order of the rows.

use pleiad_data::Ids;

use super::{Shard, Shared};
use crate::kernels::{MatMut, folded};
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

/// `y_i = x_r(i)` or `y_i += x_r(i)`, r(i) the request of row i.
pub(super) fn of_requests(shared: Shared<'_>, shard: &mut Shard<'_>, x: View, y: View, add: bool) {
    let (values, rows) = (&shared.plan.values, shard.rows.clone());
    let (requests, first) = (shared.requests.of_rows(rows.clone()), shard.requests.start);
    shard.write(values, y, |shard, memory| {
        let (x, x_at) = shard.read(values, x);
        for (y, &request) in y.at.rows_mut(memory, rows.len()).zip(requests) {
            let x = x_at.row(x, request as usize - first);
            if add {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
            } else {
                y.copy_from_slice(x);
            }
        }
    });
}

/// `dx_r = sum of dy_i over the rows i of request r`, added to what is there or written.
pub(super) fn to_requests(shared: Shared<'_>, shard: &mut Shard<'_>, y: View, x: View, accumulate: bool) {
    let (gradients, rows) = (&shared.plan.gradients, shard.rows.clone());
    let (requests, first) = (shared.requests.of_rows(rows.clone()), shard.requests.start);
    shard.write(gradients, x, |shard, memory| {
        let (d, d_at) = shard.read(gradients, y);
        let mut before = None;
        for (d, &request) in d_at.rows(d, rows.len()).zip(requests) {
            let sum = x.at.row_mut(memory, request as usize - first);
            if accumulate || before == Some(request) {
                sum.iter_mut().zip(d).for_each(|(sum, d)| *sum += d);
            } else {
                sum.copy_from_slice(d);
            }
            before = Some(request);
        }
    });
}
