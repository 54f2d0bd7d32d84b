//! Cross-stitch networks (Misra et al., CVPR 2016): a network per task, mixed after every layer.
//!
//! After layer l the activations of the K tasks are mixed by a learned K x K matrix S_l, one number per pair of tasks,
//! the same for every row and unit:
//!
//! ```text
//! h_(k,l) = f(W_(k,l) m_(k,l-1) + b_(k,l))        m_(k,-1) = x
//! m_(k,l) = sum_j S_l[k, j] h_(j,l)
//! y_k = t_k(m_(k,L))
//! ```
//!
//! Row k of S_l is the tensor `stitches.<l>.<task k>.weight`, with the tasks in configuration order. It starts at 0.9
//! for the task itself and 0.1 shared by the others: near separate networks, as the paper advises. All tasks read the
//! same embeddings.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, at_least_one_layer, layer, scaled, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::Result;
use crate::graph::{Activation, GraphBuilder, Node};
use crate::init::Init;

/// `[model] kind = "cross-stitch"`: a network per task, mixed by learned numbers after every layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossStitch {
    /// Layer widths of every task's bottom; the same for all, since they are mixed unit by unit. Default: `[64, 32]`.
    #[serde(default = "defaults::widths")]
    pub bottom: Widths,
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

impl Architecture for CrossStitch {
    const KIND: &'static str = "cross-stitch";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let mut mixed = vec![g.input("")?; tasks.len()];
        for (l, &width) in at_least_one_layer(&self.bottom, "bottom")?.iter().enumerate() {
            let mut outputs: Vec<Node> = Vec::with_capacity(tasks.len());
            for (task, &x) in tasks.iter().zip(&mixed) {
                let mut g = g.scope(format!("bottoms.{}", task.name));
                outputs.push(layer(&mut g, x, &l.to_string(), width, style)?);
            }
            for (k, task) in tasks.iter().enumerate() {
                let start = Init::near_unit(k, tasks.len());
                mixed[k] = g.scope(format!("stitches.{l}")).combination(&task.name, &outputs, start)?;
            }
        }
        tasks.iter().zip(mixed).try_for_each(|(task, x)| tower(g, x, task, &self.tower, style))
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: scaled(&self.bottom, factor), ..self.clone() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_scaled, build, parameters, refusal};
    use crate::graph::Op;
    use crate::init::Init;

    const TWO: &str = "kind = 'cross-stitch'\nbottom = [6, 5]\ntower = { default = [3], share = [] }";

    #[test]
    fn every_layer_of_every_task_reads_its_own_mixture() {
        let graph = build(TWO, &["click", "share"]).unwrap();
        let expected = [
            "bottoms.click.0.weight [6, 4]",
            "bottoms.click.0.bias [6]",
            "bottoms.share.0.weight [6, 4]",
            "bottoms.share.0.bias [6]",
            "stitches.0.click.weight [2]",
            "stitches.0.share.weight [2]",
            "bottoms.click.1.weight [5, 6]",
            "bottoms.click.1.bias [5]",
            "bottoms.share.1.weight [5, 6]",
            "bottoms.share.1.bias [5]",
            "stitches.1.click.weight [2]",
            "stitches.1.share.weight [2]",
            "towers.click.0.weight [3, 5]",
            "towers.click.0.bias [3]",
            "towers.click.1.weight [1, 3]",
            "towers.click.1.bias [1]",
            "towers.share.0.weight [1, 5]",
            "towers.share.0.bias [1]",
        ];
        assert_eq!(parameters(&graph), expected);
        for (reader, mixture) in [("bottoms.share.1", "stitches.0.share"), ("towers.click.0", "stitches.1.click")] {
            let read = graph.nodes.iter().find(|n| n.scope == reader).unwrap().inputs[0];
            assert_eq!(graph.node(read).scope, mixture);
            let from: Vec<&str> = graph.node(read).inputs.iter().map(|&n| graph.node(n).scope.as_str()).collect();
            assert_eq!(from, ["bottoms.click.activation", "bottoms.share.activation"]);
        }
    }

    #[test]
    fn stitches_start_near_the_identity_and_sum_to_one() {
        let graph = build(TWO, &["a", "b", "share"]).unwrap();
        let stitches: Vec<_> = graph.params.iter().filter(|p| p.name.starts_with("stitches.")).collect();
        assert_eq!(stitches.len(), 2 * 3);
        for (i, stitch) in stitches.iter().enumerate() {
            assert_eq!(stitch.init, Init::near_unit(i % 3, 3), "{}", stitch.name);
        }
        // A single task is mixed with no other.
        let alone = build("kind = 'cross-stitch'\nbottom = [6]", &["a"]).unwrap();
        assert_eq!(alone.nodes.iter().filter(|n| matches!(n.op, Op::Combination { .. })).count(), 1);
        assert!(alone.params.iter().any(|p| p.init == Init::Unit { at: 0, there: 1.0, elsewhere: 0.0 }));
    }

    #[test]
    fn a_bottom_without_layers_is_refused_and_scaling_leaves_towers() {
        assert!(refusal("kind = 'cross-stitch'\nbottom = []", &["a"]).starts_with("model.bottom: needs at least one"));
        assert_scaled(TWO, 0.5, &TWO.replace("[6, 5]", "[3, 3]"));
    }
}
