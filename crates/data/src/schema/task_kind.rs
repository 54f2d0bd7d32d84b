//! [`TaskKind`]: what a task predicts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a task predicts; decides its loss and its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A probability; cross-entropy of the logit.
    Binary,
    /// A number; squared error.
    Regression,
}
