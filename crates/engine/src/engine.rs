//! [`Engine`]: a model in training.

use std::collections::BTreeMap;

use pleiad_data::Batch;
use pleiad_model::artifact::check_tensors;
use pleiad_model::objective::Loss;
use pleiad_model::{Graph, Weights};
use rayon::prelude::*;

use crate::check::check_batch;
use crate::error::{Error, Result};
use crate::exec::{Shard, Shared, TaskScale, backward, forward, seed_gradients};
use crate::kernels::reduce::{square_sum, sum_into};
use crate::optim::{OptimizerConfig, StepRule, clip_scale};
use crate::parameters::Parameters;
use crate::plan::{Plan, Purpose};
use crate::predictor::{Predictions, predict};
use crate::runner::{Runner, lanes, shards, workspace};
use crate::sparse::{TouchedRows, Use};

/// Lanes of a step at the most. A lane is a run of shards with one private gradient, so their number bounds both the
/// threads that a step can use and the memory that private gradients take; it does not depend on the threads there
/// are, and so neither does the order of any sum.
const MAX_LANES: usize = 16;

/// Elements of the dense parameters that one thread updates at a time.
const UPDATE_CHUNK: usize = 1 << 14;

/// How an [`Engine`] trains.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// Of dense parameters.
    pub optimizer: OptimizerConfig,
    /// Of embedding tables, by touched row.
    pub embedding_optimizer: OptimizerConfig,
    /// Upper bound of the gradient's L2 norm over dense parameters and tables together.
    pub clip_norm: Option<f32>,
    /// Seed of dropout.
    pub seed: u64,
}

/// What one step saw.
#[derive(Debug, Clone, PartialEq)]
pub struct StepStats {
    /// Per task, the mean loss over its rows of the batch; 0 where it has none.
    pub losses: Vec<f64>,
    /// Per task, the rows of the batch in its sample space.
    pub rows: Vec<usize>,
}

/// A model in training: weights, optimizer state, and the plan that both passes follow.
///
/// Runs on the current `rayon` pool. Results do not depend on its number of threads: the cut into shards and lanes
/// and the order of every sum depend on the batch alone.
#[derive(Debug)]
pub struct Engine {
    graph: Graph,
    plan: Plan,
    runner: Runner,
    options: EngineOptions,
    parameters: Parameters,
    /// Optimizer state of the dense parameters, slot by slot.
    state: [Vec<f32>; 2],
    gradient: Vec<f32>,
    /// Gradients of the input representation for all rows of the batch.
    batch_wide: Vec<Vec<f32>>,
    touched: Vec<TouchedRows>,
    lanes: Vec<Lane>,
    steps: u64,
}

/// What one lane writes.
#[derive(Debug)]
struct Lane {
    slots: Vec<Vec<f32>>,
    gradient: Vec<f32>,
    losses: Vec<f64>,
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
        let plan = Plan::compile(graph, Purpose::Train)?;
        let runner = Runner::new(graph, Purpose::Predict)?;
        let mut parameters = Parameters::new(graph, plan.params.clone(), options.embedding_optimizer.slots())?;
        let initial = options.embedding_optimizer.initial_state();
        if initial != 0.0 {
            for table in &mut parameters.tables {
                let state = vec![initial; table.rows() * table.dim()];
                (0..table.slots()).try_for_each(|slot| table.load_state(slot, &state))?;
            }
        }
        let dense = |slot| match slot < options.optimizer.slots() {
            true => vec![options.optimizer.initial_state(); plan.params.len],
            false => Vec::new(),
        };
        Ok(Self {
            graph: graph.clone(),
            options: options.clone(),
            state: [dense(0), dense(1)],
            gradient: vec![0.0; plan.params.len],
            batch_wide: vec![Vec::new(); plan.batch_widths.len()],
            touched: graph.tables.iter().map(|_| TouchedRows::new()).collect(),
            lanes: Vec::new(),
            steps: 0,
            plan,
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

    /// The optimizer's state: tensors named after their parameter with the state's name behind it.
    #[must_use]
    pub fn state(&self) -> Weights {
        let mut state = Weights::default();
        for (slot, name) in self.options.optimizer.slot_names().iter().enumerate() {
            for (i, param) in self.graph.params.iter().enumerate() {
                let values = self.plan.params.gather(i, &self.state[slot]);
                state.insert(format!("{}.{name}", param.name), param.shape.clone(), values);
            }
        }
        for (slot, name) in self.options.embedding_optimizer.slot_names().iter().enumerate() {
            for (table, spec) in self.parameters.tables.iter().zip(&self.graph.tables) {
                state.insert(format!("{}.{name}", spec.tensor()), spec.shape(), table.state(slot));
            }
        }
        state
    }

    /// Restores what [`Engine::state`] gave.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_state(&mut self, state: &Weights) -> Result<()> {
        let dense_names = self.options.optimizer.slot_names();
        let table_names = self.options.embedding_optimizer.slot_names();
        let mut expected = BTreeMap::new();
        for name in dense_names {
            expected.extend(self.graph.params.iter().map(|p| (format!("{}.{name}", p.name), p.shape.clone())));
        }
        for name in table_names {
            expected.extend(self.graph.tables.iter().map(|t| (format!("{}.{name}", t.tensor()), t.shape())));
        }
        check_tensors(state, &expected)?;
        for (slot, name) in dense_names.iter().enumerate() {
            for (i, param) in self.graph.params.iter().enumerate() {
                if let Some(tensor) = state.get(&format!("{}.{name}", param.name)) {
                    self.plan.params.scatter(i, &tensor.data, &mut self.state[slot]);
                }
            }
        }
        for (slot, name) in table_names.iter().enumerate() {
            for (table, spec) in self.parameters.tables.iter_mut().zip(&self.graph.tables) {
                if let Some(tensor) = state.get(&format!("{}.{name}", spec.tensor())) {
                    table.load_state(slot, &tensor.data)?;
                }
            }
        }
        Ok(())
    }

    /// Predicts every row of `batch`, without dropout; labels are not looked at.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::IdOutOfRange`] for a batch that the model cannot read.
    pub fn predict(&mut self, batch: &Batch) -> Result<Predictions> {
        check_batch(&self.graph, &self.parameters.tables, batch, false)?;
        Ok(predict(&self.graph, &mut self.runner, &self.parameters, batch))
    }

    /// One training step: gradients of `L = sum_k w_k L_k` with `L_k` the mean over task k's rows of the batch, then
    /// the optimizers' update with their learning rates times `learning_rate_factor`.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::IdOutOfRange`]; nothing is changed then.
    pub fn step(&mut self, batch: &Batch, task_weights: &[f32], learning_rate_factor: f64) -> Result<StepStats> {
        let stats = self.differentiate(batch, task_weights)?;
        self.update(learning_rate_factor);
        Ok(stats)
    }

    /// The gradient of the joint loss by every parameter, tables densely. For those who want to look at it; training
    /// never makes a table's gradient dense.
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn gradients(&mut self, batch: &Batch, task_weights: &[f32]) -> Result<(StepStats, Weights)> {
        let stats = self.differentiate(batch, task_weights)?;
        let mut gradients = Weights::default();
        for (i, param) in self.graph.params.iter().enumerate() {
            gradients.insert(&param.name, param.shape.clone(), self.plan.params.gather(i, &self.gradient));
        }
        for (touched, spec) in self.touched.iter().zip(&self.graph.tables) {
            let mut dense = vec![0.0; spec.rows as usize * spec.dim];
            for (&row, gradient) in touched.rows().iter().zip(touched.grads().chunks_exact(spec.dim)) {
                dense[row * spec.dim..][..spec.dim].copy_from_slice(gradient);
            }
            gradients.insert(spec.tensor(), spec.shape(), dense);
        }
        Ok((stats, gradients))
    }

    /// Leaves the batch's gradient in `gradient` and `touched`.
    fn differentiate(&mut self, batch: &Batch, task_weights: &[f32]) -> Result<StepStats> {
        check_batch(&self.graph, &self.parameters.tables, batch, true)?;
        if task_weights.len() != self.graph.outputs.len() {
            let message = format!("{} task weights for {} tasks", task_weights.len(), self.graph.outputs.len());
            return Err(Error::Batch { message });
        }
        let rows: Vec<usize> = batch.labels.iter().map(pleiad_data::Labels::count).collect();
        let scales: Vec<TaskScale> = self
            .graph
            .outputs
            .iter()
            .zip(&rows)
            .zip(task_weights)
            .map(|((output, &n), &w)| TaskScale {
                loss: Loss::of(output.kind),
                scale: if n == 0 { 0.0 } else { w / n as f32 },
            })
            .collect();

        let lanes_used = self.run_lanes(batch, &scales);
        match &mut self.lanes[..lanes_used] {
            [] => self.gradient.fill(0.0),
            // The lane overwrites all of its gradient next time, so the two arrays may change places.
            [only] => std::mem::swap(&mut self.gradient, &mut only.gradient),
            lanes => {
                let parts: Vec<&[f32]> = lanes.iter().map(|l| l.gradient.as_slice()).collect();
                sum_into(&mut self.gradient, &parts);
            }
        }
        let mean = |task: usize| {
            let sum: f64 = self.lanes[..lanes_used].iter().map(|l| l.losses[task]).sum();
            if rows[task] == 0 { 0.0 } else { sum / rows[task] as f64 }
        };
        let losses = (0..rows.len()).map(mean).collect();
        self.gather_tables(batch);
        Ok(StepStats { losses, rows })
    }

    /// Both passes over every shard; gives the number of lanes used.
    fn run_lanes(&mut self, batch: &Batch, scales: &[TaskScale]) -> usize {
        let shards = shards(batch.rows);
        let cut = lanes(shards.len(), MAX_LANES);
        let plan = &self.plan;
        self.lanes.resize_with(self.lanes.len().max(cut.len()), || Lane {
            slots: workspace(plan),
            gradient: vec![0.0; plan.params.len],
            losses: vec![0.0; scales.len()],
        });
        for (array, &ld) in self.batch_wide.iter_mut().zip(&plan.batch_widths) {
            array.resize(array.len().max(batch.rows * ld), 0.0);
        }
        // Each shard gets the rows of the batch-wide arrays that are its own.
        let mut rest: Vec<&mut [f32]> = self.batch_wide.iter_mut().map(Vec::as_mut_slice).collect();
        let mut pieces: Vec<Vec<&mut [f32]>> = Vec::with_capacity(shards.len());
        for shard in &shards {
            let own = rest.iter_mut().zip(&plan.batch_widths).map(|(rest, &ld)| {
                let (own, behind) = std::mem::take(rest).split_at_mut(shard.len() * ld);
                *rest = behind;
                own
            });
            pieces.push(own.collect());
        }
        let mut by_lane: Vec<Vec<Vec<&mut [f32]>>> = Vec::with_capacity(cut.len());
        let mut pieces = pieces.into_iter();
        for lane in &cut {
            by_lane.push(pieces.by_ref().take(lane.len()).collect());
        }
        let shared = Shared {
            plan,
            params: &self.parameters.dense,
            tables: &self.parameters.tables,
            batch,
            seed: self.options.seed,
            step: self.steps,
        };
        self.lanes.par_iter_mut().zip(&cut).zip(by_lane).for_each(|((lane, range), pieces)| {
            lane.losses.fill(0.0);
            for ((s, rows), pieces) in shards[range.clone()].iter().enumerate().zip(pieces) {
                let mut shard = Shard::new(rows.clone(), &mut lane.slots, pieces);
                forward(shared, &mut shard);
                seed_gradients(shared, &mut shard, scales, &mut lane.losses);
                backward(shared, &mut shard, &mut lane.gradient, s > 0);
            }
        });
        cut.len()
    }

    /// Finds the rows that the batch touches in each table, and sums their gradients.
    fn gather_tables(&mut self, batch: &Batch) {
        let (plan, batch_wide) = (&self.plan, &self.batch_wide);
        self.touched.par_iter_mut().zip(&self.parameters.tables).enumerate().for_each(|(t, (touched, table))| {
            let uses: Vec<Use<'_>> = plan
                .table_uses
                .iter()
                .filter(|u| u.table == t)
                .map(|u| Use {
                    ids: &batch.categorical[u.slot],
                    pooling: u.pooling,
                    grad: &batch_wide[u.batch],
                    ld: u.at.ld,
                    col: u.at.col,
                })
                .collect();
            touched.gather(table.rows(), table.dim(), &uses);
        });
    }

    fn update(&mut self, learning_rate_factor: f64) {
        self.steps += 1;
        let scale = match self.options.clip_norm {
            None => 1.0,
            Some(most) => {
                let tables: f64 = self.touched.iter().map(TouchedRows::square_sum).sum();
                clip_scale((square_sum(&self.gradient) + tables).sqrt(), f64::from(most))
            }
        };
        let rule = StepRule::new(&self.options.optimizer, self.steps, learning_rate_factor);
        let [first, second] = &mut self.state;
        let count = self.gradient.len().div_ceil(UPDATE_CHUNK);
        self.parameters
            .dense
            .par_chunks_mut(UPDATE_CHUNK)
            .zip(self.gradient.par_chunks(UPDATE_CHUNK))
            .zip(state_chunks(first, count))
            .zip(state_chunks(second, count))
            .for_each(|(((weights, gradient), first), second)| rule.update(weights, gradient, [first, second], scale));
        let rule = StepRule::new(&self.options.embedding_optimizer, self.steps, learning_rate_factor);
        self.parameters
            .tables
            .par_iter_mut()
            .zip(&self.touched)
            .for_each(|(table, touched)| table.update(touched, &rule, scale));
    }
}

/// `count` chunks of one state; empty ones where the optimizer does not keep it.
fn state_chunks(state: &mut [f32], count: usize) -> Vec<&mut [f32]> {
    let mut chunks: Vec<_> = state.chunks_mut(UPDATE_CHUNK).collect();
    chunks.resize_with(count, Default::default);
    chunks
}
