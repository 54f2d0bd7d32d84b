//! Horizontal and vertical fusion: decides which linear layers become one product, and which activations
//! join it.

use std::collections::HashMap;

use pleiad_model::Graph;
use pleiad_model::graph::{Activation, Node, Op};

/// A linear layer in a group, and the activation that joins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// The linear node.
    pub(super) linear: Node,
    /// The activation node that is computed in place, if one is.
    pub(super) activated: Option<Node>,
    pub(super) activation: Activation,
    pub(super) has_bias: bool,
}

/// Linear layers that read one node, as one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) input: Node,
    /// Layers with a bias come first, then the order is by activation, so that biases are one run and
    /// activations few segments.
    pub(super) members: Vec<Member>,
}

/// Which node reads which, among the nodes that a prediction depends on.
#[derive(Debug)]
pub(super) struct Readers {
    /// Whether a prediction depends on the node.
    pub(super) live: Vec<bool>,
    /// Live readers of each node, predictions not counted.
    pub(super) readers: Vec<Vec<Node>>,
    /// Whether the node is a prediction.
    pub(super) is_output: Vec<bool>,
}

impl Readers {
    pub(super) fn of(graph: &Graph) -> Self {
        let n = graph.nodes.len();
        let (mut live, mut readers, mut is_output) = (vec![false; n], vec![Vec::new(); n], vec![false; n]);
        for output in &graph.outputs {
            live[output.node.0] = true;
            is_output[output.node.0] = true;
        }
        for at in (0..n).rev().filter(|&at| !graph.nodes[at].inputs.is_empty()) {
            if live[at] {
                for input in &graph.nodes[at].inputs {
                    live[input.0] = true;
                    readers[input.0].push(Node(at));
                }
            }
        }
        Self { live, readers, is_output }
    }

    /// The one reader of a node that nothing else needs.
    pub(super) fn only_reader(&self, node: Node) -> Option<Node> {
        match self.readers[node.0].as_slice() {
            [reader] if !self.is_output[node.0] => Some(*reader),
            _ => None,
        }
    }
}

/// The groups of the live linear layers, in the order of their first members.
pub(super) fn groups(graph: &Graph, readers: &Readers) -> Vec<Group> {
    let mut by_input: HashMap<Node, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate().filter(|(at, _)| readers.live[*at]) {
        let Op::Linear { bias, .. } = node.op else { continue };
        let input = node.inputs[0];
        let mut member =
            Member { linear: Node(at), activated: None, activation: Activation::Identity, has_bias: bias.is_some() };
        if let Some(reader) = readers.only_reader(Node(at))
            && let Op::Activation { function } = graph.node(reader).op
            && function.invertible()
        {
            member.activated = Some(reader);
            member.activation = function;
        }
        let group = *by_input.entry(input).or_insert_with(|| {
            groups.push(Group { input, members: Vec::new() });
            groups.len() - 1
        });
        groups[group].members.push(member);
    }
    for group in &mut groups {
        group.members.sort_by_key(|m| (!m.has_bias, m.activation as u8));
    }
    groups
}
