//! [`FitState`]: what the loop remembers between two steps; [`Keeper`]: what saves it.

use std::collections::BTreeSet;

use pleiad_engine::Engine;
use pleiad_model::Weights;
use serde::{Deserialize, Serialize};

use super::first_rows::FirstRows;
use super::history::{EpochRecord, LossSums};
use super::joint::WeightingState;
use super::stopping::Stopping;
use crate::config::TrainConfig;
use crate::error::Result;

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All epochs are done.
    Epochs,
    /// Patience ran out.
    EarlyStopping,
}

/// Everything but weights and optimizer state that training needs to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitState {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done of the epoch at hand.
    pub step_in_epoch: u64,
    /// Steps done in all.
    pub step: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Every epoch done.
    pub history: Vec<EpochRecord>,
    /// Set when training is to end before its last epoch.
    pub stop: Option<StopReason>,
    pub(crate) sums: LossSums,
    pub(crate) stopping: Stopping,
    /// By task, where each has a best epoch of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) of_tasks: Vec<Stopping>,
    #[serde(default)]
    pub(crate) weighting: WeightingState,
    #[serde(default)]
    pub(crate) first_rows: FirstRows,
    /// Whether no epoch has moved any weight yet.
    #[serde(default)]
    pub(crate) unmoved: bool,
}

impl FitState {
    pub(crate) fn new(config: &TrainConfig, tasks: usize) -> Self {
        Self {
            epoch: 0,
            step_in_epoch: 0,
            step: 0,
            seconds: 0.0,
            history: Vec::new(),
            stop: None,
            sums: LossSums::new(tasks),
            stopping: Stopping::default(),
            of_tasks: Vec::new(),
            weighting: WeightingState::new(config, tasks),
            first_rows: FirstRows::default(),
            unmoved: false,
        }
    }
}

/// Whose weights of an epoch are the best so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Best<'a> {
    /// None's.
    No,
    /// All, as one.
    All,
    /// Those of these tasks, by position.
    Tasks(&'a [usize]),
}

/// Who keeps the state of training.
pub trait Keeper {
    /// Keeps the state. `best` says whose weights in the engine are the best so far.
    ///
    /// # Errors
    /// If it cannot; training then stops.
    fn save(&mut self, state: &FitState, engine: &Engine, best: Best<'_>) -> Result<()>;

    /// Gives `engine` the weights that were last saved as the best. With `own`, by task the names of its own tensors, each
    /// task's are those that were last saved as its best.
    ///
    /// # Errors
    /// If they cannot be read back.
    fn restore_best(&mut self, engine: &mut Engine, own: &[BTreeSet<String>]) -> Result<()>;
}

/// Keeps the best weights in memory and nothing else.
#[derive(Debug, Default)]
pub struct MemoryKeeper {
    best: Weights,
    of_tasks: Vec<Weights>,
}

impl Keeper for MemoryKeeper {
    fn save(&mut self, _: &FitState, engine: &Engine, best: Best<'_>) -> Result<()> {
        match best {
            Best::No => {}
            Best::All => self.best = engine.weights(),
            Best::Tasks(tasks) => {
                let most = tasks.iter().max().map_or(0, |most| most + 1);
                self.of_tasks.resize_with(self.of_tasks.len().max(most), Weights::default);
                tasks.iter().for_each(|&task| self.of_tasks[task] = engine.weights());
            }
        }
        Ok(())
    }

    fn restore_best(&mut self, engine: &mut Engine, own: &[BTreeSet<String>]) -> Result<()> {
        if own.is_empty() {
            return Ok(engine.load(&self.best)?);
        }
        let mut merged = engine.weights();
        for (best, own) in self.of_tasks.iter().zip(own) {
            for (name, tensor) in best.tensors.iter().filter(|(name, _)| own.contains(*name)) {
                merged.tensors.insert(name.clone(), tensor.clone());
            }
        }
        Ok(engine.load(&merged)?)
    }
}
