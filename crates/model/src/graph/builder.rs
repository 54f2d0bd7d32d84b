//! [`GraphBuilder`]: builds the graph of a structure. Every call checks shapes and names, and computes no
//! values.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::rc::Rc;

use pleiad_data::{InputLayout, TaskSpec};

use super::{Activation, Graph, Node, NodeSpec, Op, OrderPenalty, Output, Param, ParamId, TableId};
use crate::error::{Error, Result};
use crate::init::Init;
use crate::interaction::Interaction;

/// Writes operations into a graph under a scope: parameters are named `<scope>.<name>`, and a name given twice is an
/// error, so two modules can never share weights by accident.
///
/// ```
/// use pleiad_model::graph::{Activation, GraphBuilder, Graph};
/// # use pleiad_data::{Input, InputLayout};
/// # let layout = InputLayout::new(vec![Input::Numeric { name: "age".into(), column: 0 }] );
/// let mut graph = Graph::new(layout);
/// let mut g = GraphBuilder::new(&mut graph);
/// let x = g.input("")?;
/// let hidden = g.scope("bottom").linear(x, "0", 16, Activation::Relu)?;
/// assert_eq!(g.width(hidden), 16);
/// assert_eq!(graph.params[0].name, "bottom.0.weight");
/// # Ok::<(), pleiad_model::Error>(())
/// ```
#[derive(Debug)]
pub struct GraphBuilder<'g> {
    pub(super) graph: &'g mut Graph,
    pub(super) scope: String,
    pub(super) names: Rc<RefCell<Names>>,
    pub(super) interaction: Interaction,
}

/// Dense tensors of a graph, at the most.
const MOST_PARAMS: usize = 1 << 18;

/// Experts that all gates of a graph weigh, each gate's counted, at the most.
pub(super) const MOST_WEIGHED: usize = 1 << 21;

/// Names that are taken, so that a new one is not held against each of thousands.
#[derive(Debug, Default)]
pub(super) struct Names {
    params: HashSet<String>,
    pub(super) tables: HashMap<String, TableId>,
    /// Experts that gates weigh so far.
    pub(super) weighed: usize,
}

impl Names {
    fn of(graph: &Graph) -> Self {
        let tables = graph.tables.iter().enumerate().map(|(at, table)| (table.name.clone(), TableId(at)));
        Self {
            params: graph.params.iter().map(|param| param.name.clone()).collect(),
            tables: tables.collect(),
            weighed: 0,
        }
    }
}

impl Graph {
    /// A graph without operations over the inputs of `layout`.
    #[must_use]
    pub fn new(layout: InputLayout) -> Self {
        Self { layout, ..Self::default() }
    }
}

impl<'g> GraphBuilder<'g> {
    /// A builder at the root scope of `graph`.
    pub fn new(graph: &'g mut Graph) -> Self {
        let names = Rc::new(RefCell::new(Names::of(graph)));
        Self { graph, scope: String::new(), names, interaction: Interaction::None {} }
    }

    /// The same builder, whose [`GraphBuilder::input`] has these crosses.
    #[must_use]
    pub fn crossing(self, interaction: Interaction) -> Self {
        Self { interaction, ..self }
    }

    /// A builder for the part of the model called `name` within this scope.
    pub fn scope(&mut self, name: impl Display) -> GraphBuilder<'_> {
        let scope = self.path(&name.to_string());
        GraphBuilder { graph: self.graph, scope, names: Rc::clone(&self.names), interaction: self.interaction }
    }

    /// Width W of a node's output `[B, W]`.
    #[must_use]
    pub fn width(&self, node: Node) -> usize {
        self.graph.node(node).width
    }

    /// Inputs side by side: `[B, sum of widths]`. One input is returned as it is.
    ///
    /// # Errors
    /// [`Error::NoInputs`] without inputs.
    pub fn concat(&mut self, name: &str, inputs: &[Node]) -> Result<Node> {
        match inputs {
            [] => Err(Error::NoInputs),
            [only] => Ok(*only),
            _ => {
                let width = inputs.iter().map(|&n| self.width(n)).sum();
                Ok(self.push(name, Op::Concat, inputs.to_vec(), width))
            }
        }
    }

    /// A layer `f(x W^T + b)` of `out` units: parameters `<name>.weight` `[out, in]` and `<name>.bias` `[out]`.
    ///
    /// W starts by He's rule where `f` is of the ReLU family, by LeCun's elsewhere ([`Init`]); b starts at zero.
    ///
    /// # Errors
    /// [`Error::ZeroWidth`] if `out` is 0, [`Error::DuplicateParameter`] if the name is taken.
    pub fn linear(&mut self, x: Node, name: &str, out: usize, f: Activation) -> Result<Node> {
        let y = self.affine(x, name, out, true, weight_init(f, self.width(x)))?;
        Ok(self.activation(y, f))
    }

    /// `x W^T (+ b)` without a non-linearity.
    ///
    /// # Errors
    /// As [`GraphBuilder::linear`].
    pub fn affine(&mut self, x: Node, name: &str, out: usize, bias: bool, init: Init) -> Result<Node> {
        if out == 0 {
            return Err(Error::ZeroWidth { scope: self.path(name) });
        }
        let width = self.width(x);
        let weight = self.param(&format!("{name}.weight"), vec![out, width], init)?;
        let bias = if bias { Some(self.param(&format!("{name}.bias"), vec![out], Init::Zeros)?) } else { None };
        Ok(self.push(name, Op::Linear { weight, bias }, vec![x], out))
    }

    /// The layer that gave `layer`, weights, bias and activation, on another input `x` as wide as the first; `name` is
    /// for people alone.
    ///
    /// The only way in which two nodes come to share parameters, and so always on purpose. All layers that read one
    /// node must be shared together with those of one other node, in the same order.
    ///
    /// # Errors
    /// [`Error::NoLayer`] if no linear layer gave `layer`, [`Error::InputWidth`] for an `x` of another width.
    pub fn again(&mut self, layer: Node, name: &str, x: Node) -> Result<Node> {
        let (linear, function) = match self.graph.node(layer).op {
            Op::Activation { function } => (self.graph.node(layer).inputs[0], function),
            _ => (layer, Activation::Identity),
        };
        let NodeSpec { op: op @ Op::Linear { .. }, inputs, width, .. } = self.graph.node(linear).clone() else {
            return Err(Error::NoLayer { scope: self.path(name), found: self.graph.node(layer).scope.clone() });
        };
        self.check_width(name, x, self.width(inputs[0]))?;
        let y = self.push(name, op, vec![x], width);
        Ok(self.activation(y, function))
    }

    /// `scale (x_1 + ... + x_n)`: `[B, W]` from n inputs `[B, W]`.
    ///
    /// # Errors
    /// [`Error::NoInputs`] without inputs, [`Error::UnequalWidths`] if they differ in width.
    pub fn sum(&mut self, name: &str, inputs: &[Node], scale: f32) -> Result<Node> {
        let width = self.common_width(name, inputs)?;
        Ok(self.push(name, Op::Sum { scale }, inputs.to_vec(), width))
    }

    /// `w_1 x_1 + ... + w_n x_n`: `[B, W]` from n inputs `[B, W]`; w is `<name>.weight` `[n]`.
    ///
    /// # Errors
    /// As [`GraphBuilder::sum`], and [`Error::DuplicateParameter`] if the name is taken.
    pub fn combination(&mut self, name: &str, inputs: &[Node], init: Init) -> Result<Node> {
        let width = self.common_width(name, inputs)?;
        let weights = self.param(&format!("{name}.weight"), vec![inputs.len()], init)?;
        Ok(self.push(name, Op::Combination { weights }, inputs.to_vec(), width))
    }

    /// The logit of both events, from that of the first and that of the second given the first; each `[B, 1]`.
    ///
    /// # Errors
    /// [`Error::InputWidth`] for an input that is no single number.
    pub fn conjunction(&mut self, name: &str, first: Node, second: Node) -> Result<Node> {
        self.check_width(name, first, 1)?;
        self.check_width(name, second, 1)?;
        Ok(self.push(name, Op::Conjunction, vec![first, second], 1))
    }

    /// `scale <a, b>`, row by row: `[B, 1]` from two inputs `[B, W]`.
    ///
    /// # Errors
    /// [`Error::UnequalWidths`] if they differ in width.
    pub fn dot(&mut self, name: &str, a: Node, b: Node, scale: f32) -> Result<Node> {
        self.common_width(name, &[a, b])?;
        Ok(self.push(name, Op::Dot { scale }, vec![a, b], 1))
    }

    /// The sum of the products of all pairs of n inputs `[B, W]`, element by element: `[B, W]`. Of two it is their product.
    ///
    /// # Errors
    /// [`Error::NoInputs`] for fewer than two, [`Error::UnequalWidths`] if they differ in width.
    pub fn pairs(&mut self, name: &str, inputs: &[Node]) -> Result<Node> {
        if inputs.len() < 2 {
            return Err(Error::NoInputs);
        }
        let width = self.common_width(name, inputs)?;
        Ok(self.push(name, Op::Pairs, inputs.to_vec(), width))
    }

    fn common_width(&self, name: &str, inputs: &[Node]) -> Result<usize> {
        let Some((&first, rest)) = inputs.split_first() else { return Err(Error::NoInputs) };
        let told = |node: Node| (self.graph.node(node).scope.clone(), self.width(node));
        match rest.iter().find(|&&node| self.width(node) != self.width(first)) {
            None => Ok(self.width(first)),
            Some(&other) => {
                Err(Error::UnequalWidths { scope: self.path(name), first: told(first), other: told(other) })
            }
        }
    }

    pub(super) fn check_width(&self, name: &str, x: Node, expected: usize) -> Result<()> {
        let found = self.width(x);
        if found == expected {
            return Ok(());
        }
        let input = self.graph.node(x).scope.clone();
        Err(Error::InputWidth { scope: self.path(name), expected, input, found })
    }

    /// `f(x)`, element by element.
    pub fn activation(&mut self, x: Node, function: Activation) -> Node {
        if function == Activation::Identity {
            return x;
        }
        self.push("activation", Op::Activation { function }, vec![x], self.width(x))
    }

    /// Inverted dropout; a rate of 0 adds nothing to the graph.
    ///
    /// # Errors
    /// [`Error::DropoutRate`] unless the rate lies in `[0, 1)`.
    pub fn dropout(&mut self, x: Node, rate: f32) -> Result<Node> {
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::DropoutRate { scope: self.scope.clone(), rate });
        }
        Ok(if rate == 0.0 { x } else { self.push("dropout", Op::Dropout { rate }, vec![x], self.width(x)) })
    }

    /// Declares `node` `[B, 1]` the prediction of `task`: its logit if binary, its value if regression.
    ///
    /// # Errors
    /// [`Error::OutputWidth`] if the node is wider than one.
    pub fn output(&mut self, task: &TaskSpec, node: Node) -> Result<()> {
        if self.width(node) != 1 {
            return Err(Error::OutputWidth { task: task.name.clone(), width: self.width(node) });
        }
        let (name, kind, objective) = (task.name.clone(), task.kind, task.objective);
        self.graph.outputs.push(Output { task: name, kind, node, objective });
        Ok(())
    }

    /// Adds `weight * mean max(p_later - p_earlier, 0)` to the loss of the later of two tasks ([`OrderPenalty`]); both
    /// are positions in the list of tasks, and so of outputs.
    pub fn order_penalty(&mut self, earlier: usize, later: usize, weight: f32) {
        self.graph.penalties.push(OrderPenalty { earlier, later, weight });
    }

    pub(super) fn param(&mut self, name: &str, shape: Vec<usize>, init: Init) -> Result<ParamId> {
        let name = self.path(name);
        if self.graph.params.len() >= MOST_PARAMS {
            return Err(Error::TooManyParts { scope: name, what: "dense tensors", most: MOST_PARAMS });
        }
        if !self.names.borrow_mut().params.insert(name.clone()) {
            return Err(Error::DuplicateParameter { name });
        }
        self.graph.params.push(Param::new(name, shape, init));
        Ok(ParamId(self.graph.params.len() - 1))
    }

    pub(super) fn push(&mut self, name: &str, op: Op, inputs: Vec<Node>, width: usize) -> Node {
        let scope = self.path(name);
        self.graph.nodes.push(NodeSpec { scope, op, inputs, width });
        Node(self.graph.nodes.len() - 1)
    }

    pub(super) fn path(&self, name: &str) -> String {
        match (self.scope.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (false, true) => self.scope.clone(),
            (false, false) => format!("{}.{name}", self.scope),
        }
    }
}

fn weight_init(f: Activation, fan_in: usize) -> Init {
    match f {
        Activation::Relu | Activation::LeakyRelu | Activation::Elu | Activation::Gelu | Activation::Silu => {
            Init::he(fan_in)
        }
        Activation::Tanh | Activation::Sigmoid | Activation::Identity => Init::lecun(fan_in),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, TaskKind};

    use super::super::GateStyle;
    use super::*;

    fn graph() -> Graph {
        let numeric = |column: usize| Input::Numeric { name: format!("n{column}"), column };
        Graph::new(InputLayout::new((0..11).map(numeric).collect()))
    }

    #[test]
    fn a_parameter_cannot_be_registered_twice() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        g.scope("experts").linear(x, "0", 3, Activation::Relu).unwrap();
        let error = g.scope("experts").linear(x, "0", 3, Activation::Relu).unwrap_err();
        assert!(matches!(&error, Error::DuplicateParameter { name } if name == "experts.0.weight"), "{error}");
    }

    #[test]
    fn shapes_are_checked() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        let wide = g.linear(x, "wide", 3, Activation::Relu).unwrap();
        let slim = g.linear(x, "slim", 2, Activation::Relu).unwrap();
        let experts = [g.scope("wide").expert(wide), g.scope("slim").expert(slim)];
        let style = GateStyle::default();
        assert!(matches!(g.gate(x, "gate", &experts, style), Err(Error::ExpertWidths { .. })));
        assert!(matches!(g.gate(x, "gate", &[], style), Err(Error::NoExperts { .. })));
        assert!(matches!(g.linear(x, "none", 0, Activation::Relu), Err(Error::ZeroWidth { .. })));
        assert!(matches!(g.dropout(x, 1.0), Err(Error::DropoutRate { .. })));
        assert!(matches!(g.dropout(x, f32::NAN), Err(Error::DropoutRate { .. })));
        let task = TaskSpec::new("t", TaskKind::Binary);
        assert!(matches!(g.output(&task, wide), Err(Error::OutputWidth { width: 3, .. })));
        assert!(matches!(g.mix(wide, "gate", &experts[1..]), Err(Error::InputWidth { expected: 1, found: 3, .. })));
        assert!(matches!(g.sum("sum", &[wide, slim], 1.0), Err(Error::UnequalWidths { .. })));
        assert!(matches!(g.sum("sum", &[], 1.0), Err(Error::NoInputs)));
        assert!(matches!(g.combination("c", &[wide, slim], Init::Zeros), Err(Error::UnequalWidths { .. })));
        assert!(matches!(g.dot("dot", wide, slim, 1.0), Err(Error::UnequalWidths { .. })));
        assert!(matches!(g.pairs("pairs", &[wide, slim]), Err(Error::UnequalWidths { .. })));
        assert!(matches!(g.pairs("pairs", &[wide]), Err(Error::NoInputs)));
        let one = g.linear(x, "one", 1, Activation::Identity).unwrap();
        assert!(matches!(g.conjunction("and", one, wide), Err(Error::InputWidth { expected: 1, found: 3, .. })));
        assert!(matches!(g.conjunction("and", wide, one), Err(Error::InputWidth { expected: 1, found: 3, .. })));
        assert!(matches!(g.again(wide, "again", slim), Err(Error::InputWidth { expected: 11, found: 2, .. })));
        assert!(matches!(g.again(x, "again", x), Err(Error::NoLayer { .. })));
    }

    #[test]
    fn a_layer_applied_again_has_the_same_parameters_and_activation() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        let first = g.linear(x, "0", 11, Activation::Tanh).unwrap();
        let again = g.again(first, "again", first).unwrap();
        assert_eq!(graph.node(again).op, Op::Activation { function: Activation::Tanh });
        let linear = |activated: Node| graph.node(graph.node(activated).inputs[0]);
        assert_eq!(linear(again).op, linear(first).op);
        assert_eq!(linear(again).inputs, [first]);
        assert_eq!(graph.params.len(), 2);
    }
}
