//! What a model is made of, and which experts it uses.

use pleiad_data::{EncodedStream, Skipped, StreamOptions, TaskKind};
use pleiad_engine::GateStatistics;
use serde::Serialize;

use super::{Model, Source};
use crate::by_task::ByTask;
use crate::counts::ParameterCount;
use crate::error::{Error, Result};
use crate::fit::Interrupt;

/// What `pleiad inspect --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Kind of structure.
    pub kind: String,
    /// Tasks and their kinds.
    pub tasks: ByTask<TaskKind>,
    /// Number of features.
    pub features: usize,
    /// Width D of the input representation.
    pub input_width: usize,
    /// Number of parameters.
    pub parameters: ParameterCount,
    /// Floating-point operations of one forward row.
    pub flops_per_row: u64,
    /// Parameters and operations by module, in the order of the graph.
    pub modules: Vec<ModuleSize>,
    /// Use of experts, where data was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gates: Option<Vec<GateUtilisation>>,
}

/// Size and cost of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleSize {
    /// Its scope, such as `levels.0.shared.experts.1`.
    pub name: String,
    /// Parameters.
    pub parameters: u64,
    /// Floating-point operations of one forward row.
    pub flops: u64,
}

/// How a gate spreads its weight over its experts (figure 8 of the PLE paper).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateUtilisation {
    /// Where the gate stands, such as `levels.0.income.gate`.
    pub gate: String,
    /// Rows observed.
    pub rows: u64,
    /// Its experts, in the order of its weights.
    pub experts: Vec<ExpertUse>,
}

/// An expert's weight in a gate, over the rows observed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpertUse {
    /// The expert.
    pub expert: String,
    /// Mean of its weight.
    pub mean: f64,
    /// Standard deviation of its weight.
    pub sd: f64,
}

impl Model {
    /// Structure, size and cost.
    #[must_use]
    pub fn inspect(&self) -> Inspection {
        let summary = self.predictor.graph().summary();
        let layout = self.encoder.layout();
        Inspection {
            kind: self.kind.clone(),
            tasks: self.encoder.tasks().iter().map(|task| (task.name.as_str(), task.kind)).collect(),
            features: layout.inputs.len(),
            input_width: layout.width(),
            parameters: ParameterCount::from(&summary),
            flops_per_row: summary.flops_per_row,
            modules: summary
                .modules
                .iter()
                .map(|(name, count)| ModuleSize {
                    name: name.clone(),
                    parameters: count.parameters,
                    flops: count.flops,
                })
                .collect(),
            gates: None,
        }
    }

    /// Observes every gate over the rows of `source`. Labels need not be there.
    ///
    /// # Errors
    /// [`Error::Data`] and [`Error::Interrupted`].
    pub fn utilisation(
        &mut self,
        source: &Source,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Vec<GateUtilisation>, Skipped)> {
        let Self { encoder, predictor, .. } = self;
        let mut statistics = GateStatistics::new(predictor.graph());
        let mut stream = EncodedStream::open(encoder, &StreamOptions::new(encoder, source.paths.clone()))?;
        let mut rows = 0;
        for encoded in stream.by_ref() {
            let batch = encoded?.batch;
            if let Some(signal) = interrupt.raised() {
                return Err(Error::Interrupted { signal, what: format!("stopped after {rows} rows") });
            }
            predictor.observe_gates(&batch, &mut statistics)?;
            rows += batch.rows as u64;
            progress(rows);
        }
        if rows == 0 {
            return Err(super::no_rows(stream.skipped()));
        }
        let gates = statistics.gates().into_iter().map(|gate| GateUtilisation {
            gate: gate.scope.to_owned(),
            rows: gate.rows,
            experts: gate
                .experts
                .into_iter()
                .map(|(expert, mean, sd)| ExpertUse { expert: expert.to_owned(), mean, sd })
                .collect(),
        });
        Ok((gates.collect(), stream.skipped().clone()))
    }
}
