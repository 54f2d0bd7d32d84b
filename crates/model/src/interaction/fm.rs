//! Factorization-machine crosses (Rendle, ICDM 2010), as a vector: bi-interaction pooling (He and Chua, SIGIR 2017).
//!
//! With `v_f` the vector `[B, D]` of field f, each feature that has an embedding being a field:
//!
//! ```text
//! z = sum over f < g of v_f * v_g = ((sum_f v_f)^2 - sum_f v_f^2) / 2        element by element, [B, D]
//! x = (x_0, z)                                                              [B, D_0 + D]
//! ```
//!
//! x_0 is the input without crosses. The sum over the D elements of z is the second-order term of a factorization
//! machine and of DeepFM; experts and gates read the vector, and learn a weight for each element. Numbers have no
//! vectors, so they have no part in it. The crosses add no parameters to the embeddings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::{GraphBuilder, Node};

/// `[interaction] kind = "fm"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fm {}

impl Fm {
    pub(super) fn input(self, g: &mut GraphBuilder<'_>, scope: &str, parts: &[Node]) -> Result<Node> {
        let fields: Vec<Node> = parts.iter().copied().filter(|&part| g.feature(part).is_some()).collect();
        if fields.len() < 2 {
            let message = format!(
                "\"fm\" crosses the embeddings of different features, and there {}: use \"cross\", which crosses numbers, too",
                if fields.is_empty() { "is none" } else { "is only one" }
            );
            return Err(Error::Config { key: "interaction.kind".to_owned(), message });
        }
        same_widths(g, &fields)?;
        let pairs = g.pairs(scope, &fields)?;
        let all: Vec<Node> = parts.iter().copied().chain([pairs]).collect();
        g.concat(&format!("{scope}.input"), &all)
    }
}

/// Refuses fields of several widths, and names the first that is not as wide as most.
fn same_widths(g: &GraphBuilder<'_>, fields: &[Node]) -> Result<()> {
    let alike = |width: usize| fields.iter().filter(|&&field| g.width(field) == width).count();
    // Of those that are equally frequent, the width of the field that comes first.
    let widths = fields.iter().rev().map(|&field| g.width(field));
    let Some(expected) = widths.max_by_key(|&width| alike(width)) else { return Ok(()) };
    let Some(&other) = fields.iter().find(|&&field| g.width(field) != expected) else { return Ok(()) };
    let name = |field: Node| g.feature(field).unwrap_or_default().to_owned();
    let like = fields.iter().copied().find(|&field| g.width(field) == expected).map(name);
    Err(Error::FieldWidths { feature: name(other), width: g.width(other), expected, other: like.unwrap_or_default() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{build, parameters};
    use crate::graph::{Op, Summary};

    const MODEL: &str = "kind = 'mmoe'\nexperts = 2\nwidths = [4]\ninteraction = { kind = 'fm' }";

    #[test]
    fn crosses_stand_behind_the_vectors_and_all_read_both() {
        let graph = build(MODEL, &[3, 3, 3]).unwrap();
        let x = graph.nodes.iter().position(|n| n.op == Op::Concat).unwrap();
        let ops: Vec<&str> = graph.nodes[x].inputs.iter().map(|&n| graph.node(n).op.name()).collect();
        assert_eq!(ops, ["numeric", "embedding", "embedding", "embedding", "pairs"]);
        assert_eq!(graph.nodes[x].width, 2 + 3 * 3 + 3);
        let linear = graph.nodes.iter().filter(|n| n.inputs.first().is_some_and(|n| n.0 == x));
        // Two experts and two gates.
        assert_eq!(linear.count(), 4);
        assert!(parameters(&graph).is_empty());
        let Summary { modules, .. } = graph.summary();
        let crosses = modules.iter().find(|(name, _)| name == "interaction").unwrap().1;
        // Two running sums, three products and what adds them up; the first of each is not added to anything.
        assert_eq!((crosses.parameters, crosses.flops), (0, 4 * 3));
    }

    #[test]
    fn networks_of_their_own_have_crosses_of_their_own() {
        let graph = build("kind = 'single-task'\nbottom = [4]\ninteraction = { kind = 'fm' }", &[3, 3]).unwrap();
        let scopes: Vec<&str> = graph.nodes.iter().filter(|n| n.op == Op::Pairs).map(|n| n.scope.as_str()).collect();
        assert_eq!(scopes, ["interaction.a", "interaction.b"]);
    }

    #[test]
    fn the_feature_that_is_not_as_wide_as_most_is_named() {
        for (dims, told) in [
            (&[3, 4, 3][..], "\"c1\" has 4 numbers and \"c0\" has 3"),
            (&[2, 3, 3], "\"c0\" has 2 numbers and \"c1\" has 3"),
            (&[2, 3], "\"c1\" has 3 numbers and \"c0\" has 2"),
        ] {
            let message = build(MODEL, dims).unwrap_err().to_string();
            assert!(message.contains(told), "{dims:?}: {message}");
        }
    }

    #[test]
    fn fewer_than_two_fields_are_refused() {
        let message = |dims: &[usize]| build(MODEL, dims).unwrap_err().to_string();
        assert!(
            message(&[]).contains("interaction.kind") && message(&[]).contains("there is none"),
            "{}",
            message(&[])
        );
        assert!(message(&[4]).contains("there is only one"), "{}", message(&[4]));
    }
}
