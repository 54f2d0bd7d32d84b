//! A model described once.
//!
//! [`Graph`] is a list of operations in an order in which each reads only earlier ones, with the parameters and tables
//! that they name. Engine, summary, artifact and export read it; they do not depend on the names of structures.
//! Structures are written with [`GraphBuilder`] in [`crate::architectures`].

mod alike;
mod builder;
mod events;
mod gating;
mod inputs;
mod op;
mod reach;
mod space;
mod summary;
mod validate;

pub use builder::GraphBuilder;
pub use gating::{Expert, GateRate, GateStart, GateStyle};
pub use op::{Activation, NodeSpec, Op};
use pleiad_data::schema::Objective;
use pleiad_data::{InputLayout, TaskKind};
pub use reach::Reach;
use serde::{Deserialize, Serialize};
pub use space::Space;
pub use summary::{ModuleCount, Summary};

use crate::init::Init;
use crate::objective::Loss;

/// Handle of a node: its position in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Node(pub usize);

/// Handle of a dense parameter: its position in [`Graph::params`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParamId(pub usize);

/// Handle of an embedding table: its position in [`Graph::tables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub usize);

/// A dense parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Tensor name, unique in the graph.
    pub name: String,
    /// `[out, in]` of a weight, `[out]` of a bias.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// What every learning rate is multiplied by for it: a finite number above 0. Of training alone.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rate: f64,
}

fn one() -> f64 {
    1.0
}

/// Serde hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(rate: &f64) -> bool {
    *rate == 1.0
}

impl Param {
    /// A parameter that learns at the rate that all have.
    #[must_use]
    pub fn new(name: impl Into<String>, shape: Vec<usize>, init: Init) -> Self {
        Self { name: name.into(), shape, init, rate: 1.0 }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An embedding table `[rows, dim]`; its tensor is `embeddings.<name>.weight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// Name of the table, unique in the graph.
    pub name: String,
    /// Number of rows.
    pub rows: u64,
    /// Width of a row.
    pub dim: usize,
    /// How it starts.
    pub init: Init,
}

impl TableSpec {
    /// Name of the table's tensor.
    #[must_use]
    pub fn tensor(&self) -> String {
        format!("embeddings.{}.weight", self.name)
    }

    /// Shape of the table's tensor. Rows beyond the address space cannot be in memory or a file; their number is then
    /// one that no tensor has.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        vec![usize::try_from(self.rows).unwrap_or(usize::MAX), self.dim]
    }
}

/// A task's prediction: the node `[B, 1]` that gives its logit (binary) or value (regression).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Name of the task.
    pub task: String,
    /// What the number means.
    pub kind: TaskKind,
    /// `[B, 1]`.
    pub node: Node,
    /// Its loss, and how its predictions are read.
    #[serde(default, skip_serializing_if = "Objective::is_default")]
    pub objective: Objective,
}

impl Output {
    /// What the task loses per row, and what it predicts.
    #[must_use]
    pub fn loss(&self) -> Loss {
        Loss::of(self.kind, &self.objective)
    }
}

/// A gate, for those who want to see what it learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Where it stands, such as `levels.0.income.gate`.
    pub scope: String,
    /// Its weights after softmax, `[B, E]`.
    pub node: Node,
    /// Names of the E experts that it weighs, in order.
    pub experts: Vec<String>,
}

/// What a task's loss has beside its label: the later event of a funnel cannot be likelier than the earlier one.
///
/// Adds `weight * mean_i max(p_later(i) - p_earlier(i), 0)` to the loss of `later`, over the rows i that lie in the sample
/// spaces of both tasks (AITM's behavioral expectation calibrator, Xi et al., KDD 2021).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderPenalty {
    /// Position in [`Graph::outputs`] of the event that comes first; a binary task.
    pub earlier: usize,
    /// Position of the event that can only follow it; a binary task.
    pub later: usize,
    /// The paper's alpha, 0 or above.
    pub weight: f32,
}

/// A model: operations in order, the parameters they read, the predictions they give.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// What the batch must hold.
    pub layout: InputLayout,
    /// Operations; each reads only earlier ones.
    pub nodes: Vec<NodeSpec>,
    /// Dense parameters.
    pub params: Vec<Param>,
    /// Embedding tables.
    pub tables: Vec<TableSpec>,
    /// One prediction per task, in configuration order.
    pub outputs: Vec<Output>,
    /// Every gate.
    pub gates: Vec<Gate>,
    /// What the losses have beside the labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub penalties: Vec<OrderPenalty>,
}

impl Graph {
    /// The node behind a handle.
    #[must_use]
    pub fn node(&self, node: Node) -> &NodeSpec {
        &self.nodes[node.0]
    }

    /// The dense parameter behind a handle.
    #[must_use]
    pub fn param(&self, param: ParamId) -> &Param {
        &self.params[param.0]
    }

    /// The table behind a handle.
    #[must_use]
    pub fn table(&self, table: TableId) -> &TableSpec {
        &self.tables[table.0]
    }
}
