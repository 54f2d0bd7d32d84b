//! Checks whether two graphs give the same function with the same weights.

use std::collections::{HashMap, HashSet};

use pleiad_data::Input;

use super::{Graph, NodeSpec, Op};

/// What a node computes: its operation, with parameters and inputs by name, and what it reads.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Meaning {
    op: String,
    inputs: Vec<usize>,
}

/// Numbers of meanings; equal ones have one number, whichever graph they are of.
type Meanings = HashMap<Meaning, usize>;

impl Graph {
    /// Where `other` computes something else than this graph does, by weights of the same names; `None` if every prediction
    /// of `other` is one of this graph, too.
    ///
    /// Shapes alone do not show it: some rows and columns of weights belong to tasks by their position, and operations
    /// without weights are not in the tensors. Operations of training alone (dropout, order penalties) are left out,
    /// and the order of operations does not matter.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let mut meanings = Meanings::new();
        let own = self.meanings(&mut meanings);
        let others = other.meanings(&mut meanings);
        let same = |output: &super::Output| {
            let found = self.outputs.iter().find(|own| own.task == output.task);
            found.is_some_and(|found| found.kind == output.kind && own[found.node.0] == others[output.node.0])
        };
        let output = other.outputs.iter().find(|output| !same(output))?;
        let known: HashSet<usize> = own.into_iter().collect();
        let first = other.nodes.iter().zip(&others).find(|(_, meaning)| !known.contains(meaning));
        Some(first.map_or_else(|| other.node(output.node).scope.clone(), |(node, _)| node.scope.clone()))
    }

    /// The number of what each node computes.
    fn meanings(&self, known: &mut Meanings) -> Vec<usize> {
        let mut of_nodes: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let inputs: Vec<usize> = node.inputs.iter().map(|input| of_nodes[input.0]).collect();
            let number = match (&node.op, inputs.as_slice()) {
                (Op::Dropout { .. }, &[input]) => input,
                _ => {
                    let next = known.len();
                    *known.entry(Meaning { op: self.named(node), inputs }).or_insert(next)
                }
            };
            of_nodes.push(number);
        }
        of_nodes
    }

    /// The operation with all that it names, by name.
    fn named(&self, node: &NodeSpec) -> String {
        let name = node.op.name();
        match &node.op {
            Op::Numeric { first, count } => {
                let numeric = self.layout.inputs.iter().filter(|input| input.numeric_column().is_some());
                let names: Vec<&str> = numeric.skip(*first).take(*count).map(Input::name).collect();
                format!("{name} {names:?}")
            }
            Op::Embedding { table, slot, pooling } => {
                format!("{name} {:?} {:?} {pooling:?}", self.table(*table).name, self.categorical_name(*slot))
            }
            Op::Events { table, slot, list } => {
                let [feature, list] = [slot, list].map(|slot| self.categorical_name(*slot));
                format!("{name} {:?} {feature:?} {list:?}", self.table(*table).name)
            }
            Op::Periodic { column, .. } => {
                let feature = self.layout.inputs.iter().find(|input| input.numeric_column() == Some(*column));
                let names: Vec<&str> = node.op.params().map(|param| self.param(param).name.as_str()).collect();
                format!("{name} {:?} {names:?}", feature.map_or("", Input::name))
            }
            Op::Linear { .. } | Op::Combination { .. } => {
                let names: Vec<&str> = node.op.params().map(|param| self.param(param).name.as_str()).collect();
                format!("{name} {names:?}")
            }
            Op::Activation { function } => format!("{name} {function:?}"),
            Op::Sum { scale } | Op::Dot { scale } => format!("{name} {scale:?}"),
            Op::Concat
            | Op::Dropout { .. }
            | Op::Softmax
            | Op::Mixture
            | Op::Conjunction
            | Op::Pairs
            | Op::SegmentSum
            | Op::SegmentMean
            | Op::SegmentSoftmax
            | Op::SegmentMixture => name.to_owned(),
        }
    }

    /// The feature in a categorical slot; nothing of a slot that there is not.
    pub(super) fn categorical_name(&self, slot: usize) -> &str {
        let mut categorical = self.layout.inputs.iter().filter(|i| matches!(i, Input::Categorical { .. }));
        categorical.nth(slot).map_or("", Input::name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use pleiad_data::{InputLayout, Pooling, TaskKind, TaskSpec};

    use super::*;
    use crate::ModelConfig;

    fn layout() -> InputLayout {
        let list = |name: &str, slot, pooling| Input::Categorical {
            name: name.into(),
            slot,
            table: "c".into(),
            rows: 5,
            dim: 2,
            pooling,
        };
        let number = |name: &str, column| Input::Numeric { name: name.into(), column };
        let inputs = vec![number("x", 0), list("c", 0, None), list("d", 1, Some(Pooling::Sum)), number("y", 1)];
        InputLayout::new(inputs)
    }

    fn build(text: &str, tasks: &str) -> Graph {
        let spec = |name: &str| TaskSpec::new(name, TaskKind::Binary);
        let tasks: Vec<TaskSpec> = tasks.split(' ').map(spec).collect();
        toml::from_str::<ModelConfig>(text).unwrap().build(&layout(), &tasks).unwrap()
    }

    const LEVEL: &str = "{ task_experts = 1, shared_experts = 1, widths = [4] }";

    #[test]
    fn tasks_in_another_order_are_the_same_where_no_weight_goes_by_position() {
        let two = format!("kind = 'ple'\nlevels = [{LEVEL}, {LEVEL}]");
        for (text, same) in [
            ("kind = 'hard-sharing'\nbottom = [4]", true),
            ("kind = 'mmoe'\nexperts = 2\nwidths = [4]", true),
            ("kind = 'cgc'\ntask_experts = 1\nshared_experts = 1\nwidths = [4]", true),
            ("kind = 'single-task'\nbottom = [4]", true),
            (&two, false),
            ("kind = 'sluice'\nbottom = [4, 4]", false),
            ("kind = 'cross-stitch'\nbottom = [4]", false),
        ] {
            let (one, other) = (build(text, "a b c"), build(text, "c a b"));
            assert_eq!(one.difference(&one), None, "{text}");
            assert_eq!(one.difference(&other).is_none(), same, "{text}: {:?}", one.difference(&other));
        }
    }

    #[test]
    fn what_leaves_no_trace_in_the_tensors_is_seen() {
        for (one, other, at) in [
            ("kind = 'hard-sharing'\nbottom = [4]", "activation = 'tanh'", "bottom.activation"),
            ("kind = 'hard-sharing'\nbottom = [4]", "activation = 'identity'", "towers.a.0"),
            (
                "kind = 'asymmetric-sharing'\nbottom = [4]\nborrow = { a = ['b', 'c'] }",
                "fusion = 'sum'",
                "towers.a.fusion",
            ),
        ] {
            let (one, other) = (build(one, "a b c"), build(&format!("{one}\n{other}"), "a b c"));
            assert_eq!(one.difference(&other).as_deref(), Some(at));
            assert!(other.difference(&one).is_some());
        }
        let borrow = |lenders: &str| {
            build(&format!("kind = 'asymmetric-sharing'\nbottom = [4]\nborrow = {{ a = {lenders} }}"), "a b c")
        };
        assert_eq!(borrow("['b', 'c']").difference(&borrow("['c', 'b']")).as_deref(), Some("towers.a.fusion"));
        let funnel = |funnel: &str| build(&format!("kind = 'esmm'\nfunnel = {funnel}\ntower = [3]"), "a b c");
        assert_eq!(funnel("['a', 'b']").difference(&funnel("['b', 'a']")).as_deref(), Some("towers.a.conjunction"));
    }

    #[test]
    fn inputs_are_told_apart_by_name() {
        let one = build("kind = 'hard-sharing'\nbottom = [4]", "a");
        type Change = fn(&mut Graph);
        let changes: [Change; 3] = [
            |g| g.layout.inputs[0] = Input::Numeric { name: "z".into(), column: 0 },
            |g| {
                let Input::Categorical { name, .. } = &mut g.layout.inputs[1] else { panic!() };
                *name = "other".into();
            },
            |g| g.outputs[0].kind = TaskKind::Regression,
        ];
        for (i, change) in changes.into_iter().enumerate() {
            let mut other = one.clone();
            change(&mut other);
            assert!(one.difference(&other).is_some(), "change {i}");
        }
    }

    #[test]
    fn what_is_of_training_alone_makes_no_difference() {
        let text = "kind = 'aitm'\nfunnel = ['a', 'b']\nbottom = [4]\ntower = [3]";
        let one = build(text, "a b");
        assert_eq!(one.difference(&build(&format!("{text}\ndropout = 0.5\ncalibrator = 2.0"), "a b")), None);
        assert!(one.difference(&build(&text.replace("['a', 'b']", "['b', 'a']"), "a b")).is_some());
    }
}
