//! Splits a linear layer over a concatenation by the spaces of its inputs.
//!
//! With x the inputs side by side, `x W^T = sum_s x_s W_s^T` over the spaces s that they live in. Each product has as many
//! rows as its space: those of a small table ([`super::fold`]), of the requests, of the batch. A row of the batch gathers
//! what its request and its ids name, and adds its own product.
//!
//! Which inputs these are follows from the spaces of the graph's nodes and from the sizes of tables.

use std::collections::{HashMap, HashSet};

use pleiad_model::Graph;
use pleiad_model::graph::{Node, Op, Space};

use super::fold::Folded;
use super::fuse::{Group, Readers};
use super::{Block, Region, Target};

/// Width of what is multiplied apart, at the least. Adding 16 numbers of what it gives takes as long as multiplying a
/// vector of two or three by as many weights.
const WIDTH: usize = 4;

/// How the layers above a concatenation are split.
#[derive(Debug, Clone, Default)]
pub(super) struct Split {
    /// Small tables that the rows of the concatenation's space read, and those that requests read where they are apart.
    pub(super) folded: Vec<(Space, Vec<Folded>)>,
}

/// Where an input of a concatenation is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// With the rows of the concatenation, from this column of what is left of it on.
    Kept(usize),
    /// With the requests, from this column of theirs on.
    Request(usize),
    /// With its table.
    Folded,
}

/// The split of each concatenation that has one.
#[derive(Debug, Default)]
pub(super) struct Splits {
    by_group: HashMap<usize, Split>,
    /// Concatenations whose requests' inputs are apart.
    by_request: HashSet<Node>,
    /// Inputs that are folded.
    folded: HashSet<Node>,
}

/// What a split is chosen from.
pub(super) struct Choice<'c> {
    pub(super) graph: &'c Graph,
    pub(super) spaces: &'c [Space],
    pub(super) readers: &'c Readers,
    pub(super) target: Target,
}

impl Splits {
    /// Chooses. `alone`: whether no other layer has a parameter of the group.
    pub(super) fn choose(choice: &Choice<'_>, groups: &[Group], alone: impl Fn(usize) -> bool) -> Self {
        let Choice { graph, spaces, readers, .. } = *choice;
        let mut splits = Self::default();
        let linear = |n: &Node| matches!(graph.node(*n).op, Op::Linear { .. });
        for (g, group) in groups.iter().enumerate().filter(|(g, _)| alone(*g)) {
            let (node, concat) = (group.input, graph.node(group.input));
            if concat.op != Op::Concat || readers.is_output[node.0] || !readers.readers[node.0].iter().all(linear) {
                continue;
            }
            let own = spaces[node.0];
            let (apart, kept): (Vec<Node>, Vec<Node>) = concat.inputs.iter().partition(|n| spaces[n.0] != own);
            let width: usize = apart.iter().map(|&n| graph.node(n).width).sum();
            let by_request = width >= WIDTH;
            let mut split = Split::default();
            let parts = if by_request {
                vec![(own, kept), (Space::Request, apart)]
            } else {
                vec![(own, concat.inputs.clone())]
            };
            for (space, inputs) in parts {
                let features = choice.folded(node, space, &inputs);
                if !features.is_empty() {
                    splits.folded.extend(features.iter().map(|(node, _)| *node));
                    split.folded.push((space, features.into_iter().map(|(_, folded)| folded).collect()));
                }
            }
            if by_request {
                splits.by_request.insert(node);
            }
            splits.by_group.insert(g, split);
        }
        splits
    }

    /// The split of a group's layers.
    pub(super) fn of_group(&self, group: usize) -> Split {
        self.by_group.get(&group).cloned().unwrap_or_default()
    }

    /// Whether the vectors of this node are nowhere, since its table is folded.
    pub(super) fn folds(&self, node: Node) -> bool {
        self.folded.contains(&node)
    }

    /// Whether the requests' inputs of a concatenation are no part of its rows.
    pub(super) fn is_by_request(&self, concat: Node) -> bool {
        self.by_request.contains(&concat)
    }

    /// The inputs of a concatenation, each with where it is multiplied.
    pub(super) fn parts(&self, graph: &Graph, spaces: &[Space], concat: Node) -> Vec<(Node, Part)> {
        let apart = self.is_by_request(concat);
        let (mut kept, mut requests) = (0, 0);
        let parts = graph.node(concat).inputs.iter().map(|&input| {
            let width = graph.node(input).width;
            let part = match spaces[input.0] {
                _ if self.folds(input) => Part::Folded,
                Space::Request if apart => {
                    requests += width;
                    Part::Request(requests - width)
                }
                _ => {
                    kept += width;
                    Part::Kept(kept - width)
                }
            };
            (input, part)
        });
        parts.collect()
    }

    /// Columns that are left of a concatenation, and those of its requests' inputs that are apart; of another node its own.
    pub(super) fn widths(&self, graph: &Graph, spaces: &[Space], node: Node) -> (usize, usize) {
        if graph.node(node).op != Op::Concat {
            return (graph.node(node).width, 0);
        }
        let (mut kept, mut requests) = (0, 0);
        for (input, part) in self.parts(graph, spaces, node) {
            match part {
                Part::Kept(_) => kept += graph.node(input).width,
                Part::Request(_) => requests += graph.node(input).width,
                Part::Folded => {}
            }
        }
        (kept, requests)
    }
}

impl Choice<'_> {
    /// Of `inputs`, which one product multiplies for the rows of `space`, those whose tables are multiplied as a whole: the
    /// smallest first, as many as there is room for. A product keeps one input at the least.
    fn folded(&self, concat: Node, space: Space, inputs: &[Node]) -> Vec<(Node, Folded)> {
        let mut fields: Vec<Node> =
            inputs.iter().copied().filter(|&n| self.spaces[n.0] == space && self.fits(n, concat)).collect();
        fields.sort_by_key(|&n| (self.table_rows(n), n));
        let mut rows = 0;
        fields.retain(|&n| {
            let more = rows + self.table_rows(n);
            let fits = more <= self.target.folded_rows;
            rows = if fits { more } else { rows };
            fits
        });
        if fields.len() == inputs.len() {
            fields.pop();
        }
        let mut first = 0;
        let nowhere = Block { offset: 0, rows: 0, cols: 0, ld: 0 };
        let in_order = inputs.iter().filter(|n| fields.contains(n));
        let features = in_order.filter_map(|&n| {
            let Op::Embedding { table, slot, .. } = self.graph.node(n).op else { return None };
            let (rows, dim) = (self.table_rows(n), self.graph.node(n).width);
            first += rows;
            Some((n, Folded { table: table.0, slot, rows, dim, first: first - rows, weight: nowhere }))
        });
        features.collect()
    }

    /// Whether a node looks up one row each of a small table, for this concatenation alone.
    fn fits(&self, node: Node, concat: Node) -> bool {
        let Op::Embedding { table, pooling: None, .. } = self.graph.node(node).op else { return false };
        let rows = self.graph.tables[table.0].rows;
        self.graph.node(node).width >= WIDTH
            && (1..=self.target.table_rows as u64).contains(&rows)
            && self.readers.only_reader(node) == Some(concat)
    }

    fn table_rows(&self, node: Node) -> usize {
        match self.graph.node(node).op {
            Op::Embedding { table, .. } => self.graph.tables[table.0].rows as usize,
            _ => 0,
        }
    }
}

/// What the layers of a split group have beside the product of its rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Apart {
    /// Folds, by their number in the plan, of the rows and of the requests.
    pub(super) folds: Vec<(Space, usize)>,
    /// The product of the requests' inputs.
    pub(super) request: Option<RequestProduct>,
}

/// The product in request space of a split group.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestProduct {
    /// The requests' inputs side by side, `[R, W]`.
    pub(super) x: super::View,
    /// What they give, `[R, outputs]`.
    pub(super) y: super::View,
    pub(super) weight: Block,
    /// No bias: the row's product has it.
    pub(super) bias: Region,
}
