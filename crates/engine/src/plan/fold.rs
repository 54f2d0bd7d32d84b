//! What small tables give to the layer above them, in table space.
//!
//! A linear layer over looked-up vectors multiplies the same few rows again and again: with e_f the row that field f
//! looks up, `x W^T = sum_f e_f W_f^T` plus the part of the other inputs, and where a table has 20 rows, no batch has
//! more than 20 different `e_f W_f^T`. So the layer is applied to the *table*, once a step, and a row of the batch adds
//! up what its ids name. In the backward pass the gradients d of the rows that read one row of the table are added up
//! first, `g_v = sum_(i reads v) d_i`; then the gradient of `W_f` is `sum_v g_v^T e_v`, and that of `e_v` is `g_v W_f`.
//! Both are the same sums in another order.
//!
//! A multiplication of B rows becomes one of as many rows as the table has, and an addition for each row and output.
//! This saves time only for small tables. [`super::split`] chooses them.

use pleiad_model::graph::Space;

use super::{Block, Region};

/// Small tables, and the wide product that all of their vectors go into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fold {
    pub(crate) features: Vec<Folded>,
    /// Whose rows read the tables.
    pub(crate) space: Space,
    /// Rows of all tables.
    pub(crate) rows: usize,
    /// Outputs of the wide product.
    pub(crate) outputs: usize,
    /// Row stride of the sums, and of what the tables give.
    pub(crate) ld: usize,
    /// Where in a lane's gradient the sums g are, `[rows, outputs]`, by [`Fold::ld`].
    pub(crate) sums: Region,
}

impl Fold {
    /// A fold whose sums have no place yet. The stride is an odd number of cache lines of `lanes` numbers, so that columns of
    /// neighbouring rows lie in different cache sets.
    pub(super) fn new(features: Vec<Folded>, space: Space, outputs: usize, lanes: usize) -> Self {
        let rows = features.iter().map(|f| f.rows).sum();
        let ld = lanes * (outputs.div_ceil(lanes) | 1);
        Self { features, space, rows, outputs, ld, sums: Region { offset: 0, len: 0 } }
    }
}

/// A field of a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) table: usize,
    pub(crate) slot: usize,
    /// Rows of its table.
    pub(crate) rows: usize,
    pub(crate) dim: usize,
    /// Its table's first row among those of the fold.
    pub(crate) first: usize,
    /// Its columns of the product's weights, `[outputs, dim]`: apart from the others, since each field is multiplied by
    /// itself. Those of fields that come later lie behind them.
    pub(crate) weight: Block,
}
