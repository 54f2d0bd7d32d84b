//! `[rank]`: equation 1, how the predictions of all tasks become one score.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Issue;
use super::explain::suggest;
use super::tree::Step;

/// `[rank]`: `score = prod_k p_k^w_k * f(x)^power`, with p_k the prediction of task k and x a column of the row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankConfig {
    /// The exponent w_k of each task; a task that is not named does not count.
    pub score: BTreeMap<String, f64>,
    /// The factor f(x)^power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<RankTransform>,
}

/// `[rank] transform`: a factor that depends on a column of the row, such as the length of a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankTransform {
    /// The column, that of a numeric feature.
    pub column: String,
    /// f.
    pub kind: RankFunction,
    /// Exponent of f(x).
    #[serde(default = "one")]
    pub power: f64,
}

fn one() -> f64 {
    1.0
}

/// f of equation 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RankFunction {
    /// `ln(1 + x)`.
    Log1p,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// x itself.
    Identity,
}

impl RankConfig {
    /// Refuses tasks and columns that do not exist and exponents that are not numbers.
    pub(super) fn check(&self, tasks: &[&str], columns: &[&str]) -> Result<(), Issue> {
        if self.score.is_empty() {
            return Err(Issue::new("rank.score", "names no task; without one every row has the same score"));
        }
        for (task, power) in &self.score {
            let at = || vec![Step::from("rank"), Step::from("score"), Step::from(task.as_str())];
            if !tasks.contains(&task.as_str()) {
                return Err(Issue::at(at(), format!("there is no task {task:?}{}", suggest(task, tasks))));
            }
            if !power.is_finite() {
                return Err(Issue::at(at(), format!("the exponent must be a finite number, not {power}")));
            }
        }
        if let Some(RankTransform { column, power, .. }) = &self.transform {
            if !columns.contains(&column.as_str()) {
                let suggestion = suggest(column, columns);
                return Err(Issue::new(
                    "rank.transform.column",
                    format!("{column:?} is not the column of a numeric feature{suggestion}"),
                ));
            }
            if !power.is_finite() {
                return Err(Issue::new(
                    "rank.transform.power",
                    format!("the exponent must be a finite number, not {power}"),
                ));
            }
        }
        Ok(())
    }
}
