//! [`Engine`]: a model in training.

mod average;
mod by_task;
mod first_rows;
mod health;
mod passes;
mod rates;
mod state;

use pleiad_data::Batch;
use pleiad_model::{Graph, Weights};
use rayon::prelude::*;

use self::average::{Average, blend, blend_table};
use self::by_task::ByTask;
pub use self::by_task::Combine;
pub use self::health::Stuck;
use self::rates::Rates;
use crate::check::BatchCheck;
use crate::error::{Error, Result};
use crate::executor::{Executor, Gradients};
use crate::kernels::arithmetic::Arithmetic;
use crate::kernels::fields::Fields;
use crate::kernels::reduce::{square_sum, sum_range};
use crate::memory::check_memory;
use crate::optim::{OptimizerConfig, StepRule, clip_scale};
use crate::parameters::Parameters;
use crate::pass::Pass;
use crate::plan::Purpose;
use crate::precision::{Kernels, Precision};
use crate::predictor::{Predictions, predict};
use crate::runner::Runner;
use crate::sparse::{TableOptions, TouchedRows};
use crate::storage::Storage;

/// Elements of the dense parameters that one thread works on at a time.
const UPDATE_CHUNK: usize = 1 << 14;

/// Elements whose gradient is summed over the lanes at a time: the sum stays in the innermost cache until it is used.
const SUM_CHUNK: usize = 1 << 10;

/// How an [`Engine`] trains.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// The optimizer of dense parameters.
    pub optimizer: OptimizerConfig,
    /// The optimizer of embedding tables, by touched row.
    pub embedding_optimizer: OptimizerConfig,
    /// Upper bound of the gradient's L2 norm over dense parameters and tables together.
    pub clip_norm: Option<f32>,
    /// Precision of the products of a step.
    pub precision: Precision,
    /// Which products these are.
    pub kernels: Kernels,
    /// How embedding tables are kept.
    pub tables: TableOptions,
    /// Seed of dropout, and of rounding where tables have not the precision of f32.
    pub seed: u64,
}

/// What one step saw.
#[derive(Debug, Clone, PartialEq)]
pub struct StepStats {
    /// Per task, the mean loss over its rows of the batch, each counted by its weight, 0 where it has none, and what an order penalty adds to it
    /// ([`pleiad_model::graph::OrderPenalty`]).
    pub losses: Vec<f64>,
    /// Per task, the rows of the batch in its sample space.
    pub rows: Vec<usize>,
    /// Per task, the sum of their weights; their number where they have none.
    pub row_weights: Vec<f64>,
}

/// A model in training: weights, optimizer state, and the plan that both passes follow.
///
/// Runs on the current `rayon` pool. Results do not depend on its number of threads: the cut into shards and lanes
/// and the order of every sum depend on the batch alone.
#[derive(Debug)]
pub struct Engine {
    graph: Graph,
    check: BatchCheck,
    executor: Box<dyn Executor>,
    runner: Runner,
    options: EngineOptions,
    parameters: Parameters,
    /// Optimizer state of the dense parameters, slot by slot.
    state: [Storage<f32>; 2],
    rates: Rates,
    gradient: Storage<f32>,
    /// What the executor left of the batch that was gone through last.
    gradients: Gradients,
    touched: Vec<TouchedRows>,
    /// Whether `gradients` are still to be summed into `gradient`.
    unsummed: bool,
    by_task: Option<Box<ByTask>>,
    average: Option<Average>,
    fields: Option<Fields>,
    steps: u64,
}

impl Engine {
    /// An engine for `graph` with all weights zero; follow with [`Engine::init`] or [`Engine::load`].
    ///
    /// # Errors
    /// A graph that does not hold together, options out of range, or a table that does not fit in memory.
    pub fn new(graph: &Graph, options: &EngineOptions) -> Result<Self> {
        options.optimizer.validate()?;
        options.embedding_optimizer.validate()?;
        if let Some(norm) = options.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return Err(Error::option("clip_norm", norm, "a positive number"));
        }
        check_memory(graph, options, 1)?;
        let pass = Pass::new(graph, Purpose::Train, Arithmetic::choose(options.precision, options.kernels))?;
        let plan = &pass.plan;
        let runner = Runner::new(graph, Purpose::Predict)?;
        let slots = options.embedding_optimizer.slots();
        let mut parameters = Parameters::new(graph, plan.params.clone(), slots, &options.tables, options.seed)?;
        let initial = options.embedding_optimizer.initial_state();
        if initial != 0.0 {
            parameters.tables.iter_mut().for_each(|table| table.fill_state(initial));
        }
        let dense = |slot| {
            let kept = slot < options.optimizer.slots();
            let mut state = Storage::zeros(if kept { plan.params.len } else { 0 });
            state.fill(options.optimizer.initial_state());
            state
        };
        Ok(Self {
            graph: graph.clone(),
            check: BatchCheck::of(graph),
            options: options.clone(),
            state: [dense(0), dense(1)],
            rates: Rates::of(graph, &plan.params),
            gradient: Storage::zeros(plan.params.len),
            gradients: Gradients::new(plan, 1),
            touched: graph.tables.iter().map(|_| TouchedRows::new()).collect(),
            unsummed: false,
            by_task: None,
            average: None,
            fields: None,
            steps: 0,
            executor: Box::new(pass),
            runner,
            parameters,
        })
    }

    /// The model's graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Draws every weight anew; see [`pleiad_model::init::Init::fill`].
    pub fn init(&mut self, seed: u64) {
        self.parameters.init(&self.graph, seed, self.options.embedding_optimizer.initial_state());
    }

    /// Replaces every weight.
    ///
    /// # Errors
    /// [`Error::Model`] for a tensor that is missing, unknown or of another shape; nothing is replaced then.
    pub fn load(&mut self, weights: &Weights) -> Result<()> {
        self.parameters.load(&self.graph, weights)
    }

    /// Every weight under its tensor name.
    #[must_use]
    pub fn weights(&self) -> Weights {
        self.parameters.weights(&self.graph)
    }

    /// Steps taken.
    #[must_use]
    pub fn step_count(&self) -> u64 {
        self.steps
    }

    /// Continues as if `steps` steps had been taken: they decide Adam's bias correction and dropout.
    pub fn set_step_count(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Drops whole features from now on, in steps and not in predictions: of a row of the batch, all columns of the input that
    /// belong to one feature (inputs of one name) are zero with probability `rate`, else divided by `1 - rate`.
    ///
    /// Which ones depends on the seed, the number of the step, the row and the feature alone. A rate of 0 ends it.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] unless the rate lies in `[0, 1)`.
    pub fn drop_fields(&mut self, rate: f32) -> Result<()> {
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::option("field_dropout", rate, "at least 0 and below 1"));
        }
        self.fields = (rate > 0.0).then(|| Fields::of(&self.graph.layout, rate));
        self.executor.scale_folds(self.fields.as_ref().map_or(1.0, Fields::scale));
        self.by_task = None;
        Ok(())
    }

    /// Predicts every row of `batch`, without dropout; labels are not looked at.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::IdOutOfRange`] for a batch that the model cannot read.
    pub fn predict(&mut self, batch: &Batch) -> Result<Predictions> {
        self.check.check(&self.parameters.tables, batch, false)?;
        self.runner.prepare(&self.parameters);
        Ok(predict(&self.graph, &self.runner, self.parameters.parts(), batch))
    }

    /// One training step: gradients of `L = sum_k w_k L_k` with `L_k` as in [`StepStats::losses`], then
    /// the optimizers' update with their learning rates times `learning_rate_factor`, and times a parameter's own
    /// [`pleiad_model::graph::Param::rate`].
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::IdOutOfRange`]; nothing is changed then.
    pub fn step(&mut self, batch: &Batch, task_weights: &[f32], learning_rate_factor: f64) -> Result<StepStats> {
        self.step_beside(batch, task_weights, learning_rate_factor, || ())
    }

    /// [`Engine::step`], in which the first thread that has no shard left to go through does `beside`; the others may still
    /// be at theirs. Nobody does it if the batch is refused.
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn step_beside(
        &mut self,
        batch: &Batch,
        task_weights: &[f32],
        learning_rate_factor: f64,
        beside: impl FnOnce() + Send,
    ) -> Result<StepStats> {
        let stats = self.differentiate(batch, task_weights, beside)?;
        self.update(learning_rate_factor, Some(batch));
        Ok(stats)
    }

    /// The gradient of the joint loss by every parameter, tables densely. For those who want to look at it; training
    /// never makes a table's gradient dense.
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn gradients(&mut self, batch: &Batch, task_weights: &[f32]) -> Result<(StepStats, Weights)> {
        let stats = self.differentiate(batch, task_weights, || ())?;
        self.sum_lanes();
        self.gather_tables(batch);
        Ok((stats, self.dense_gradients()))
    }

    /// The gradient that the last pass left, tables densely.
    fn dense_gradients(&self) -> Weights {
        let mut gradients = Weights::default();
        for (i, param) in self.graph.params.iter().enumerate() {
            gradients.insert(&param.name, param.shape.clone(), self.executor.plan().params.gather(i, &self.gradient));
        }
        for (touched, spec) in self.touched.iter().zip(&self.graph.tables) {
            let mut dense = vec![0.0; spec.rows as usize * spec.dim];
            for (&row, gradient) in touched.rows().iter().zip(touched.grads().chunks_exact(spec.dim)) {
                dense[row * spec.dim..][..spec.dim].copy_from_slice(gradient);
            }
            gradients.insert(spec.tensor(), spec.shape(), dense);
        }
        gradients
    }

    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::choose(self.options.precision, self.options.kernels)
    }

    /// Moves every parameter by its gradient. That of the tables is in `touched`, or still to be gathered from `batch`.
    fn update(&mut self, learning_rate_factor: f64, mut batch: Option<&Batch>) {
        self.steps += 1;
        let scale = match self.options.clip_norm {
            None => 1.0,
            Some(most) => {
                self.sum_lanes();
                if let Some(batch) = batch.take() {
                    self.gather_tables(batch);
                }
                let tables: f64 = self.touched.iter().map(TouchedRows::square_sum).sum();
                clip_scale((square_sum(&self.gradient) + tables).sqrt(), f64::from(most))
            }
        };
        let Self {
            executor,
            parameters,
            options,
            state: [first, second],
            rates,
            gradient,
            gradients,
            touched,
            average,
            ..
        } = self;
        // That of the steps that are taken; a step by task has gathered its tables already.
        let executor = match &mut self.by_task {
            Some(by_task) => by_task.executor(),
            None => &mut **executor,
        };
        let rules = rates.rules(&options.optimizer, self.steps, learning_rate_factor);
        let count = gradient.len().div_ceil(UPDATE_CHUNK);
        let rate = average.as_ref().map_or(0.0, |average| average.rate(self.steps));
        let (average, table_averages) = match average {
            Some(average) => (&mut *average.dense, &mut *average.tables),
            None => (&mut [][..], &mut [][..]),
        };
        // Lanes that are not summed yet are summed stretch by stretch right here, and their sum stays in cache: nobody asks
        // for it afterwards, so it is not written to where whole gradients lie.
        let parts = std::mem::take(&mut self.unsummed).then(|| gradients.parts(0));
        let uses: Option<Vec<_>> = batch.map(|batch| {
            let plan = executor.plan();
            (0..touched.len()).map(|t| gradients.uses(plan, t, 0, batch)).collect()
        });
        let (weights, revision) = parameters.dense.open();
        let update_dense = || {
            let chunks = weights
                .par_chunks_mut(UPDATE_CHUNK)
                .zip(gradient.par_chunks(UPDATE_CHUNK))
                .zip(state_chunks(first, count))
                .zip(state_chunks(second, count))
                .zip(state_chunks(average, count));
            chunks.enumerate().for_each(|(chunk, ((((weights, gradient), first), second), average))| {
                let at = chunk * UPDATE_CHUNK;
                let Some(parts) = &parts else {
                    rules.update(at, weights, gradient, [first, second], scale);
                    return blend(average, weights, rate);
                };
                let mut sum = [0.0; SUM_CHUNK];
                for start in (0..weights.len()).step_by(SUM_CHUNK) {
                    let range = start..weights.len().min(start + SUM_CHUNK);
                    let sum = &mut sum[..range.len()];
                    sum_range(sum, parts, at + start);
                    let [first, second] =
                        [&mut *first, &mut *second].map(|s| s.get_mut(range.clone()).unwrap_or_default());
                    rules.update(at + start, &mut weights[range], sum, [first, second], scale);
                }
                blend(average, weights, rate);
            });
            // The next step wants it so, and threads are at work now: it would have to call them together for that alone.
            executor.prepare_products(weights, revision);
        };
        let rule = StepRule::new(&options.embedding_optimizer, self.steps, learning_rate_factor);
        let mut averages: Vec<Option<&mut Vec<f32>>> = table_averages.iter_mut().map(Option::as_mut).collect();
        averages.resize_with(touched.len(), || None);
        let tables = parameters.tables.par_iter_mut().zip(touched).zip(averages).enumerate();
        let update_tables = || {
            tables.for_each(|(t, ((table, touched), average))| {
                if let Some(uses) = &uses {
                    table.gather(touched, &uses[t]);
                }
                table.update(touched, &rule, scale, self.steps);
                if let Some(average) = average {
                    blend_table(average, table, rate);
                }
            });
        };
        // Side by side: one waits for memory, the other less, and there is one end to wait for.
        rayon::join(update_dense, update_tables);
        executor.prepare_folds(weights, &parameters.tables, revision);
    }
}

/// `count` chunks of one state; empty ones where the optimizer does not keep it.
fn state_chunks(state: &mut [f32], count: usize) -> Vec<&mut [f32]> {
    let mut chunks: Vec<_> = state.chunks_mut(UPDATE_CHUNK).collect();
    chunks.resize_with(count, Default::default);
    chunks
}
