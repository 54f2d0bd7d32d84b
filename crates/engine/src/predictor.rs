//! [`Predictor`]: a trained model that answers.

use pleiad_data::{Batch, TaskKind};
use pleiad_model::objective::Loss;
use pleiad_model::{Graph, Weights};

use crate::check::check_batch;
use crate::error::Result;
use crate::gates::GateStatistics;
use crate::parameters::Parameters;
use crate::plan::Purpose;
use crate::runner::Runner;

/// What a model predicts for a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predictions {
    /// `[T][B]`: probabilities of binary tasks, values of regressions.
    pub tasks: Vec<Vec<f32>>,
}

/// A model's graph and weights, ready to predict. Holds no optimizer state.
#[derive(Debug)]
pub struct Predictor {
    graph: Graph,
    parameters: Parameters,
    runner: Runner,
    inspector: Option<Runner>,
}

impl Predictor {
    /// A model with these weights.
    ///
    /// # Errors
    /// A graph that does not hold together, a table that does not fit in memory, or tensors other than the graph's.
    pub fn new(graph: Graph, weights: &Weights) -> Result<Self> {
        let runner = Runner::new(&graph, Purpose::Predict)?;
        let mut parameters = Parameters::new(&graph, runner.plan.params.clone(), 0)?;
        parameters.load(&graph, weights)?;
        Ok(Self { graph, parameters, runner, inspector: None })
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
    pub fn predict(&mut self, batch: &Batch) -> Result<Predictions> {
        check_batch(&self.graph, &self.parameters.tables, batch, false)?;
        Ok(predict(&self.graph, &mut self.runner, &self.parameters, batch))
    }

    /// Adds the weights of every gate over the rows of `batch` to `statistics`.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn observe_gates(&mut self, batch: &Batch, statistics: &mut GateStatistics) -> Result<()> {
        check_batch(&self.graph, &self.parameters.tables, batch, false)?;
        let inspector = match &mut self.inspector {
            Some(inspector) => inspector,
            None => self.inspector.insert(Runner::new(&self.graph, Purpose::Inspect)?),
        };
        let graph = &self.graph;
        let parts = inspector.run(&self.parameters, batch, |shard, plan| {
            let mut part = GateStatistics::new(graph);
            for (gate, &view) in plan.gates.iter().enumerate() {
                shard.rows_of(&plan.values, view).for_each(|weights| part.observe(gate, weights));
            }
            part
        });
        parts.iter().for_each(|part| statistics.merge(part));
        Ok(())
    }
}

/// Runs a batch that has been checked.
pub(crate) fn predict(graph: &Graph, runner: &mut Runner, parameters: &Parameters, batch: &Batch) -> Predictions {
    let kinds: Vec<TaskKind> = graph.outputs.iter().map(|o| o.kind).collect();
    let shards = runner.run(parameters, batch, |shard, plan| -> Vec<Vec<f32>> {
        let outputs = plan.outputs.iter().zip(&kinds);
        outputs
            .map(|(&view, &kind)| shard.column(&plan.values, view).map(Loss::of(kind).prediction).collect())
            .collect()
    });
    let mut tasks = vec![Vec::with_capacity(batch.rows); kinds.len()];
    for shard in shards {
        tasks.iter_mut().zip(shard).for_each(|(task, part)| task.extend(part));
    }
    Predictions { tasks }
}
