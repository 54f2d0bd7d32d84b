//! [`Compiler`]: a plan in the making.

use std::collections::HashMap;

use pleiad_model::Graph;
use pleiad_model::graph::{Activation, Node, Op, ParamId, Space};

use super::fuse::{Group, Readers};
use super::split::{Apart, ApartProduct, Part, Splits};
use super::{Block, Gathered, Plan, Purpose, Region, Segment, Step, View, Weights};
use crate::kernels::Columns;

/// A plan in the making: first every live node gets its place, then the steps are written.
pub(super) struct Compiler<'g> {
    pub(super) graph: &'g Graph,
    pub(super) readers: Readers,
    pub(super) groups: Vec<Group>,
    pub(super) plan: Plan,
    pub(super) spaces: Vec<Space>,
    pub(super) views: Vec<Option<View>>,
    /// What rows of other spaces gather of a node, for each space of which some do.
    pub(super) gathered: Vec<Vec<(Space, View)>>,
    /// Group of a linear node.
    pub(super) group_of: HashMap<Node, usize>,
    pub(super) splits: Splits,
    /// What each group multiplies apart from its rows.
    pub(super) apart_of: HashMap<usize, Apart>,
    /// The inputs of each concatenation that live in another space and are multiplied there, side by side.
    pub(super) apart_inputs: HashMap<(Node, Space), View>,
}

impl Compiler<'_> {
    /// The view of a live node; every live node is placed before steps are written.
    pub(super) fn view(&self, node: Node) -> View {
        let nowhere = View { buffer: usize::MAX, at: Columns { ld: 1, col: 0, width: 0 } };
        debug_assert!(self.views[node.0].is_some(), "node {} has no place", node.0);
        self.views[node.0].unwrap_or(nowhere)
    }

    /// The view by which a node of `space` reads another.
    pub(super) fn view_in(&self, space: Space, node: Node) -> View {
        let gathered = self.gathered[node.0].iter().find(|(of, _)| *of == space);
        gathered.map_or_else(|| self.view(node), |(_, view)| *view)
    }

    pub(super) fn steps(&mut self, purpose: Purpose) {
        let mut done = vec![false; self.groups.len()];
        let wanted = |at: &usize| self.readers.live[*at] && !self.splits.folds(Node(*at));
        for at in (0..self.graph.nodes.len()).filter(wanted).collect::<Vec<_>>() {
            let step = self.steps_of(at, purpose, &mut done);
            self.plan.steps.extend(step);
            for &(_, y) in &self.gathered[at] {
                let x = self.view(Node(at));
                self.plan.steps.push(Step::Gather { from: Gathered::Space(x), y, add: false });
            }
        }
    }

    /// The steps of a node; none where another step computes it.
    fn steps_of(&self, at: usize, purpose: Purpose, done: &mut [bool]) -> Vec<Step> {
        let (node, y) = (&self.graph.nodes[at], self.view(Node(at)));
        let space = self.graph.reads(node, &self.spaces);
        let input = |i: usize| self.view_in(space, node.inputs[i]);
        let inputs = || node.inputs.iter().map(|&x| self.view_in(space, x)).collect();
        let step = match &node.op {
            Op::Numeric { first, .. } => Step::Numeric { first: *first, y },
            Op::Embedding { table, slot, pooling } => {
                Step::Lookup { table: table.0, slot: *slot, pooling: *pooling, y }
            }
            Op::Events { table, slot, .. } => Step::Events { table: table.0, slot: *slot, y },
            Op::Periodic { column, frequencies, weight, bias } => {
                let region = |param: &ParamId| {
                    let block = self.plan.params.blocks[param.0];
                    Region { offset: block.offset, len: block.rows * block.cols }
                };
                let (frequencies, weight, bias) = (region(frequencies), region(weight), region(bias));
                Step::Periodic { column: *column, frequencies, weight, bias, y }
            }
            Op::Concat => return self.concatenation(at, y),
            Op::Linear { .. } => {
                let g = self.group_of[&Node(at)];
                if std::mem::replace(&mut done[g], true) {
                    return Vec::new();
                }
                return self.products(g);
            }
            Op::Activation { .. } if y == input(0) => return Vec::new(),
            Op::Activation { function } => Step::Activate { function: *function, x: input(0), y },
            Op::Dropout { .. } if !purpose.trains() => Step::Copy { x: input(0), y },
            Op::Dropout { rate } => Step::Dropout { node: at, rate: *rate, x: input(0), y },
            Op::Softmax if y == input(0) => return Vec::new(),
            Op::Softmax => Step::Softmax { x: input(0), y },
            Op::Mixture => {
                let gate = input(0);
                let experts = node.inputs[1..].iter().map(|&e| self.view_in(space, e)).collect();
                if self.fused_mixture(node.inputs[0]) == Some(Node(at)) {
                    Step::GateMix { gate, experts, y }
                } else {
                    Step::Mix { gate, experts, y }
                }
            }
            Op::Sum { scale } => Step::Combine { weights: Weights::Equal(*scale), inputs: inputs(), y },
            Op::Combination { weights } => {
                let block = self.plan.params.blocks[weights.0];
                let weights = Weights::Learned(Region { offset: block.offset, len: block.cols });
                Step::Combine { weights, inputs: inputs(), y }
            }
            Op::Conjunction => Step::Conjunction { first: input(0), second: input(1), y },
            Op::Dot { scale } => Step::Dot { scale: *scale, a: input(0), b: input(1), y },
            Op::Pairs => Step::Pairs { inputs: inputs(), y },
            Op::SegmentSum => Step::Segment { mean: false, x: input(0), y },
            Op::SegmentMean => Step::Segment { mean: true, x: input(0), y },
            Op::SegmentSoftmax => Step::SegmentSoftmax { x: input(0), y },
            Op::SegmentMixture => Step::SegmentMix { weights: input(0), x: input(1), y },
        };
        vec![step]
    }

    /// What is not computed in its place in a concatenation is moved there, or gathered.
    fn concatenation(&self, at: usize, whole: View) -> Vec<Step> {
        let parts = self.splits.parts(self.graph, &self.spaces, Node(at)).into_iter();
        let moves = parts.filter_map(|(input, part)| {
            let (place, col) = match part {
                Part::Kept(col) => (whole, col),
                Part::Apart(space, col) => (*self.apart_inputs.get(&(Node(at), space))?, col),
                Part::Folded => return None,
            };
            let (x, y) = (self.view(input), place.part(col..col + self.graph.node(input).width));
            let moved = if self.spaces[input.0] == self.plan.values[place.buffer].space {
                Step::Copy { x, y }
            } else {
                Step::Gather { from: Gathered::Space(x), y, add: false }
            };
            (x != y).then_some(moved)
        });
        moves.collect()
    }

    /// The products of a group, one for each space of its inputs, gathered and added.
    fn products(&self, g: usize) -> Vec<Step> {
        let own = self.product(g);
        let y = own.output();
        let space = self.plan.values[y.buffer].space;
        // Layers that are applied again are not split.
        let apart = self.apart_of.get(&g).cloned().unwrap_or_default();
        let fold_of = |of: Space, y: View| {
            let fold = apart.folds.iter().find(|(space, _)| *space == of).map(|(_, fold)| *fold);
            fold.map(|fold| Step::Gather { from: Gathered::Table(fold), y, add: false })
        };
        let mut steps = Vec::new();
        for ApartProduct { space, x, y, weight, bias } in &apart.products {
            let onto = fold_of(*space, *y);
            let all = Segment { cols: 0..y.at.width, activation: Activation::Identity, biased: false };
            let (segments, added) = (vec![all], onto.is_some());
            let product = Step::Product { x: *x, y: *y, weight: *weight, bias: *bias, segments, onto: added };
            steps.extend(onto.into_iter().chain([product]));
        }
        let of_tables = fold_of(space, y);
        let mut add = of_tables.is_some();
        steps.extend(of_tables);
        for product in &apart.products {
            steps.push(Step::Gather { from: Gathered::Space(product.y), y, add });
            add = true;
        }
        steps.push(match own {
            Step::Product { x, y, weight, bias, segments, .. } => {
                Step::Product { x, y, weight, bias, segments, onto: !steps.is_empty() }
            }
            other => other,
        });
        steps
    }

    fn product(&self, g: usize) -> Step {
        let group = &self.groups[g];
        let (first, last) = (&group.members[0], &group.members[group.members.len() - 1]);
        let (start, end) = (self.view(first.linear), self.view(last.linear));
        let width = end.at.col + end.at.width;
        let mut segments: Vec<Segment> = Vec::new();
        let mut biased = 0;
        let mut bias_offset = 0;
        for member in &group.members {
            let cols = self.view(member.linear).range();
            if member.has_bias {
                biased = cols.end;
            }
            match segments.last_mut() {
                Some(s) if (s.activation, s.biased) == (member.activation, member.has_bias) => s.cols.end = cols.end,
                _ => segments.push(Segment { cols, activation: member.activation, biased: member.has_bias }),
            }
        }
        let Op::Linear { weight, bias } = &self.graph.node(first.linear).op else {
            unreachable!("groups hold linear layers")
        };
        if let Some(bias) = bias {
            bias_offset = self.plan.params.blocks[bias.0].offset;
        }
        let x = self.view_in(self.spaces[first.linear.0], group.input);
        let weight = Block { rows: width, cols: x.at.width, ..self.plan.params.blocks[weight.0] };
        Step::Product {
            x,
            y: View { at: Columns { width, ..start.at }, ..start },
            weight,
            bias: Region { offset: bias_offset, len: biased },
            segments,
            onto: false,
        }
    }
}
