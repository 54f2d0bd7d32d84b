//! Decides the place of every node's value and of every dense parameter.

use std::collections::HashMap;

use pleiad_model::graph::{Node, Op, ParamId, Space};

use super::compiler::Compiler;
use super::fuse::Group;
use super::split::{Apart, ApartProduct, Choice, Part, Splits};
use super::{Block, Buffer, Fold, Folded, Place, Region, View, stride};
use crate::error::{Error, Result};
use crate::kernels::Columns;

impl Compiler<'_> {
    /// Gives each concatenation a buffer and lets its inputs be computed right there, outer concatenations first.
    /// Linear layers are left out: they belong to the buffer of their group and are copied.
    pub(super) fn place_concatenations(&mut self) {
        for at in (0..self.graph.nodes.len()).rev() {
            let node = &self.graph.nodes[at];
            if node.op != Op::Concat || !self.live(at) {
                continue;
            }
            let (kept, apart) = self.splits.widths(self.graph, &self.spaces, Node(at));
            let whole = match self.views[at] {
                Some(view) => view,
                None => self.buffer(kept, self.spaces[at]),
            };
            self.views[at] = Some(whole);
            for (space, width) in apart {
                let view = self.buffer(width, space);
                self.apart_inputs.insert((Node(at), space), view);
            }
            for (input, part) in self.splits.parts(self.graph, &self.spaces, Node(at)) {
                let (place, col) = match part {
                    Part::Kept(col) => (whole, col),
                    Part::Apart(space, col) => (self.apart_inputs[&(Node(at), space)], col),
                    Part::Folded => continue,
                };
                let width = self.graph.node(input).width;
                if self.views[input.0].is_none()
                    && self.spaces[input.0] == self.plan.values[place.buffer].space
                    && self.writes_anywhere(input)
                    && self.apart(input, place.buffer)
                {
                    self.views[input.0] = Some(place.part(col..col + width));
                }
            }
        }
    }

    /// Whether no step would read and write `buffer` at once if the node were placed there.
    fn apart(&self, node: Node, buffer: usize) -> bool {
        let there = |n: &Node| self.views[n.0].is_some_and(|v| v.buffer == buffer);
        let readers = self.readers.readers[node.0].iter().filter(|r| self.graph.node(**r).op != Op::Concat);
        !self.graph.node(node).inputs.iter().any(there) && !readers.into_iter().any(there)
    }

    /// Whether the step of a node can write to any place, rather than to that of a fused product.
    fn writes_anywhere(&self, node: Node) -> bool {
        match self.graph.node(node).op {
            Op::Linear { .. } => false,
            Op::Activation { .. } => !self.groups.iter().flat_map(|g| &g.members).any(|m| m.activated == Some(node)),
            Op::Softmax => self.fused_mixture(node).is_none(),
            _ => true,
        }
    }

    /// The mixture that computes this softmax in place: the softmax's only reader, where the softmax is the only
    /// reader of a linear layer's logits.
    pub(super) fn fused_mixture(&self, softmax: Node) -> Option<Node> {
        let node = self.graph.node(softmax);
        if node.op != Op::Softmax {
            return None;
        }
        let logits = node.inputs[0];
        let fits = matches!(self.graph.node(logits).op, Op::Linear { .. })
            && self.spaces[logits.0] == self.spaces[self.readers.only_reader(softmax)?.0]
            && self.readers.only_reader(logits) == Some(softmax);
        let reader = self.readers.only_reader(softmax)?;
        let mixture = self.graph.node(reader);
        (fits && mixture.op == Op::Mixture && mixture.inputs[0] == softmax && !mixture.inputs[1..].contains(&softmax))
            .then_some(reader)
    }

    /// One buffer per group, and one weight matrix, but for layers that are applied again: a group whose layers have
    /// the parameters of an earlier group's, all of them and in the same order, has that group's matrix.
    pub(super) fn place_groups(&mut self) -> Result<()> {
        let mut first_of: HashMap<Vec<ParamId>, usize> = HashMap::new();
        for g in 0..self.groups.len() {
            let group = self.groups[g].clone();
            let width: usize = group.members.iter().map(|m| self.graph.node(m.linear).width).sum();
            let buffer = self.buffer(width, self.spaces[group.input.0]);
            let again = *first_of.entry(self.parameters_of(&group)).or_insert(g) != g;
            if !again {
                self.lay_out(g, &group, width)?;
            }
            let mut col = 0;
            for member in &group.members {
                let view = buffer.part(col..col + self.graph.node(member.linear).width);
                self.views[member.linear.0] = Some(view);
                if let Some(activated) = member.activated {
                    self.views[activated.0] = Some(view);
                }
                self.group_of.insert(member.linear, g);
                col = view.range().end;
            }
        }
        Ok(())
    }

    /// Weights and biases of a group's layers, in the order of the layers.
    fn parameters_of(&self, group: &Group) -> Vec<ParamId> {
        group.members.iter().flat_map(|m| self.graph.node(m.linear).op.params()).collect()
    }

    /// Gives the parameters of a group their places: one matrix below one another, one run of biases. What a split multiplies
    /// apart has matrices of its own.
    fn lay_out(&mut self, g: usize, group: &Group, width: usize) -> Result<()> {
        let inputs = self.graph.node(group.input).width;
        let (kept, apart) = self.splits.widths(self.graph, &self.spaces, group.input);
        let mut split = self.splits.of_group(g);
        let block = self.plan.params.matrix(width, kept);
        let matrix = |(space, cols)| (space, self.plan.params.matrix(width, cols));
        let apart: Vec<(Space, Block)> = apart.into_iter().map(matrix).collect();
        for field in split.folded.iter_mut().flat_map(|(_, fields)| fields) {
            field.weight = self.plan.params.narrow(width, field.dim);
        }
        let parts = self.parts(group.input, block, &apart, &split.folded);
        let block = Block { cols: inputs, ..block };
        let biased = group.members.iter().filter(|m| m.has_bias).map(|m| self.graph.node(m.linear).width).sum();
        let biases = self.plan.params.run(biased);
        let is_split = !apart.is_empty() || !split.folded.is_empty();
        let mut row = 0;
        for member in &group.members {
            let node = self.graph.node(member.linear);
            let Op::Linear { weight, bias } = &node.op else { continue };
            self.take(*weight, Block { offset: block.offset + row * block.ld, rows: node.width, ..block })?;
            if is_split {
                let own = |(first, of): &(usize, Block)| {
                    (*first, Block { offset: of.offset + row * of.ld, rows: node.width, ..*of })
                };
                self.plan.params.split(weight.0, parts.iter().map(own).collect());
            }
            if let Some(bias) = bias {
                let run = Block { offset: biases.offset + row, rows: 1, cols: node.width, ld: node.width };
                self.take(*bias, run)?;
            }
            row += node.width;
        }
        let mut beside = Apart::default();
        for (space, fields) in split.folded {
            beside.folds.push((space, self.plan.folds.len()));
            self.plan.folds.push(Fold::new(fields, space, width, self.plan.target.lanes));
        }
        for (space, weight) in apart {
            let (x, y) = (self.apart_inputs[&(group.input, space)], self.buffer(width, space));
            beside.products.push(ApartProduct { space, x, y, weight, bias: Region { len: 0, ..biases } });
        }
        self.apart_of.insert(g, beside);
        Ok(())
    }

    /// Where the columns of a group's weights lie: what is left of the concatenation in `kept`, those of other spaces in the
    /// matrices of `apart`, folded ones in matrices of their own.
    fn parts(
        &self,
        input: Node,
        kept: Block,
        apart: &[(Space, Block)],
        folded: &[(Space, Vec<Folded>)],
    ) -> Vec<(usize, Block)> {
        if self.graph.node(input).op != Op::Concat {
            return vec![(0, kept)];
        }
        // Fields of one space are in the order of the concatenation.
        let mut folded: Vec<_> = folded.iter().map(|(space, fields)| (*space, fields.iter())).collect();
        let mut next = |space: Space| {
            let (_, fields) = folded.iter_mut().find(|(of, _)| *of == space)?;
            fields.next().map(|field| field.weight)
        };
        let (mut column, mut parts) = (0, Vec::new());
        for (input, part) in self.splits.parts(self.graph, &self.spaces, input) {
            let width = self.graph.node(input).width;
            let within = |block: Block, col| Block { offset: block.offset + col, cols: width, ..block };
            let block = match part {
                Part::Kept(col) => Some(within(kept, col)),
                Part::Apart(space, col) => {
                    apart.iter().find(|(of, _)| *of == space).map(|(_, block)| within(*block, col))
                }
                Part::Folded => next(self.spaces[input.0]),
            };
            parts.extend(block.map(|block| (column, block)));
            column += width;
        }
        parts
    }

    /// Says which layers are split by the spaces of their inputs. Layers that are applied again are left out: they read
    /// several inputs.
    pub(super) fn choose_splits(&mut self) {
        let mut uses: HashMap<ParamId, usize> = HashMap::new();
        for param in self.groups.iter().flat_map(|group| self.parameters_of(group)) {
            *uses.entry(param).or_default() += 1;
        }
        let alone = |g: usize| self.parameters_of(&self.groups[g]).iter().all(|param| uses[param] == 1);
        let choice =
            Choice { graph: self.graph, spaces: &self.spaces, readers: &self.readers, target: self.plan.target };
        self.splits = Splits::choose(&choice, &self.groups, alone);
    }

    /// Room for the sums of folds, behind the parameters in a lane's gradient.
    pub(super) fn place_folds(&mut self) {
        let mut offset = self.plan.params.len;
        for fold in &mut self.plan.folds {
            fold.sums = Region { offset, len: fold.rows * fold.ld };
            offset = fold.sums.range().end;
        }
    }

    /// Gives a parameter its place, which it must not have yet.
    fn take(&mut self, param: ParamId, place: Block) -> Result<()> {
        let block = &mut self.plan.params.blocks[param.0];
        if block.rows != 0 {
            return Err(Error::SharedParameter { name: self.graph.param(param).name.clone() });
        }
        *block = place;
        Ok(())
    }

    /// Weights of combinations and waves, and parameters that no prediction depends on, which keep a place so that they survive a
    /// load and a save.
    pub(super) fn place_parameters(&mut self) -> Result<()> {
        for at in (0..self.graph.nodes.len()).filter(|&at| self.readers.live[at]).collect::<Vec<_>>() {
            if let Op::Combination { weights } = self.graph.nodes[at].op {
                let Region { offset, len } = self.plan.params.run(self.graph.param(weights).len());
                self.take(weights, Block { offset, rows: 1, cols: len, ld: len })?;
            }
            if let Op::Periodic { frequencies, weight, bias, .. } = self.graph.nodes[at].op {
                for param in [frequencies, weight, bias] {
                    let len = self.graph.param(param).len();
                    let cols = self.graph.param(param).shape.last().copied().unwrap_or(len);
                    let block = self.plan.params.narrow(len / cols.max(1), cols);
                    self.take(param, block)?;
                }
            }
        }
        for (param, spec) in self.graph.params.iter().enumerate() {
            if self.plan.params.blocks[param].rows == 0 {
                let (cols, rows) = (spec.shape.last().copied().unwrap_or(1), spec.shape.iter().rev().skip(1).product());
                self.plan.params.blocks[param] = self.plan.params.matrix(rows, cols);
            }
        }
        Ok(())
    }

    /// Whatever has no place yet gets its own, but for softmaxes that happen where their logits lie.
    pub(super) fn place_rest(&mut self) {
        for at in (0..self.graph.nodes.len()).filter(|&at| self.readers.live[at]).collect::<Vec<_>>() {
            if self.views[at].is_some() || self.splits.folds(Node(at)) {
                continue;
            }
            let node = &self.graph.nodes[at];
            let view = match self.fused_mixture(Node(at)) {
                Some(_) => self.view(node.inputs[0]),
                None => self.buffer(node.width, self.spaces[at]),
            };
            self.views[at] = Some(view);
        }
    }

    /// Room for what rows of other spaces gather of a node: those in which a step reads it, but for concatenations, which gather
    /// for themselves, and the batch's for requests' nodes of `wanted`.
    pub(super) fn place_gathered(&mut self, wanted: &[Node]) {
        for at in (0..self.graph.nodes.len()).filter(|&at| self.readers.live[at]).collect::<Vec<_>>() {
            let own = self.spaces[at];
            let read = self.readers.readers[at].iter().map(|reader| self.graph.node(*reader));
            let read = read.filter(|reader| reader.op != Op::Concat);
            let read = read.map(|reader| self.graph.reads(reader, &self.spaces));
            let by_row = own == Space::Request && wanted.contains(&Node(at));
            let mut spaces: Vec<Space> = Vec::new();
            for space in by_row.then_some(Space::Row).into_iter().chain(read) {
                if space != own && !spaces.contains(&space) {
                    spaces.push(space);
                }
            }
            let width = self.graph.nodes[at].width;
            self.gathered[at] = spaces.into_iter().map(|space| (space, self.buffer(width, space))).collect();
        }
    }

    fn buffer(&mut self, width: usize, space: Space) -> View {
        let ld = stride(width);
        self.plan.values.push(Buffer { width, ld, space, place: Place::Nowhere });
        View { buffer: self.plan.values.len() - 1, at: Columns { ld, col: 0, width } }
    }

    fn live(&self, at: usize) -> bool {
        self.readers.live[at]
    }
}
