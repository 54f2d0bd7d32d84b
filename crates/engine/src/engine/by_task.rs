//! A gradient per task, for methods that weigh gradients or resolve conflicts between them.
//!
//! There is one forward pass, and one backward pass per task. Tasks' gradients are kept apart to the end: per lane
//! and task one array of dense parameters, per task the gradients of the looked-up vectors, and per table and task
//! the summed rows that the batch touches. A table's gradient never becomes dense. Sums have the same order as
//! without tasks.

use std::ops::Range;

use pleiad_data::Batch;
use pleiad_model::graph::{ParamId, Reach, TableId};
use pleiad_model::objective::conflict::Gram;
use pleiad_model::{Graph, Weights};
use pulp::Arch;
use rayon::prelude::*;

use super::passes::stats;
use super::{Engine, StepStats, UPDATE_CHUNK};
use crate::error::Result;
use crate::exec::Targets;
use crate::executor::{Differentiate, Executor, Gradients};
use crate::kernels::arithmetic::Arithmetic;
use crate::kernels::fields::Fields;
use crate::kernels::reduce::sum_into;
use crate::pass::Pass;
use crate::plan::{Plan, Purpose};
use crate::sparse::{Table, TouchedRows};

/// Coefficients c_k, given the inner products of the tasks' weighted gradients `w_k grad L_k` over the parameters that
/// more than one task reaches: these parameters get `sum_k c_k w_k grad L_k`.
pub type Combine<'c> = dyn Fn(&Gram) -> Vec<f64> + 'c;

/// What steps with a gradient per task need beside what every step needs; made when the first one is taken.
#[derive(Debug)]
pub(super) struct ByTask {
    executor: Box<dyn Executor>,
    /// Of a backward pass for each task.
    gradients: Gradients,
    /// Per task, the weights of the tasks in its backward pass: 1 of its own.
    alone: Vec<Vec<f32>>,
    reach: Reach,
    /// Stretches of the dense parameters that more than one task reaches, in order.
    shared: Vec<Range<usize>>,
    /// Per task, its gradient of the dense parameters.
    dense: Vec<Vec<f32>>,
    /// Per table and task, the gradients of the rows that the batch touches.
    rows: Vec<Vec<Vec<f32>>>,
}

impl Engine {
    /// A step as [`Engine::step`], in which every task goes back by itself and `combine` says what becomes of their
    /// gradients where more than one task reaches a parameter or a table ([`Graph::reach`]). Parameters that one task
    /// alone reaches get its weighted gradient. The norm that `clip_norm` bounds is that of what comes out.
    ///
    /// Beside the losses it gives the inner products of the *unweighted* gradients `grad L_k` over the shared
    /// parameters; the roots of the diagonal are their norms.
    ///
    /// It costs one pass forward and T passes back. Results do not depend on the threads.
    ///
    /// # Errors
    /// As [`Engine::step`]; nothing is changed then.
    ///
    /// # Panics
    /// If `combine` gives another number of coefficients than there are tasks.
    pub fn step_by_task(
        &mut self,
        batch: &Batch,
        task_weights: &[f32],
        combine: &Combine<'_>,
        learning_rate_factor: f64,
    ) -> Result<(StepStats, Gram)> {
        let result = self.differentiate_by_task(batch, task_weights, combine)?;
        self.update(learning_rate_factor, None);
        Ok(result)
    }

    /// The gradient that [`Engine::step_by_task`] goes down, tables densely: to look at, as [`Engine::gradients`].
    ///
    /// # Errors
    /// As [`Engine::step`].
    ///
    /// # Panics
    /// As [`Engine::step_by_task`].
    pub fn gradients_by_task(
        &mut self,
        batch: &Batch,
        task_weights: &[f32],
        combine: &Combine<'_>,
    ) -> Result<(StepStats, Gram, Weights)> {
        let (stats, gram) = self.differentiate_by_task(batch, task_weights, combine)?;
        Ok((stats, gram, self.dense_gradients()))
    }

    /// Leaves the combined gradient in `gradient` and `touched`.
    fn differentiate_by_task(
        &mut self,
        batch: &Batch,
        task_weights: &[f32],
        combine: &Combine<'_>,
    ) -> Result<(StepStats, Gram)> {
        self.check_step(batch, task_weights)?;
        self.hide_average();
        let mut by_task = match self.by_task.take() {
            Some(by_task) => by_task,
            None => {
                let mut by_task = Box::new(ByTask::new(&self.graph, self.arithmetic())?);
                by_task.executor.scale_folds(self.fields.as_ref().map_or(1.0, Fields::scale));
                by_task
            }
        };
        self.unsummed = false;
        let targets = Targets::of(&self.graph, batch);
        by_task.executor.prepare(&self.parameters);
        let alone: Vec<&[f32]> = by_task.alone.iter().map(Vec::as_slice).collect();
        let step = Differentiate {
            parameters: &self.parameters,
            batch,
            targets: &targets,
            seed: self.options.seed,
            step: self.steps,
            fields: self.fields.as_ref(),
        };
        by_task.executor.differentiate(step, &alone, &mut by_task.gradients, Box::new(|| ()));
        self.sum_by_task(&mut by_task, batch);
        let gram = by_task.gram();
        let coefficients = combine(&gram.weighted(task_weights));
        assert_eq!(coefficients.len(), task_weights.len(), "coefficients of other tasks");
        // What is shared gets c_k w_k, the rest w_k.
        let shared: Vec<f32> =
            coefficients.iter().zip(task_weights).map(|(&c, &w)| (c * f64::from(w)) as f32).collect();
        by_task.combine(&mut self.gradient, &mut self.touched, task_weights, &shared);
        let stats = stats(targets, &by_task.gradients);
        self.by_task = Some(by_task);
        Ok((stats, gram))
    }

    /// Sums each task's gradients: of the dense parameters, and of the rows that the batch touches in each table.
    fn sum_by_task(&mut self, by_task: &mut ByTask, batch: &Batch) {
        let ByTask { executor, gradients, dense, rows, .. } = by_task;
        let (plan, gradients) = (executor.plan(), &*gradients);
        for (k, sum) in dense.iter_mut().enumerate() {
            sum_into(sum, &gradients.parts(k));
        }
        let tables = self.touched.par_iter_mut().zip(&self.parameters.tables).zip(rows).enumerate();
        tables.for_each(|(t, ((touched, table), rows)): (usize, ((&mut TouchedRows, &Table), _))| {
            for (k, grads) in rows.iter_mut().enumerate() {
                let uses = gradients.uses(plan, t, k, batch);
                if k == 0 {
                    touched.gather(table.rows(), table.dim(), &uses);
                    grads.clear();
                    grads.extend_from_slice(touched.grads());
                } else {
                    touched.sum_again(&uses, grads);
                }
            }
        });
    }
}

impl ByTask {
    fn new(graph: &Graph, arithmetic: Arithmetic) -> Result<Self> {
        let pass = Pass::new(graph, Purpose::TrainByTask, arithmetic)?;
        let plan = &pass.plan;
        let reach = graph.reach();
        let tasks = graph.outputs.len();
        let alone = |k: usize| (0..tasks).map(|j| f32::from(u8::from(j == k))).collect();
        Ok(Self {
            gradients: Gradients::new(plan, tasks),
            alone: (0..tasks).map(alone).collect(),
            shared: shared_ranges(plan, &reach),
            dense: vec![vec![0.0; plan.params.len]; tasks],
            rows: vec![vec![Vec::new(); tasks]; graph.tables.len()],
            executor: Box::new(pass),
            reach,
        })
    }

    fn tasks(&self) -> usize {
        self.dense.len()
    }

    /// What computes the steps that are taken.
    pub(super) fn executor(&mut self) -> &mut dyn Executor {
        &mut *self.executor
    }

    fn shares_table(&self, table: usize) -> bool {
        self.reach.shares_table(TableId(table))
    }

    /// Inner products over everything that more than one task reaches: stretch by stretch, each summed alone, and the
    /// stretches in order.
    fn gram(&self) -> Gram {
        let tasks = self.tasks();
        let cut = |range: Range<usize>| {
            let end = range.end;
            range.step_by(UPDATE_CHUNK).map(move |from| from..end.min(from + UPDATE_CHUNK))
        };
        let mut pieces: Vec<(&[Vec<f32>], Range<usize>)> = Vec::new();
        for range in &self.shared {
            pieces.extend(cut(range.clone()).map(|range| (self.dense.as_slice(), range)));
        }
        for (_, rows) in self.rows.iter().enumerate().filter(|(table, _)| self.shares_table(*table)) {
            pieces.extend(cut(0..rows[0].len()).map(|range| (rows.as_slice(), range)));
        }
        let products: Vec<Vec<f64>> = pieces
            .par_iter()
            .map(|(gradients, range)| {
                let pairs = (0..tasks).flat_map(|i| (0..=i).map(move |j| (i, j)));
                pairs.map(|(i, j)| dot(&gradients[i][range.clone()], &gradients[j][range.clone()])).collect()
            })
            .collect();
        let mut sums = vec![0.0; tasks * (tasks + 1) / 2];
        for piece in products {
            sums.iter_mut().zip(piece).for_each(|(sum, product)| *sum += product);
        }
        Gram::from_fn(tasks, |i, j| sums[i * (i + 1) / 2 + j])
    }

    /// `sum_k factor_k g_k`, the factors being `shared` for what more than one task reaches and `own` for the rest.
    fn combine(&self, gradient: &mut [f32], touched: &mut [TouchedRows], own: &[f32], shared: &[f32]) {
        let parts: Vec<&[f32]> = self.dense.iter().map(Vec::as_slice).collect();
        gradient.par_chunks_mut(UPDATE_CHUNK).enumerate().for_each(|(chunk, out)| {
            let (start, end) = (chunk * UPDATE_CHUNK, chunk * UPDATE_CHUNK + out.len());
            let first = self.shared.partition_point(|range| range.end <= start);
            let mut done = start;
            for range in self.shared[first..].iter().take_while(|range| range.start < end) {
                let range = range.start.max(start)..range.end.min(end);
                weigh(&mut out[done - start..range.start - start], &parts, done, own);
                weigh(&mut out[range.start - start..range.end - start], &parts, range.start, shared);
                done = range.end;
            }
            weigh(&mut out[done - start..], &parts, done, own);
        });
        touched.par_iter_mut().zip(&self.rows).enumerate().for_each(|(table, (touched, rows))| {
            let factors = if self.shares_table(table) { shared } else { own };
            let parts: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            weigh(touched.grads_mut(), &parts, 0, factors);
        });
    }
}

/// Stretches of the dense parameters that more than one task reaches, in order, neighbours joined.
fn shared_ranges(plan: &Plan, reach: &Reach) -> Vec<Range<usize>> {
    let params = (0..plan.params.blocks.len()).filter(|&param| reach.shares_param(ParamId(param)));
    let mut ranges: Vec<Range<usize>> = params.flat_map(|param| plan.params.ranges(param)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let joins = next.start <= before.end;
        if joins {
            before.end = before.end.max(next.end);
        }
        joins
    });
    ranges
}

/// `out = sum_k factors[k] parts[k][from ..]`, in the order of the tasks.
fn weigh(out: &mut [f32], parts: &[&[f32]], from: usize, factors: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            out.fill(0.0);
            for (part, &factor) in parts.iter().zip(factors) {
                out.iter_mut().zip(&part[from..]).for_each(|(out, part)| *out += factor * part);
            }
        },
    );
}

/// Inner product in f64, in eight fixed lanes as [`crate::optim::square_sum`].
fn dot(a: &[f32], b: &[f32]) -> f64 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0f64; 8];
            let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
            for (a, b) in a.iter().zip(b) {
                for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += f64::from(a) * f64::from(b);
                }
            }
            for ((sum, &a), &b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
                *sum += f64::from(a) * f64::from(b);
            }
            sums.iter().sum()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_products_count_every_element_once() {
        for n in [0, 1, 7, 8, 9, 100] {
            let values: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            let n = f64::from(n);
            assert_eq!(dot(&values, &values), n * (n + 1.0) * (2.0 * n + 1.0) / 6.0);
        }
    }
}
