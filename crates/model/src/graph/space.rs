//! [`Space`]: which rows a node has.
//!
//! What several rows of a batch have in common is one row of another space, and is computed once. The spaces follow from
//! the graph and its layout; structures do not name them.

use pleiad_data::Input;

use super::{Graph, NodeSpec, Op};

/// What a row of a node's output `[rows, W]` belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Space {
    /// A row of the batch: B rows.
    #[default]
    Row,
    /// A request, of which the batch has one row or several that follow one another: R rows, at most B.
    ///
    /// A node lives here if everything that it reads does: in the end, features that are the same for all rows of a
    /// request ([`pleiad_data::InputLayout::per_request`]).
    Request,
}

impl Graph {
    /// The space of every node.
    ///
    /// Dropout draws for each row of the batch, so it has the batch's rows, whatever it reads.
    #[must_use]
    pub fn spaces(&self) -> Vec<Space> {
        let mut spaces = vec![Space::Row; self.nodes.len()];
        if self.layout.per_request.is_empty() {
            return spaces;
        }
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let request = match node.op {
                Op::Numeric { first, count } => (first..first + count).all(|column| self.is_per_request(column)),
                Op::Periodic { column, .. } => self.is_per_request(column),
                Op::Embedding { slot: of, .. } => self.layout.inputs.iter().any(|i| {
                    matches!(i, Input::Categorical { slot, .. } if *slot == of) && self.layout.is_per_request(i)
                }),
                Op::Dropout { .. } => false,
                _ => inputs_are(node, &spaces, Space::Request),
            };
            if request {
                spaces[at] = Space::Request;
            }
        }
        spaces
    }

    /// Whether a numeric column is the same for all rows of a request.
    fn is_per_request(&self, column: usize) -> bool {
        let of_column = |input: &&Input| input.numeric_column() == Some(column);
        self.layout.inputs.iter().find(of_column).is_some_and(|input| self.layout.is_per_request(input))
    }
}

fn inputs_are(node: &NodeSpec, spaces: &[Space], space: Space) -> bool {
    !node.inputs.is_empty() && node.inputs.iter().all(|input| spaces[input.0] == space)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{InputLayout, TaskKind, TaskSpec};
    use serde_json::{Value, json};

    use super::*;
    use crate::ModelConfig;

    fn graph(per_request: &[&str]) -> Graph {
        let numeric = |name: &str, column| Input::Numeric { name: name.into(), column };
        let embedding = |name: &str, slot| Input::Categorical {
            name: name.into(),
            slot,
            table: name.into(),
            rows: 9,
            dim: 2,
            pooling: None,
        };
        let inputs = vec![
            numeric("age", 0),
            numeric("hour", 1),
            numeric("length", 2),
            embedding("user", 0),
            embedding("item", 1),
        ];
        let layout = InputLayout { per_request: per_request.iter().map(|name| (*name).to_owned()).collect(), inputs };
        let Value::Object(table) = json!({ "kind": "hard-sharing", "bottom": [4], "tower": [] }) else { panic!() };
        ModelConfig::from_table(table).unwrap().build(&layout, &[TaskSpec::new("a", TaskKind::Binary)]).unwrap()
    }

    /// Operations in request space.
    fn requests(graph: &Graph) -> Vec<&'static str> {
        let spaces = graph.spaces();
        graph.nodes.iter().zip(spaces).filter(|(_, s)| *s == Space::Request).map(|(node, _)| node.op.name()).collect()
    }

    #[test]
    fn without_features_of_requests_everything_has_the_rows_of_the_batch() {
        assert!(requests(&graph(&[])).is_empty());
    }

    #[test]
    fn inputs_of_requests_live_with_them_up_to_where_they_meet_a_row() {
        let graph = graph(&["age", "hour", "user"]);
        assert_eq!(requests(&graph), ["numeric", "embedding"]);
        // Numbers of one space are one node.
        let counts =
            graph.nodes.iter().filter_map(|n| if let Op::Numeric { count, .. } = n.op { Some(count) } else { None });
        assert_eq!(counts.collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn where_nothing_is_a_row_s_own_all_is_the_request_s() {
        let graph = graph(&["age", "hour", "user", "length", "item"]);
        assert_eq!(requests(&graph).len(), graph.nodes.len());
    }
}
