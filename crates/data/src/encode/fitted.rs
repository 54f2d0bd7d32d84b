//! [`Fitted`]: what was fitted for one feature.

use serde::{Deserialize, Serialize};

use super::numeric::Step;
use crate::schema::Missing;

/// What was fitted for one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fitted {
    /// A number and its transforms.
    Numeric {
        /// Transforms in order.
        steps: Vec<Step>,
        /// What stands for a missing value before them; `None` where none may be missing.
        missing: Option<f64>,
    },
    /// A number, piece by piece.
    Pieces {
        /// Boundaries of the pieces, ascending; one more than there are pieces.
        boundaries: Vec<f64>,
        /// What stands for a missing value before them; `None` where none may be missing.
        missing: Option<f64>,
    },
    /// Looked up in the table's vocabulary.
    Vocabulary,
    /// Hashed.
    Hash,
    /// Hashed as whole numbers.
    IntegerHash,
    /// Taken as they are.
    Ids,
    /// Between boundaries.
    Buckets {
        /// The boundaries, ascending.
        boundaries: Vec<f64>,
    },
}

/// What stands for a missing value, given the mean.
pub(super) fn filling(missing: Missing, mean: f64) -> Option<f64> {
    match missing {
        Missing::Error => None,
        Missing::Mean => Some(mean),
        Missing::Zero => Some(0.0),
        Missing::Value(value) => Some(value),
    }
}
