//! [`InputLayout`]: only what a model needs of the encoded columns.
//!
//! It connects encoding and graph: an encoder produces it, a graph is built over it, and a
//! [`crate::Batch`] follows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the embeddings of a multi-valued feature become one vector; a row without values gives zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Sum of the values' embeddings.
    Sum,
    /// Sum divided by the number of values.
    Mean,
}

/// One input of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Input {
    /// One number: column `column` of [`crate::Batch::numeric`].
    Numeric {
        /// The feature's name.
        name: String,
        /// Column in `[B, N]`.
        column: usize,
    },
    /// An embedding of one number by learned waves: column `column` of [`crate::Batch::numeric`].
    Periodic {
        /// The feature's name.
        name: String,
        /// Column in `[B, N]`.
        column: usize,
        /// Waves k: of each a sine and a cosine.
        frequencies: usize,
        /// Standard deviation of the frequencies at the start.
        sigma: f32,
        /// Width of the embedding.
        dim: usize,
    },
    /// An embedding: entry `slot` of [`crate::Batch::categorical`] looks rows up in table `table`.
    Categorical {
        /// The feature's name.
        name: String,
        /// Entry of [`crate::Batch::categorical`].
        slot: usize,
        /// Name of the embedding table; features that name the same table share its rows.
        table: String,
        /// Rows of the table; every encoded id is below it.
        rows: u64,
        /// Width of an embedding.
        dim: usize,
        /// How several values become one vector; `None` for a single-valued feature.
        pooling: Option<Pooling>,
    },
}

impl Input {
    /// The feature's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Numeric { name, .. } | Self::Periodic { name, .. } | Self::Categorical { name, .. } => name,
        }
    }

    /// Width of the feature's vector in the input representation.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Numeric { .. } => 1,
            Self::Periodic { dim, .. } | Self::Categorical { dim, .. } => *dim,
        }
    }

    /// Its column of [`crate::Batch::numeric`], if it is read from there.
    #[must_use]
    pub fn numeric_column(&self) -> Option<usize> {
        match self {
            Self::Numeric { column, .. } | Self::Periodic { column, .. } => Some(*column),
            Self::Categorical { .. } => None,
        }
    }
}

/// Every input in configuration order. The input representation x `[B, D]` is the concatenation of their vectors in
/// this order. Numeric columns and categorical slots are each numbered from 0 in this order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InputLayout {
    /// The inputs.
    pub inputs: Vec<Input>,
    /// Names of the features that rows of one request have in common (`per = "request"`): what depends on them alone is
    /// computed once a request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_request: Vec<String>,
    /// Lists whose values another feature weighs, where their [`Pooling`] would make one vector of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<Attention>,
}

/// A list whose values another feature weighs ([`crate::schema::AttentionConfig`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// The feature with several values.
    pub feature: String,
    /// The feature that weighs them.
    pub target: String,
    /// Widths of the hidden layers that make a score of a value and the target.
    pub widths: Vec<usize>,
}

impl InputLayout {
    /// These inputs, of which each row has its own values.
    #[must_use]
    pub fn new(inputs: Vec<Input>) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// Whether rows of one request have this input in common.
    #[must_use]
    pub fn is_per_request(&self, input: &Input) -> bool {
        self.per_request.iter().any(|name| name == input.name())
    }

    /// Width D of the input representation.
    #[must_use]
    pub fn width(&self) -> usize {
        self.inputs.iter().map(Input::width).sum()
    }

    /// Number N of numeric columns.
    #[must_use]
    pub fn numeric_width(&self) -> usize {
        self.inputs.iter().filter(|input| input.numeric_column().is_some()).count()
    }
}
