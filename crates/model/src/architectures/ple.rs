//! PLE and CGC (Tang et al., RecSys 2020).
//!
//! Level j holds, per task k, m_k own experts and, in the shared module, m_s experts. Everything in module k of level
//! j, experts and gate, reads `g_(k,j-1)`, the module's mixture of the level below (x for the lowest):
//!
//! ```text
//! g_k = softmax(W_k s_k) [own experts of k; shared experts]            every task, every level
//! g_s = softmax(W_s s_s) [experts of task 1; ...; task K; shared]      below the top level only
//! y_k = t_k(g_(k,N))
//! ```
//!
//! The top level has no shared gate: nothing would read it. CGC is PLE with one level.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, SHARED, Widths, at_least_one_layer, experts_of, levels_of, scaled, stack, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::{Error, Result};
use crate::graph::{Activation, Expert, GateRate, GateStart, GateStyle, GraphBuilder, Node};

/// `[model] kind = "ple"`: levels of task-own and shared experts, separated progressively.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ple {
    /// Extraction levels, from the input up. Default: two levels of 2 and 2 experts, of 64 and of 32 units.
    #[serde(default = "defaults::levels")]
    pub levels: Vec<Level>,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// The non-linearity of experts and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
    /// Whether gates have a bias; the paper's have none.
    #[serde(default)]
    pub gate_bias: bool,
    /// How gates start.
    #[serde(default)]
    pub gate_start: GateStart,
    /// How fast gates learn that read a mixture, those above the lowest level.
    #[serde(default)]
    pub gate_rate: GateRate,
}

/// One extraction level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Experts of each task's own, m_k.
    pub task_experts: PerTask<usize>,
    /// Shared experts, m_s.
    pub shared_experts: usize,
    /// Layer widths of every expert, or by task and `shared`; the last must be equal for all.
    pub widths: PerTask<Widths>,
}

/// `[model] kind = "cgc"`: customized gate control, one level of PLE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cgc {
    /// Experts of each task's own, m_k. Default: 2.
    #[serde(default = "defaults::task_experts")]
    pub task_experts: PerTask<usize>,
    /// Shared experts, m_s. Default: 2.
    #[serde(default = "defaults::shared_experts")]
    pub shared_experts: usize,
    /// Layer widths of every expert, or by task and `shared`; the last must be equal for all. Default: `[64, 32]`.
    #[serde(default = "defaults::widths_of_tasks")]
    pub widths: PerTask<Widths>,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// The non-linearity of experts and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
    /// Whether gates have a bias; the paper's have none.
    #[serde(default)]
    pub gate_bias: bool,
    /// How gates start.
    #[serde(default)]
    pub gate_start: GateStart,
}

impl Architecture for Ple {
    const KIND: &'static str = "ple";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        let levels = levels_of(&self.levels)?;
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let x = g.input("")?;
        let gates = GateStyle { bias: self.gate_bias, start: self.gate_start, rate: self.gate_rate };
        let mut inputs = Modules { tasks: vec![x; tasks.len()], shared: Some(x) };
        for (j, level) in levels.iter().enumerate() {
            let top = j + 1 == levels.len();
            let mut extraction = Extraction { level, tasks, style, gates, key: format!("levels.{j}") };
            inputs = extraction.build(&mut g.scope(format!("levels.{j}")), &inputs, top)?;
        }
        tasks.iter().zip(&inputs.tasks).try_for_each(|(task, &x)| tower(g, x, task, &self.tower, style))
    }

    fn scaled(&self, factor: f64) -> Self {
        let level = |level: &Level| Level { widths: level.widths.map(|w| scaled(w, factor)), ..level.clone() };
        Self { levels: self.levels.iter().map(level).collect(), ..self.clone() }
    }
}

impl Architecture for Cgc {
    const KIND: &'static str = "cgc";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        let level = Level {
            task_experts: self.task_experts.clone(),
            shared_experts: self.shared_experts,
            widths: self.widths.clone(),
        };
        Ple {
            levels: vec![level],
            tower: self.tower.clone(),
            activation: self.activation,
            dropout: self.dropout,
            gate_bias: self.gate_bias,
            gate_start: self.gate_start,
            // Its gates read x.
            gate_rate: GateRate::default(),
        }
        .build(g, tasks)
        .map_err(|error| match error {
            // Its one level is no key of its own here.
            Error::Config { key, message } => {
                let key = key.strip_prefix("levels.0.").map_or(key.clone(), str::to_owned);
                Error::Config { key, message }
            }
            error => error,
        })
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { widths: self.widths.map(|widths| scaled(widths, factor)), ..self.clone() }
    }
}

/// What each module of a level reads, or gives: g_k per task, and g_s.
struct Modules {
    tasks: Vec<Node>,
    /// `None` above the top level.
    shared: Option<Node>,
}

/// The extraction network of one level.
struct Extraction<'c> {
    level: &'c Level,
    tasks: &'c [TaskSpec],
    style: LayerStyle,
    gates: GateStyle,
    key: String,
}

impl Extraction<'_> {
    fn build(&mut self, g: &mut GraphBuilder<'_>, inputs: &Modules, top: bool) -> Result<Modules> {
        self.level.task_experts.check_names(self.tasks, &[], &self.key("task_experts"))?;
        self.level.widths.check_names(self.tasks, &[SHARED], &self.key("widths"))?;

        let mut own = Vec::with_capacity(self.tasks.len());
        for (task, &x) in self.tasks.iter().zip(&inputs.tasks) {
            let key = self.key("task_experts");
            let count = experts_of(*self.level.task_experts.get(&task.name, &key)?, &key)?;
            own.push(self.experts(g, &task.name, x, count)?);
        }
        // A level below always gives the shared module an input: only the top level's output lacks one.
        let Some(shared_input) = inputs.shared else { return Err(Error::NoInputs) };
        let count = experts_of(self.level.shared_experts, &self.key("shared_experts"))?;
        let shared = self.experts(g, SHARED, shared_input, count)?;

        let mut outputs = Modules { tasks: Vec::with_capacity(self.tasks.len()), shared: None };
        for ((task, &selector), own) in self.tasks.iter().zip(&inputs.tasks).zip(&own) {
            let selected: Vec<Expert> = own.iter().chain(&shared).cloned().collect();
            outputs.tasks.push(g.scope(&task.name).gate(selector, "gate", &selected, self.gates)?);
        }
        if !top {
            let all: Vec<Expert> = own.iter().flatten().chain(&shared).cloned().collect();
            outputs.shared = Some(g.scope(SHARED).gate(shared_input, "gate", &all, self.gates)?);
        }
        Ok(outputs)
    }

    fn experts(&self, g: &mut GraphBuilder<'_>, module: &str, x: Node, count: usize) -> Result<Vec<Expert>> {
        let key = self.key("widths");
        let widths = at_least_one_layer(self.level.widths.get(module, &key)?, &key)?;
        let mut experts = Vec::with_capacity(count);
        for e in 0..count {
            let mut g = g.scope(format!("{module}.experts.{e}"));
            let y = stack(&mut g, x, widths, self.style)?;
            experts.push(g.expert(y));
        }
        Ok(experts)
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use super::super::testing::build;
    use super::*;
    use crate::graph::{Graph, Op};

    const UNEVEN: &str = r#"
        kind = "ple"
        levels = [
            { task_experts = { click = 2, default = 1 }, shared_experts = 3, widths = { default = [5], share = [6, 5] } },
            { task_experts = 1, shared_experts = 1, widths = [4] },
            { task_experts = { share = 2, default = 1 }, shared_experts = 2, widths = [3] },
        ]
        tower = { default = [2], share = [] }
    "#;

    /// Per gate: what it reads, and whom it selects.
    fn gates(graph: &Graph) -> HashMap<&str, (Node, Vec<&str>)> {
        let selector = |node: Node| graph.node(graph.node(node).inputs[0]).inputs[0];
        let entry = |g: &'_ crate::graph::Gate| (selector(g.node), g.experts.len());
        graph
            .gates
            .iter()
            .map(|g| (g.scope.as_str(), (entry(g).0, g.experts.iter().map(String::as_str).collect())))
            .collect()
    }

    /// The mixture that a gate weighs.
    fn mixture(graph: &Graph, scope: &str) -> Node {
        let is_it = |n: &crate::graph::NodeSpec| n.scope == scope && n.op == Op::Mixture;
        Node(graph.nodes.iter().position(is_it).unwrap())
    }

    /// What an expert's first layer reads.
    fn read_by(graph: &Graph, expert: &str) -> Node {
        let scope = format!("{expert}.0");
        let is_it = |n: &&crate::graph::NodeSpec| n.scope == scope && matches!(n.op, Op::Linear { .. });
        graph.nodes.iter().find(is_it).unwrap().inputs[0]
    }

    #[test]
    fn gates_select_own_experts_first_and_the_shared_gate_selects_all() {
        let graph = build(UNEVEN, &["click", "share"]).unwrap();
        let gates = gates(&graph);
        let experts = |j: usize, module: &str, n: usize| -> Vec<String> {
            (0..n).map(|e| format!("levels.{j}.{module}.experts.{e}")).collect()
        };
        assert_eq!(gates["levels.0.click.gate"].1, [experts(0, "click", 2), experts(0, "shared", 3)].concat());
        assert_eq!(gates["levels.0.share.gate"].1, [experts(0, "share", 1), experts(0, "shared", 3)].concat());
        let all = [experts(0, "click", 2), experts(0, "share", 1), experts(0, "shared", 3)].concat();
        assert_eq!(gates["levels.0.shared.gate"].1, all);
        assert_eq!(gates["levels.2.share.gate"].1, [experts(2, "share", 2), experts(2, "shared", 2)].concat());
    }

    #[test]
    fn the_top_level_has_no_shared_gate() {
        let graph = build(UNEVEN, &["click", "share"]).unwrap();
        assert!(gates(&graph).contains_key("levels.1.shared.gate"));
        assert!(!gates(&graph).contains_key("levels.2.shared.gate"));
        assert!(graph.params.iter().all(|p| !p.name.starts_with("levels.2.shared.gate")));
    }

    #[test]
    fn modules_of_upper_levels_read_the_mixture_of_their_own_module_below() {
        let graph = build(UNEVEN, &["click", "share"]).unwrap();
        let gates = gates(&graph);
        for j in 1..3 {
            for module in ["click", "share", "shared"] {
                let below = mixture(&graph, &format!("levels.{}.{module}.gate", j - 1));
                assert_eq!(read_by(&graph, &format!("levels.{j}.{module}.experts.0")), below, "level {j}, {module}");
                if let Some((selector, _)) = gates.get(format!("levels.{j}.{module}.gate").as_str()) {
                    assert_eq!(*selector, below, "gate of level {j}, {module}");
                }
            }
        }
    }

    #[test]
    fn tensors_have_the_names_and_shapes_of_the_contract() {
        let graph = build(UNEVEN, &["click", "share"]).unwrap();
        let shape = |name: &str| graph.params.iter().find(|p| p.name == name).map(|p| p.shape.clone());
        assert_eq!(shape("levels.0.share.experts.0.0.weight"), Some(vec![6, 4]));
        assert_eq!(shape("levels.0.share.experts.0.1.weight"), Some(vec![5, 6]));
        assert_eq!(shape("levels.0.share.experts.0.1.bias"), Some(vec![5]));
        assert_eq!(shape("levels.0.shared.gate.weight"), Some(vec![6, 4]));
        assert_eq!(shape("levels.1.click.gate.weight"), Some(vec![2, 5]));
        assert_eq!(shape("towers.click.0.weight"), Some(vec![2, 3]));
        assert_eq!(shape("towers.click.1.weight"), Some(vec![1, 2]));
        assert_eq!(shape("towers.share.0.weight"), Some(vec![1, 3]));
        assert!(graph.params.iter().all(|p| !p.name.ends_with("gate.bias")));
        let biased = build(&UNEVEN.replace("tower =", "gate_bias = true\n tower ="), &["click", "share"]).unwrap();
        assert!(biased.params.iter().any(|p| p.name == "levels.0.shared.gate.bias" && p.shape == [6]));
    }

    #[test]
    fn cgc_is_ple_with_one_level() {
        let level = "task_experts = 2, shared_experts = 1, widths = [6, 4]";
        let cgc = build(
            &format!("kind = 'cgc'\ntower = [3]\n{}", level.replace(", s", "\ns").replace(", w", "\nw")),
            &["a", "b"],
        );
        let ple = build(&format!("kind = 'ple'\ntower = [3]\nlevels = [{{ {level} }}]"), &["a", "b"]);
        assert_eq!(cgc.unwrap(), ple.unwrap());
    }

    #[test]
    fn what_is_wrong_with_the_one_level_of_cgc_has_the_key_that_cgc_has() {
        let error = build("kind = 'cgc'\ntask_experts = 1\nshared_experts = 5000\nwidths = [4]", &["a"]).unwrap_err();
        assert!(error.to_string().starts_with("model.shared_experts: must be at least 1"), "{error}");
    }

    #[test]
    fn stacks_and_levels_are_bounded() {
        let level = "{ task_experts = 1, shared_experts = 1, widths = [1] }";
        for (text, expected) in [
            (format!("kind = 'ple'\nlevels = [{}]", [level; 257].join(", ")), "model.levels: has 257 levels"),
            (format!("kind = 'hard-sharing'\nbottom = {:?}", vec![1; 257]), "model.bottom: has 257 layers"),
        ] {
            let message = build(&text, &["a"]).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_task_called_shared_would_take_the_shared_modules_names() {
        let error = build(UNEVEN, &["click", "share", "shared"]).unwrap_err();
        assert!(matches!(error, Error::DuplicateParameter { .. }), "{error}");
    }

    #[test]
    fn sizes_that_make_no_model_are_refused_with_their_key() {
        let cases = [
            ("levels = []", "model.levels"),
            ("levels = [{ task_experts = 0, shared_experts = 1, widths = [4] }]", "levels.0.task_experts"),
            ("levels = [{ task_experts = 1, shared_experts = 0, widths = [4] }]", "levels.0.shared_experts"),
            ("levels = [{ task_experts = 1, shared_experts = 1, widths = [] }]", "levels.0.widths"),
            ("levels = [{ task_experts = 1, shared_experts = 1, widths = [4, 0] }]", "levels.0.widths"),
            ("levels = [{ task_experts = { a = 1 }, shared_experts = 1, widths = [4] }]", "\"b\""),
            (
                "levels = [{ task_experts = 1, shared_experts = 1, widths = { default = [4], a = [5] } }]",
                "equally wide",
            ),
            (
                "levels = [{ task_experts = 1, shared_experts = 1, widths = [4] }]\ntower = { c = [1], default = [2] }",
                "\"c\"",
            ),
            ("levels = [{ task_experts = 1, shared_experts = 1, widths = [4] }]\ndropout = 1.5", "dropout"),
            (
                "levels = [{ task_experts = 1, shared_experts = 0x7fffffffffffffff, widths = [4] }]",
                "levels.0.shared_experts: must be at least 1 and at most 1024, found 9223372036854775807",
            ),
            ("levels = [{ task_experts = 1025, shared_experts = 1, widths = [4] }]", "levels.0.task_experts"),
            (
                "levels = [{ task_experts = 1, shared_experts = 1, widths = [4, 65537] }]",
                "levels.0.widths: a layer has at most 65536 units, found 65537",
            ),
        ];
        for (text, expected) in cases {
            let error = build(&format!("kind = 'ple'\n{text}"), &["a", "b"]).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
