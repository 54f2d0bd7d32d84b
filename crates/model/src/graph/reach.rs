//! [`Reach`]: which tasks reach which parameter.

use super::{Graph, Node, Op, ParamId, TableId};

/// Which tasks' losses depend on each dense parameter and each table: a task reaches a parameter if the graph has a path
/// from a node that reads the parameter to what the task's loss is computed from.
///
/// That is the task's output, and for the later task of an [`super::OrderPenalty`] also the output of the earlier one,
/// since the penalty compares the two probabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `[parameters][T]`.
    params: Vec<Vec<bool>>,
    /// `[tables][T]`.
    tables: Vec<Vec<bool>>,
}

impl Graph {
    /// Which tasks reach which parameters. The graph must be valid ([`Graph::validate`]).
    #[must_use]
    pub fn reach(&self) -> Reach {
        let tasks = self.outputs.len();
        let mut reach = Reach {
            params: vec![vec![false; tasks]; self.params.len()],
            tables: vec![vec![false; tasks]; self.tables.len()],
        };
        for task in 0..tasks {
            let mut read = vec![false; self.nodes.len()];
            read[self.outputs[task].node.0] = true;
            for penalty in self.penalties.iter().filter(|p| p.later == task && p.weight > 0.0) {
                read[self.outputs[penalty.earlier].node.0] = true;
            }
            for (at, node) in self.nodes.iter().enumerate().rev() {
                if !read[at] {
                    continue;
                }
                node.inputs.iter().for_each(|&Node(input)| read[input] = true);
                node.op.params().for_each(|param| reach.params[param.0][task] = true);
                if let Op::Embedding { table, .. } | Op::Events { table, .. } = node.op {
                    reach.tables[table.0][task] = true;
                }
            }
        }
        reach
    }
}

impl Reach {
    /// Per task, whether it reaches the parameter.
    #[must_use]
    pub fn of_param(&self, param: ParamId) -> &[bool] {
        &self.params[param.0]
    }

    /// Per task, whether it reaches the table.
    #[must_use]
    pub fn of_table(&self, table: TableId) -> &[bool] {
        &self.tables[table.0]
    }

    /// Whether more than one task reaches the parameter.
    #[must_use]
    pub fn shares_param(&self, param: ParamId) -> bool {
        several(self.of_param(param))
    }

    /// Whether more than one task reaches the table.
    #[must_use]
    pub fn shares_table(&self, table: TableId) -> bool {
        several(self.of_table(table))
    }

    /// Whether there is any parameter or table that more than one task reaches.
    #[must_use]
    pub fn shares_anything(&self) -> bool {
        self.params.iter().chain(&self.tables).any(|tasks| several(tasks))
    }
}

fn several(tasks: &[bool]) -> bool {
    tasks.iter().filter(|&&reached| reached).count() > 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};

    use super::super::{Activation, GraphBuilder, OrderPenalty};
    use super::*;

    /// A bottom for both tasks or one each, over a table, and a tower each.
    fn graph(shared: bool) -> Graph {
        let table = Input::Categorical { name: "u".into(), slot: 0, table: "u".into(), rows: 4, dim: 2, pooling: None };
        let mut graph = Graph::new(InputLayout::new(vec![table]));
        let mut g = GraphBuilder::new(&mut graph);
        let mut common = None;
        for task in ["a", "b"] {
            let owner = if shared { "" } else { task };
            let bottom = match common {
                Some(bottom) if shared => bottom,
                _ => {
                    let x = g.input(owner).unwrap();
                    g.scope(format!("bottom{owner}")).linear(x, "0", 3, Activation::Relu).unwrap()
                }
            };
            common = Some(bottom);
            let y = g.scope(format!("towers.{task}")).linear(bottom, "0", 1, Activation::Identity).unwrap();
            g.output(&TaskSpec::new(task, TaskKind::Binary), y).unwrap();
        }
        graph
    }

    fn reached(graph: &Graph, name: &str) -> Vec<bool> {
        let param = graph.params.iter().position(|p| p.name == name).unwrap();
        graph.reach().of_param(ParamId(param)).to_vec()
    }

    #[test]
    fn what_both_tasks_read_is_shared() {
        let graph = graph(true);
        assert_eq!(reached(&graph, "bottom.0.weight"), [true, true]);
        assert_eq!(reached(&graph, "bottom.0.bias"), [true, true]);
        assert_eq!(reached(&graph, "towers.a.0.weight"), [true, false]);
        assert_eq!(reached(&graph, "towers.b.0.weight"), [false, true]);
        let reach = graph.reach();
        assert_eq!(reach.of_table(TableId(0)), [true, true]);
        assert!(reach.shares_table(TableId(0)) && reach.shares_anything());
        assert!(!reach.shares_param(ParamId(graph.params.len() - 1)));
    }

    #[test]
    fn networks_of_their_own_share_nothing_but_what_a_penalty_joins() {
        let mut graph = graph(false);
        assert!(!graph.reach().shares_anything());
        graph.penalties = vec![OrderPenalty { earlier: 0, later: 1, weight: 0.0 }];
        assert!(!graph.reach().shares_anything(), "a penalty of weight 0 is none");
        graph.penalties[0].weight = 0.5;
        assert_eq!(reached(&graph, "towers.a.0.weight"), [true, true], "b's loss has a's probability in it");
        assert_eq!(reached(&graph, "towers.b.0.weight"), [false, true]);
        assert_eq!(graph.reach().of_table(TableId(0)), [true, true]);
        assert_eq!(graph.reach().of_table(TableId(1)), [false, true]);
    }
}
