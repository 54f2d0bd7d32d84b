//! The closed set of operations that ranking models need.

use pleiad_data::Pooling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Node, ParamId, TableId};

/// An element-wise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x` where positive, else `0.01 x`.
    LeakyRelu,
    /// `x` where positive, else `exp(x) - 1`.
    Elu,
    /// `x * Phi(x)` with the normal distribution function Phi (the exact form, not the tanh approximation).
    Gelu,
    /// `x * sigmoid(x)`.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x`: a linear layer without a non-linearity.
    Identity,
}

impl Activation {
    /// Whether the derivative can be computed from the output alone, so that the input need not be
    /// kept.
    #[must_use]
    pub fn invertible(self) -> bool {
        !matches!(self, Self::Gelu | Self::Silu)
    }
}

/// One operation. `[B, W]` is the shape of its output; inputs have the order of [`super::NodeSpec::inputs`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Numeric columns `first .. first + count` of the batch: `[B, count]`. No inputs.
    Numeric {
        /// First column.
        first: usize,
        /// Number of columns.
        count: usize,
    },
    /// Rows of a table, pooled where a batch row has several: `[B, dim]`. No inputs.
    Embedding {
        /// The table.
        table: TableId,
        /// Categorical slot of the batch.
        slot: usize,
        /// How several rows become one; `None` where there is exactly one.
        pooling: Option<Pooling>,
    },
    /// A number by learned waves: with x column `column` of the batch, `max(0, W v + b)`, `v = [sin(2 pi c x), cos(2 pi c x)]`;
    /// c `[k]`, W `[dim, 2 k]`, b `[dim]`: `[B, dim]`. No inputs.
    Periodic {
        /// Numeric column.
        column: usize,
        /// c.
        frequencies: ParamId,
        /// W.
        weight: ParamId,
        /// b.
        bias: ParamId,
    },
    /// Rows of a table, one for each event: `[E, dim]`. An event is a value of a list, and lists of equal lengths may be parts of
    /// the same events ([`super::Space::Event`]). No inputs.
    Events {
        /// The table.
        table: TableId,
        /// Categorical slot of the batch whose values look the rows up.
        slot: usize,
        /// Categorical slot whose list has the events; `slot`, or one with as many values in every row.
        list: usize,
    },
    /// Inputs side by side: `[B, sum of widths]`.
    Concat,
    /// `y = x W^T + b`, W `[out, in]`, b `[out]`: `[B, out]`. One input.
    Linear {
        /// W.
        weight: ParamId,
        /// b.
        bias: Option<ParamId>,
    },
    /// Element-wise `f(x)`. One input.
    Activation {
        /// f.
        function: Activation,
    },
    /// Inverted dropout: in training each element is zero with probability `rate`, else divided by `1 - rate`; in
    /// evaluation the identity. One input.
    Dropout {
        /// Probability of a zero, in `[0, 1)`.
        rate: f32,
    },
    /// Softmax over the row: `[B, E]`. One input.
    Softmax,
    /// `y = sum_e g_e x_e`: inputs are the weights g `[B, E]`, then E experts `[B, W]`; output `[B, W]`.
    Mixture,
    /// `y = scale (x_1 + ... + x_n)`: n inputs and output `[B, W]`. A sum, or with `scale = 1 / n` a mean.
    Sum {
        /// Factor of the sum.
        scale: f32,
    },
    /// `y = w_1 x_1 + ... + w_n x_n` by a learned w `[n]`, the same for all rows: n inputs and output `[B, W]`.
    Combination {
        /// w.
        weights: ParamId,
    },
    /// The logit of both of two events, given the logit a of the first and the logit b of the second under the
    /// condition of the first: `logit(sigmoid(a) sigmoid(b)) = -log(exp(-a) + exp(-b) + exp(-a - b))`. Two inputs and
    /// output `[B, 1]`.
    Conjunction,
    /// `y = scale <a, b>`, row by row: two inputs `[B, W]`, output `[B, 1]`.
    Dot {
        /// Factor of the scalar product.
        scale: f32,
    },
    /// `y = sum over i < j of x_i * x_j`, element by element: two inputs `[B, W]` or more, output `[B, W]`. Of two inputs
    /// it is their product.
    Pairs,
    /// Sum over the events of each row: `y_r = sum_(e of r) x_e`. One input `[E, W]`, output `[B, W]`; zeros where there are no
    /// events.
    SegmentSum,
    /// Mean over the events of each row, as [`Op::SegmentSum`].
    SegmentMean,
    /// Softmax over the events of each row, column by column: `y_e = exp(x_e) / sum_(f of r(e)) exp(x_f)`. One input and output
    /// `[E, W]`.
    SegmentSoftmax,
    /// Weighted sum over the events of each row: `y_r = sum_(e of r) w_e x_e`. Inputs are the weights w `[E, 1]` and x `[E, W]`,
    /// output `[B, W]`; zeros where there are no events.
    SegmentMixture,
}

impl Op {
    /// The dense parameters that the operation reads.
    pub fn params(&self) -> impl Iterator<Item = ParamId> + use<> {
        let params = match self {
            Self::Periodic { frequencies, weight, bias, .. } => [Some(*frequencies), Some(*weight), Some(*bias)],
            Self::Linear { weight, bias } => [Some(*weight), *bias, None],
            Self::Combination { weights } => [Some(*weights), None, None],
            _ => [None, None, None],
        };
        params.into_iter().flatten()
    }

    /// Whether it brings events down to the rows or requests that they belong to.
    #[must_use]
    pub fn reduces_events(&self) -> bool {
        matches!(self, Self::SegmentSum | Self::SegmentMean | Self::SegmentMixture)
    }

    /// The operation's name in specifications and messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Numeric { .. } => "numeric",
            Self::Embedding { .. } => "embedding",
            Self::Periodic { .. } => "periodic",
            Self::Events { .. } => "events",
            Self::Concat => "concat",
            Self::Linear { .. } => "linear",
            Self::Activation { .. } => "activation",
            Self::Dropout { .. } => "dropout",
            Self::Softmax => "softmax",
            Self::Mixture => "mixture",
            Self::Sum { .. } => "sum",
            Self::Combination { .. } => "combination",
            Self::Conjunction => "conjunction",
            Self::Dot { .. } => "dot",
            Self::Pairs => "pairs",
            Self::SegmentSum => "segment_sum",
            Self::SegmentMean => "segment_mean",
            Self::SegmentSoftmax => "segment_softmax",
            Self::SegmentMixture => "segment_mixture",
        }
    }
}

/// An operation placed in a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Where it stands, such as `levels.0.income.experts.1.0`; for people and messages, not unique.
    pub scope: String,
    /// What it does.
    pub op: Op,
    /// What it reads; every input stands before it.
    pub inputs: Vec<Node>,
    /// Width W of its output `[B, W]`.
    pub width: usize,
}
