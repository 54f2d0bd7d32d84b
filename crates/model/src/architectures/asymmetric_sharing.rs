//! Asymmetric sharing: a bottom per task, and towers that also read the bottoms of others.
//!
//! Task k reads its own bottom and, where it borrows, those of other tasks: own first, then the borrowed ones in the
//! order given.
//!
//! ```text
//! y_k = t_k(fuse(f_k(x), f_j(x) for each j that k borrows from))        fuse: concatenation, sum or mean
//! ```
//!
//! Gradients of a task reach only its own bottom and the bottoms it borrows from: a bottom that is not lent gets
//! gradients of its own task alone. One of the structures that the PLE paper measures.

use std::collections::BTreeMap;

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, at_least_one_layer, scaled, stack, tower};
use super::per_task::position_of;
use super::{Architecture, PerTask, defaults};
use crate::error::{Error, Result};
use crate::graph::{Activation, GraphBuilder, Node};

/// `[model] kind = "asymmetric-sharing"`: a bottom per task; who borrows from whom is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsymmetricSharing {
    /// Layer widths of each task's bottom. Default: `[64, 32]`.
    #[serde(default = "defaults::widths_of_tasks")]
    pub bottom: PerTask<Widths>,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// By task, the tasks whose bottoms its tower reads beside its own: `borrow = { share = ["click"] }`.
    #[serde(default)]
    pub borrow: BTreeMap<String, Vec<String>>,
    /// How a tower's bottoms become one input.
    #[serde(default)]
    pub fusion: Fusion,
    /// The non-linearity of bottoms and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
}

/// How several bottoms become one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// Side by side.
    #[default]
    Concat,
    /// Added up; they must be equally wide.
    Sum,
    /// Their mean; they must be equally wide.
    Mean,
}

impl Architecture for AsymmetricSharing {
    const KIND: &'static str = "asymmetric-sharing";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.bottom.check_names(tasks, &[], "bottom")?;
        self.tower.check_names(tasks, &[], "tower")?;
        let read_by = self.bottoms_read(tasks)?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let x = g.input("")?;
        let mut bottoms = Vec::with_capacity(tasks.len());
        for task in tasks {
            let widths = at_least_one_layer(self.bottom.get(&task.name, "bottom")?, "bottom")?;
            bottoms.push(stack(&mut g.scope(format!("bottoms.{}", task.name)), x, widths, style)?);
        }
        for (task, read) in tasks.iter().zip(read_by) {
            let read: Vec<(&str, Node)> = read.into_iter().map(|at| (tasks[at].name.as_str(), bottoms[at])).collect();
            let fused = self.fuse(&mut g.scope(format!("towers.{}", task.name)), &read)?;
            tower(g, fused, task, &self.tower, style)?;
        }
        Ok(())
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: self.bottom.map(|widths| scaled(widths, factor)), ..self.clone() }
    }
}

impl AsymmetricSharing {
    /// Per task, the positions of the tasks whose bottoms it reads: itself, then those it borrows from.
    fn bottoms_read(&self, tasks: &[TaskSpec]) -> Result<Vec<Vec<usize>>> {
        let mut read: Vec<Vec<usize>> = (0..tasks.len()).map(|at| vec![at]).collect();
        for (borrower, lenders) in &self.borrow {
            let at = position_of(borrower, tasks, &format!("borrow.{borrower}"))?;
            for (i, lender) in lenders.iter().enumerate() {
                let key = format!("borrow.{borrower}.{i}");
                let from = position_of(lender, tasks, &key)?;
                if read[at].contains(&from) {
                    let message = match from == at {
                        true => format!("{lender:?} borrows from itself: a tower reads its own bottom anyway"),
                        false => format!("names {lender:?} twice"),
                    };
                    return Err(Error::Config { key, message });
                }
                read[at].push(from);
            }
        }
        Ok(read)
    }

    fn fuse(&self, g: &mut GraphBuilder<'_>, read: &[(&str, Node)]) -> Result<Node> {
        let nodes: Vec<Node> = read.iter().map(|(_, node)| *node).collect();
        let (name, scale) = match self.fusion {
            _ if nodes.len() == 1 => return Ok(nodes[0]),
            Fusion::Concat => return g.concat("fusion", &nodes),
            Fusion::Sum => ("sum", 1.0),
            Fusion::Mean => ("mean", 1.0 / nodes.len() as f32),
        };
        let (own, width) = (read[0].0, g.width(nodes[0]));
        if let Some((other, node)) = read.iter().find(|(_, node)| g.width(*node) != width) {
            let message = format!(
                "{name:?} goes element by element, so bottoms must be equally wide, but that of {own:?} gives {width} \
                 numbers and that of {other:?} {}: make the last entries of `bottom` equal, or use \"concat\"",
                g.width(*node)
            );
            return Err(Error::Config { key: "fusion".to_owned(), message });
        }
        g.sum("fusion", &nodes, scale)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_scaled, build, parameters, refusal};
    use crate::graph::Op;

    const UNEVEN: &str = "kind = 'asymmetric-sharing'\nbottom = { default = [5, 3], time = [2] }\ntower = []\n\
                          borrow = { share = ['time', 'click'] }";

    #[test]
    fn a_tower_reads_its_own_bottom_then_those_it_borrows() {
        let graph = build(UNEVEN, &["click", "share", "time"]).unwrap();
        let expected = [
            "bottoms.click.0.weight [5, 4]",
            "bottoms.click.0.bias [5]",
            "bottoms.click.1.weight [3, 5]",
            "bottoms.click.1.bias [3]",
            "bottoms.share.0.weight [5, 4]",
            "bottoms.share.0.bias [5]",
            "bottoms.share.1.weight [3, 5]",
            "bottoms.share.1.bias [3]",
            "bottoms.time.0.weight [2, 4]",
            "bottoms.time.0.bias [2]",
            "towers.click.0.weight [1, 3]",
            "towers.click.0.bias [1]",
            "towers.share.0.weight [1, 8]",
            "towers.share.0.bias [1]",
            "towers.time.0.weight [1, 2]",
            "towers.time.0.bias [1]",
        ];
        assert_eq!(parameters(&graph), expected);
        let fusion = graph.nodes.iter().find(|n| n.scope == "towers.share.fusion").unwrap();
        let read: Vec<&str> = fusion.inputs.iter().map(|&n| graph.node(n).scope.as_str()).collect();
        assert_eq!(read, ["bottoms.share.activation", "bottoms.time.activation", "bottoms.click.activation"]);
    }

    #[test]
    fn a_mean_is_a_scaled_sum() {
        let text = "kind = 'asymmetric-sharing'\nbottom = [3]\nborrow = { b = ['a', 'c'] }\nfusion = ";
        for (fusion, scale) in [("'sum'", 1.0), ("'mean'", 1.0 / 3.0)] {
            let graph = build(&format!("{text}{fusion}"), &["a", "b", "c"]).unwrap();
            let sums: Vec<_> = graph.nodes.iter().filter(|n| matches!(n.op, Op::Sum { .. })).collect();
            assert_eq!(sums.len(), 1);
            assert_eq!((&sums[0].op, sums[0].width, sums[0].inputs.len()), (&Op::Sum { scale }, 3, 3));
        }
    }

    #[test]
    fn what_cannot_be_borrowed_is_told() {
        let names = ["click", "share", "time"];
        for (borrow, expected) in [
            ("{ shar = ['click'] }", "model.borrow.shar: names the unknown task \"shar\"; did you mean \"share\"?"),
            ("{ share = ['clik'] }", "model.borrow.share.0: names the unknown task \"clik\"; did you mean \"click\"?"),
            ("{ share = ['click', 'share'] }", "model.borrow.share.1: \"share\" borrows from itself"),
            ("{ share = ['time', 'time'] }", "model.borrow.share.1: names \"time\" twice"),
        ] {
            let message = refusal(&format!("kind = 'asymmetric-sharing'\nbottom = [4]\nborrow = {borrow}"), &names);
            assert!(message.starts_with(expected), "{message}");
        }
        for fusion in ["sum", "mean"] {
            let message = refusal(&format!("{UNEVEN}\nfusion = '{fusion}'"), &names);
            let expected = format!(
                "model.fusion: \"{fusion}\" goes element by element, so bottoms must be equally wide, but that of \
                 \"share\" gives 3 numbers and that of \"time\" 2"
            );
            assert!(message.starts_with(&expected), "{message}");
        }
        assert!(
            refusal("kind = 'asymmetric-sharing'\nbottom = []", &names).starts_with("model.bottom: needs at least")
        );
    }

    #[test]
    fn scaling_leaves_towers_and_who_borrows() {
        assert_scaled(UNEVEN, 2.0, &UNEVEN.replace("[5, 3]", "[10, 6]").replace("[2]", "[4]"));
    }
}
