//! [`Predictor`]: a trained model that predicts.

use std::sync::OnceLock;

use pleiad_data::Batch;
use pleiad_model::graph::Output;
use pleiad_model::objective::Loss;
use pleiad_model::{Graph, TensorSource, Weights};

use crate::check::BatchCheck;
use crate::error::Result;
use crate::exec::Shard;
use crate::gate_rows::GateRows;
use crate::gates::GateStatistics;
use crate::parameters::Parameters;
use crate::plan::{Plan, Purpose};
use crate::runner::Runner;
use crate::sharing::Sharing;
use crate::sparse::{Table, TableOptions};

/// What a model predicts for a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predictions {
    /// `[T][B]`: probabilities of binary tasks, values of regressions.
    pub tasks: Vec<Vec<f32>>,
}

/// A model's graph and weights, ready to predict. Nothing in it changes any more, so any number of threads may ask it at once;
/// none waits for another, and each gets the bits that it would get alone.
///
/// A batch of 32 rows or more is shared out over the `rayon` pool of the calling thread; a smaller one, and any one in a
/// pool of one thread, is computed by that thread. [`with_help`](crate::with_help) names other threads.
#[derive(Debug)]
pub struct Predictor {
    graph: Graph,
    check: BatchCheck,
    parameters: Parameters,
    runner: Runner,
    /// Made when gates are looked at for the first time.
    inspector: OnceLock<Runner>,
    sharing: Sharing,
}

impl Predictor {
    /// A model with these weights.
    ///
    /// # Errors
    /// A graph that does not hold together, a table that does not fit in memory, or tensors other than the graph's.
    pub fn new(graph: Graph, weights: &Weights) -> Result<Self> {
        let runner = Runner::new(&graph, Purpose::Predict)?;
        let mut parameters = Parameters::new(&graph, runner.plan().params.clone(), 0, &TableOptions::default(), 0)?;
        parameters.load(&graph, weights)?;
        Ok(Self::of(graph, parameters, runner))
    }

    /// [`Predictor::new`] of weights that the caller no longer needs: large tables are not copied.
    ///
    /// # Errors
    /// As there.
    pub fn from_weights(graph: Graph, weights: Weights) -> Result<Self> {
        let runner = Runner::new(&graph, Purpose::Predict)?;
        let mut parameters = Parameters::new(&graph, runner.plan().params.clone(), 0, &TableOptions::default(), 0)?;
        parameters.take(&graph, weights)?;
        Ok(Self::of(graph, parameters, runner))
    }

    /// A model with the weights of an engine, where they are.
    pub(crate) fn with_parameters(graph: Graph, parameters: Parameters) -> Result<Self> {
        let runner = Runner::new(&graph, Purpose::Predict)?;
        Ok(Self::of(graph, parameters, runner))
    }

    fn of(graph: Graph, parameters: Parameters, mut runner: Runner) -> Self {
        runner.prepare(&parameters);
        Self {
            check: BatchCheck::of(&graph),
            graph,
            parameters,
            runner,
            inspector: OnceLock::new(),
            sharing: Sharing::default(),
        }
    }

    /// Every weight under its tensor name, to be read where it is.
    #[must_use]
    pub fn weights_view(&self) -> impl TensorSource + '_ {
        self.parameters.view(&self.graph)
    }

    /// The model's graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Predicts every row of `batch`; labels are not looked at.
    ///
    /// # Errors
    /// [`crate::Error::Batch`] or [`crate::Error::IdOutOfRange`] for a batch that the model cannot read.
    pub fn predict(&self, batch: &Batch) -> Result<Predictions> {
        self.check.check(&self.parameters.tables, batch, false)?;
        Ok(predict(&self.graph, &self.runner, self.parameters.parts(), batch))
    }

    /// [`Predictor::predict`] where rows of one request have these features in common, too, beside those of which the graph
    /// says so: what depends on them alone is computed once a request. Sums are added in another order, so last bits may differ.
    ///
    /// The model is compiled again for every new set of features, up to four; from then on the nearest of these counts.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn predict_sharing(&self, batch: &Batch, features: &[&str]) -> Result<Predictions> {
        let plan = self.sharing.plan(&self.graph, &self.parameters, features);
        let Some((runner, dense)) = plan.as_ref().and_then(|plan| plan.runner()) else { return self.predict(batch) };
        self.check.check(&self.parameters.tables, batch, false)?;
        Ok(predict(&self.graph, runner, (dense, &self.parameters.tables), batch))
    }

    /// Predicts every row of `batch`, and adds the weights of every gate and the outputs of every expert to `statistics`.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn observe_gates(&self, batch: &Batch, statistics: &mut GateStatistics) -> Result<Predictions> {
        self.check.check(&self.parameters.tables, batch, false)?;
        let inspector = self.inspector()?;
        let losses = losses(&self.graph);
        let empty = GateStatistics::new(&self.graph);
        let parts = inspector.run(self.parameters.parts(), batch, |shard, plan| {
            let mut part = empty.clone();
            for (gate, &view) in plan.gates.iter().enumerate() {
                shard.rows_of(&plan.values, view).for_each(|weights| part.observe(gate, weights));
            }
            for &(expert, view) in &plan.experts {
                part.observe_expert(expert, shard.rows_of(&plan.values, view));
            }
            (part, outputs(shard, plan, &losses))
        });
        let (parts, outputs): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        parts.iter().for_each(|part| statistics.merge(part));
        Ok(joined(outputs, &losses, batch.rows))
    }

    /// The weights of every gate in each row of `batch`, in the order of the graph.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn gate_weights(&self, batch: &Batch) -> Result<Vec<GateRows<'_>>> {
        self.check.check(&self.parameters.tables, batch, false)?;
        let parts = self.inspector()?.run(self.parameters.parts(), batch, |shard, plan| {
            let of = |&view| shard.rows_of(&plan.values, view).flatten().copied().collect::<Vec<f32>>();
            plan.gates.iter().map(of).collect()
        });
        Ok(GateRows::joined(&self.graph.gates, parts, batch))
    }

    fn inspector(&self) -> Result<&Runner> {
        if let Some(inspector) = self.inspector.get() {
            return Ok(inspector);
        }
        let mut inspector = Runner::new(&self.graph, Purpose::Inspect)?;
        inspector.prepare(&self.parameters);
        // Where another thread was faster, its own is taken: both are the same.
        Ok(self.inspector.get_or_init(|| inspector))
    }
}

/// Runs a batch that has been checked, by a runner that is prepared for these parameters.
pub(crate) fn predict(graph: &Graph, runner: &Runner, parameters: (&[f32], &[Table]), batch: &Batch) -> Predictions {
    let losses = losses(graph);
    let shards = runner.run(parameters, batch, |shard, plan| outputs(shard, plan, &losses));
    joined(shards, &losses, batch.rows)
}

fn losses(graph: &Graph) -> Vec<Loss> {
    graph.outputs.iter().map(Output::loss).collect()
}

/// What each task predicts for the rows of a shard.
fn outputs(shard: &Shard<'_>, plan: &Plan, losses: &[Loss]) -> Vec<Vec<f32>> {
    let outputs = plan.outputs.iter().zip(losses);
    outputs.map(|(&view, loss)| shard.column(&plan.values, view).map(|z| loss.prediction(z)).collect()).collect()
}

/// The predictions of all shards, in the order of the rows.
fn joined(shards: Vec<Vec<Vec<f32>>>, losses: &[Loss], rows: usize) -> Predictions {
    let mut tasks = vec![Vec::with_capacity(rows); losses.len()];
    for shard in shards {
        tasks.iter_mut().zip(shard).for_each(|(task, part)| task.extend(part));
    }
    Predictions { tasks }
}
