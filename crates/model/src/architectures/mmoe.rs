//! MMoE, multi-gate mixture of experts (Ma et al., KDD 2018).
//!
//! E experts that every task shares, and a gate per task that reads x: `y_k = t_k(sum_e softmax(W_k x)_e f_e(x))`.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, at_least_one_layer, experts_of, scaled, stack, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::Result;
use crate::graph::{Activation, GateStart, GateStyle, GraphBuilder};

/// `[model] kind = "mmoe"`: shared experts, a gate and a tower per task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mmoe {
    /// Number of experts, E. Default: 6.
    #[serde(default = "defaults::experts")]
    pub experts: usize,
    /// Layer widths of every expert. Default: `[64, 32]`.
    #[serde(default = "defaults::widths")]
    pub widths: Widths,
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

impl Architecture for Mmoe {
    const KIND: &'static str = "mmoe";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let widths = at_least_one_layer(&self.widths, "widths")?;
        let x = g.input("")?;
        let count = experts_of(self.experts, "experts")?;
        let mut experts = Vec::with_capacity(count);
        for e in 0..count {
            let mut g = g.scope(format!("experts.{e}"));
            let y = stack(&mut g, x, widths, style)?;
            experts.push(g.expert(y));
        }
        let gates = GateStyle { bias: self.gate_bias, start: self.gate_start, ..GateStyle::default() };
        for task in tasks {
            let mixed = g.scope("gates").gate(x, &task.name, &experts, gates)?;
            tower(g, mixed, task, &self.tower, style)?;
        }
        Ok(())
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { widths: scaled(&self.widths, factor), ..self.clone() }
    }
}
