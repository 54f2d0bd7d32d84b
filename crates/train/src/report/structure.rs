//! [`Structure`]: a graph as people draw it, modules in rows with arrows between them.
//!
//! Modules are told by the scopes of the graph's nodes and by who reads whom; no structure is known by name. Experts of
//! one module are one box, and so are layers of one stack. A stack whose layers others read and answer in between, as
//! cross-stitch units do, is one box per turn, so that arrows never run in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pleiad_model::Graph;
use pleiad_model::graph::{Node, NodeSpec, Op, ParamId};

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
    pub(super) kind: Kind,
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

/// A module's scope, and the turn at which it is read and answered.
type Key = (String, usize);

struct Drawing<'g> {
    graph: &'g Graph,
    tasks: Vec<&'g str>,
    modules: Vec<Module>,
    at: HashMap<Key, usize>,
    /// Per node, its box.
    boxes: Vec<usize>,
    edges: BTreeSet<Edge>,
}

impl<'g> Drawing<'g> {
    fn new(graph: &'g Graph) -> Self {
        let tasks = graph.outputs.iter().map(|output| output.task.as_str()).collect();
        let modules = vec![Module {
            kind: Kind::Inputs,
            scope: "inputs".to_owned(),
            label: "features".to_owned(),
            owner: None,
            members: graph.layout.inputs.len(),
            widths: vec![graph.layout.width()],
            parameters: graph.tables.iter().map(|table| table.rows.saturating_mul(table.dim as u64)).sum(),
            rank: 0,
        }];
        Self { graph, tasks, modules, at: HashMap::new(), boxes: Vec::new(), edges: BTreeSet::new() }
    }

    fn finish(mut self) -> Structure {
        let mut counted: BTreeSet<ParamId> = BTreeSet::new();
        let mut members: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        // Per node, the modules that it depends on and the last turn of each.
        let mut before: Vec<HashMap<String, usize>> = Vec::with_capacity(self.graph.nodes.len());
        for (at, node) in self.graph.nodes.iter().enumerate() {
            let inputs = || node.inputs.iter().map(|input| input.0);
            let mut known: HashMap<String, usize> = HashMap::new();
            for (module, &turn) in inputs().flat_map(|input| &before[input]) {
                let last = known.entry(module.clone()).or_insert(turn);
                *last = turn.max(*last);
            }
            let raw = matches!(node.op, Op::Numeric { .. } | Op::Embedding { .. } | Op::Concat);
            if raw && inputs().all(|input| self.boxes[input] == 0) {
                self.boxes.push(0);
                before.push(known);
                continue;
            }
            let member = self.member(&node.scope);
            let module = without_numbers(&member).to_owned();
            let inside = inputs().filter(|&input| self.module_of(input) == module).map(|input| {
                let own = self.boxes[input];
                self.turn_of(own)
            });
            let turn = match (inside.max(), known.get(&module)) {
                (None, None) => 0,
                (Some(turn), None) => turn,
                (inside, Some(&known)) => {
                    let through = inputs()
                        .any(|input| self.module_of(input) != module && before[input].get(&module) == Some(&known));
                    if through { known + 1 } else { inside.unwrap_or(known) }
                }
            };
            let own = self.module(&module, turn);
            self.boxes.push(own);
            known.insert(module, turn);
            before.push(known);
            members.entry(own).or_default().insert(member);
            self.count(own, node, &mut counted, members.get(&own).map_or(1, BTreeSet::len));
            self.connect(at, node, own);
        }
        for (own, members) in members {
            self.modules[own].members = members.len();
        }
        self.tasks();
        self.rank();
        for module in &mut self.modules {
            if module.members == 1 && module.kind == Kind::Module {
                module.label = singular(&module.label);
            }
        }
        Structure { modules: self.modules, edges: self.edges.into_iter().collect() }
    }

    /// `levels.0.income.experts.1` of `levels.0.income.experts.1.0`: layers are told apart by the last part of the scope,
    /// gates and what has a task's name stand for themselves.
    fn member(&self, scope: &str) -> String {
        match scope.rsplit_once('.') {
            Some((above, last))
                if last != "gate" && !self.tasks.contains(&last) && above.rsplit('.').next() != Some("gates") =>
            {
                above.to_owned()
            }
            _ => scope.to_owned(),
        }
    }

    fn module_of(&self, node: usize) -> &str {
        &self.modules[self.boxes[node]].scope
    }

    fn turn_of(&self, own: usize) -> usize {
        self.at.iter().find(|(_, at)| **at == own).map_or(0, |((_, turn), _)| *turn)
    }

    /// The box of a module at a turn.
    fn module(&mut self, scope: &str, turn: usize) -> usize {
        if let Some(&at) = self.at.get(&(scope.to_owned(), turn)) {
            return at;
        }
        let parts = || scope.split('.');
        let owner = self.tasks.iter().position(|task| parts().any(|part| part == *task));
        let label = parts().rfind(|part| !is_number(part) && !self.tasks.contains(part)).unwrap_or(scope);
        self.modules.push(Module {
            kind: Kind::Module,
            scope: scope.to_owned(),
            label: label.to_owned(),
            owner,
            members: 1,
            widths: Vec::new(),
            parameters: 0,
            rank: 0,
        });
        self.at.insert((scope.to_owned(), turn), self.modules.len() - 1);
        self.modules.len() - 1
    }

    /// Adds a node's layer and parameters to its box. The widths are those of the first member.
    fn count(&mut self, own: usize, node: &NodeSpec, counted: &mut BTreeSet<ParamId>, members: usize) {
        let graph = self.graph;
        let mut size = |param: ParamId| if counted.insert(param) { graph.param(param).len() as u64 } else { 0 };
        let module = &mut self.modules[own];
        match node.op {
            Op::Linear { weight, bias } => {
                module.parameters += size(weight) + bias.map_or(0, &mut size);
                if members == 1 {
                    module.widths.push(node.width);
                }
            }
            Op::Combination { weights } => module.parameters += size(weights),
            _ => {}
        }
    }

    fn connect(&mut self, at: usize, node: &NodeSpec, own: usize) {
        let gates = |gate: &pleiad_model::graph::Gate| {
            let logits = self.graph.node(gate.node).inputs.first();
            gate.node == Node(at) || logits == Some(&Node(at))
        };
        let selects = !matches!(node.op, Op::Mixture) && self.graph.gates.iter().any(gates);
        for from in node.inputs.iter().map(|input| self.boxes[input.0]).filter(|from| *from != own) {
            self.edges.insert(Edge { from, to: own, selects });
        }
    }

    fn tasks(&mut self) {
        for (task, output) in self.graph.outputs.iter().enumerate() {
            self.modules.push(Module {
                kind: Kind::Task,
                scope: output.task.clone(),
                label: output.task.clone(),
                owner: Some(task),
                members: 1,
                widths: Vec::new(),
                parameters: 0,
                rank: 0,
            });
            let (from, to) = (self.boxes.get(output.node.0).copied().unwrap_or(0), self.modules.len() - 1);
            self.edges.insert(Edge { from, to, selects: false });
        }
    }

    /// Rows: one below the lowest box that is read; all tasks in the last. What both passes on and selects, passes on.
    fn rank(&mut self) {
        let passes: BTreeSet<(usize, usize)> =
            self.edges.iter().filter(|edge| !edge.selects).map(|edge| (edge.from, edge.to)).collect();
        self.edges.retain(|edge| !(edge.selects && passes.contains(&(edge.from, edge.to))));
        // Boxes may be begun before others that they come to read, so one pass in their order is not enough; arrows
        // never run in a circle, so that as many passes as boxes are.
        for _ in 0..self.modules.len() {
            let mut changed = false;
            for edge in &self.edges {
                let least = self.modules[edge.from].rank + 1;
                if self.modules[edge.to].rank < least {
                    self.modules[edge.to].rank = least;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let last = self.modules.iter().map(|module| module.rank).max().unwrap_or(0);
        self.modules.iter_mut().filter(|module| module.kind == Kind::Task).for_each(|module| module.rank = last);
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A scope without numbers at its end: what its members have in common.
fn without_numbers(scope: &str) -> &str {
    match scope.rsplit_once('.') {
        Some((above, last)) if is_number(last) => without_numbers(above),
        _ => scope,
    }
}

/// `tower` of `towers`, `stitch` of `stitches`.
fn singular(word: &str) -> String {
    let stem = word.strip_suffix("es").filter(|stem| stem.ends_with("ch") || stem.ends_with('s'));
    stem.or_else(|| word.strip_suffix('s')).unwrap_or(word).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;

    use super::*;

    fn structure(model: &str, tasks: &[&str]) -> Structure {
        let model: ModelConfig = toml::from_str(model).unwrap();
        let layout = InputLayout { inputs: vec![Input::Numeric { name: "x".into(), column: 0 }] };
        let tasks: Vec<TaskSpec> =
            tasks.iter().map(|name| TaskSpec { name: (*name).into(), kind: TaskKind::Binary }).collect();
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

    #[test]
    fn words_lose_their_plural() {
        assert_eq!(["towers", "stitches", "betas", "bottom"].map(singular), ["tower", "stitch", "beta", "bottom"]);
    }
}
