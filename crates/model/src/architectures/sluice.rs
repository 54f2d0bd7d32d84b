//! Sluice networks (Ruder et al. 2017, "Latent Multi-task Architecture Learning"): cross-stitch on halves of layers,
//! and towers over all layers.
//!
//! Every layer of every task is split in two halves (subspaces), which a learned 2K x 2K matrix A_l mixes across all
//! tasks; learned beta weights of each task mix its layers before its tower:
//!
//! ```text
//! h_(k,l,s) = f(W_(k,l,s) m_(k,l-1) + b_(k,l,s))                      halves s = 0, 1;  m_(k,-1) = x
//! m_(k,l,s) = sum_(j,r) A_l[(k, s), (j, r)] h_(j,l,r)                 m_(k,l) = [m_(k,l,0), m_(k,l,1)]
//! y_k = t_k(sum_l beta_(k,l) m_(k,l))
//! ```
//!
//! A half is a linear layer of its own that reads both halves below: the rows of one layer's matrix, cut in two. Row
//! (k, s) of A_l is the tensor `stitches.<l>.<task k>.<s>.weight`; its columns go over the tasks in configuration
//! order, the two halves of each together. A_l starts near the identity, the betas near the top layer. The paper's
//! penalty that keeps the two halves orthogonal is left out.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, at_least_one_layer, layer, scaled, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::{Error, Result};
use crate::graph::{Activation, GraphBuilder, Node};
use crate::init::Init;

/// Subspaces of a layer.
const HALVES: usize = 2;

/// `[model] kind = "sluice"`: a network per task, halves of whose layers are mixed, and all of whose layers are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sluice {
    /// Layer widths of every task's bottom: even, since layers are mixed by halves, and equal, since a tower reads a
    /// sum of all layers. Default: `[64, 64]`.
    #[serde(default = "defaults::equal_widths")]
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

impl Architecture for Sluice {
    const KIND: &'static str = "sluice";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.tower.check_names(tasks, &[], "tower")?;
        let half = self.half_width()?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let mut inputs = vec![g.input("")?; tasks.len()];
        let mut layers: Vec<Vec<Node>> = vec![Vec::with_capacity(self.bottom.len()); tasks.len()];
        for l in 0..self.bottom.len() {
            let mut halves: Vec<Node> = Vec::with_capacity(HALVES * tasks.len());
            for (task, &x) in tasks.iter().zip(&inputs) {
                let mut g = g.scope(format!("bottoms.{}.{l}", task.name));
                for s in 0..HALVES {
                    halves.push(layer(&mut g, x, &s.to_string(), half, style)?);
                }
            }
            for (k, task) in tasks.iter().enumerate() {
                let mut g = g.scope(format!("stitches.{l}.{}", task.name));
                let mut mix =
                    |s: usize| g.combination(&s.to_string(), &halves, Init::near_unit(HALVES * k + s, halves.len()));
                let mixed = [mix(0)?, mix(1)?];
                inputs[k] = g.concat("halves", &mixed)?;
                layers[k].push(inputs[k]);
            }
        }
        for (task, layers) in tasks.iter().zip(layers) {
            let top = Init::near_unit(layers.len() - 1, layers.len());
            let x = g.scope("betas").combination(&task.name, &layers, top)?;
            tower(g, x, task, &self.tower, style)?;
        }
        Ok(())
    }

    fn scaled(&self, factor: f64) -> Self {
        let halves: Widths = self.bottom.iter().map(|&width| width / HALVES).collect();
        Self { bottom: scaled(&halves, factor).iter().map(|&half| half * HALVES).collect(), ..self.clone() }
    }
}

impl Sluice {
    /// Width of half a layer.
    fn half_width(&self) -> Result<usize> {
        let widths = at_least_one_layer(&self.bottom, "bottom")?;
        let refuse = |message: String| Err(Error::Config { key: "bottom".to_owned(), message });
        if let Some(odd) = widths.iter().find(|&&width| !width.is_multiple_of(HALVES)) {
            return refuse(format!("layers are mixed by halves, so widths must be even, found {odd}"));
        }
        if widths.iter().any(|&width| width != widths[0]) {
            return refuse(format!(
                "a tower reads a sum of all layers, so they must be equally wide, found {widths:?}"
            ));
        }
        Ok(widths[0] / HALVES)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_scaled, build, parameters, refusal};
    use crate::init::Init;

    const TWO: &str = "kind = 'sluice'\nbottom = [6, 6]\ntower = []";

    #[test]
    fn halves_are_layers_of_their_own_that_read_both_halves_below() {
        let graph = build(TWO, &["click", "share"]).unwrap();
        let mut expected: Vec<String> = Vec::new();
        for (l, from) in [(0, 4), (1, 6)] {
            for task in ["click", "share"] {
                for s in 0..2 {
                    expected.push(format!("bottoms.{task}.{l}.{s}.weight [3, {from}]"));
                    expected.push(format!("bottoms.{task}.{l}.{s}.bias [3]"));
                }
            }
            for task in ["click", "share"] {
                expected.extend((0..2).map(|s| format!("stitches.{l}.{task}.{s}.weight [4]")));
            }
        }
        for task in ["click", "share"] {
            expected.push(format!("betas.{task}.weight [2]"));
            expected.push(format!("towers.{task}.0.weight [1, 6]"));
            expected.push(format!("towers.{task}.0.bias [1]"));
        }
        assert_eq!(parameters(&graph), expected);
    }

    #[test]
    fn a_half_is_mixed_from_all_halves_and_a_tower_reads_all_layers() {
        let graph = build(TWO, &["click", "share"]).unwrap();
        let node = |scope: &str| graph.nodes.iter().find(|n| n.scope == scope).unwrap();
        let read =
            |scope: &str| -> Vec<&str> { node(scope).inputs.iter().map(|&n| graph.node(n).scope.as_str()).collect() };
        let halves = ["click.1", "click.1", "share.1", "share.1"].map(|half| format!("bottoms.{half}.activation"));
        assert_eq!(read("stitches.1.share.0"), halves);
        assert_eq!(read("bottoms.share.1.0"), ["stitches.0.share.halves"]);
        assert_eq!(read("betas.share"), ["stitches.0.share.halves", "stitches.1.share.halves"]);
        let start = |name: &str| graph.params.iter().find(|p| p.name == name).unwrap().init;
        assert_eq!(start("stitches.1.share.0.weight"), Init::near_unit(2, 4));
        assert_eq!(start("stitches.1.click.1.weight"), Init::near_unit(1, 4));
        assert_eq!(start("betas.click.weight"), Init::near_unit(1, 2));
    }

    #[test]
    fn widths_that_cannot_be_halved_or_added_are_refused() {
        for (bottom, expected) in [
            ("[]", "model.bottom: needs at least one layer"),
            ("[6, 5]", "model.bottom: layers are mixed by halves, so widths must be even, found 5"),
            ("[6, 4]", "model.bottom: a tower reads a sum of all layers, so they must be equally wide, found [6, 4]"),
        ] {
            let message = refusal(&format!("kind = 'sluice'\nbottom = {bottom}"), &["a"]);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn scaling_keeps_widths_even() {
        assert_scaled(TWO, 1.2, &TWO.replace("[6, 6]", "[8, 8]"));
        assert_scaled(TWO, 0.01, &TWO.replace("[6, 6]", "[2, 2]"));
    }
}
