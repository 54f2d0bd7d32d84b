//! The joint loss in the loop: the weights of a step, how the tasks' gradients become one, and what is learned from it.

use pleiad_data::{Batch, TaskKind};
use pleiad_engine::{Engine, StepStats};
use pleiad_model::objective::conflict::{Gram, cagrad, pcgrad};
use pleiad_model::objective::weighting::{DynamicAverage, GradNorm, Uncertainty};
use serde::{Deserialize, Serialize};

use crate::config::{GradientMethod, TrainConfig, Weighting};
use crate::error::Result;

/// What a weighting remembers between two steps; part of every checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WeightingState {
    /// Nothing.
    #[default]
    Static,
    Uncertainty(Uncertainty),
    Dwa(DynamicAverage),
    GradNorm(GradNorm),
}

/// What a step gave, beside the engine's new weights.
pub(super) struct JointStep {
    pub(super) stats: StepStats,
    /// Norms of the tasks' unweighted gradients over what they share; only where tasks went back one by one.
    norms: Option<Vec<f64>>,
}

impl WeightingState {
    pub(super) fn new(config: &TrainConfig, tasks: usize) -> Self {
        match config.joint_loss.weighting {
            Weighting::Static => Self::Static,
            Weighting::Uncertainty(_) => Self::Uncertainty(Uncertainty::new(tasks)),
            Weighting::Dwa(_) => Self::Dwa(DynamicAverage::new(tasks)),
            Weighting::GradNorm(_) => Self::GradNorm(GradNorm::new(tasks)),
        }
    }

    /// The effective weight of each task in the next step: that of its `[[task]]` times that of the method.
    pub(super) fn weights(&self, config: &TrainConfig, kinds: &[TaskKind], own: Vec<f64>) -> Vec<f32> {
        let of_method = match self {
            Self::Static => None,
            Self::Uncertainty(method) => Some(method.weights(kinds)),
            Self::Dwa(method) => match config.joint_loss.weighting {
                Weighting::Dwa(dwa) => Some(method.weights(dwa.temperature)),
                _ => None,
            },
            Self::GradNorm(method) => Some(method.weights().to_vec()),
        };
        match of_method {
            None => own.into_iter().map(|own| own as f32).collect(),
            Some(weights) => own.into_iter().zip(weights).map(|(own, weight)| (own * weight) as f32).collect(),
        }
    }

    /// Learns from a step whose losses are numbers. `factor` is that of the learning-rate schedule.
    pub(super) fn after_step(&mut self, config: &TrainConfig, kinds: &[TaskKind], step: &JointStep, factor: f64) {
        let StepStats { losses, rows, .. } = &step.stats;
        match (self, config.joint_loss.weighting) {
            (Self::Uncertainty(method), Weighting::Uncertainty(own)) => {
                let learning_rate = own.learning_rate.unwrap_or(config.optimizer.learning_rate());
                method.update(kinds, losses, rows, learning_rate * factor);
            }
            (Self::GradNorm(method), Weighting::GradNorm(own)) => {
                if let Some(norms) = &step.norms {
                    method.update(losses, rows, norms, own.alpha, own.learning_rate * factor);
                }
            }
            _ => {}
        }
    }

    /// Learns from an epoch: each task's mean training loss.
    pub(super) fn end_epoch(&mut self, losses: &[Option<f64>]) {
        if let Self::Dwa(method) = self {
            method.end_epoch(losses);
        }
    }
}

/// Takes a step of the engine as `config` says, with `beside` done by the way; `step` counts the steps before it.
pub(super) fn take_step(
    config: &TrainConfig,
    engine: &mut Engine,
    batch: &Batch,
    weights: &[f32],
    step: u64,
    factor: f64,
    beside: impl FnOnce() + Send,
) -> Result<JointStep> {
    if !config.joint_loss.by_task() {
        return Ok(JointStep { stats: engine.step_beside(batch, weights, factor, beside)?, norms: None });
    }
    let combine = |gram: &Gram| match config.joint_loss.gradient {
        GradientMethod::Sum => vec![1.0; gram.tasks()],
        GradientMethod::PcGrad => pcgrad(gram, config.seed, step),
        GradientMethod::CaGrad(own) => cagrad(gram, own.c),
    };
    let (stats, gram) = rayon::in_place_scope(|scope| {
        scope.spawn(|_| beside());
        engine.step_by_task(batch, weights, &combine, factor)
    })?;
    Ok(JointStep { stats, norms: Some(gram.norms()) })
}
