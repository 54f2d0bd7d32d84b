//! [`RankConfig`]: what `[rank]` says of the score of a row.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[rank]`: `score = prod_k p_k^w_k * f(x)^power`, with p_k the prediction of task k and x a column of the row; or with
/// `fusion = "sum"` `score = (sum_k w_k p_k) * f(x)^power`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankConfig {
    /// The exponent w_k of each task, or its factor in a sum; a task that is not named does not count.
    pub score: BTreeMap<String, f64>,
    /// How tasks come together. Default: `product`.
    #[serde(default, skip_serializing_if = "RankFusion::is_product")]
    pub fusion: RankFusion,
    /// Whether the prediction of a task with a `where` is multiplied by that of the task whose event the `where` asks for, and
    /// so on along the funnel: then p_k is the probability over all rows, not the one under a condition. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joint: bool,
    /// By task, the least value of p_k, 0 or above. Without it, a negative prediction of a regression has only powers that are
    /// whole numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floor: BTreeMap<String, f64>,
    /// By task, the greatest value of p_k, 0 or above, and not below its floor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cap: BTreeMap<String, f64>,
    /// The factor f(x)^power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<RankTransform>,
}

/// `[rank] fusion`: how predictions of several tasks become one score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RankFusion {
    /// `prod_k p_k^w_k`, equation 1: units and sizes of the predictions do not matter, and a prediction of 0 puts a row last.
    #[default]
    Product,
    /// `sum_k w_k p_k`: a high prediction of one task makes up for a low one of another.
    Sum,
}

impl RankFusion {
    fn is_product(&self) -> bool {
        *self == Self::Product
    }
}

/// `[rank] transform`: a factor that depends on a column of the row, such as the length of a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RankTransform {
    /// The column, which a feature reads as a number. A missing value is what that feature takes for it.
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

impl RankFunction {
    /// f(x).
    #[must_use]
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Log1p => x.ln_1p(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Identity => x,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Log1p => "log1p",
            Self::Sigmoid => "sigmoid",
            Self::Identity => "identity",
        }
    }
}
