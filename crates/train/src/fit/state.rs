//! [`State`]: what the loop remembers between two steps, and [`Keeper`], who keeps it.

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
pub struct State {
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
    #[serde(default)]
    pub(crate) weighting: WeightingState,
    #[serde(default)]
    pub(crate) first_rows: FirstRows,
    /// Whether no epoch has moved any weight yet.
    #[serde(default)]
    pub(crate) unmoved: bool,
}

impl State {
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
            weighting: WeightingState::new(config, tasks),
            first_rows: FirstRows::default(),
            unmoved: false,
        }
    }
}

/// Who keeps the state of training.
pub trait Keeper {
    /// Keeps the state. `best` says that the engine's weights are the best so far.
    ///
    /// # Errors
    /// If it cannot; training then stops.
    fn save(&mut self, state: &State, engine: &Engine, best: bool) -> Result<()>;

    /// Gives `engine` the weights that were last saved as the best.
    ///
    /// # Errors
    /// If they cannot be read back.
    fn restore_best(&mut self, engine: &mut Engine) -> Result<()>;
}

/// Keeps the best weights in memory and nothing else.
#[derive(Debug, Default)]
pub struct MemoryKeeper {
    best: Weights,
}

impl Keeper for MemoryKeeper {
    fn save(&mut self, _: &State, engine: &Engine, best: bool) -> Result<()> {
        if best {
            self.best = engine.weights();
        }
        Ok(())
    }

    fn restore_best(&mut self, engine: &mut Engine) -> Result<()> {
        Ok(engine.load(&self.best)?)
    }
}
