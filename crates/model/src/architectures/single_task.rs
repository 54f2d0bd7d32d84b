//! Single-task networks: the baseline of gains.
//!
//! Each task has a network for itself, `y_k = t_k(f_k(x_k))`, down to embedding tables of its own: with common tables
//! it would be hard sharing at the lowest layer, and gains over it would not be gains over *no* sharing.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::{LayerStyle, Widths, layers_of, scaled, stack, tower};
use super::{Architecture, PerTask, defaults};
use crate::error::Result;
use crate::graph::{Activation, GraphBuilder};

/// `[model] kind = "single-task"`: a separate network per task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SingleTask {
    /// Layer widths of each task's bottom. Default: `[64, 32]`.
    #[serde(default = "defaults::widths_of_tasks")]
    pub bottom: PerTask<Widths>,
    /// Hidden widths of the towers.
    #[serde(default)]
    pub tower: PerTask<Widths>,
    /// The non-linearity of bottoms and towers.
    #[serde(default)]
    pub activation: Activation,
    /// Dropout after every non-linearity, in `[0, 1)`.
    #[serde(default)]
    pub dropout: f32,
}

impl Architecture for SingleTask {
    const KIND: &'static str = "single-task";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> Result<()> {
        self.bottom.check_names(tasks, &[], "bottom")?;
        self.tower.check_names(tasks, &[], "tower")?;
        let style = LayerStyle { activation: self.activation, dropout: self.dropout };
        for task in tasks {
            let x = g.input(&task.name)?;
            let widths = layers_of(self.bottom.get(&task.name, "bottom")?, "bottom")?;
            let bottom = stack(&mut g.scope(format!("bottoms.{}", task.name)), x, widths, style)?;
            tower(g, bottom, task, &self.tower, style)?;
        }
        Ok(())
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: self.bottom.map(|widths| scaled(widths, factor)), ..self.clone() }
    }
}
