//! The cross network of DCN v2 (Wang et al., WWW 2021), in the paper's stacked structure.
//!
//! ```text
//! x_(l+1) = x_0 * (W_l x_l + b_l) + x_l        * element by element, W_l [D, D], b_l [D]
//! x_(l+1) = x_0 * (U_l (V_l^T x_l) + b_l) + x_l        of low rank R: U_l and V_l [D, R]
//! ```
//!
//! x_0 `[B, D]` is every feature's vector side by side. The last x_l replaces x_0: experts, bottoms, towers and gates
//! read only it. After l layers it holds products of up to l + 1 elements of x_0.
//!
//! Parameters are `interaction.<l>.weight` (W_l) and `.bias`; of low rank `interaction.<l>.v.weight` (`V_l^T`, `[R, D]`),
//! `interaction.<l>.u.weight` (U_l) and `.u.bias`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::{GraphBuilder, Node};
use crate::init::Init;

/// `[interaction] kind = "cross"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cross {
    /// Number of layers, from 1 to 64. Default: 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    /// Rank R of the layers' weights, at most the width of the input; without it they are full matrices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rank: Option<usize>,
}

/// Layers at the most. Each multiplies by the input once more, and no published network has more than a few.
const MOST_LAYERS: usize = 64;

fn two() -> usize {
    2
}

impl Cross {
    pub(super) fn input(self, g: &mut GraphBuilder<'_>, scope: &str, parts: &[Node]) -> Result<Node> {
        let refuse = |key: &str, message: String| Err(Error::Config { key: format!("interaction.{key}"), message });
        if !(1..=MOST_LAYERS).contains(&self.layers) {
            return refuse("layers", format!("must be at least 1 and at most {MOST_LAYERS}, found {}", self.layers));
        }
        let first = g.concat("input", parts)?;
        let width = g.width(first);
        if let Some(rank) = self.rank.filter(|rank| !(1..=width).contains(rank)) {
            let message = format!("must be at least 1 and at most {width}, the width of the input, found {rank}");
            return refuse("rank", message);
        }
        let mut g = g.scope(scope);
        let mut x = first;
        for layer in 0..self.layers {
            x = match self.rank {
                None => {
                    let y = g.affine(x, &layer.to_string(), width, true, Init::lecun(width))?;
                    crossed(&mut g, first, y, x)?
                }
                Some(rank) => {
                    let mut g = g.scope(layer);
                    let v = g.affine(x, "v", rank, false, Init::lecun(width))?;
                    let y = g.affine(v, "u", width, true, Init::lecun(rank))?;
                    crossed(&mut g, first, y, x)?
                }
            };
        }
        Ok(x)
    }
}

/// `x_0 * y + x`.
fn crossed(g: &mut GraphBuilder<'_>, first: Node, y: Node, x: Node) -> Result<Node> {
    let product = g.pairs("product", &[first, y])?;
    g.sum("sum", &[product, x], 1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{build, parameters};
    use crate::graph::Op;

    fn model(keys: &str) -> String {
        format!(
            "kind = 'cgc'\ntask_experts = 1\nshared_experts = 1\nwidths = [4]\n[interaction]\nkind = 'cross'\n{keys}"
        )
    }

    #[test]
    fn the_last_layer_takes_the_place_of_the_input() {
        let graph = build(&model(""), &[3]).unwrap();
        let expected = ["0.weight [5, 5]", "0.bias [5]", "1.weight [5, 5]", "1.bias [5]"];
        assert_eq!(parameters(&graph), expected.map(|name| format!("interaction.{name}")));
        let of = |op: Op| graph.nodes.iter().rposition(|n| n.op == op).unwrap();
        let (x_0, last) = (of(Op::Concat), of(Op::Sum { scale: 1.0 }));
        let readers = |node: usize| graph.nodes.iter().filter(move |n| n.inputs.iter().any(|n| n.0 == node));
        // Three experts and two gates read the last; the first layer reads x_0 three times, the second multiplies by it.
        assert_eq!(readers(last).count(), 5);
        assert_eq!(readers(x_0).count(), 3 + 1);
    }

    #[test]
    fn low_rank_has_two_matrices_and_one_bias() {
        let graph = build(&model("layers = 1\nrank = 2"), &[3]).unwrap();
        let expected = ["0.v.weight [2, 5]", "0.u.weight [5, 2]", "0.u.bias [5]"];
        assert_eq!(parameters(&graph), expected.map(|name| format!("interaction.{name}")));
        let summary = graph.summary();
        let modules = summary.modules.iter().filter(|(name, _)| name.starts_with("interaction"));
        let (parameters, flops) = modules.fold((0, 0), |sum, (_, m)| (sum.0 + m.parameters, sum.1 + m.flops));
        assert_eq!(parameters, 2 * 2 * 5 + 5);
        // Two products, the bias, the product by x_0, the sum with x.
        assert_eq!(flops, 2 * (2 * 2 * 5) + 5 + 5 + 2 * 5);
    }

    #[test]
    fn networks_of_their_own_have_layers_of_their_own() {
        let text = "kind = 'single-task'\nbottom = [4]\ninteraction = { kind = 'cross', layers = 1 }";
        let names = ["a.0.weight [5, 5]", "a.0.bias [5]", "b.0.weight [5, 5]", "b.0.bias [5]"];
        assert_eq!(parameters(&build(text, &[3]).unwrap()), names.map(|name| format!("interaction.{name}")));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_by_their_key() {
        for (keys, told) in [
            ("layers = 0", "model.interaction.layers: must be at least 1 and at most 64, found 0"),
            ("layers = 65", "found 65"),
            ("rank = 0", "model.interaction.rank: must be at least 1 and at most 5, the width of the input, found 0"),
            ("rank = 6", "found 6"),
        ] {
            let message = build(&model(keys), &[3]).unwrap_err().to_string();
            assert!(message.contains(told), "{keys}: {message}");
        }
        build(&model("rank = 5"), &[3]).unwrap();
    }
}
