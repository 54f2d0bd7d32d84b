//! ML-MMoE, multi-level MMoE: experts above experts, every gate reading x.
//!
//! Each expert e of an upper level reads a mixture of its own of the level below; the tasks' gates mix the top level:
//!
//! ```text
//! u_(e,j+1) = sum_i softmax(W_(e,j) x)_i f_(i,j)(u_(i,j))        u_(e,0) = x
//! y_k = t_k(sum_i softmax(W_k x)_i f_(i,N)(u_(i,N)))
//! ```
//!
//! The PLE paper's baseline with levels: as deep as PLE, but without experts of a single task, and every gate reads x
//! and not the output of the level below.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, at_least_one_layer, experts_of, levels_of, scaled, stack, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::Result;
use crate::graph::{Activation, Expert, GateStart, GateStyle, GraphBuilder, Node};

/// `[model] kind = "ml-mmoe"`: levels of shared experts, every expert of an upper level with a gate of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MlMmoe {
    /// Levels of experts, from the input up. Default: two levels of 6 experts, of 64 and of 32 units.
    #[serde(default = "defaults::mmoe_levels")]
    pub levels: Vec<MmoeLevel>,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// The non-linearity of experts and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
    /// Whether gates have a bias; the paper's have none.
    #[serde(default)]
    pub gate_bias: bool,
    /// How gates start.
    #[serde(default)]
    pub gate_start: GateStart,
}

/// One level of experts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmoeLevel {
    /// Number of experts.
    pub experts: usize,
    /// Layer widths of every expert.
    pub widths: Widths,
}

impl Architecture for MlMmoe {
    const KIND: &'static str = "ml-mmoe";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let gates = GateStyle { bias: self.gate_bias, start: self.gate_start, ..GateStyle::default() };
        let x = g.input("")?;
        let mut experts: Vec<Expert> = Vec::new();
        for (j, level) in levels_of(&self.levels)?.iter().enumerate() {
            let widths = at_least_one_layer(&level.widths, &format!("levels.{j}.widths"))?;
            let count = experts_of(level.experts, &format!("levels.{j}.experts"))?;
            let inputs: Vec<Node> = match j.checked_sub(1) {
                None => vec![x; count],
                Some(below) => {
                    let mut g = g.scope(format!("levels.{below}.gates"));
                    let mut gate = |e: usize| g.gate(x, &e.to_string(), &experts, gates);
                    (0..count).map(&mut gate).collect::<Result<_>>()?
                }
            };
            experts.clear();
            for (e, input) in inputs.into_iter().enumerate() {
                let mut g = g.scope(format!("levels.{j}.experts.{e}"));
                let y = stack(&mut g, input, widths, style)?;
                experts.push(g.expert(y));
            }
        }
        let top = format!("levels.{}.gates", self.levels.len() - 1);
        for task in tasks {
            let mixed = g.scope(&top).gate(x, &task.name, &experts, gates)?;
            tower(g, mixed, task, &self.tower, style)?;
        }
        Ok(())
    }

    fn scaled(&self, factor: f64) -> Self {
        let level = |l: &MmoeLevel| MmoeLevel { widths: scaled(&l.widths, factor), ..l.clone() };
        Self { levels: self.levels.iter().map(level).collect(), ..self.clone() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_scaled, build, parameters, refusal};
    use crate::graph::{Node, Op};

    const TWO: &str = "kind = 'ml-mmoe'\ntower = []\n\
                       levels = [{ experts = 3, widths = [6, 5] }, { experts = 2, widths = [2] }]";

    #[test]
    fn every_upper_expert_has_a_gate_over_the_level_below() {
        let graph = build(TWO, &["click", "share"]).unwrap();
        let layer = |name: &str, out: usize, from: usize| {
            [format!("{name}.weight [{out}, {from}]"), format!("{name}.bias [{out}]")]
        };
        let mut expected: Vec<String> = Vec::new();
        for e in 0..3 {
            expected.extend(layer(&format!("levels.0.experts.{e}.0"), 6, 4));
            expected.extend(layer(&format!("levels.0.experts.{e}.1"), 5, 6));
        }
        expected.extend((0..2).map(|e| format!("levels.0.gates.{e}.weight [3, 4]")));
        (0..2).for_each(|e| expected.extend(layer(&format!("levels.1.experts.{e}.0"), 2, 5)));
        for task in ["click", "share"] {
            expected.push(format!("levels.1.gates.{task}.weight [2, 4]"));
            expected.extend(layer(&format!("towers.{task}.0"), 1, 2));
        }
        assert_eq!(parameters(&graph), expected);
    }

    #[test]
    fn every_gate_reads_the_input_and_every_expert_its_own_mixture() {
        let graph = build(TWO, &["click", "share"]).unwrap();
        assert_eq!(graph.gates.len(), 2 + 2);
        let x = Node(0);
        assert!(matches!(graph.node(x).op, Op::Numeric { count: 4, .. }));
        for gate in &graph.gates {
            assert_eq!(graph.node(graph.node(gate.node).inputs[0]).inputs, [x], "{}", gate.scope);
        }
        for e in 0..2 {
            let expert = format!("levels.1.experts.{e}.0");
            let read = graph.nodes.iter().find(|n| n.scope == expert).unwrap().inputs[0];
            assert_eq!((&graph.node(read).op, &graph.node(read).scope), (&Op::Mixture, &format!("levels.0.gates.{e}")));
        }
        assert_eq!(graph.gates[0].experts, ["levels.0.experts.0", "levels.0.experts.1", "levels.0.experts.2"]);
    }

    #[test]
    fn one_level_is_mmoe() {
        let keys = "experts = 3, widths = [6, 5]";
        let levels = build(&format!("kind = 'ml-mmoe'\ntower = [2]\nlevels = [{{ {keys} }}]"), &["a", "b"]).unwrap();
        let mmoe = build(&format!("kind = 'mmoe'\ntower = [2]\n{}", keys.replace(", w", "\nw")), &["a", "b"]).unwrap();
        let without = |name: &String| name.replace("levels.0.", "");
        let shapes = parameters(&levels).iter().map(without).collect::<Vec<_>>();
        assert_eq!(shapes, parameters(&mmoe));
        assert_eq!(levels.summary().flops_per_row, mmoe.summary().flops_per_row);
    }

    #[test]
    fn sizes_that_make_no_model_are_refused_with_their_key() {
        for (levels, expected) in [
            ("[]", "model.levels: needs"),
            ("[{ experts = 0, widths = [4] }]", "model.levels.0.experts: must be at least 1"),
            ("[{ experts = 1, widths = [4] }, { experts = 1, widths = [] }]", "model.levels.1.widths: needs"),
        ] {
            let message = refusal(&format!("kind = 'ml-mmoe'\nlevels = {levels}"), &["a"]);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn scaling_leaves_towers_and_counts() {
        assert_scaled(TWO, 1.5, &TWO.replace("[6, 5]", "[9, 8]").replace("[2]", "[3]"));
    }
}
