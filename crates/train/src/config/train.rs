//! `[train]`: how long, in which steps, with which optimizer, and which weights are kept.

use std::path::PathBuf;

use pleiad_data::TaskSpec;
use pleiad_engine::optim::{OptimizerConfig, Schedule};
use pleiad_engine::sparse::{TableOptions, TablePrecision};
use pleiad_engine::{EngineOptions, Kernels, Precision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::best_epoch::{BestEpoch, is_shared};
use super::check::{Issue, above_zero, check_option, count, fits_f32, not_negative};
use super::explanation::ExplainConfig;
use super::joint_loss::JointLossConfig;
use super::selection::Selection;
use crate::metrics::Measures;

/// Epochs, at the most.
const MOST_EPOCHS: u64 = 1_000_000;

/// Steps between two checkpoints, at the most.
const MOST_STEPS: u64 = 1 << 40;

/// `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training rows, at least 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub epochs: u64,
    /// Rows of a training step, B, at least 1. The last step of an epoch may have fewer.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Rows predicted at once when the model is measured; changes no result.
    #[schemars(range(min = 1))]
    pub evaluation_batch_size: usize,
    /// Precision of the matrix products of a training step; sums, weights, optimizer state and predictions are f32 in
    /// any case. `bf16` is faster where the processor has it, and slower where it has not.
    #[serde(skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// Optimizer of the dense parameters.
    pub optimizer: OptimizerConfig,
    /// Optimizer of the embedding tables; as `optimizer` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_optimizer: Option<OptimizerConfig>,
    /// What embedding tables are made of, weights and optimizer state: `f32`, or `bf16` in half the memory, its updates
    /// rounded at random so that they are right on average. The saved model is f32 either way.
    #[serde(skip_serializing_if = "is_default")]
    pub embedding_precision: TablePrecision,
    /// Folder in which embedding tables are kept in files while training, for those that do not fit in memory; without
    /// it they are in memory. Nothing is left there afterwards. Changes no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_folder: Option<PathBuf>,
    /// What the learning rates are multiplied with as training goes on.
    pub schedule: Schedule,
    /// Largest L2 norm of a step's whole gradient; longer ones are scaled down to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub clip_norm: Option<f64>,
    /// Averages the weights of all steps; what is measured and saved is the average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageConfig>,
    /// Probability with which a row of a training step does not see a feature, at least 0 and below 1: all columns of the input
    /// that belong to the feature are zero, and else divided by `1 - field_dropout`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub field_dropout: f64,
    /// How the tasks' losses are weighed beside `[[task]] weight`, and how their gradients become one.
    #[serde(skip_serializing_if = "is_default")]
    pub joint_loss: JointLossConfig,
    /// Ends training when the validation rows show no more gain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Whose best epoch is kept: one of all tasks (`shared`), or each task's own (`per-task`), which is possible where tasks share
    /// nothing, and the default there.
    #[serde(skip_serializing_if = "is_shared")]
    pub best_epoch: Option<BestEpoch>,
    /// Whether the saved model is explained (use of experts, calibration, importance of features): `true`, `false`, or
    /// `{ rows = 0.1, features = 0.5 }` with shares. Changes no weight.
    #[serde(skip_serializing_if = "is_default")]
    pub explain: ExplainConfig,
    /// When checkpoints are written.
    pub checkpoint: CheckpointConfig,
    /// Seed of the initial weights, the order of rows and dropout.
    pub seed: u64,
    /// Whether each epoch reads the rows in a new order, drawn from seed and epoch; else in the order of the files.
    pub shuffle: bool,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 1024,
            evaluation_batch_size: 4096,
            precision: Precision::default(),
            optimizer: OptimizerConfig::default(),
            embedding_optimizer: None,
            embedding_precision: TablePrecision::default(),
            table_folder: None,
            schedule: Schedule::default(),
            clip_norm: None,
            average: None,
            field_dropout: 0.0,
            joint_loss: JointLossConfig::default(),
            early_stopping: None,
            best_epoch: None,
            explain: ExplainConfig::default(),
            checkpoint: CheckpointConfig::default(),
            seed: 1,
            shuffle: true,
        }
    }
}

/// `[train] average`: the weights that are measured and saved are a running average of those of all steps.
///
/// After step t it moves by `(1 - decay) / (1 - decay^t)` of its distance to the weights: a mean in which a step counts
/// `decay` times what the next one does, and the start nothing. Steps go on from the weights themselves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AverageConfig {
    /// Above 0 and below 1; about the last `1 / (1 - decay)` steps count.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub decay: f64,
}

/// `[train] early_stopping`: training ends when `patience` epochs in a row did not raise the metric by more than
/// `min_delta`.
///
/// Whether or not it ends early, the weights kept are those of the epoch with the best value of this metric (of the
/// mean over tasks, where there is no `early_stopping`). Only validation rows count, never the test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a gain, at least 1.
    #[schemars(range(min = 1))]
    pub patience: u64,
    /// The metric that decides.
    #[serde(default)]
    pub metric: Selection,
    /// What counts as a gain, in units of the metric, at least 0.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
}

/// `[train] checkpoint`: when the whole state of training is written to `RUN/checkpoints`, from where `--resume` goes
/// on. An interrupted run writes one in any case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// At the end of every this many epochs, at least 1 (and of the best epoch).
    #[schemars(range(min = 1))]
    pub every_epochs: u64,
    /// Also after every this many steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub every_steps: Option<u64>,
    /// Also when this many minutes have passed since the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub every_minutes: Option<f64>,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every_epochs: 1, every_steps: None, every_minutes: None }
    }
}

/// What says what today's configurations say is not written, so that they keep their identity.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl TrainConfig {
    /// Refuses values that no training could use.
    pub(super) fn check(&self, tasks: &[TaskSpec], measures: &Measures) -> Result<(), Issue> {
        count("train.epochs", self.epochs, MOST_EPOCHS)?;
        // A batch may be larger than the log: then it is the log.
        count("train.batch_size", self.batch_size as u64, u64::MAX)?;
        count("train.evaluation_batch_size", self.evaluation_batch_size as u64, u64::MAX)?;
        count("train.checkpoint.every_epochs", self.checkpoint.every_epochs, MOST_EPOCHS)?;
        self.checkpoint.every_steps.map_or(Ok(()), |n| count("train.checkpoint.every_steps", n, MOST_STEPS))?;
        self.checkpoint.every_minutes.map_or(Ok(()), |m| above_zero("train.checkpoint.every_minutes", m))?;
        self.clip_norm.map_or(Ok(()), |norm| above_zero("train.clip_norm", norm))?;
        self.clip_norm.map_or(Ok(()), |norm| fits_f32("train.clip_norm", norm))?;
        if let Some(AverageConfig { decay }) = self.average
            && !(decay > 0.0 && decay < 1.0)
        {
            return Err(Issue::new("train.average.decay", format!("must be above 0 and below 1, not {decay}")));
        }
        let dropped = self.field_dropout;
        // As the engine has it: 0.99999999999 is 1 there.
        if !(0.0..1.0).contains(&(dropped as f32)) {
            return Err(Issue::new("train.field_dropout", format!("must be at least 0 and below 1, not {dropped}")));
        }
        check_option("train.optimizer", self.optimizer.validate())?;
        if let Some(optimizer) = &self.embedding_optimizer {
            check_option("train.embedding_optimizer", optimizer.validate())?;
        }
        self.joint_loss.check()?;
        self.explain.check()?;
        check_option("train.schedule", self.schedule.validate())?;
        if let Some(stopping) = &self.early_stopping {
            count("train.early_stopping.patience", stopping.patience, MOST_EPOCHS)?;
            not_negative("train.early_stopping.min_delta", stopping.min_delta)?;
            let checked = stopping.metric.check(tasks, measures);
            checked.map_err(|message| Issue::new("train.early_stopping.metric", message))?;
        }
        Ok(())
    }

    /// How the engine trains.
    #[must_use]
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            optimizer: self.optimizer,
            embedding_optimizer: *self.embedding_optimizer(),
            clip_norm: self.clip_norm.map(|norm| norm as f32),
            precision: self.precision,
            kernels: Kernels::Fastest,
            tables: TableOptions { precision: self.embedding_precision, folder: self.table_folder.clone() },
            seed: self.seed,
        }
    }

    /// Optimizer of the embedding tables.
    #[must_use]
    pub fn embedding_optimizer(&self) -> &OptimizerConfig {
        self.embedding_optimizer.as_ref().unwrap_or(&self.optimizer)
    }

    /// The metric by which epochs are compared.
    #[must_use]
    pub fn selection(&self) -> Selection {
        self.early_stopping.as_ref().map_or(Selection::Mean, |stopping| stopping.metric.clone())
    }
}
