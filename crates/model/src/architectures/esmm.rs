//! ESMM, the entire space multi-task model (Ma et al., SIGIR 2018).
//!
//! Along a funnel of events, of which each can only follow the one before it, every task's network gives the
//! probability of its event under the condition of the one before. The model predicts the product, and is trained on
//! it:
//!
//! ```text
//! p(click) = sigmoid(t_1(x))
//! p(click and purchase) = p(click) sigmoid(t_2(x))
//! ```
//!
//! and so on for longer funnels. Both are probabilities over all rows, so both losses are taken over all rows: a
//! network that learned p(purchase | click) from clicked rows alone would predict rows unlike those of its training
//! (sample selection bias), and would have few rows to learn from. That is why a task of the funnel must not have a
//! sample space of its own ([`Architecture::entire_space`]). The product is computed with logits,
//! [`crate::graph::Op::Conjunction`], so that no product of small probabilities is rounded to zero.
//!
//! Embeddings are shared; tasks outside of the funnel are networks on them.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, tower_output};
use super::{Architecture, PerTask, defaults, funnel};
use crate::error::Result;
use crate::graph::{Activation, GraphBuilder, Node};

/// `[model] kind = "esmm"`: probabilities of the events of a funnel as products along it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Esmm {
    /// The funnel: binary tasks, each of whose events can only follow the one before it, such as
    /// `["click", "purchase"]`. Default: all binary tasks, in the order of the configuration. Labels are those of all rows: 1 for a purchase, 0 for a row without, clicked or not.
    #[serde(default)]
    pub funnel: Vec<String>,
    /// Hidden widths of each task's network. Default: `[64, 32]`.
    #[serde(default = "defaults::widths_of_tasks")]
    pub tower: PerTask<Widths>,
    /// The non-linearity of the networks.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
}

impl Architecture for Esmm {
    const KIND: &'static str = "esmm";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.tower.check_names(tasks, &[], "tower")?;
        let funnel = funnel::positions(&self.funnel, tasks)?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let x = g.input("")?;
        let mut outputs: Vec<Node> =
            tasks.iter().map(|task| tower_output(g, x, task, &self.tower, style)).collect::<Result<_>>()?;
        for pair in funnel.windows(2) {
            let (before, at) = (pair[0], pair[1]);
            let mut g = g.scope(format!("towers.{}", tasks[at].name));
            outputs[at] = g.conjunction("conjunction", outputs[before], outputs[at])?;
        }
        tasks.iter().zip(outputs).try_for_each(|(task, output)| g.output(task, output))
    }

    /// Scales the towers: there is nothing else.
    fn scaled(&self, factor: f64) -> Self {
        Self { tower: self.tower.map(|widths| super::layers::scaled(widths, factor)), ..self.clone() }
    }

    fn entire_space(&self) -> &[String] {
        &self.funnel
    }

    fn funnel(&self) -> &[String] {
        &self.funnel
    }

    fn completed(&self, tasks: &[TaskSpec]) -> Self {
        Self { funnel: funnel::or_all(&self.funnel, tasks), ..self.clone() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_scaled, build, parameters, refusal};
    use crate::ModelConfig;
    use crate::graph::Op;

    const THREE: &str =
        "kind = 'esmm'\nfunnel = ['click', 'cart', 'buy']\ntower = { default = [3], time = [2], cart = [] }";

    #[test]
    fn outputs_are_conjunctions_along_the_funnel_in_the_order_of_the_tasks() {
        let graph = build(THREE, &["buy", "time", "click", "cart"]).unwrap();
        let tasks: Vec<&str> = graph.outputs.iter().map(|o| o.task.as_str()).collect();
        assert_eq!(tasks, ["buy", "time", "click", "cart"]);
        let node = |task: usize| graph.node(graph.outputs[task].node);
        let layer = |scope: &str| graph.nodes.iter().position(|n| n.scope == scope).unwrap();
        assert_eq!((node(0).op.clone(), node(3).op.clone()), (Op::Conjunction, Op::Conjunction));
        assert_eq!(node(0).inputs[0], graph.outputs[3].node);
        assert_eq!(node(0).inputs[1].0, layer("towers.buy.1"));
        assert_eq!(node(3).inputs[0], graph.outputs[2].node);
        assert_eq!(node(3).inputs[1].0, layer("towers.cart.0"));
        assert_eq!(graph.outputs[2].node.0, layer("towers.click.1"));
        assert_eq!(graph.outputs[1].node.0, layer("towers.time.1"));
        assert_eq!(parameters(&graph)[..2], ["towers.buy.0.weight [3, 4]", "towers.buy.0.bias [3]"]);
        assert_eq!(graph.params.len(), 3 * 4 + 2);
    }

    #[test]
    fn the_funnel_is_supervised_on_the_entire_space() {
        let model: ModelConfig = toml::from_str(THREE).unwrap();
        assert_eq!(model.entire_space(), ["click", "cart", "buy"]);
        let other: ModelConfig = toml::from_str("kind = 'hard-sharing'\nbottom = [4]").unwrap();
        assert!(other.entire_space().is_empty());
    }

    #[test]
    fn a_funnel_that_is_none_is_refused() {
        let message = refusal("kind = 'esmm'\nfunnel = ['click']\ntower = [3]", &["click", "buy"]);
        assert!(message.starts_with("model.funnel: "), "{message}");
    }

    #[test]
    fn scaling_reaches_the_networks() {
        assert_scaled(THREE, 2.0, &THREE.replace("[2]", "[4]").replace("[3]", "[6]"));
    }
}
