//! Where the way back begins: each task's loss on the shard's rows, and the gradient of its number.

use pleiad_data::Labels;
use pleiad_model::objective::Loss;

use super::{Shard, Shared};

/// How task k's rows count: equation 9's `w_k / sum_i d_ki`, the sum taken over the whole batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskScale {
    pub(crate) loss: Loss,
    /// 0 where the batch has no row of the task.
    pub(crate) scale: f32,
}

/// Adds each task's summed row losses to `sums` and writes the gradients of the tasks' numbers.
pub(crate) fn seed_gradients(shared: Shared<'_>, shard: &mut Shard<'_>, tasks: &[TaskScale], sums: &mut [f64]) {
    let plan = shared.plan;
    let rows = shard.rows.len();
    for (((&view, task), labels), sum) in plan.outputs.iter().zip(tasks).zip(&shared.batch.labels).zip(sums) {
        let range = shard.rows.clone();
        let Labels { values, present } = labels;
        let rows_of = values[range.clone()].iter().zip(&present[range]);
        shard.write(&plan.gradients, view, |shard, memory| {
            let (z, z_at) = shard.read(&plan.values, view);
            let numbers = view.at.rows_mut(memory, rows).zip(z_at.rows(z, rows));
            for ((d, z), (&y, &present)) in numbers.zip(rows_of) {
                // A row outside of the sample space must not leave a trace, not even 0 * infinity.
                d[0] = if present {
                    *sum += f64::from((task.loss.value)(z[0], y));
                    task.scale * (task.loss.derivative)(z[0], y)
                } else {
                    0.0
                };
            }
        });
    }
}
