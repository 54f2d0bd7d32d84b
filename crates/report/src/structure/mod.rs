//! [`Structure`]: a graph as people draw it, modules in rows with arrows between them.
//!
//! Modules follow from the scopes of the graph's nodes and from which node reads which, not from the names of
//! structures. Experts of one module are one box, and so are layers of one stack. Where other nodes read and feed a
//! stack between its layers, as cross-stitch units do, the stack is one box per part, so that arrows never run in a
//! circle.

mod drawing;

use std::collections::BTreeSet;

use pleiad_model::Graph;

use self::drawing::Drawing;

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModuleKind {
    /// All features.
    Inputs,
    /// Experts, a gate, a tower, ...
    Module,
    /// What is predicted for a task.
    Task,
}

/// A box.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Module {
    pub(super) kind: ModuleKind,
    /// Its scope, such as `levels.0.income.experts`.
    pub(super) scope: String,
    /// What it is: `experts`, `gate`, `tower`.
    pub(super) label: String,
    /// Position of the task that it belongs to; `None` if it is shared.
    pub(super) owner: Option<usize>,
    /// How many there are of it: experts, or layers with names of their own.
    pub(super) members: usize,
    /// Widths of its layers, from below; those of one member.
    pub(super) widths: Vec<usize>,
    /// Parameters of all members.
    pub(super) parameters: u64,
    /// Row, from the inputs down.
    pub(super) rank: usize,
}

/// An arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    /// Position of the box that is read.
    pub(super) from: usize,
    /// Position of the box that reads.
    pub(super) to: usize,
    /// Whether a gate reads it to choose, and not to pass it on.
    pub(super) selects: bool,
}

/// Boxes in an order in which each reads only earlier ones, and arrows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Structure {
    pub(super) modules: Vec<Module>,
    pub(super) edges: Vec<Edge>,
}

impl Structure {
    pub(super) fn of(graph: &Graph) -> Self {
        Drawing::new(graph).finish()
    }

    /// Positions of the boxes that box `at` reads, to pass on or to choose.
    pub(super) fn read_by(&self, at: usize) -> Vec<usize> {
        let from = self.edges.iter().filter(|edge| edge.to == at).map(|edge| edge.from);
        from.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;

    use super::*;

    fn structure(model: &str, tasks: &[&str]) -> Structure {
        let model: ModelConfig = toml::from_str(model).unwrap();
        let layout = InputLayout::new(vec![Input::Numeric { name: "x".into(), column: 0 }]);
        let tasks: Vec<TaskSpec> = tasks.iter().map(|name| TaskSpec::new(*name, TaskKind::Binary)).collect();
        Structure::of(&model.build(&layout, &tasks).unwrap())
    }

    fn rows(structure: &Structure) -> Vec<Vec<String>> {
        let last = structure.modules.iter().map(|module| module.rank).max().unwrap();
        (0..=last)
            .map(|rank| {
                let row = structure.modules.iter().filter(|module| module.rank == rank);
                row.map(|module| format!("{} {} x{}", module.scope, module.label, module.members)).collect()
            })
            .collect()
    }

    fn edges(structure: &Structure, to: &str) -> Vec<(String, bool)> {
        let scope = |at: usize| structure.modules[at].scope.clone();
        let edges = structure.edges.iter().filter(|edge| scope(edge.to) == to);
        edges.map(|edge| (scope(edge.from), edge.selects)).collect()
    }

    #[test]
    fn ple_is_experts_gates_towers() {
        let level = "{ task_experts = 2, shared_experts = 3, widths = [4, 3] }";
        let structure = structure(&format!("kind = 'ple'\nlevels = [{level}, {level}]\ntower = [2]"), &["a", "b"]);
        let level = |j: usize| {
            let experts = ["a", "b", "shared"].map(|module| {
                format!("levels.{j}.{module}.experts experts x{}", if module == "shared" { 3 } else { 2 })
            });
            let gates = ["a", "b", "shared"].map(|module| format!("levels.{j}.{module}.gate gate x1"));
            (experts.to_vec(), gates[..3 - j].to_vec())
        };
        let towers = ["a", "b"].map(|task| format!("towers.{task} tower x1")).to_vec();
        let ends = ["a", "b"].map(|task| format!("{task} {task} x1")).to_vec();
        let inputs = vec!["inputs features x1".to_owned()];
        let ((e0, g0), (e1, g1)) = (level(0), level(1));
        assert_eq!(rows(&structure), [inputs, e0, g0, e1, g1, towers, ends]);
        let mut reads = edges(&structure, "levels.1.a.gate");
        reads.sort();
        let expected = [("levels.0.a.gate", true), ("levels.1.a.experts", false), ("levels.1.shared.experts", false)];
        assert_eq!(reads, expected.map(|(scope, selects)| (scope.to_owned(), selects)));
        let experts = structure.modules.iter().find(|m| m.scope == "levels.0.shared.experts").unwrap();
        assert_eq!((experts.widths.as_slice(), experts.owner), (&[4, 3][..], None));
        assert_eq!(experts.parameters, 3 * (4 + 4 + 12 + 3));
    }

    #[test]
    fn crosses_are_a_box_between_the_features_and_those_who_read_them() {
        for (keys, found) in [
            ("kind = 'cross'", "interaction interaction x1"),
            ("kind = 'cross', rank = 1", "interaction interaction x2"),
        ] {
            let model = format!("kind = 'mmoe'\nexperts = 2\nwidths = [4]\ninteraction = {{ {keys} }}");
            let structure = structure(&model, &["a", "b"]);
            assert_eq!(rows(&structure)[..2], [vec!["inputs features x1".to_owned()], vec![found.to_owned()]]);
            assert_eq!(edges(&structure, "experts"), [("interaction".to_owned(), false)]);
        }
    }

    #[test]
    fn layers_between_stitches_are_boxes_of_their_own() {
        let structure = structure("kind = 'cross-stitch'\nbottom = [4, 3]\ntower = []", &["a", "b"]);
        let found = rows(&structure);
        let two = |prefix: &str, label: &str| ["a", "b"].map(|task| format!("{prefix}.{task} {label} x1")).to_vec();
        assert_eq!(found[1], two("bottoms", "bottom"));
        assert_eq!(found[2], two("stitches.0", "stitch"));
        assert_eq!(found[3], two("bottoms", "bottom"));
        assert_eq!(found[4], two("stitches.1", "stitch"));
        assert_eq!(edges(&structure, "stitches.1.a").len(), 2);
    }

    #[test]
    fn layers_beside_one_another_are_one() {
        let widths = |model: &str, scope: &str| {
            let structure = structure(model, &["a", "b"]);
            structure.modules.into_iter().find(|module| module.scope == scope).map(|module| module.widths)
        };
        assert_eq!(widths("kind = 'sluice'\nbottom = [6, 6]", "bottoms.a"), Some(vec![6]));
        assert_eq!(widths("kind = 'hard-sharing'\nbottom = [5, 4, 3]", "bottom"), Some(vec![5, 4, 3]));
        assert_eq!(widths("kind = 'aitm'\nfunnel = ['a', 'b']\nbottom = [4]", "attention.b"), Some(vec![12]));
    }

    #[test]
    fn every_arrow_leads_down() {
        for model in [
            "kind = 'single-task'\nbottom = [4]",
            "kind = 'hard-sharing'\nbottom = [4, 4]\ndropout = 0.5\nactivation = 'gelu'",
            "kind = 'mmoe'\nexperts = 3\nwidths = [4]",
            "kind = 'ml-mmoe'\nlevels = [{ experts = 3, widths = [4] }, { experts = 2, widths = [4] }]",
            "kind = 'sluice'\nbottom = [4, 4]",
            "kind = 'customized-sharing'\nbottom = [4]",
            "kind = 'aitm'\nfunnel = ['a', 'b']\nbottom = [4]",
            "kind = 'esmm'\nfunnel = ['a', 'b']\ntower = [4]",
            "kind = 'single-task'\nbottom = [4]\ninteraction = { kind = 'cross', rank = 1 }",
        ] {
            let structure = structure(model, &["a", "b"]);
            for edge in &structure.edges {
                let (from, to) = (&structure.modules[edge.from], &structure.modules[edge.to]);
                assert!(from.rank < to.rank, "{model}: {from:?} {to:?}");
            }
            let read = |at: &usize| structure.edges.iter().any(|edge| edge.to == *at);
            assert!((1..structure.modules.len()).all(|at| read(&at)), "{model}");
        }
    }
}
