//! Hard parameter sharing (Caruana 1993): one bottom, a tower per task, `y_k = t_k(f(x))`.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, at_least_one_layer, scaled, stack, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::Result;
use crate::graph::{Activation, GraphBuilder};

/// `[model] kind = "hard-sharing"`: one bottom for all tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HardSharing {
    /// Layer widths of the bottom. Default: `[64, 32]`.
    #[serde(default = "defaults::widths")]
    pub bottom: Widths,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// The non-linearity of bottom and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
}

impl Architecture for HardSharing {
    const KIND: &'static str = "hard-sharing";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        let widths = at_least_one_layer(&self.bottom, "bottom")?;
        let x = g.input("")?;
        let bottom = stack(&mut g.scope("bottom"), x, widths, style)?;
        tasks.iter().try_for_each(|task| tower(g, bottom, task, &self.tower, style))
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: scaled(&self.bottom, factor), ..self.clone() }
    }
}
