//! Checks that a graph from a file is consistent. A graph made by the builder always is.

use std::collections::HashSet;

use pleiad_data::{Input, TaskKind};

use super::{Graph, Node, Op, Param, ParamId, Space};
use crate::error::{Error, Result};

/// What the layout holds, for the nodes that read it.
struct Slots<'g> {
    /// Number of numeric inputs.
    numeric: usize,
    categorical: Vec<&'g Input>,
}

impl Graph {
    /// Checks every handle, width and name, so that the engine may trust them.
    ///
    /// # Errors
    /// [`Error::Graph`] or [`Error::GraphPart`] with what is wrong.
    pub fn validate(&self) -> Result<()> {
        let slots = self.validate_layout()?;
        let mut names = HashSet::new();
        for table in &self.tables {
            if table.rows == 0 || table.dim == 0 || table.rows.checked_mul(table.dim as u64).is_none() {
                return part(format!("table {:?} has {} rows of {}", table.name, table.rows, table.dim));
            }
            if !names.insert(table.tensor()) {
                return part(format!("table {:?} stands twice", table.name));
            }
        }
        for param in &self.params {
            let elements = param.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            if elements.is_none_or(|n| n == 0) {
                return part(format!("parameter {:?} has shape {:?}", param.name, param.shape));
            }
            if !names.insert(param.name.clone()) {
                return part(format!("parameter {:?} stands twice", param.name));
            }
            if !(param.rate > 0.0 && param.rate.is_finite()) {
                return part(format!("parameter {:?} has the learning rate factor {}", param.name, param.rate));
            }
        }
        let mut spaces: Vec<Space> = Vec::with_capacity(self.nodes.len());
        for at in 0..self.nodes.len() {
            self.validate_node(at, &slots)?;
            self.validate_space(at, &spaces)?;
            spaces.push(self.space_of(&self.nodes[at], &spaces));
        }
        if self.outputs.is_empty() {
            return Err(Error::NoTasks);
        }
        let (mut tasks, mut nodes) = (HashSet::new(), HashSet::new());
        for output in &self.outputs {
            if !nodes.insert(output.node) {
                return part(format!("task {:?} shares its prediction node with another task", output.task));
            }
            if self.nodes.get(output.node.0).is_none_or(|n| n.width != 1) {
                return part(format!("the prediction of task {:?} is not a node of width 1", output.task));
            }
            if spaces[output.node.0].list().is_some() {
                return part(format!(
                    "the prediction of task {:?} is one for each event, not for each row",
                    output.task
                ));
            }
            if let Err((key, problem)) = output.objective.check(output.kind) {
                return part(format!("{key} of task {:?} {problem}", output.task));
            }
            if !tasks.insert(&output.task) {
                return part(format!("task {:?} stands twice", output.task));
            }
        }
        for penalty in &self.penalties {
            let binary = |at: usize| self.outputs.get(at).is_some_and(|o| o.kind == TaskKind::Binary);
            let weighed = penalty.weight >= 0.0 && penalty.weight.is_finite();
            if !binary(penalty.earlier) || !binary(penalty.later) || penalty.earlier == penalty.later || !weighed {
                return part(format!("{penalty:?} is not one between two binary tasks"));
            }
        }
        for gate in &self.gates {
            if self.nodes.get(gate.node.0).is_none_or(|n| n.op != Op::Softmax || n.width != gate.experts.len()) {
                return part(format!("gate {} does not weigh its {} experts", gate.scope, gate.experts.len()));
            }
        }
        Ok(())
    }

    /// Checks the inputs; gives the categorical ones in the order of their slots.
    fn validate_layout(&self) -> Result<Slots<'_>> {
        let mut slots = Slots { numeric: 0, categorical: Vec::new() };
        for (at, input) in self.layout.inputs.iter().enumerate() {
            let (number, expected) = match input {
                Input::Numeric { column, .. } | Input::Periodic { column, .. } => {
                    slots.numeric += 1;
                    (*column, slots.numeric - 1)
                }
                Input::Categorical { name, slot, rows, dim, .. } => {
                    if *rows == 0 || *dim == 0 {
                        return part(format!("input {at} ({name}) has an empty table"));
                    }
                    slots.categorical.push(input);
                    (*slot, slots.categorical.len() - 1)
                }
            };
            if number != expected {
                return part(format!("input {at} ({}) has number {number} of its kind, not {expected}", input.name()));
            }
        }
        Ok(slots)
    }

    fn validate_node(&self, at: usize, slots: &Slots<'_>) -> Result<()> {
        let node = &self.nodes[at];
        let wrong = |message: String| Err(Error::Graph { node: at, scope: node.scope.clone(), message });
        if node.width == 0 {
            return wrong("has no width".into());
        }
        if let Some(Node(input)) = node.inputs.iter().find(|n| n.0 >= at) {
            return wrong(format!("reads node {input}, which does not stand before it"));
        }
        let widths: Vec<usize> = node.inputs.iter().map(|&n| self.node(n).width).collect();
        let fits = match (&node.op, widths.as_slice()) {
            (Op::Numeric { first, count }, []) => {
                *count == node.width && first.checked_add(*count).is_some_and(|n| n <= slots.numeric)
            }
            (Op::Periodic { column, frequencies, weight, bias }, []) => {
                let shape = |param: &ParamId| self.params.get(param.0).map(|p| p.shape.as_slice());
                let Some(&[count]) = shape(frequencies) else { return wrong("has no list of frequencies".into()) };
                *column < slots.numeric
                    && shape(bias) == Some(&[node.width])
                    && count.checked_mul(2).is_some_and(|terms| shape(weight) == Some(&[node.width, terms]))
            }
            (Op::Embedding { table, slot, pooling }, []) => {
                let Some(table) = self.tables.get(table.0) else { return wrong("names no table".into()) };
                table.dim == node.width
                    && slots.categorical.get(*slot).is_some_and(|i| {
                        matches!(i, Input::Categorical { rows, dim, pooling: p, .. }
                            if *rows == table.rows && *dim == table.dim && p == pooling)
                    })
            }
            (Op::Events { table, slot, list }, []) => {
                let Some(table) = self.tables.get(table.0) else { return wrong("names no table".into()) };
                let is_list = |slot: usize| {
                    let input = slots.categorical.get(slot).copied();
                    input.filter(|i| matches!(i, Input::Categorical { pooling: Some(_), .. }))
                };
                let (Some(input), Some(_)) = (is_list(*slot), is_list(*list)) else {
                    return wrong("reads events of a feature that has no list of values".into());
                };
                if self.slot_is_per_request(*slot) != self.slot_is_per_request(*list) {
                    let [one, other] = [slot, list].map(|slot| self.categorical_name(*slot));
                    return wrong(format!("{one:?} and {other:?} are not both features of requests"));
                }
                table.dim == node.width
                    && matches!(input, Input::Categorical { rows, dim, .. } if *rows == table.rows && *dim == table.dim)
            }
            (Op::Concat, [_, ..]) => {
                widths.iter().try_fold(0usize, |sum, &w| sum.checked_add(w)).is_some_and(|sum| sum == node.width)
            }
            (Op::Linear { weight, bias }, [width]) => {
                let shape = |p: &Param| p.shape.clone();
                self.params.get(weight.0).map(shape) == Some(vec![node.width, *width])
                    && bias.is_none_or(|b| self.params.get(b.0).map(shape) == Some(vec![node.width]))
            }
            (Op::Activation { .. } | Op::Softmax | Op::SegmentSum | Op::SegmentMean | Op::SegmentSoftmax, [width]) => {
                *width == node.width
            }
            (Op::SegmentMixture, [weights, width]) => *weights == 1 && *width == node.width,
            (Op::Dropout { rate }, [width]) => *width == node.width && (0.0..1.0).contains(rate),
            (Op::Mixture, [gate, experts @ ..]) => {
                *gate == experts.len() && !experts.is_empty() && experts.iter().all(|&w| w == node.width)
            }
            (Op::Sum { scale }, [_, ..]) => scale.is_finite() && widths.iter().all(|&w| w == node.width),
            (Op::Combination { weights }, [_, ..]) => {
                self.params.get(weights.0).is_some_and(|p| p.shape == [widths.len()])
                    && widths.iter().all(|&w| w == node.width)
            }
            (Op::Conjunction, [first, second]) => (*first, *second, node.width) == (1, 1, 1),
            (Op::Pairs, [_, _, ..]) => widths.iter().all(|&w| w == node.width),
            (Op::Dot { scale }, [a, b]) => scale.is_finite() && a == b && node.width == 1,
            _ => return wrong(format!("a {} does not read {} inputs", node.op.name(), widths.len())),
        };
        if fits {
            Ok(())
        } else {
            wrong(format!("a {} of width {} does not fit inputs of widths {widths:?}", node.op.name(), node.width))
        }
    }

    /// Checks which rows a node reads, given the spaces of the nodes before it.
    fn validate_space(&self, at: usize, spaces: &[Space]) -> Result<()> {
        let node = &self.nodes[at];
        let wrong = |message: String| Err(Error::Graph { node: at, scope: node.scope.clone(), message });
        let mut lists = node.inputs.iter().filter_map(|input| spaces[input.0].list());
        let first = lists.next();
        if let (Some(first), Some(other)) = (first, lists.find(|list| Some(*list) != first)) {
            let [first, other] = [first, other].map(|list| self.categorical_name(list));
            return wrong(format!(
                "reads events of {first:?} and of {other:?}, which have nothing to do with one another"
            ));
        }
        let by_event = node.op.reduces_events() || node.op == Op::SegmentSoftmax;
        if by_event && first.is_none() {
            return wrong(format!("a {} reads events, and its input has none", node.op.name()));
        }
        Ok(())
    }
}

fn part<T>(message: String) -> Result<T> {
    Err(Error::GraphPart { message })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{InputLayout, TaskSpec};

    use super::*;
    use crate::graph::{Activation, GateStyle, GraphBuilder, OrderPenalty, ParamId, TableId};
    use crate::init::Init;

    fn graph() -> Graph {
        let mut graph = Graph::new(InputLayout::new(vec![
            Input::Numeric { name: "a".into(), column: 0 },
            Input::Categorical { name: "c".into(), slot: 0, table: "c".into(), rows: 5, dim: 2, pooling: None },
        ]));
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        let mut experts = Vec::new();
        for e in 0..2 {
            let mut g = g.scope(format!("experts.{e}"));
            let y = g.linear(x, "0", 4, Activation::Relu).unwrap();
            experts.push(g.expert(y));
        }
        let mixed = g.gate(x, "gate", &experts, GateStyle::default()).unwrap();
        let nodes = [experts[0].node, mixed];
        let both = g.sum("sum", &nodes, 0.5).unwrap();
        let learned = g.combination("combination", &[both, mixed], Init::Zeros).unwrap();
        let similar = g.dot("dot", learned, both, 2.0).unwrap();
        let y = g.linear(mixed, "tower", 1, Activation::Identity).unwrap();
        let y = g.conjunction("conjunction", y, similar).unwrap();
        let y = g.pairs("pairs", &[y, similar]).unwrap();
        g.output(&TaskSpec::new("t", TaskKind::Binary), y).unwrap();
        graph
    }

    #[test]
    fn what_the_builder_makes_is_valid() {
        graph().validate().unwrap();
    }

    #[test]
    fn every_damage_is_found() {
        type Damage = fn(&mut Graph);
        fn node(g: &mut Graph, name: &str) -> usize {
            g.nodes.iter().position(|n| n.op.name() == name).unwrap()
        }
        let damages: [(&str, Damage); 34] = [
            ("a numeric input of another number", |g| {
                g.layout.inputs[0] = Input::Numeric { name: "a".into(), column: 1 }
            }),
            ("a categorical input of another number", |g| {
                let Input::Categorical { slot, .. } = &mut g.layout.inputs[1] else { panic!() };
                *slot = 1;
            }),
            ("a penalty of a task with itself", |g| {
                g.penalties.push(OrderPenalty { earlier: 0, later: 0, weight: 1.0 });
            }),
            ("a node that reads itself", |g| g.nodes[2].inputs[0] = Node(2)),
            ("a node that reads a later one", |g| g.nodes[3].inputs[0] = Node(9)),
            ("an unknown parameter", |g| {
                let Op::Linear { weight, .. } = &mut g.nodes[3].op else { panic!() };
                *weight = ParamId(99);
            }),
            ("a weight of another shape", |g| g.params[0].shape = vec![4, 4]),
            ("a parameter that does not learn", |g| g.params[0].rate = 0.0),
            ("a learning rate that is no number", |g| g.params[0].rate = f64::NAN),
            ("an overflowing shape", |g| g.params[0].shape = vec![usize::MAX, 3]),
            ("a parameter that stands twice", |g| g.params[2].name = g.params[0].name.clone()),
            ("an unknown table", |g| {
                let Op::Embedding { table, .. } = &mut g.nodes[1].op else { panic!() };
                *table = TableId(7);
            }),
            ("an overflowing table", |g| g.tables[0].rows = u64::MAX),
            ("an unknown slot", |g| {
                let Op::Embedding { slot, .. } = &mut g.nodes[1].op else { panic!() };
                *slot = 3;
            }),
            ("a numeric column beyond the layout", |g| g.nodes[0].op = Op::Numeric { first: usize::MAX, count: 1 }),
            ("an expert too few", |g| {
                let at = g.nodes.iter().position(|n| n.op == Op::Mixture).unwrap();
                g.nodes[at].inputs.pop();
            }),
            ("a prediction that is no node", |g| g.outputs[0].node = Node(1000)),
            ("no prediction", |g| g.outputs.clear()),
            ("a sum of nothing", |g| {
                let at = node(g, "sum");
                g.nodes[at].inputs.clear();
            }),
            ("a sum of unequal widths", |g| {
                let at = node(g, "sum");
                g.nodes[at].inputs[0] = Node(0);
            }),
            ("a sum of another width", |g| {
                let at = node(g, "sum");
                g.nodes[at].width = 3;
            }),
            ("a sum without bounds", |g| {
                let at = node(g, "sum");
                g.nodes[at].op = Op::Sum { scale: f32::INFINITY };
            }),
            ("a combination with a weight too many", |g| {
                let at = g.params.iter().position(|p| p.name == "combination.weight").unwrap();
                g.params[at].shape = vec![3];
            }),
            ("a combination by a matrix", |g| {
                let at = g.params.iter().position(|p| p.name == "combination.weight").unwrap();
                g.params[at].shape = vec![1, 2];
            }),
            ("a combination by no parameter", |g| {
                let at = node(g, "combination");
                g.nodes[at].op = Op::Combination { weights: ParamId(99) };
            }),
            ("a combination of unequal widths", |g| {
                let at = node(g, "combination");
                g.nodes[at].inputs[1] = Node(0);
            }),
            ("a scalar product of unequal widths", |g| {
                let at = node(g, "dot");
                g.nodes[at].inputs[1] = Node(0);
            }),
            ("a scalar product of three", |g| {
                let at = node(g, "dot");
                g.nodes[at].inputs.push(Node(0));
            }),
            ("a scalar product that is no number", |g| {
                let at = node(g, "dot");
                g.nodes[at].op = Op::Dot { scale: f32::NAN };
            }),
            ("a conjunction of one", |g| {
                let at = node(g, "conjunction");
                g.nodes[at].inputs.pop();
            }),
            ("a conjunction of something wide", |g| {
                let at = node(g, "conjunction");
                g.nodes[at].inputs[0] = Node(1);
            }),
            ("pairs of one", |g| {
                let at = node(g, "pairs");
                g.nodes[at].inputs.pop();
            }),
            ("pairs of unequal widths", |g| {
                let at = node(g, "pairs");
                g.nodes[at].inputs[0] = Node(1);
            }),
            ("a gate with too many names", |g| g.gates[0].experts.push("x".into())),
        ];
        for (name, damage) in damages {
            let mut graph = graph();
            damage(&mut graph);
            assert!(graph.validate().is_err(), "{name} was not found");
        }
    }
}
