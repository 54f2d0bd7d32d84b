//! `[train] best_epoch`: one for all tasks, or each task's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tree::PathStep;
use super::{ConfigFile, provisional_layout};
use crate::error::Result;
use crate::fit::shared_tensor;

/// `[train] best_epoch`: whose best epoch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BestEpoch {
    /// One of all tasks, by the metric of `early_stopping`.
    Shared,
    /// Each task's own, by its own metric: AUC or R², or that of `early_stopping` if it is the task's. Only where tasks share no
    /// weight.
    PerTask,
}

/// What all runs did before there was a choice is not written, so that they keep their identity.
pub(super) fn is_shared(best_epoch: &Option<BestEpoch>) -> bool {
    *best_epoch != Some(BestEpoch::PerTask)
}

impl ConfigFile {
    /// Whose best epoch is kept of the model that was chosen with [`ConfigFile::model`]: what `[train] best_epoch` says, else
    /// each task's own where tasks share nothing.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) at the key where it asks for what the model's tasks, sharing weights, cannot have.
    pub fn best_epoch(&self, name: Option<&str>) -> Result<BestEpoch> {
        let tasks = self.schema.task_specs();
        let asked = self.config.train.best_epoch;
        // Where there is one task, or none to choose by, it is all the same.
        if asked == Some(BestEpoch::Shared) || tasks.len() < 2 || self.config.data.valid.is_none() {
            return Ok(BestEpoch::Shared);
        }
        let model = self.model(name)?;
        let graph = model.build(&provisional_layout(&self.schema), &tasks);
        let shared = shared_tensor(&graph.map_err(|error| self.model_error(name, error))?);
        match (shared, asked) {
            (None, _) => Ok(BestEpoch::PerTask),
            (Some(_), None) => Ok(BestEpoch::Shared),
            (Some(tensor), Some(_)) => {
                let which = name.map_or_else(|| "the model".to_owned(), |name| format!("compare.model {name:?}"));
                let message = format!(
                    "\"per-task\" keeps of each task the weights of its own best epoch, and the tasks of {which} (kind {:?}) share \
                     weights, such as {tensor:?}: leave best_epoch out (each task's own is the default where tasks share nothing, \
                     as in \"single-task\", and else the best of all tasks together), or train a task by itself",
                    model.kind()
                );
                Err(self.error_at(&[PathStep::from("train"), PathStep::from("best_epoch")], message))
            }
        }
    }
}
