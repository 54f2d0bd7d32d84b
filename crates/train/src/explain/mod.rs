//! [`Explanation`]: what a trained model does on rows: which experts its gates use, whether its predictions agree with the
//! labels, and which features matter to them.
//!
//! `utilisation` has the weights of gates and the outputs of experts, `alarm` what is wrong with them; `calibration` and
//! `importance` are by task. An implementation of [`crate::pages::Pages`] draws the pictures.

mod alarm;
mod calibration;
mod effort;
mod importance;
mod shuffle;
mod utilisation;

pub(crate) use alarm::alarms;
pub use calibration::{CalibrationBin, CalibrationCurve};
pub use effort::ImportanceOptions;
pub use importance::{FeatureImportance, FeatureShare, Importance, Progress, TaskImportance};
use pleiad_data::{Batch, TaskSpec};
use pleiad_engine::{GateStatistics, Predictions, Predictor};
use pleiad_rank::check_finite;
use serde::{Deserialize, Serialize};
pub use utilisation::{ExpertRange, ExpertUse, GateUtilisation};
pub(crate) use utilisation::{experts, gates};

use crate::ByTask;
use crate::Interrupt;
use crate::alarm::Alarm;
use crate::error::{Error, Result};

/// What `explain.json` says of a run's model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Version of this form, 1.
    pub version: u32,
    /// Which rows it is made of.
    pub on: ExplainedOn,
    /// Number of rows.
    pub rows: u64,
    /// Rows that there are, of which `rows` were drawn; `None` where all were taken, or a version before did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_rows: Option<u64>,
    /// Use of experts by every gate; empty for a structure without gates.
    pub gates: Vec<GateUtilisation>,
    /// What every expert gives its gates.
    pub experts: Vec<ExpertRange>,
    /// What is wrong with gates and experts; empty if nothing is.
    pub alarms: Vec<Alarm>,
    /// Predictions against what happened, by task.
    pub calibration: ByTask<CalibrationCurve>,
    /// What each task loses when a feature is shuffled.
    pub importance: Importance,
}

/// Which rows a model is explained on: the first of these that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedOn {
    /// Rows that had no part in any choice.
    Test,
    /// The rows by which the epoch was chosen.
    Valid,
    /// The rows that it has learned from.
    Train,
}

impl ExplainedOn {
    /// `test`, `validation` or `training`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Valid => "validation",
            Self::Train => "training",
        }
    }
}

/// How a model is explained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExplainOptions {
    /// Rows of one pass through the model. It decides memory, and no result.
    pub batch_size: usize,
    /// Permutation importance.
    pub importance: ImportanceOptions,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self { batch_size: 4096, importance: ImportanceOptions::default() }
    }
}

/// Explains a model on rows with labels: gates and calibration on all of them, importance on a sample.
///
/// # Errors
/// [`Error::Engine`] if weights or rows are not the graph's, [`Error::NonFinitePrediction`], [`Error::Interrupted`].
pub fn explain(
    predictor: &Predictor,
    rows: &Batch,
    on: ExplainedOn,
    tasks: &[TaskSpec],
    options: &ExplainOptions,
    interrupt: &Interrupt,
    progress: &mut Progress<'_>,
) -> Result<Explanation> {
    let mut statistics = GateStatistics::new(predictor.graph());
    let mut predictions = Predictions { tasks: vec![Vec::with_capacity(rows.rows); tasks.len()] };
    let batch_size = options.batch_size.max(1);
    for start in (0..rows.rows).step_by(batch_size) {
        if let Some(signal) = interrupt.raised() {
            return Err(Error::Interrupted { signal, what: "stopped while gates were observed".to_owned() });
        }
        let batch = rows.slice(start..rows.rows.min(start + batch_size));
        let part = predictor.observe_gates(&batch, &mut statistics)?;
        predictions.tasks.iter_mut().zip(part.tasks).for_each(|(all, part)| all.extend(part));
    }
    check_finite(&predictions, tasks, 0)?;
    let (gates, experts) = (gates(&statistics), experts(&statistics));
    let curves = tasks.iter().zip(&predictions.tasks).zip(&rows.labels).map(|((task, predictions), labels)| {
        (task.name.as_str(), CalibrationCurve::of_sample(task.kind, predictions, labels, task.objective.negatives))
    });
    Ok(Explanation {
        version: 1,
        on,
        rows: rows.rows as u64,
        of_rows: None,
        alarms: alarms(&gates, &experts),
        gates,
        experts,
        calibration: curves.collect(),
        importance: importance::importance(predictor, rows, tasks, &options.importance, interrupt, progress)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, Labels, TaskKind};
    use pleiad_model::{ModelConfig, Weights};

    use super::*;

    #[test]
    fn it_reads_back_and_depends_on_no_batch_size() {
        let model: ModelConfig = toml::from_str("kind = 'mmoe'\nexperts = 2\nwidths = [3]").unwrap();
        let layout = InputLayout::new(vec![Input::Numeric { name: "x".into(), column: 0 }]);
        let tasks = [TaskSpec::new("a", TaskKind::Binary), TaskSpec::new("b", TaskKind::Regression)];
        let graph = model.build(&layout, &tasks).unwrap();
        let mut weights = Weights::default();
        for (at, param) in graph.params.iter().enumerate() {
            let data = (0..param.len()).map(|i| ((i + at) % 5) as f32 / 3.0 - 0.5).collect();
            weights.insert(&param.name, param.shape.clone(), data);
        }
        let labels = |f: fn(usize) -> f32| Labels {
            values: (0..900).map(f).collect(),
            present: vec![true; 900],
            weights: Vec::new(),
        };
        let rows = Batch {
            rows: 900,
            numeric: (0..900).map(|i| (i * 7919 % 900) as f32 / 450.0 - 1.0).collect(),
            categorical: vec![],
            labels: vec![labels(|i| (i % 2) as f32), labels(|i| i as f32)],
            groups: Vec::new(),
        };
        let predictor = Predictor::new(graph, &weights).unwrap();
        let explained = |batch_size| {
            let options = ExplainOptions { batch_size, ..ExplainOptions::default() };
            explain(&predictor, &rows, ExplainedOn::Test, &tasks, &options, &Interrupt::default(), &mut |_, _| ())
                .unwrap()
        };
        let explanation = explained(4096);
        assert_eq!(explanation.rows, 900);
        assert_eq!(explanation.gates.len(), 2);
        assert_eq!(explanation.calibration.get("a").unwrap().bins.len(), 10);
        assert_eq!(explanation, serde_json::from_str(&serde_json::to_string(&explanation).unwrap()).unwrap());
        let small = explained(256);
        assert_eq!((&small.calibration, &small.importance), (&explanation.calibration, &explanation.importance));
        for (a, b) in small.gates.iter().zip(&explanation.gates) {
            assert!(a.experts.iter().zip(&b.experts).all(|(a, b)| (a.mean - b.mean).abs() < 1e-12 && a.max == b.max));
        }
    }
}
