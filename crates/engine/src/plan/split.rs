//! Splits a linear layer over a concatenation by the spaces of its inputs.
//!
//! With x the inputs side by side, `x W^T = sum_s x_s W_s^T` over the spaces s that they live in. Each product has as many
//! rows as its space: those of a small table ([`super::fold`]), of the requests, of the batch, of events. A row gathers
//! what it names in the other spaces, and what its ids name, and adds its own product.
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
    /// Small tables that the rows of the concatenation's space read, and those of the spaces that are apart.
    pub(super) folded: Vec<(Space, Vec<Folded>)>,
}

/// Where an input of a concatenation is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// With the rows of the concatenation, from this column of what is left of it on.
    Kept(usize),
    /// With the rows of its own space, from this column of what is multiplied there on.
    Apart(Space, usize),
    /// With its table.
    Folded,
}

/// The split of each concatenation that has one.
#[derive(Debug, Default)]
pub(super) struct Splits {
    by_group: HashMap<usize, Split>,
    /// The spaces whose inputs of a concatenation are apart.
    apart: HashMap<Node, Vec<Space>>,
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
            let parts = by_space(graph, spaces, node);
            splits.apart.insert(node, parts[1..].iter().map(|(space, _)| *space).collect());
            let mut split = Split::default();
            for (space, inputs) in parts {
                let features = choice.folded(node, space, &inputs);
                if !features.is_empty() {
                    splits.folded.extend(features.iter().map(|(node, _)| *node));
                    split.folded.push((space, features.into_iter().map(|(_, folded)| folded).collect()));
                }
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

    /// The inputs of a concatenation, each with where it is multiplied.
    pub(super) fn parts(&self, graph: &Graph, spaces: &[Space], concat: Node) -> Vec<(Node, Part)> {
        let mut kept = 0;
        let mut apart: Vec<(Space, usize)> = self.apart.get(&concat).into_iter().flatten().map(|&of| (of, 0)).collect();
        let parts = graph.node(concat).inputs.iter().map(|&input| {
            if self.folds(input) {
                return (input, Part::Folded);
            }
            let width = graph.node(input).width;
            let part = match apart.iter_mut().find(|(of, _)| *of == spaces[input.0]) {
                Some((of, end)) => {
                    *end += width;
                    Part::Apart(*of, *end - width)
                }
                None => {
                    kept += width;
                    Part::Kept(kept - width)
                }
            };
            (input, part)
        });
        parts.collect()
    }

    /// Columns that are left of a concatenation, and those of each space that is apart; of another node its own.
    pub(super) fn widths(&self, graph: &Graph, spaces: &[Space], node: Node) -> (usize, Vec<(Space, usize)>) {
        if graph.node(node).op != Op::Concat {
            return (graph.node(node).width, Vec::new());
        }
        let mut kept = 0;
        let mut apart: Vec<(Space, usize)> = self.apart.get(&node).into_iter().flatten().map(|&of| (of, 0)).collect();
        for (input, part) in self.parts(graph, spaces, node) {
            let width = graph.node(input).width;
            match part {
                Part::Kept(_) => kept += width,
                Part::Apart(space, _) => apart.iter_mut().filter(|(of, _)| *of == space).for_each(|(_, w)| *w += width),
                Part::Folded => {}
            }
        }
        (kept, apart)
    }
}

/// The inputs of a concatenation by where they are multiplied: with its own rows, and then in each other space that has
/// [`WIDTH`] columns or more. Where none is left for its own rows, which an event of a row and the row's request have in common,
/// the narrowest other stays with them.
fn by_space(graph: &Graph, spaces: &[Space], concat: Node) -> Vec<(Space, Vec<Node>)> {
    let own = spaces[concat.0];
    let inputs = &graph.node(concat).inputs;
    let width = |of: Space| inputs.iter().filter(|n| spaces[n.0] == of).map(|&n| graph.node(n).width).sum::<usize>();
    let mut apart: Vec<Space> = Vec::new();
    for space in inputs.iter().map(|n| spaces[n.0]).filter(|&space| space != own && width(space) >= WIDTH) {
        if !apart.contains(&space) {
            apart.push(space);
        }
    }
    if inputs.iter().all(|n| apart.contains(&spaces[n.0])) {
        let narrowest = apart.iter().copied().min_by_key(|&space| width(space));
        apart.retain(|space| Some(*space) != narrowest);
    }
    let kept = inputs.iter().copied().filter(|n| !apart.contains(&spaces[n.0])).collect();
    let of_space = |space: Space| (space, inputs.iter().copied().filter(|n| spaces[n.0] == space).collect());
    std::iter::once((own, kept)).chain(apart.iter().map(|&space| of_space(space))).collect()
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
    /// Folds, by their number in the plan, and whose rows read their tables.
    pub(super) folds: Vec<(Space, usize)>,
    /// The products of other spaces' inputs.
    pub(super) products: Vec<ApartProduct>,
}

/// The product of a split group in another space.
#[derive(Debug, Clone, Copy)]
pub(super) struct ApartProduct {
    pub(super) space: Space,
    /// The inputs of this space side by side.
    pub(super) x: super::View,
    /// What they give, as wide as the group's outputs.
    pub(super) y: super::View,
    pub(super) weight: Block,
    /// No bias: the row's product has it.
    pub(super) bias: Region,
}
