//! The input of every structure: the input representation over the layout's features.

use pleiad_data::{Attention, Input};

use super::{Activation, GraphBuilder, Node, Op, TableId, TableSpec};
use crate::error::{Error, Result};
use crate::init::Init;

/// Standard deviation of embeddings at the start. Small beside standardised numbers, so that a value that is rarely
/// seen adds little noise before it has been learned.
const EMBEDDING_STD: f32 = 0.1;

/// Numeric columns side by side, which become one node.
struct NumericRun {
    first: usize,
    count: usize,
    per_request: bool,
}

impl GraphBuilder<'_> {
    /// The input representation `[B, D]`: every feature's vector side by side, in configuration order, with the crosses
    /// that the builder was given ([`GraphBuilder::crossing`]).
    ///
    /// With an empty `owner` features of one table share it; else the tables are the owner's own, named
    /// `<owner>.<table>`: that is how networks that must share nothing are kept apart.
    ///
    /// # Errors
    /// [`Error::NoInputs`] if the layout is empty, [`Error::TableShape`] if two features name one table with different
    /// sizes, [`Error::DuplicateParameter`] if a table of the owner would be that of another owner; those of the crosses:
    /// [`Error::Config`] and [`Error::FieldWidths`].
    pub fn input(&mut self, owner: &str) -> Result<Node> {
        let inputs = self.graph.layout.inputs.clone();
        // Those of other owners: a name that both make would join what must share nothing.
        let others = self.graph.tables.len();
        let mut parts = Vec::new();
        // Lists that another feature weighs, which may come later: their places among the parts.
        let mut weighed = Vec::new();
        let mut run: Option<NumericRun> = None;
        for input in &inputs {
            let per_request = self.graph.layout.is_per_request(input);
            if let (Input::Numeric { .. }, Some(run)) = (input, &mut run)
                && run.per_request == per_request
            {
                run.count += 1;
                continue;
            }
            parts.extend(run.take().map(|run| self.numeric(run.first, run.count)));
            match input {
                Input::Numeric { column, .. } => run = Some(NumericRun { first: *column, count: 1, per_request }),
                Input::Periodic { name, column, frequencies, sigma, dim } => {
                    let owner = if owner.is_empty() { String::new() } else { format!("{owner}.") };
                    parts.push(self.periodic(
                        &format!("numbers.{owner}{name}"),
                        *column,
                        (*frequencies, *sigma),
                        *dim,
                    )?);
                }
                Input::Categorical { name, slot, table, rows, dim, pooling } => {
                    let table = if owner.is_empty() { table.clone() } else { format!("{owner}.{table}") };
                    let table = self.table(table, *rows, *dim)?;
                    if !owner.is_empty() && table.0 < others {
                        return Err(Error::DuplicateParameter { name: self.graph.table(table).tensor() });
                    }
                    let op = if self.graph.layout.attention.iter().any(|of| of.feature == *name) {
                        weighed.push(parts.len());
                        Op::Events { table, slot: *slot, list: *slot }
                    } else {
                        Op::Embedding { table, slot: *slot, pooling: *pooling }
                    };
                    parts.push(self.push(name, op, Vec::new(), *dim));
                }
            }
        }
        parts.extend(run.map(|run| self.numeric(run.first, run.count)));
        if parts.is_empty() {
            return Err(Error::NoInputs);
        }
        for at in weighed {
            parts[at] = self.attention(owner, &parts, parts[at])?;
        }
        self.interaction.input(self, owner, &parts)
    }

    /// What the events of a list give, weighed by the feature that the layout names ([`pleiad_data::Attention`]), which is one of
    /// `parts`: `[B, dim]`.
    fn attention(&mut self, owner: &str, parts: &[Node], events: Node) -> Result<Node> {
        let name = self.feature(events).unwrap_or_default().to_owned();
        let of = self.graph.layout.attention.iter().find(|of| of.feature == name).cloned();
        let Some(Attention { target, widths, .. }) = of else { return Ok(events) };
        let is_target = |node: &&Node| {
            matches!(self.graph.node(**node).op, Op::Embedding { .. }) && self.feature(**node) == Some(target.as_str())
        };
        let Some(&target) = parts.iter().find(is_target) else {
            let wanted = "with an embedding";
            return Err(Error::NoFeature { scope: name, feature: target, wanted, nearest: None });
        };
        let owner = if owner.is_empty() { String::new() } else { format!("{owner}.") };
        let g = &mut self.scope(format!("lists.{owner}{name}"));
        let product = g.pairs("product", &[events, target])?;
        let mut x = g.concat("pair", &[events, target, product])?;
        for (layer, &width) in widths.iter().enumerate() {
            x = g.linear(x, &layer.to_string(), width, Activation::Relu)?;
        }
        let score = g.linear(x, "score", 1, Activation::Identity)?;
        g.segment_softmax_sum("attention", score, events)
    }

    /// The feature whose vector a node gives, if it looks one up or weighs what it has looked up.
    pub(crate) fn feature(&self, node: Node) -> Option<&str> {
        let of = match self.graph.node(node).op {
            Op::Embedding { slot, .. } | Op::Events { slot, .. } => slot,
            Op::SegmentMixture => return self.feature(self.graph.node(node).inputs[1]),
            _ => return None,
        };
        let slot = |input: &&Input| matches!(input, Input::Categorical { slot, .. } if *slot == of);
        self.graph.layout.inputs.iter().find(slot).map(Input::name)
    }

    fn numeric(&mut self, first: usize, count: usize) -> Node {
        self.push("numeric", Op::Numeric { first, count }, Vec::new(), count)
    }

    /// [`Op::Periodic`]: parameters `<name>.frequencies`, drawn from `N(0, sigma^2)`, `<name>.weight` and `<name>.bias`.
    fn periodic(&mut self, name: &str, column: usize, waves: (usize, f32), dim: usize) -> Result<Node> {
        let (count, sigma) = waves;
        let frequencies = self.param(&format!("{name}.frequencies"), vec![count], Init::Normal { std: sigma })?;
        let weight = self.param(&format!("{name}.weight"), vec![dim, 2 * count], Init::he(2 * count))?;
        let bias = self.param(&format!("{name}.bias"), vec![dim], Init::Zeros)?;
        Ok(self.push(name, Op::Periodic { column, frequencies, weight, bias }, Vec::new(), dim))
    }

    pub(super) fn table(&mut self, name: String, rows: u64, dim: usize) -> Result<TableId> {
        let known = self.names.borrow().tables.get(&name).copied();
        if let Some(id) = known {
            let found = self.graph.table(id);
            if (found.rows, found.dim) != (rows, dim) {
                return Err(Error::TableShape { table: name, first: (found.rows, found.dim), second: (rows, dim) });
            }
            return Ok(id);
        }
        let id = TableId(self.graph.tables.len());
        self.names.borrow_mut().tables.insert(name.clone(), id);
        self.graph.tables.push(TableSpec { name, rows, dim, init: Init::Normal { std: EMBEDDING_STD } });
        Ok(id)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::InputLayout;

    use super::*;
    use crate::graph::Graph;

    fn layout() -> InputLayout {
        let categorical = |name: &str, slot, rows| Input::Categorical {
            name: name.into(),
            slot,
            table: "t".into(),
            rows,
            dim: 4,
            pooling: None,
        };
        InputLayout::new(vec![
            Input::Numeric { name: "a".into(), column: 0 },
            Input::Numeric { name: "b".into(), column: 1 },
            categorical("c", 0, 10),
            Input::Numeric { name: "d".into(), column: 2 },
            categorical("e", 1, 10),
        ])
    }

    #[test]
    fn input_keeps_configuration_order_and_shares_tables() {
        let mut graph = Graph::new(layout());
        let x = GraphBuilder::new(&mut graph).input("").unwrap();
        let parts: Vec<_> = graph.node(x).inputs.iter().map(|&n| graph.node(n).op.clone()).collect();
        let embedding = |slot| Op::Embedding { table: TableId(0), slot, pooling: None };
        assert_eq!(
            parts,
            [Op::Numeric { first: 0, count: 2 }, embedding(0), Op::Numeric { first: 2, count: 1 }, embedding(1)]
        );
        assert_eq!(graph.node(x).width, 11);
        assert_eq!(graph.tables.len(), 1);
    }

    #[test]
    fn owners_have_tables_of_their_own() {
        let mut graph = Graph::new(layout());
        let mut g = GraphBuilder::new(&mut graph);
        g.input("click").unwrap();
        g.input("share").unwrap();
        let names: Vec<_> = graph.tables.iter().map(TableSpec::tensor).collect();
        assert_eq!(names, ["embeddings.click.t.weight", "embeddings.share.t.weight"]);
    }

    #[test]
    fn owners_whose_tables_would_have_one_name_are_refused() {
        let mut layout = layout();
        for (input, name) in
            layout.inputs.iter_mut().filter(|i| matches!(i, Input::Categorical { .. })).zip(["t", "b.t"])
        {
            let Input::Categorical { table, .. } = input else { continue };
            *table = name.to_owned();
        }
        let mut graph = Graph::new(layout);
        let mut g = GraphBuilder::new(&mut graph);
        g.input("a").unwrap();
        let error = g.input("a.b").unwrap_err();
        assert!(matches!(&error, Error::DuplicateParameter { name } if name == "embeddings.a.b.t.weight"), "{error}");
    }

    #[test]
    fn waves_break_a_run_of_numbers_and_belong_to_their_owner() {
        let number = |column| Input::Numeric { name: format!("n{column}"), column };
        let name = "n1.periodic".to_owned();
        let waves = Input::Periodic { name, column: 2, frequencies: 3, sigma: 0.5, dim: 4 };
        let mut graph = Graph::new(InputLayout::new(vec![number(0), number(1), waves, number(3)]));
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("click").unwrap();
        g.input("share").unwrap();
        let parts: Vec<_> =
            graph.node(x).inputs.iter().map(|&n| (graph.node(n).op.name(), graph.node(n).width)).collect();
        assert_eq!(parts, [("numeric", 2), ("periodic", 4), ("numeric", 1)]);
        let params: Vec<_> = graph.params.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
        assert_eq!(params[0], ("numbers.click.n1.periodic.frequencies", &[3][..]));
        assert_eq!(params[1], ("numbers.click.n1.periodic.weight", &[4, 6][..]));
        assert_eq!(params[5], ("numbers.share.n1.periodic.bias", &[4][..]));
        assert_eq!(graph.params[0].init, Init::Normal { std: 0.5 });
    }

    #[test]
    fn a_list_that_another_feature_weighs_stands_where_its_mean_would() {
        let mut layout = layout();
        let Input::Categorical { pooling, .. } = &mut layout.inputs[2] else { panic!() };
        *pooling = Some(pleiad_data::Pooling::Mean);
        layout.attention = vec![Attention { feature: "c".into(), target: "e".into(), widths: vec![3] }];
        let mut graph = Graph::new(layout.clone());
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        g.input("click").unwrap();
        let parts: Vec<_> = graph.node(x).inputs.iter().map(|&n| graph.node(n).op.name()).collect();
        assert_eq!(parts, ["numeric", "segment_mixture", "numeric", "embedding"]);
        assert_eq!(graph.node(x).width, 11);
        let params: Vec<_> = graph.params.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
        assert_eq!(params[0], ("lists.c.0.weight", &[3, 12][..]));
        assert_eq!(params[2].0, "lists.c.score.weight");
        assert_eq!(params[4].0, "lists.click.c.0.weight");
        layout.attention[0].target = "f".into();
        let error = GraphBuilder::new(&mut Graph::new(layout)).input("").unwrap_err().to_string();
        assert!(error.contains("\"f\""), "{error}");
    }

    #[test]
    fn a_table_of_two_sizes_is_refused() {
        let mut layout = layout();
        if let Input::Categorical { rows, .. } = &mut layout.inputs[4] {
            *rows = 11;
        }
        let mut graph = Graph::new(layout);
        let error = GraphBuilder::new(&mut graph).input("").unwrap_err();
        assert!(matches!(error, Error::TableShape { .. }), "{error}");
    }
}
