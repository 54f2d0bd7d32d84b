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

use super::layers::{LayerStyle, Widths, at_least_one, at_least_one_layer, stack, tower};
use super::{Architecture, PerTask};
use crate::error::{Error, Result};
use crate::graph::{Activation, Expert, GraphBuilder, Node};

/// Name of the shared module in tensor names and configuration.
const SHARED: &str = "shared";

/// `[model] kind = "ple"`: levels of task-own and shared experts, separated progressively.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ple {
    /// Extraction levels, from the input up.
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
    /// Experts of each task's own, m_k.
    pub task_experts: PerTask<usize>,
    /// Shared experts, m_s.
    pub shared_experts: usize,
    /// Layer widths of every expert, or by task and `shared`; the last must be equal for all.
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
}

impl Architecture for Ple {
    const KIND: &'static str = "ple";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        if self.levels.is_empty() {
            let message = "needs at least one level".to_owned();
            return Err(Error::Config { key: "levels".into(), message });
        }
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let x = g.input("")?;
        let mut inputs = Modules { tasks: vec![x; tasks.len()], shared: Some(x) };
        for (j, level) in self.levels.iter().enumerate() {
            let top = j + 1 == self.levels.len();
            let mut extraction =
                Extraction { level, tasks, style, gate_bias: self.gate_bias, key: format!("levels.{j}") };
            inputs = extraction.build(&mut g.scope(format!("levels.{j}")), &inputs, top)?;
        }
        tasks.iter().zip(&inputs.tasks).try_for_each(|(task, &x)| tower(g, x, task, &self.tower, style))
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
        }
        .build(g, tasks)
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
    gate_bias: bool,
    key: String,
}

impl Extraction<'_> {
    fn build(&mut self, g: &mut GraphBuilder<'_>, inputs: &Modules, top: bool) -> Result<Modules> {
        self.level.task_experts.check_names(self.tasks, &[], &self.key("task_experts"))?;
        self.level.widths.check_names(self.tasks, &[SHARED], &self.key("widths"))?;

        let mut own = Vec::with_capacity(self.tasks.len());
        for (task, &x) in self.tasks.iter().zip(&inputs.tasks) {
            let key = self.key("task_experts");
            let count = at_least_one(*self.level.task_experts.get(&task.name, &key)?, &key)?;
            own.push(self.experts(g, &task.name, x, count)?);
        }
        // A level below always gives the shared module an input: only the top level's output lacks one.
        let Some(shared_input) = inputs.shared else { return Err(Error::NoInputs) };
        let count = at_least_one(self.level.shared_experts, &self.key("shared_experts"))?;
        let shared = self.experts(g, SHARED, shared_input, count)?;

        let mut outputs = Modules { tasks: Vec::with_capacity(self.tasks.len()), shared: None };
        for ((task, &selector), own) in self.tasks.iter().zip(&inputs.tasks).zip(&own) {
            let selected: Vec<Expert> = own.iter().chain(&shared).cloned().collect();
            outputs.tasks.push(g.scope(&task.name).gate(selector, "gate", &selected, self.gate_bias)?);
        }
        if !top {
            let all: Vec<Expert> = own.iter().flatten().chain(&shared).cloned().collect();
            outputs.shared = Some(g.scope(SHARED).gate(shared_input, "gate", &all, self.gate_bias)?);
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
