//! Decides which tables are folded into the layer above them.
//!
//! A linear layer over looked-up vectors multiplies the same few rows again and again: with e_f the row that field f
//! looks up, `x W^T = sum_f e_f W_f^T` plus the part of the other inputs, and where a table has 20 rows, no batch has
//! more than 20 different `e_f W_f^T`. So the layer is applied to the *table*, once a step, and a row of the batch adds
//! up what its ids name. In the backward pass the gradients d of the rows that read one row of the table are added up
//! first, `g_v = sum_(i reads v) d_i`; then the gradient of `W_f` is `sum_v g_v^T e_v`, and that of `e_v` is `g_v W_f`.
//! Both are the same sums in another order.
//!
//! A multiplication of B rows becomes one of as many rows as the table has, and an addition for each row and output.
//! This saves time only for small tables.

use std::collections::{HashMap, HashSet};

use pleiad_model::Graph;
use pleiad_model::graph::{Node, Op};

use super::fuse::{Group, Readers};
use super::{Block, Region, SHARD_ROWS};
use crate::kernels::tiles::LANES;

/// Rows of a table that is folded, at the most. A step multiplies each of them, whether or not the batch reads it, and a
/// batch of 512 rows should gain much from it.
const TABLE_ROWS: u64 = SHARD_ROWS as u64 / 2;

/// Rows of all tables of a fold, at the most: 48 columns of what they give take 192 KiB, which a core's own cache holds
/// beside what else a shard works on.
const ROWS: usize = 1024;

/// Width of a table that is folded, at the least. Adding 16 numbers of what its row gives takes as long as multiplying
/// a vector of two or three by as many weights.
const DIM: usize = 4;

/// Small tables, and the wide product that all of their vectors go into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fold {
    pub(crate) features: Vec<Folded>,
    /// Rows of all tables.
    pub(crate) rows: usize,
    /// Outputs of the wide product.
    pub(crate) outputs: usize,
    /// Where in a lane's gradient the sums g are, `[rows, outputs]`, by [`Fold::ld`].
    pub(crate) sums: Region,
}

impl Fold {
    /// Row stride of the sums, and of what the tables give: an odd number of cache lines, so that columns of neighbouring
    /// rows lie in different cache sets.
    pub(crate) fn ld(&self) -> usize {
        LANES * (self.outputs.div_ceil(LANES) | 1)
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

/// Which inputs of which concatenations are folded.
#[derive(Debug, Default)]
pub(super) struct Folds {
    /// By the group that reads the concatenation.
    by_group: HashMap<usize, Vec<Folded>>,
    nodes: HashSet<Node>,
}

impl Folds {
    /// What the fields of `group` are, if there are any.
    pub(super) fn of_group(&self, group: usize) -> Option<&Vec<Folded>> {
        self.by_group.get(&group)
    }

    /// Whether the vectors of this node are nowhere, since its table is folded.
    pub(super) fn holds(&self, node: Node) -> bool {
        self.nodes.contains(&node)
    }

    /// Inputs of a concatenation that are not folded, each with its first column in what is left.
    pub(super) fn kept(&self, graph: &Graph, concat: Node) -> Vec<(Node, usize)> {
        let mut col = 0;
        let kept = graph.node(concat).inputs.iter().filter(|n| !self.holds(**n));
        let placed = kept.map(|&input| {
            let start = col;
            col += graph.node(input).width;
            (input, start)
        });
        placed.collect()
    }

    /// Columns of a node of this width that are left, if it is a concatenation.
    pub(super) fn width(&self, graph: &Graph, node: Node, width: usize) -> usize {
        let inputs = graph.node(node).inputs.iter();
        width - inputs.filter(|input| self.holds(**input)).map(|input| graph.node(*input).width).sum::<usize>()
    }

    /// Chooses. `alone`: whether no other layer has a parameter of the group.
    pub(super) fn choose(graph: &Graph, readers: &Readers, groups: &[Group], alone: impl Fn(usize) -> bool) -> Self {
        let mut folds = Self::default();
        for (g, group) in groups.iter().enumerate().filter(|(g, _)| alone(*g)) {
            let concat = graph.node(group.input);
            let linear = |n: &Node| matches!(graph.node(*n).op, Op::Linear { .. });
            if concat.op != Op::Concat
                || readers.is_output[group.input.0]
                || !readers.readers[group.input.0].iter().all(linear)
            {
                continue;
            }
            let mut fields: Vec<Node> =
                concat.inputs.iter().copied().filter(|&n| fits(graph, readers, n, group.input)).collect();
            // The smallest tables first, as many as there is room for; a product keeps one input at the least.
            fields.sort_by_key(|&n| (table_rows(graph, n), n));
            let mut rows = 0;
            fields.retain(|&n| {
                let more = rows + table_rows(graph, n);
                let fits = more <= ROWS;
                rows = if fits { more } else { rows };
                fits
            });
            if fields.len() == concat.inputs.len() {
                fields.pop();
            }
            if fields.is_empty() {
                continue;
            }
            folds.nodes.extend(&fields);
            let mut first = 0;
            let nowhere = Block { offset: 0, rows: 0, cols: 0, ld: 0 };
            let in_order = concat.inputs.iter().filter(|n| folds.nodes.contains(n));
            let features = in_order.filter_map(|&n| {
                let Op::Embedding { table, slot, .. } = graph.node(n).op else { return None };
                let (rows, dim) = (table_rows(graph, n), graph.node(n).width);
                first += rows;
                Some(Folded { table: table.0, slot, rows, dim, first: first - rows, weight: nowhere })
            });
            folds.by_group.insert(g, features.collect());
        }
        folds
    }
}

/// Whether a node looks up one row each of a small table, for this concatenation alone.
fn fits(graph: &Graph, readers: &Readers, node: Node, concat: Node) -> bool {
    let Op::Embedding { table, pooling: None, .. } = graph.node(node).op else { return false };
    let rows = graph.tables[table.0].rows;
    graph.node(node).width >= DIM && (1..=TABLE_ROWS).contains(&rows) && readers.only_reader(node) == Some(concat)
}

fn table_rows(graph: &Graph, node: Node) -> usize {
    match graph.node(node).op {
        Op::Embedding { table, .. } => graph.tables[table.0].rows as usize,
        _ => 0,
    }
}
