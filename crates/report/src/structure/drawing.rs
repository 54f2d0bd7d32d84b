//! [`Drawing`]: a [`Structure`] while it is made, node by node.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pleiad_model::Graph;
use pleiad_model::graph::{Node, NodeSpec, Op, ParamId};

use super::{Edge, Module, ModuleKind, Structure};

/// A module's scope, and the turn at which it is read and answered.
type Key = (String, usize);

pub(super) struct Drawing<'g> {
    graph: &'g Graph,
    tasks: Vec<&'g str>,
    modules: Vec<Module>,
    at: HashMap<Key, usize>,
    /// Per node, its box.
    boxes: Vec<usize>,
    /// Per node, how many layers of its box lead to it, itself included.
    layers: Vec<usize>,
    edges: BTreeSet<Edge>,
}

impl<'g> Drawing<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        let tasks = graph.outputs.iter().map(|output| output.task.as_str()).collect();
        let modules = vec![Module {
            kind: ModuleKind::Inputs,
            scope: "inputs".to_owned(),
            label: "features".to_owned(),
            owner: None,
            members: graph.layout.inputs.len(),
            widths: vec![graph.layout.width()],
            parameters: graph.tables.iter().map(|table| table.rows.saturating_mul(table.dim as u64)).sum(),
            rank: 0,
        }];
        Self {
            graph,
            tasks,
            modules,
            at: HashMap::new(),
            boxes: Vec::new(),
            layers: Vec::new(),
            edges: BTreeSet::new(),
        }
    }

    pub(super) fn finish(mut self) -> Structure {
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
            let raw = matches!(node.op, Op::Numeric { .. } | Op::Embedding { .. } | Op::Periodic { .. } | Op::Concat);
            if raw && inputs().all(|input| self.boxes[input] == 0) {
                self.boxes.push(0);
                self.layers.push(0);
                before.push(known);
                continue;
            }
            // What follows a layer belongs to it, whatever its own scope.
            if let (Op::Activation { .. } | Op::Dropout { .. }, Some(&[input])) = (&node.op, node.inputs.first_chunk())
                && self.boxes[input.0] != 0
            {
                self.boxes.push(self.boxes[input.0]);
                self.layers.push(self.layers[input.0]);
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
            let layers = inputs().filter(|&input| self.boxes[input] == own).map(|input| self.layers[input]).max();
            self.layers.push(layers.unwrap_or(0) + usize::from(matches!(node.op, Op::Linear { .. })));
            self.count(own, node, &mut counted, members.get(&own).map_or(1, BTreeSet::len));
            self.connect(at, node, own);
        }
        for (own, members) in members {
            self.modules[own].members = members.len();
        }
        self.tasks();
        self.rank();
        for module in &mut self.modules {
            if module.members == 1 && module.kind == ModuleKind::Module {
                module.label = singular(&module.label);
            }
        }
        Structure { modules: self.modules, edges: self.edges.into_iter().collect() }
    }

    /// `levels.0.income.experts.1` of `levels.0.income.experts.1.0`: the last part of the scope distinguishes layers;
    /// gates, and scopes with a task's name, are members of their own.
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
            kind: ModuleKind::Module,
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

    /// Adds a node's layer and parameters to its box. The widths are those of the first member; layers beside one another
    /// count as one.
    fn count(&mut self, own: usize, node: &NodeSpec, counted: &mut BTreeSet<ParamId>, members: usize) {
        let graph = self.graph;
        let mut size = |param: ParamId| if counted.insert(param) { graph.param(param).len() as u64 } else { 0 };
        let layer = self.layers.last().copied().unwrap_or(0).saturating_sub(1);
        let module = &mut self.modules[own];
        match node.op {
            Op::Linear { weight, bias } => {
                let weights = size(weight);
                module.parameters += weights + bias.map_or(0, &mut size);
                // A layer that is applied again is the same layer.
                if members == 1 && weights > 0 {
                    module.widths.resize(module.widths.len().max(layer + 1), 0);
                    module.widths[layer] += node.width;
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
                kind: ModuleKind::Task,
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
        self.modules.iter_mut().filter(|module| module.kind == ModuleKind::Task).for_each(|module| module.rank = last);
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
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_plural() {
        assert_eq!(["towers", "stitches", "betas", "bottom"].map(singular), ["tower", "stitch", "beta", "bottom"]);
    }
}
