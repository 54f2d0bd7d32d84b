//! Residual towers, a structure of your own, and the command `pleiad` that knows it. f_k is the tower of task k, b the bottom:
//!
//!     h_1 = f_1(b(x))        h_k = f_k(b(x)) + h_(k-1)        y_k = w_k h_k + c_k
use std::process::ExitCode;

use pleiad_data::TaskSpec;
use pleiad_model::architectures::{Architecture, LayerStyle, Widths, at_least_one_layer, register, scaled, stack};
use pleiad_model::graph::{Activation, GraphBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys below `[model] kind = "residual-towers"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResidualTowers {
    /// Layer widths of the bottom, which all tasks share.
    bottom: Widths,
    /// Layer widths of each tower; the last is the width H of every h.
    tower: Widths,
    /// The non-linearity of bottom and towers.
    #[serde(default)]
    activation: Activation,
}

impl Architecture for ResidualTowers {
    const KIND: &'static str = "residual-towers";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> pleiad_model::Result<()> {
        let style = LayerStyle { activation: self.activation, dropout: 0.0 };
        let tower = at_least_one_layer(&self.tower, "tower")?;
        let x = g.input("")?; // [B, D]
        let bottom = stack(&mut g.scope("bottom"), x, &self.bottom, style)?; // [B, last width of the bottom]
        let mut before = None;
        for task in tasks {
            let g = &mut g.scope(format!("towers.{}", task.name)); // names of tensors begin with this
            let own = stack(g, bottom, tower, style)?; // [B, H]
            let h = before.map_or(Ok(own), |before| g.sum("residual", &[own, before], 1.0))?; // [B, H]
            let head = g.linear(h, "head", 1, Activation::Identity)?; // [B, 1]
            g.output(task, head)?;
            before = Some(h);
        }
        Ok(())
    }

    /// With wider or narrower layers, so that `match_parameters` can bring it to another model's size.
    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: scaled(&self.bottom, factor), ..self.clone() }
    }
}

fn main() -> Result<ExitCode, pleiad_model::Error> {
    register::<ResidualTowers>()?;
    Ok(ExitCode::from(pleiad_cli::run(std::env::args_os().collect())))
}
