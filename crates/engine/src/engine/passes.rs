//! The gradients of a step: asked of the executor, summed over its lanes, gathered by table.

use pleiad_data::Batch;
use rayon::prelude::*;

use super::{Engine, StepStats};
use crate::error::{Error, Result};
use crate::exec::Targets;
use crate::executor::{Differentiate, Gradients};
use crate::kernels::reduce::sum_into;

/// What a step saw, whose gradients are these.
pub(super) fn stats(targets: Targets, gradients: &Gradients) -> StepStats {
    let losses = targets.losses(&gradients.sums(targets.sums()));
    StepStats { losses, rows: targets.rows, row_weights: targets.row_weights }
}

impl Engine {
    /// Refuses a batch that the model cannot learn from, and weights of another number of tasks.
    pub(super) fn check_step(&self, batch: &Batch, task_weights: &[f32]) -> Result<()> {
        self.check.check(&self.parameters.tables, batch, true)?;
        if task_weights.len() != self.graph.outputs.len() {
            let message = format!("{} task weights for {} tasks", task_weights.len(), self.graph.outputs.len());
            return Err(Error::Batch { message });
        }
        Ok(())
    }

    /// Leaves the batch's gradient in `gradients`, to be summed and to be gathered.
    pub(super) fn differentiate(
        &mut self,
        batch: &Batch,
        task_weights: &[f32],
        beside: impl FnOnce() + Send,
    ) -> Result<StepStats> {
        self.check_step(batch, task_weights)?;
        self.hide_average();
        let targets = Targets::of(&self.graph, batch);
        self.executor.prepare(&self.parameters);
        let step = Differentiate {
            parameters: &self.parameters,
            batch,
            targets: &targets,
            seed: self.options.seed,
            step: self.steps,
            fields: self.fields.as_ref(),
        };
        self.executor.differentiate(step, &[task_weights], &mut self.gradients, Box::new(beside));
        self.unsummed = true;
        Ok(stats(targets, &self.gradients))
    }

    /// Sums the lanes' gradients into `gradient`, where that has not been done.
    pub(super) fn sum_lanes(&mut self) {
        if std::mem::take(&mut self.unsummed) {
            sum_into(&mut self.gradient, &self.gradients.parts(0));
        }
    }

    /// Finds the rows that the batch touches in each table, and sums their gradients.
    pub(super) fn gather_tables(&mut self, batch: &Batch) {
        let (plan, gradients) = (self.executor.plan(), &self.gradients);
        self.touched.par_iter_mut().zip(&self.parameters.tables).enumerate().for_each(|(t, (touched, table))| {
            table.gather(touched, &gradients.uses(plan, t, 0, batch));
        });
    }
}
