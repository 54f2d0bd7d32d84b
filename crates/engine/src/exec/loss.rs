//! Start of the backward pass: each task's loss on the shard's rows, and the gradient of its
//! output.

use pleiad_data::{Batch, Labels};
use pleiad_model::Graph;
use pleiad_model::graph::Output;
use pleiad_model::objective::{Loss, OrderExcess};

use super::{Shard, Shared};

/// How the terms of the losses count in one batch: as means over the task's rows of the whole batch
/// ([`pleiad_model::objective`]), independent of the shards.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    tasks: Vec<Loss>,
    /// Per task, its rows in the batch.
    pub(crate) rows: Vec<usize>,
    /// Per task, the sum of their weights; their number where they have none.
    pub(crate) row_weights: Vec<f64>,
    penalties: Vec<Penalty>,
}

/// A [`pleiad_model::graph::OrderPenalty`] in one batch.
#[derive(Debug, Clone, Copy)]
struct Penalty {
    earlier: usize,
    later: usize,
    /// Its weight over the batch's rows in both sample spaces, each counted by its weight in the later task; 0 if there are
    /// none.
    scale: f32,
}

impl Targets {
    pub(crate) fn of(graph: &Graph, batch: &Batch) -> Self {
        let both = |a: &Labels, b: &Labels| -> f64 {
            let rows = (0..batch.rows).filter(|&row| a.present[row] && b.present[row]);
            rows.map(|row| f64::from(b.weight(row))).sum()
        };
        let penalty = |p: &pleiad_model::graph::OrderPenalty| {
            let rows = both(&batch.labels[p.earlier], &batch.labels[p.later]);
            Penalty { earlier: p.earlier, later: p.later, scale: over(p.weight, rows) as f32 }
        };
        Self {
            tasks: graph.outputs.iter().map(Output::loss).collect(),
            rows: batch.labels.iter().map(Labels::count).collect(),
            row_weights: batch.labels.iter().map(Labels::total_weight).collect(),
            penalties: graph.penalties.iter().map(penalty).collect(),
        }
    }

    /// Number of sums that [`seed_gradients`] keeps: one per task, then one per penalty.
    pub(crate) fn sums(&self) -> usize {
        self.tasks.len() + self.penalties.len()
    }

    /// Per task, the mean loss over its rows, given the sums over the whole batch; 0 where it has none.
    pub(crate) fn losses(&self, sums: &[f64]) -> Vec<f64> {
        let mean = |(&sum, &weight): (&f64, &f64)| if weight == 0.0 { 0.0 } else { sum / weight };
        let mut losses: Vec<f64> = sums.iter().zip(&self.row_weights).map(mean).collect();
        for (penalty, sum) in self.penalties.iter().zip(&sums[self.rows.len()..]) {
            losses[penalty.later] += f64::from(penalty.scale) * sum;
        }
        losses
    }
}

/// `weight / rows`, and 0 of none.
fn over(weight: f32, rows: f64) -> f64 {
    if rows == 0.0 { 0.0 } else { f64::from(weight) / rows }
}

/// Adds each task's summed row losses to `sums`, then each penalty's, and writes the gradients of the tasks' numbers
/// for the joint loss with these task weights.
pub(crate) fn seed_gradients(
    shared: Shared<'_>,
    shard: &mut Shard<'_>,
    targets: &Targets,
    weights: &[f32],
    sums: &mut [f64],
) {
    let plan = shared.plan;
    let rows = shard.rows.len();
    let (task_sums, penalty_sums) = sums.split_at_mut(targets.tasks.len());
    for (k, (&view, sum)) in plan.outputs.iter().zip(task_sums).enumerate() {
        let (loss, scale) = (targets.tasks[k], over(weights[k], targets.row_weights[k]));
        let range = shard.rows.clone();
        let Labels { values, present, weights: of_rows } = &shared.batch.labels[k];
        // A weight of 1 where rows have none.
        let (of_rows, step) = if of_rows.is_empty() { (&[1.0][..], 0) } else { (&of_rows[range.clone()], 1) };
        let rows_of = values[range.clone()].iter().zip(&present[range]);
        shard.write(&plan.gradients, view, |shard, memory| {
            let (z, z_at) = shard.read(&plan.values, view);
            let numbers = view.at.rows_mut(memory, rows).zip(z_at.rows(z, rows));
            for (row, ((d, z), (&y, &present))) in numbers.zip(rows_of).enumerate() {
                // A row outside of the sample space must not leave a trace, not even 0 * infinity.
                d[0] = if present {
                    let weight = f64::from(of_rows[row * step]);
                    *sum += weight * f64::from(loss.value(z[0], y));
                    (scale * weight) as f32 * loss.derivative(z[0], y)
                } else {
                    0.0
                };
            }
        });
    }
    for (penalty, sum) in targets.penalties.iter().zip(penalty_sums) {
        add_penalty(shared, shard, targets, *penalty, penalty.scale * weights[penalty.later], sum);
    }
}

/// Adds the penalty's row values to `sum`, and its derivatives times `scale` to the gradients of both tasks' numbers.
fn add_penalty(
    shared: Shared<'_>,
    shard: &mut Shard<'_>,
    targets: &Targets,
    penalty: Penalty,
    scale: f32,
    sum: &mut f64,
) {
    let plan = shared.plan;
    let numbers = |shard: &Shard<'_>, task: usize| -> Vec<f32> {
        let loss = targets.tasks[task];
        shard.column(&plan.values, plan.outputs[task]).map(|z| loss.logit(z)).collect()
    };
    let present = |task: usize| &shared.batch.labels[task].present[shard.rows.clone()];
    let both: Vec<bool> = present(penalty.earlier)
        .iter()
        .zip(present(penalty.later))
        .map(|(&earlier, &later)| earlier && later)
        .collect();
    let logits: Vec<(f32, f32)> =
        numbers(shard, penalty.earlier).into_iter().zip(numbers(shard, penalty.later)).collect();
    let labels = &shared.batch.labels[penalty.later];
    let row_weights: Vec<f32> = shard.rows.clone().map(|row| labels.weight(row)).collect();
    // 0 outside of one of the sample spaces.
    let both: Vec<f32> = both.iter().zip(&row_weights).map(|(&both, &w)| if both { w } else { 0.0 }).collect();
    for (&(earlier, later), &weight) in logits.iter().zip(&both).filter(|(_, both)| **both > 0.0) {
        *sum += f64::from(weight) * f64::from(OrderExcess::value(earlier, later));
    }
    let mut add = |task: usize, derivative: fn(f32, f32) -> f32| {
        let view = plan.outputs[task];
        shard.write(&plan.gradients, view, |shard, memory| {
            let gradients = view.at.rows_mut(memory, shard.rows.len());
            let rows = gradients.zip(logits.iter().zip(&both)).filter(|(_, (_, both))| **both > 0.0);
            for (d, (&(earlier, later), &weight)) in rows {
                d[0] += scale * weight * derivative(earlier, later);
            }
        });
    };
    add(penalty.earlier, |earlier, later| OrderExcess::derivatives(earlier, later).0);
    add(penalty.later, |earlier, later| OrderExcess::derivatives(earlier, later).1);
}
