//! AITM, the adaptive information transfer multi-task model (Xi et al., KDD 2021).
//!
//! Along a funnel of events, of which each can only follow the one before it, every task receives a transfer from the
//! task before it, and weighs it against its own representation row by row:
//!
//! ```text
//! q_t = f_t(x)                                                          every task
//! p_t = g_t(z_(t-1))                                                    what the task before hands on
//! z_t = sum over u in {p_t, q_t} of softmax_u(<h1(u), h2(u)> / sqrt(k)) h3(u)        z_t = q_t for the first task
//! y_t = t_t(z_t)
//! ```
//!
//! h1, h2 and h3 are linear layers of task t, the same for both u (`attention.<task>.query`, `.key` and `.value`); k is
//! the width of q_t. The weights of the two are shown like those of a gate, `attention.<task>.gate`, over
//! `attention.<task>.transfer` (p_t) and `attention.<task>.own` (q_t).
//!
//! The calibrator adds `alpha mean_i max(p_t(i) - p_(t-1)(i), 0)` to the loss of every task of the funnel but the first
//! ([`crate::graph::OrderPenalty`]): an event should not be likelier than the one it follows.
//!
//! Embeddings are shared; tasks outside of the funnel are networks on them.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, at_least_one_layer, layer, scaled, stack, tower};
use super::{Architecture, PerTask, defaults, funnel};
use crate::error::{Error, Result};
use crate::graph::{Activation, GraphBuilder, Node};
use crate::init::Init;

/// `[model] kind = "aitm"`: knowledge handed on along a funnel of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aitm {
    /// The funnel: binary tasks, each of whose events can only follow the one before it, such as
    /// `["click", "purchase"]`. Default: all binary tasks, in the order of the configuration.
    #[serde(default)]
    pub funnel: Vec<String>,
    /// Layer widths of each task's bottom. Default: `[64, 32]`.
    #[serde(default = "defaults::widths_of_tasks")]
    pub bottom: PerTask<Widths>,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// Weight of the penalty on an event that is predicted likelier than the one it follows, the paper's alpha; 0 for
    /// none, at most 1,000,000.
    #[serde(default = "paper_alpha")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub calibrator: f64,
    /// The non-linearity of bottoms, transfers and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
}

/// Most that the calibrator may weigh: beside it, nothing more is learned of the labels.
const MOST_ALPHA: f64 = 1e6;

/// What the authors use.
fn paper_alpha() -> f64 {
    0.6
}

impl Architecture for Aitm {
    const KIND: &'static str = "aitm";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.bottom.check_names(tasks, &[], "bottom")?;
        self.tower.check_names(tasks, &[], "tower")?;
        let funnel = funnel::positions(&self.funnel, tasks)?;
        if !(0.0..=MOST_ALPHA).contains(&self.calibrator) {
            let message = format!("must be a number from 0 to {MOST_ALPHA}, not {:?}", self.calibrator);
            return Err(Error::Config { key: "calibrator".to_owned(), message });
        }
        let calibrator = self.calibrator as f32;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let x = g.input("")?;
        let mut known: Vec<Node> = Vec::with_capacity(tasks.len());
        for task in tasks {
            let widths = at_least_one_layer(self.bottom.get(&task.name, "bottom")?, "bottom")?;
            known.push(stack(&mut g.scope(format!("bottoms.{}", task.name)), x, widths, style)?);
        }
        for pair in funnel.windows(2) {
            let (before, at) = (pair[0], pair[1]);
            let name = &tasks[at].name;
            let width = g.width(known[at]);
            let transfer = layer(&mut g.scope("transfers"), known[before], name, width, style)?;
            known[at] = attend(&mut g.scope(format!("attention.{name}")), transfer, known[at])?;
            if calibrator > 0.0 {
                g.order_penalty(before, at, calibrator);
            }
        }
        tasks.iter().zip(known).try_for_each(|(task, x)| tower(g, x, task, &self.tower, style))
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: self.bottom.map(|widths| scaled(widths, factor)), ..self.clone() }
    }

    fn funnel(&self) -> &[String] {
        &self.funnel
    }

    fn completed(&self, tasks: &[TaskSpec]) -> Self {
        Self { funnel: funnel::or_all(&self.funnel, tasks), ..self.clone() }
    }
}

/// What was handed on and the task's own knowledge, each `[B, k]`, weighed against one another: `[B, k]`.
fn attend(g: &mut GraphBuilder<'_>, transfer: Node, own: Node) -> Result<Node> {
    let width = g.width(own);
    let project = |g: &mut GraphBuilder<'_>, name: &str| -> Result<[Node; 2]> {
        let first = g.affine(transfer, name, width, true, Init::lecun(width))?;
        Ok([first, g.again(first, name, own)?])
    };
    let (query, key, value) = (project(g, "query")?, project(g, "key")?, project(g, "value")?);
    let scale = 1.0 / (width as f32).sqrt();
    let logits = [g.dot("transfer", query[0], key[0], scale)?, g.dot("own", query[1], key[1], scale)?];
    let logits = g.concat("logits", &logits)?;
    let experts = [g.scope("transfer").expert(value[0]), g.scope("own").expert(value[1])];
    g.mix(logits, "gate", &experts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_scaled, build, parameters, refusal};
    use crate::graph::{Op, OrderPenalty};

    const THREE: &str = "kind = 'aitm'\nfunnel = ['click', 'buy', 'again']\n\
                         bottom = { default = [6, 5], buy = [3] }\ntower = { default = [2], buy = [] }";

    #[test]
    fn tensors_of_the_attention_belong_to_the_task_that_receives() {
        let graph = build(THREE, &["buy", "click", "again", "time"]).unwrap();
        let of = |part: &str| -> Vec<String> {
            let all = parameters(&graph).into_iter();
            all.filter(|p| p.starts_with(part) && !p.contains(".bias ")).collect()
        };
        assert_eq!(of("transfers."), ["transfers.buy.weight [3, 5]", "transfers.again.weight [5, 3]"]);
        let projections = |task: &str, k: usize| {
            ["query", "key", "value"].map(|name| format!("attention.{task}.{name}.weight [{k}, {k}]"))
        };
        assert_eq!(of("attention."), [projections("buy", 3), projections("again", 5)].concat());
        assert_eq!(of("towers.buy"), ["towers.buy.0.weight [1, 3]"]);
        assert_eq!(of("bottoms.time"), ["bottoms.time.0.weight [6, 4]", "bottoms.time.1.weight [5, 6]"]);
        assert!(graph.params.iter().any(|p| p.name == "attention.again.key.bias" && p.shape == [5]));
    }

    #[test]
    fn the_attention_weighs_what_was_handed_on_and_the_tasks_own() {
        let graph = build(THREE, &["buy", "click", "again"]).unwrap();
        let gates: Vec<&str> = graph.gates.iter().map(|gate| gate.scope.as_str()).collect();
        assert_eq!(gates, ["attention.buy.gate", "attention.again.gate"]);
        assert_eq!(graph.gates[0].experts, ["attention.buy.transfer", "attention.buy.own"]);
        // The second transfer reads what the first attention gave.
        let transfer = graph.nodes.iter().find(|n| n.scope == "transfers.again").unwrap();
        let read = graph.node(transfer.inputs[0]);
        assert_eq!((read.scope.as_str(), &read.op), ("attention.buy.gate", &Op::Mixture));
        // Each projection is applied to both, by the same parameters.
        let queries: Vec<_> = graph.nodes.iter().filter(|n| n.scope == "attention.buy.query").collect();
        assert_eq!(queries.len(), 2);
        assert_eq!(queries[0].op, queries[1].op);
        let inputs = [graph.node(queries[0].inputs[0]), graph.node(queries[1].inputs[0])];
        assert_eq!(inputs.map(|n| n.scope.as_str()), ["transfers.activation", "bottoms.buy.activation"]);
        let dot = graph.nodes.iter().find(|n| n.scope == "attention.buy.own").unwrap();
        assert_eq!(dot.op, Op::Dot { scale: 1.0 / 3f32.sqrt() });
    }

    #[test]
    fn neighbours_in_the_funnel_are_calibrated() {
        let names = ["buy", "click", "again"];
        let penalty = |earlier, later, weight| OrderPenalty { earlier, later, weight };
        let graph = build(THREE, &names).unwrap();
        assert_eq!(graph.penalties, [penalty(1, 0, 0.6), penalty(0, 2, 0.6)]);
        let graph = build(&format!("{THREE}\ncalibrator = 2.0"), &names).unwrap();
        assert_eq!(graph.penalties[0].weight, 2.0);
        assert!(build(&format!("{THREE}\ncalibrator = 0"), &names).unwrap().penalties.is_empty());
        for wrong in ["-0.1", "1000001", "1e39"] {
            let message = refusal(&format!("{THREE}\ncalibrator = {wrong}"), &names);
            assert!(message.starts_with("model.calibrator: must be a number from 0 to 1000000, not "), "{message}");
        }
    }

    #[test]
    fn sizes_and_funnels_that_make_no_model_are_refused() {
        let message = refusal("kind = 'aitm'\nfunnel = ['a', 'b']\nbottom = []", &["a", "b"]);
        assert!(message.starts_with("model.bottom: needs at least one layer"), "{message}");
        let message = refusal("kind = 'aitm'\nfunnel = ['a']\nbottom = [2]", &["a", "b"]);
        assert!(message.starts_with("model.funnel: "), "{message}");
    }

    #[test]
    fn scaling_leaves_towers() {
        assert_scaled(THREE, 2.0, &THREE.replace("[6, 5]", "[12, 10]").replace("[3]", "[6]"));
    }
}
