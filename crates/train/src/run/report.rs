//! [`RunReport`]: what `metrics.json` says of a run.

use serde::{Deserialize, Serialize};

use crate::ByTask;
use crate::alarm::Alarm;
use crate::counts::{DataSummary, ParameterCount, SplitRows};
use crate::evaluate::Evaluation;
use crate::fit::{EpochRecord, StopReason};

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    /// Version of this form, 1.
    pub version: u32,
    /// Structure of the model.
    pub kind: String,
    /// Size of the model.
    pub parameters: ParameterCount,
    /// XXH64 of the resolved configuration, in hexadecimal.
    pub config_hash: String,
    /// XXH64 of rows and encoders, in hexadecimal.
    #[serde(default)]
    pub data_fingerprint: String,
    /// Floating-point operations of one forward row.
    #[serde(default)]
    pub flops_per_row: u64,
    /// XXH64 of `model/model.json`, which has those of the model's other files, as it says itself.
    pub model_xxh64: String,
    /// XXH64 of `explain.json`, as it says itself; `None` where the model was not explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain_xxh64: Option<String>,
    /// Seed of the run.
    pub seed: u64,
    /// Rows of each split, and of each task's sample space in it.
    pub rows: SplitRows,
    /// What there is in them: labels and values. None in reports that are older than it.
    #[serde(default)]
    pub data: Option<DataSummary>,
    /// Rows that were left out as bad.
    pub skipped_rows: u64,
    /// Training steps.
    pub steps: u64,
    /// Why training ended.
    pub stop: StopReason,
    /// What the best epoch was chosen by; `None` where none was chosen, and the last is kept.
    pub selected_by: Option<String>,
    /// Why none was chosen, in words that follow `as`; `None` where one was, and in reports that are older than it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_selected: Option<String>,
    /// The epoch whose weights the model has, from 1.
    pub best_epoch: u64,
    /// By task, the epoch that its weights are of, where each task keeps its own; `best_epoch` is the last of them then.
    #[serde(default, skip_serializing_if = "ByTask::is_empty")]
    pub best_epochs: ByTask<u64>,
    /// Seconds of training, validation included.
    pub seconds: f64,
    /// Whether no step has moved any weight that was looked at: the model is as it was drawn, or as `--init` gave it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmoved: bool,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// The model on the validation rows.
    pub valid: Option<Evaluation>,
    /// The model on the test rows, which had no part in any choice.
    pub test: Option<Evaluation>,
    /// What is wrong with rows, settings, steps and predictions; what is wrong with gates and experts stands in
    /// `explain.json`.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
}

impl RunReport {
    /// The epochs that weights are of, where each task has its own: `income 4, marital 7`.
    #[must_use]
    pub fn kept_by_task(&self) -> Option<String> {
        let epochs: Vec<String> = self.best_epochs.iter().map(|(task, epoch)| format!("{task} {epoch}")).collect();
        (!epochs.is_empty()).then(|| epochs.join(", "))
    }

    /// Why the last epoch is kept, where none was chosen: `, as there are no validation rows`. Reports that are older than
    /// the reason do not say it.
    #[must_use]
    pub fn why_last(&self) -> String {
        self.not_selected.as_ref().map_or_else(String::new, |why| format!(", as {why}"))
    }
}
