//! [`check_finite`]: predictions that are not numbers.

use pleiad_data::TaskSpec;
use pleiad_engine::Predictions;

use crate::error::{Error, Result};

/// Refuses predictions that are not numbers; `before` rows came before these.
///
/// # Errors
/// [`Error::NonFinitePrediction`] names the first.
pub fn check_finite(predictions: &Predictions, tasks: &[TaskSpec], before: u64) -> Result<()> {
    for (task, values) in tasks.iter().zip(&predictions.tasks) {
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            let row_in_all = before + row as u64 + 1;
            return Err(Error::NonFinitePrediction { task: task.name.clone(), row: row_in_all, value: values[row] });
        }
    }
    Ok(())
}
