//! Gates: softmax over experts, and the experts' mixture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builder::MOST_WEIGHED;
use super::{Gate, GraphBuilder, Node, Op};
use crate::error::{Error, Result};
use crate::init::Init;

/// An expert's output `[B, W]` and where it stands, such as `levels.0.shared.experts.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expert {
    /// Scope of the expert.
    pub name: String,
    /// Its output.
    pub node: Node,
}

/// How gates start: `gate_start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateStart {
    /// At zero: each expert has the weight 1 / E in every row, until a gradient says otherwise.
    #[default]
    Zero,
    /// `N(0, 1 / D)`, D being the width of what the gate reads: each row starts with a mixture of its own.
    Normal,
}

/// How fast gates learn that read a mixture of experts and not the input: `gate_rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateRate {
    /// At `1 / sqrt(D)` of the learning rate, D being the width of what the gate reads.
    #[default]
    Scaled,
    /// At the learning rate.
    Same,
}

/// What gates of a structure have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateStyle {
    /// Whether there is a bias.
    pub bias: bool,
    /// How W starts.
    pub start: GateStart,
    /// How fast W learns where it reads a mixture.
    pub rate: GateRate,
}

impl GraphBuilder<'_> {
    /// A gate: `softmax(W s (+ b))` over `experts`, and their mixture `[B, W]` by its weights.
    ///
    /// `selector` is what the gate reads; W is `gate.weight` `[E, D]`. Names of the experts are kept for those who ask
    /// what the gate learned.
    ///
    /// W starts as `style` says, b at zero. Where `selector` is itself a mixture of experts, W learns at `1 / sqrt(D)` of
    /// the learning rate ([`GateRate::Scaled`]): behind rectifiers no element of a mixture is negative, so that the D
    /// weights of a logit have gradients of one sign in most rows. An optimizer that moves each weight by about the
    /// learning rate eta, as Adam does, then moves the logit by about `eta D mean(s)` at once, and gates collapse before
    /// experts have learned. b moves its logit by eta whatever D is, and keeps its rate.
    ///
    /// # Errors
    /// [`Error::NoExperts`] without experts, [`Error::ExpertWidths`] if they differ in width.
    pub fn gate(&mut self, selector: Node, name: &str, experts: &[Expert], style: GateStyle) -> Result<Node> {
        self.check_experts(name, experts)?;
        let width = self.width(selector);
        let start = match style.start {
            GateStart::Zero => Init::Zeros,
            GateStart::Normal => Init::lecun(width),
        };
        let logits = self.affine(selector, name, experts.len(), style.bias, start)?;
        if style.rate == GateRate::Scaled
            && self.graph.node(selector).op == Op::Mixture
            && let Op::Linear { weight, .. } = self.graph.node(logits).op
        {
            self.graph.params[weight.0].rate = 1.0 / (width as f64).sqrt();
        }
        self.mix(logits, name, experts)
    }

    /// A gate whose logits `[B, E]` are at hand: `softmax(logits)`, and the experts' mixture by it.
    ///
    /// # Errors
    /// As [`GraphBuilder::gate`], and [`Error::InputWidth`] unless there is a logit per expert.
    pub fn mix(&mut self, logits: Node, name: &str, experts: &[Expert]) -> Result<Node> {
        let width = self.check_experts(name, experts)?;
        self.check_width(name, logits, experts.len())?;
        self.names.borrow_mut().weighed += experts.len();
        if self.names.borrow().weighed > MOST_WEIGHED {
            let scope = self.path(name);
            return Err(Error::TooManyParts { scope, what: "pairs of a gate and an expert", most: MOST_WEIGHED });
        }
        let weights = self.push(name, Op::Softmax, vec![logits], experts.len());
        self.graph.gates.push(Gate {
            scope: self.path(name),
            node: weights,
            experts: experts.iter().map(|e| e.name.clone()).collect(),
        });
        let inputs = std::iter::once(weights).chain(experts.iter().map(|e| e.node)).collect();
        Ok(self.push(name, Op::Mixture, inputs, width))
    }

    fn check_experts(&self, name: &str, experts: &[Expert]) -> Result<usize> {
        let Some(first) = experts.first() else { return Err(Error::NoExperts { scope: self.path(name) }) };
        let width = self.width(first.node);
        if let Some(other) = experts.iter().find(|e| self.width(e.node) != width) {
            return Err(Error::ExpertWidths {
                scope: self.path(name),
                first: (first.name.clone(), width),
                other: (other.name.clone(), self.width(other.node)),
            });
        }
        Ok(width)
    }

    /// Names `x` as an expert of this scope, for gates to select.
    #[must_use]
    pub fn expert(&self, x: Node) -> Expert {
        Expert { name: self.scope.clone(), node: x }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};

    use crate::ModelConfig;
    use crate::graph::{Graph, Param};
    use crate::init::Init;

    const PLE: &str = "kind = 'ple'\ngate_bias = true\nlevels = [\
        { task_experts = 1, shared_experts = 1, widths = [9] }, { task_experts = 2, shared_experts = 1, widths = [4] }, \
        { task_experts = 1, shared_experts = 1, widths = [2] }]";

    fn build(text: &str) -> Graph {
        let inputs = (0..16).map(|column| Input::Numeric { name: format!("n{column}"), column }).collect();
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        toml::from_str::<ModelConfig>(text).unwrap().build(&InputLayout::new(inputs), &tasks).unwrap()
    }

    /// Parameters with a rate of their own.
    fn rates(graph: &Graph) -> Vec<(&str, f64)> {
        graph.params.iter().filter(|p| p.rate != 1.0).map(|p| (p.name.as_str(), p.rate)).collect()
    }

    #[test]
    fn gates_that_read_a_mixture_learn_by_the_root_of_its_width_slower() {
        let (third, half) = (1.0 / 3.0, 0.5);
        let expected = [
            ("levels.1.a.gate.weight", third),
            ("levels.1.b.gate.weight", third),
            ("levels.1.shared.gate.weight", third),
            ("levels.2.a.gate.weight", half),
            ("levels.2.b.gate.weight", half),
        ];
        assert_eq!(rates(&build(PLE)), expected);
        assert_eq!(rates(&build(&format!("{PLE}\ngate_rate = 'scaled'"))), expected);
        assert_eq!(rates(&build(&format!("{PLE}\ngate_rate = 'same'"))), []);
    }

    #[test]
    fn gates_that_read_the_input_learn_at_the_rate_of_all() {
        let level = "experts = 2, widths = [4]";
        for text in [
            "kind = 'mmoe'\nexperts = 2\nwidths = [4]",
            "kind = 'cgc'\ntask_experts = 1\nshared_experts = 1\nwidths = [4]",
            "kind = 'ple'\nlevels = [{ task_experts = 1, shared_experts = 1, widths = [4] }]",
            &format!("kind = 'ml-mmoe'\nlevels = [{{ {level} }}, {{ {level} }}]"),
            "kind = 'aitm'\nfunnel = ['a', 'b']\nbottom = [4]",
        ] {
            assert_eq!(rates(&build(text)), [], "{text}");
        }
    }

    #[test]
    fn gates_alone_start_at_zero() {
        let level = "experts = 2, widths = [4]";
        for text in [
            PLE,
            "kind = 'mmoe'\nexperts = 2\nwidths = [4]",
            "kind = 'cgc'\ntask_experts = 1\nshared_experts = 1\nwidths = [4]",
            &format!("kind = 'ml-mmoe'\nlevels = [{{ {level} }}, {{ {level} }}]"),
        ] {
            let (zero, normal) = (build(text), build(&format!("{text}\ngate_start = 'normal'")));
            assert_eq!(zero, build(&format!("{text}\ngate_start = 'zero'")));
            let is_gate = |p: &Param| p.name.contains("gate") && p.name.ends_with(".weight");
            assert!(zero.params.iter().any(is_gate));
            for (zero, normal) in zero.params.iter().zip(&normal.params) {
                if is_gate(zero) {
                    let drawn = Init::lecun(*zero.shape.last().unwrap());
                    assert_eq!((zero.init, normal.init), (Init::Zeros, drawn), "{text}: {}", zero.name);
                    assert_eq!((&zero.name, zero.rate), (&normal.name, normal.rate), "{text}");
                } else {
                    assert_eq!(zero, normal, "{text}");
                }
            }
        }
    }

    #[test]
    fn a_rate_is_written_where_it_is_not_that_of_all() {
        let graph = build(PLE);
        let written = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<Graph>(&written).unwrap(), graph);
        assert_eq!(written.matches("\"rate\"").count(), 5);
        let same = serde_json::to_string(&build(&format!("{PLE}\ngate_rate = 'same'"))).unwrap();
        assert!(!same.contains("\"rate\""), "{same}");
    }
}
