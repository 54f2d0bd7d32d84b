//! What a model is made of, and which experts it uses.

use pleiad_data::{EncodedStream, TaskKind};
use pleiad_engine::GateStatistics;
use pleiad_model::graph::ModuleCount;
use pleiad_rank::{Model, Read, Rows, Source};
use serde::Serialize;

use crate::ByTask;
use crate::Interrupt;
use crate::alarm::Alarm;
use crate::counts::ParameterCount;
use crate::error::{Error, Result};
use crate::explain::{self, ExpertRange, GateUtilisation};

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
    /// What experts give, where data was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experts: Option<Vec<ExpertRange>>,
    /// What is wrong with gates and experts, where data was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Vec<Alarm>>,
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

/// What [`utilisation`] sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Utilisation {
    /// Use of experts by every gate, in the order of the graph.
    pub gates: Vec<GateUtilisation>,
    /// What every expert gives.
    pub experts: Vec<ExpertRange>,
    /// What is wrong with gates and experts.
    pub alarms: Vec<Alarm>,
    /// What reading the rows gave.
    pub read: Read,
}

/// Structure, size and cost of a model.
#[must_use]
pub fn inspect(model: &Model) -> Inspection {
    let summary = model.predictor().graph().summary();
    let layout = model.encoder().layout();
    let module = |(name, count): &(String, ModuleCount)| ModuleSize {
        name: name.clone(),
        parameters: count.parameters,
        flops: count.flops,
    };
    Inspection {
        kind: model.kind().to_owned(),
        tasks: model.tasks().iter().map(|task| (task.name.as_str(), task.kind)).collect(),
        features: layout.inputs.len(),
        input_width: layout.width(),
        parameters: ParameterCount::from(&summary),
        flops_per_row: summary.flops_per_row,
        modules: summary.modules.iter().map(module).collect(),
        gates: None,
        experts: None,
        alarms: None,
    }
}

/// Observes every gate and expert of a model over rows that lie in memory: use of experts by every gate in the order of the
/// graph, what every expert gives, and what is wrong with them.
///
/// # Errors
/// [`Error::Engine`] for rows that another model has encoded.
pub fn utilisation_of(model: &Model, rows: &[Rows]) -> Result<(Vec<GateUtilisation>, Vec<ExpertRange>, Vec<Alarm>)> {
    let mut statistics = GateStatistics::new(model.predictor().graph());
    for rows in rows {
        model.predictor().observe_gates(&rows.batch, &mut statistics)?;
    }
    let (gates, experts) = (explain::gates(&statistics), explain::experts(&statistics));
    let alarms = explain::alarms(&gates, &experts);
    Ok((gates, experts, alarms))
}

/// Observes every gate and expert of a model over the rows of `source`. Labels need not be there.
///
/// # Errors
/// [`Error::Data`] and [`Error::Interrupted`].
pub fn utilisation(
    model: &Model,
    source: &Source,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> Result<Utilisation> {
    let (encoder, predictor) = (model.encoder(), model.predictor());
    let mut statistics = GateStatistics::new(predictor.graph());
    let mut options = source.options(encoder)?;
    options.stop = Some(interrupt.flag());
    let mut stream = EncodedStream::open(encoder, &options)?;
    let mut rows = 0;
    for encoded in stream.by_ref() {
        if let Some(signal) = interrupt.raised() {
            return Err(Error::Interrupted { signal, what: format!("stopped after {rows} rows") });
        }
        let batch = encoded?.batch;
        predictor.observe_gates(&batch, &mut statistics)?;
        rows += batch.rows as u64;
        progress(rows);
    }
    if rows == 0 {
        return Err(Read::no_rows(source, stream.skipped()).into());
    }
    let (gates, experts) = (explain::gates(&statistics), explain::experts(&statistics));
    let alarms = explain::alarms(&gates, &experts);
    Ok(Utilisation { gates, experts, alarms, read: model.read(&stream) })
}
