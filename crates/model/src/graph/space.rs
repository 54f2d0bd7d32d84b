//! [`Space`]: which rows a node has.
//!
//! What several rows of a batch have in common is one row of another space, and is computed once. What a row has several of,
//! as the values of a list, is a row each of another space. The spaces follow from the graph and its layout; structures do not
//! name them.

use pleiad_data::Input;

use super::{Graph, NodeSpec, Op};

/// What a row of a node's output `[rows, W]` belongs to.
///
/// Each row of a space names one row of every coarser space:
///
/// ```text
/// RequestEvent ──► Request
///      ▲              ▲
///    Event ─────────► Row
/// ```
///
/// A node that reads several spaces lives in the coarsest one whose rows name a row of each.
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
    /// An event of a row: a value of the list in this categorical slot. E rows, those of one row of the batch after those of the
    /// row before it.
    Event(usize),
    /// An event of a request, where the list is the same for all rows of a request: what depends on the request and its events
    /// alone. Each event of a row names the one of its request at the same position.
    RequestEvent(usize),
}

impl Space {
    /// The list whose values are the events.
    #[must_use]
    pub fn list(self) -> Option<usize> {
        match self {
            Self::Row | Self::Request => None,
            Self::Event(list) | Self::RequestEvent(list) => Some(list),
        }
    }

    /// Whose events they are: rows or requests. These belong to themselves.
    #[must_use]
    pub fn owner(self) -> Self {
        match self {
            Self::Row | Self::Event(_) => Self::Row,
            Self::Request | Self::RequestEvent(_) => Self::Request,
        }
    }

    /// The coarsest space whose rows name a row of both. There is none of two lists: it is then one with the events of the first.
    fn join(self, other: Self) -> Self {
        let owner = match (self.owner(), other.owner()) {
            (Self::Request, Self::Request) => Self::Request,
            _ => Self::Row,
        };
        match self.list().or(other.list()) {
            None => owner,
            Some(list) if owner == Self::Request => Self::RequestEvent(list),
            Some(list) => Self::Event(list),
        }
    }
}

impl Graph {
    /// The space of every node.
    ///
    /// Dropout draws for each row of the batch, or for each event of each row, whatever it reads.
    #[must_use]
    pub fn spaces(&self) -> Vec<Space> {
        let mut spaces = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let space = self.space_of(node, &spaces);
            spaces.push(space);
        }
        spaces
    }

    /// The space in which a node reads its inputs, given those of all nodes: its own, but for operations that bring events down.
    #[must_use]
    pub fn reads(&self, node: &NodeSpec, spaces: &[Space]) -> Space {
        let inputs = node.inputs.iter().map(|input| spaces[input.0]);
        let joined = inputs.reduce(Space::join).unwrap_or_default();
        match (&node.op, joined) {
            (Op::Dropout { .. }, Space::Request) => Space::Row,
            (Op::Dropout { .. }, Space::RequestEvent(list)) => Space::Event(list),
            _ => joined,
        }
    }

    /// The space of a node, given those of the nodes before it.
    pub(super) fn space_of(&self, node: &NodeSpec, spaces: &[Space]) -> Space {
        let of = |per_request: bool| if per_request { Space::Request } else { Space::Row };
        match node.op {
            Op::Numeric { first, count } => of((first..first + count).all(|column| self.is_per_request(column))),
            Op::Periodic { column, .. } => of(self.is_per_request(column)),
            Op::Embedding { slot, .. } => of(self.slot_is_per_request(slot)),
            Op::Events { list, .. } if self.slot_is_per_request(list) => Space::RequestEvent(list),
            Op::Events { list, .. } => Space::Event(list),
            _ if node.op.reduces_events() => self.reads(node, spaces).owner(),
            _ => self.reads(node, spaces),
        }
    }

    /// Whether a numeric column is the same for all rows of a request.
    fn is_per_request(&self, column: usize) -> bool {
        let of_column = |input: &&Input| input.numeric_column() == Some(column);
        !self.layout.per_request.is_empty()
            && self.layout.inputs.iter().find(of_column).is_some_and(|input| self.layout.is_per_request(input))
    }

    /// Whether a categorical slot is the same for all rows of a request.
    pub(super) fn slot_is_per_request(&self, slot: usize) -> bool {
        let of_slot = |input: &&Input| matches!(input, Input::Categorical { slot: of, .. } if *of == slot);
        !self.layout.per_request.is_empty()
            && self.layout.inputs.iter().find(of_slot).is_some_and(|input| self.layout.is_per_request(input))
    }
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
        let layout = InputLayout {
            per_request: per_request.iter().map(|name| (*name).to_owned()).collect(),
            ..InputLayout::new(inputs)
        };
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
