//! Events in a graph: the values of lists, one by one, and how they come down to the rows that they belong to.

use pleiad_data::{Input, nearest};

use super::{Graph, GraphBuilder, Node, Op};
use crate::error::{Error, Result};

impl Graph {
    /// The categorical slots whose lists are parts of the same events as that of `slot`, which is the first: every row has as many
    /// values of one as of the others.
    #[must_use]
    pub fn same_events(&self, slot: usize) -> Vec<usize> {
        let parts = self.nodes.iter().filter_map(|node| match node.op {
            Op::Events { slot, list, .. } if slot != list => Some([slot, list]),
            _ => None,
        });
        let parts: Vec<[usize; 2]> = parts.collect();
        let mut found = vec![slot];
        let mut at = 0;
        while let Some(&of) = found.get(at) {
            for pair in parts.iter().filter(|pair| pair.contains(&of)) {
                found.extend(pair.iter().filter(|slot| !found.contains(slot)).copied().collect::<Vec<_>>());
            }
            at += 1;
        }
        found
    }
}

impl GraphBuilder<'_> {
    /// The vector `[B, dim]` of one categorical feature, as [`GraphBuilder::input`] of the same owner has it among others.
    ///
    /// # Errors
    /// [`Error::NoFeature`] if there is no categorical feature of that name, [`Error::TableShape`] as there.
    pub fn embedding(&mut self, owner: &str, feature: &str) -> Result<Node> {
        let (op, dim) = self.lookup(owner, feature, false)?;
        let known = self.graph.nodes.iter().position(|node| node.op == op);
        Ok(known.map_or_else(|| self.push(feature, op, Vec::new(), dim), Node))
    }

    /// The vectors of the values of a list, one for each event: per feature `[E, dim]`. Several features are parts of the same
    /// events: value i of one belongs to value i of the others, and each row has as many of one as of the others.
    ///
    /// Operations on them work event by event, also beside nodes that have one row for each row of the batch or request. The
    /// `segment_..` operations bring events down to rows.
    ///
    /// # Errors
    /// [`Error::NoInputs`] without features, [`Error::NoFeature`] for one that is no list, [`Error::TableShape`] as
    /// [`GraphBuilder::input`].
    pub fn events(&mut self, owner: &str, features: &[&str]) -> Result<Vec<Node>> {
        let mut first = None;
        let mut events = Vec::with_capacity(features.len());
        for feature in features {
            let (op, dim) = self.lookup(owner, feature, true)?;
            let Op::Embedding { table, slot, .. } = op else { continue };
            let op = Op::Events { table, slot, list: *first.get_or_insert(slot) };
            events.push(self.push(&format!("events.{feature}"), op, Vec::new(), dim));
        }
        if events.is_empty() { Err(Error::NoInputs) } else { Ok(events) }
    }

    /// `y_r = sum_(e of r) x_e`: `[B, W]` from events `[E, W]`. A row without events has zeros.
    ///
    /// # Errors
    /// [`Error::NoEvents`] if x has none.
    pub fn segment_sum(&mut self, name: &str, x: Node) -> Result<Node> {
        self.segments(name, Op::SegmentSum, &[x])
    }

    /// The mean over the events of each row: `[B, W]` from events `[E, W]`. A row without events has zeros.
    ///
    /// # Errors
    /// As [`GraphBuilder::segment_sum`].
    pub fn segment_mean(&mut self, name: &str, x: Node) -> Result<Node> {
        self.segments(name, Op::SegmentMean, &[x])
    }

    /// `y_e = exp(x_e) / sum_(f of r(e)) exp(x_f)`, column by column: a softmax over the events of each row, `[E, W]`.
    ///
    /// # Errors
    /// As [`GraphBuilder::segment_sum`].
    pub fn segment_softmax(&mut self, name: &str, x: Node) -> Result<Node> {
        self.segments(name, Op::SegmentSoftmax, &[x])
    }

    /// `y_r = sum_(e of r) w_e x_e`: `[B, W]` from weights w `[E, 1]` and x `[E, W]`. A row without events has zeros.
    ///
    /// # Errors
    /// As [`GraphBuilder::segment_sum`], and [`Error::InputWidth`] for weights that are no single number.
    pub fn segment_mixture(&mut self, name: &str, weights: Node, x: Node) -> Result<Node> {
        self.check_width(name, weights, 1)?;
        self.segments(name, Op::SegmentMixture, &[weights, x])
    }

    /// [`GraphBuilder::segment_mixture`] by the [`GraphBuilder::segment_softmax`] of scores `[E, 1]`: attention over the events
    /// of each row (with scores of event and candidate that of DIN, Zhou et al., KDD 2018, which leaves the softmax out).
    ///
    /// # Errors
    /// As there.
    pub fn segment_softmax_sum(&mut self, name: &str, scores: Node, values: Node) -> Result<Node> {
        let weights = self.segment_softmax(&format!("{name}.weights"), scores)?;
        self.segment_mixture(name, weights, values)
    }

    fn segments(&mut self, name: &str, op: Op, inputs: &[Node]) -> Result<Node> {
        let spaces = self.graph.spaces();
        if inputs.iter().all(|input| spaces[input.0].list().is_none()) {
            let input = inputs.first().map_or("", |&x| &self.graph.node(x).scope).to_owned();
            return Err(Error::NoEvents { scope: self.path(name), input });
        }
        let width = inputs.last().map_or(0, |&x| self.width(x));
        Ok(self.push(name, op, inputs.to_vec(), width))
    }

    /// The operation that looks a feature up, and the width of what it gives. `list`: whether it must have a list of values.
    fn lookup(&mut self, owner: &str, feature: &str, list: bool) -> Result<(Op, usize)> {
        let fits = |input: &Input| matches!(input, Input::Categorical { pooling, .. } if pooling.is_some() || !list);
        let inputs = &self.graph.layout.inputs;
        let found = inputs.iter().find(|input| input.name() == feature && fits(input)).cloned();
        let Some(Input::Categorical { table, slot, rows, dim, pooling, .. }) = found else {
            return Err(Error::NoFeature {
                scope: self.scope.clone(),
                feature: feature.to_owned(),
                wanted: if list { "with a list of values (`multiple = true`)" } else { "with an embedding" },
                nearest: nearest(feature, inputs.iter().filter(|input| fits(input)).map(Input::name)),
            });
        };
        let table = if owner.is_empty() { table } else { format!("{owner}.{table}") };
        Ok((Op::Embedding { table: self.table(table, rows, dim)?, slot, pooling }, dim))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{InputLayout, Pooling, TaskKind, TaskSpec};

    use super::super::{Activation, Space};
    use super::*;

    /// A number, an item, two lists of a request and one of each row.
    fn graph() -> Graph {
        let list = |name: &str, slot, pooling| Input::Categorical {
            name: name.into(),
            slot,
            table: if name == "seen" { "item".into() } else { name.into() },
            rows: 9,
            dim: 3,
            pooling,
        };
        let mean = Some(Pooling::Mean);
        let inputs = vec![
            Input::Numeric { name: "age".into(), column: 0 },
            list("item", 0, None),
            list("seen", 1, mean),
            list("kinds", 2, mean),
            list("tags", 3, mean),
        ];
        let per_request = ["age", "seen", "kinds"].map(String::from).to_vec();
        Graph::new(InputLayout { per_request, ..InputLayout::new(inputs) })
    }

    #[test]
    fn what_reads_events_and_rows_lives_with_the_events_of_rows() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        g.input("").unwrap();
        let item = g.embedding("", "item").unwrap();
        let [seen, kinds] = g.events("", &["seen", "kinds"]).unwrap()[..] else { panic!() };
        let both = g.concat("both", &[seen, kinds]).unwrap();
        let own = g.linear(both, "own", 3, Activation::Relu).unwrap();
        let of_requests = g.segment_mean("mean", own).unwrap();
        let crossed = g.pairs("crossed", &[own, item]).unwrap();
        let score = g.linear(crossed, "score", 1, Activation::Identity).unwrap();
        let attended = g.segment_softmax_sum("attention", score, seen).unwrap();
        let dropped = g.dropout(own, 0.5).unwrap();
        let [tags] = g.events("", &["tags"]).unwrap()[..] else { panic!() };
        let all = g.concat("all", &[attended, of_requests]).unwrap();
        let y = g.linear(all, "head", 1, Activation::Identity).unwrap();
        g.output(&TaskSpec::new("t", TaskKind::Binary), y).unwrap();
        graph.validate().unwrap();
        let spaces = graph.spaces();
        for (node, space) in [
            (item, Space::Row),
            (seen, Space::RequestEvent(1)),
            (kinds, Space::RequestEvent(1)),
            (own, Space::RequestEvent(1)),
            (of_requests, Space::Request),
            (crossed, Space::Event(1)),
            (score, Space::Event(1)),
            (attended, Space::Row),
            (dropped, Space::Event(1)),
            (tags, Space::Event(3)),
            (y, Space::Row),
        ] {
            assert_eq!(spaces[node.0], space, "{}", graph.node(node).scope);
        }
        assert_eq!([1, 2, 3].map(|slot| graph.same_events(slot)), [vec![1, 2], vec![2, 1], vec![3]]);
        // The table and the vector of the item are those of the input.
        assert_eq!(graph.tables.len(), 3);
        assert_eq!(graph.nodes.iter().filter(|node| matches!(node.op, Op::Embedding { slot: 0, .. })).count(), 1);
    }

    #[test]
    fn what_has_no_events_is_refused_by_name() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        let item = g.embedding("", "item").unwrap();
        let [tags] = g.events("", &["tags"]).unwrap()[..] else { panic!() };
        let error = g.scope("a").segment_sum("sum", item).unwrap_err().to_string();
        assert!(error.contains("a.sum") && error.contains("item"), "{error}");
        assert!(matches!(g.segment_mixture("m", tags, tags), Err(Error::InputWidth { expected: 1, found: 3, .. })));
        assert!(matches!(g.events("", &[]), Err(Error::NoInputs)));
        let error = g.events("", &["item"]).unwrap_err().to_string();
        assert!(error.contains("\"item\"") && error.contains("multiple"), "{error}");
        let error = g.events("", &["tag"]).unwrap_err().to_string();
        assert!(error.contains("\"tags\""), "{error}");
        assert!(g.embedding("", "age").unwrap_err().to_string().contains("with an embedding"));
    }

    #[test]
    fn events_of_two_lists_do_not_meet() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        let [tags] = g.events("", &["tags"]).unwrap()[..] else { panic!() };
        let [seen] = g.events("", &["seen"]).unwrap()[..] else { panic!() };
        let both = g.concat("both", &[tags, seen]).unwrap();
        let score = g.linear(both, "score", 1, Activation::Identity).unwrap();
        let y = g.segment_sum("sum", score).unwrap();
        g.output(&TaskSpec::new("t", TaskKind::Binary), y).unwrap();
        let error = graph.validate().unwrap_err().to_string();
        assert!(error.contains("both") && error.contains("\"tags\"") && error.contains("\"seen\""), "{error}");
    }

    #[test]
    fn lists_of_rows_and_of_requests_are_no_parts_of_the_same_events() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        let events = g.events("", &["tags", "seen"]).unwrap();
        let score = g.linear(events[1], "score", 1, Activation::Identity).unwrap();
        let y = g.segment_sum("sum", score).unwrap();
        g.output(&TaskSpec::new("t", TaskKind::Binary), y).unwrap();
        let error = graph.validate().unwrap_err().to_string();
        assert!(error.contains("\"tags\"") && error.contains("\"seen\"") && error.contains("requests"), "{error}");
    }

    #[test]
    fn a_prediction_for_each_event_is_refused() {
        let mut graph = graph();
        let mut g = GraphBuilder::new(&mut graph);
        let [tags] = g.events("", &["tags"]).unwrap()[..] else { panic!() };
        let y = g.linear(tags, "score", 1, Activation::Identity).unwrap();
        g.output(&TaskSpec::new("t", TaskKind::Binary), y).unwrap();
        assert!(graph.validate().unwrap_err().to_string().contains("each event"));
    }
}
