//! Customized sharing: a bottom that all tasks share and a bottom per task, side by side under every tower.
//!
//! ```text
//! y_k = t_k([f_s(x), f_k(x)])
//! ```
//!
//! One of the structures that the PLE paper measures: it separates shared and own representations as CGC does, but
//! without gates that could choose between the two.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, SHARED, Widths, at_least_one_layer, scaled, stack, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::Result;
use crate::graph::{Activation, GraphBuilder, Node};

/// `[model] kind = "customized-sharing"`: towers over a shared and an own bottom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomizedSharing {
    /// Layer widths of all bottoms, or by task and `shared`. Default: `[64, 32]`.
    #[serde(default = "defaults::widths_of_tasks")]
    pub bottom: PerTask<Widths>,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// The non-linearity of bottoms and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
}

impl Architecture for CustomizedSharing {
    const KIND: &'static str = "customized-sharing";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.bottom.check_names(tasks, &[SHARED], "bottom")?;
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let x = g.input("")?;
        let bottom = |g: &mut GraphBuilder<'_>, module: &str| -> Result<Node> {
            stack(g, x, at_least_one_layer(self.bottom.get(module, "bottom")?, "bottom")?, style)
        };
        let shared = bottom(&mut g.scope("bottom"), SHARED)?;
        for task in tasks {
            let own = bottom(&mut g.scope(format!("bottoms.{}", task.name)), &task.name)?;
            let both = g.scope(format!("towers.{}", task.name)).concat("fusion", &[shared, own])?;
            tower(g, both, task, &self.tower, style)?;
        }
        Ok(())
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: self.bottom.map(|widths| scaled(widths, factor)), ..self.clone() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_scaled, build, parameters, refusal};

    const UNEVEN: &str =
        "kind = 'customized-sharing'\nbottom = { default = [3], share = [6, 5], shared = [2] }\ntower = [7]";

    #[test]
    fn towers_read_the_shared_bottom_then_their_own() {
        let graph = build(UNEVEN, &["click", "share"]).unwrap();
        let expected = [
            "bottom.0.weight [2, 4]",
            "bottom.0.bias [2]",
            "bottoms.click.0.weight [3, 4]",
            "bottoms.click.0.bias [3]",
            "towers.click.0.weight [7, 5]",
            "towers.click.0.bias [7]",
            "towers.click.1.weight [1, 7]",
            "towers.click.1.bias [1]",
            "bottoms.share.0.weight [6, 4]",
            "bottoms.share.0.bias [6]",
            "bottoms.share.1.weight [5, 6]",
            "bottoms.share.1.bias [5]",
            "towers.share.0.weight [7, 7]",
            "towers.share.0.bias [7]",
            "towers.share.1.weight [1, 7]",
            "towers.share.1.bias [1]",
        ];
        assert_eq!(parameters(&graph), expected);
        let fusion = graph.nodes.iter().find(|n| n.scope == "towers.share.fusion").unwrap();
        let read: Vec<&str> = fusion.inputs.iter().map(|&n| graph.node(n).scope.as_str()).collect();
        assert_eq!(read, ["bottom.activation", "bottoms.share.activation"]);
    }

    #[test]
    fn sizes_that_make_no_model_are_refused() {
        for (bottom, expected) in [
            ("{ click = [3], share = [3] }", "model.bottom: says nothing of \"shared\""),
            ("{ default = [3], shred = [3] }", "model.bottom: names the unknown task \"shred\"; did you mean \"share"),
            ("{ default = [3], shared = [] }", "model.bottom: needs at least one layer"),
        ] {
            let message = refusal(&format!("kind = 'customized-sharing'\nbottom = {bottom}"), &["click", "share"]);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn scaling_leaves_towers() {
        let half = UNEVEN.replace("[3]", "[2]").replace("[6, 5]", "[3, 3]").replace("[2] }", "[1] }");
        assert_scaled(UNEVEN, 0.5, &half);
    }
}
