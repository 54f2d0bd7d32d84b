//! Attention over the values of a list, after DIN (Zhou et al., KDD 2018), below one bottom; a structure of your own, and the command
//! `pleiad` that knows it. v_e is the vector of value e of the list, c that of the candidate, m a small network:
//!
//!     s_e = m([v_e, c, v_e * c])        a = sum_e softmax(s)_e v_e        y_k = tower_k(bottom([x, a]))
use std::process::ExitCode;

use pleiad_data::TaskSpec;
use pleiad_model::architectures::{Architecture, LayerStyle, Widths, register, scaled, stack};
use pleiad_model::graph::{Activation, GraphBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys below `[model] kind = "target-attention"`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetAttention {
    /// The feature with `multiple = true` whose values are weighed.
    list: String,
    /// The feature that they are held against, with an embedding as wide as theirs.
    target: String,
    /// Layer widths of the network that gives each value its score.
    scores: Widths,
    /// Layer widths of the bottom, which all tasks share.
    bottom: Widths,
    /// Layer widths of each tower.
    tower: Widths,
}

impl Architecture for TargetAttention {
    const KIND: &'static str = "target-attention";

    fn build(&self, g: &mut GraphBuilder<'_>, tasks: &[TaskSpec]) -> pleiad_model::Result<()> {
        let style = LayerStyle { activation: Activation::Relu, dropout: 0.0 };
        let x = g.input("")?; // [B, D]
        let candidate = g.embedding("", &self.target)?; // [B, W]
        let events = g.events("", &[&self.list])?[0]; // [E, W]: one row for each value of the list
        let attended = {
            let g = &mut g.scope("scores");
            let alike = g.pairs("product", &[events, candidate])?; // [E, W]: each value times its row's candidate
            let pair = g.concat("pair", &[events, candidate, alike])?; // [E, 3 W]
            let hidden = stack(g, pair, &self.scores, style)?; // [E, last width of the scores]
            let score = g.linear(hidden, "score", 1, Activation::Identity)?; // [E, 1]
            g.segment_softmax_sum("attended", score, events)? // [B, W]; zeros for an empty list
        };
        let x = g.concat("x", &[x, attended])?; // [B, D + W]
        let bottom = stack(&mut g.scope("bottom"), x, &self.bottom, style)?; // [B, last width of the bottom]
        for task in tasks {
            let g = &mut g.scope(format!("towers.{}", task.name));
            let tower = stack(g, bottom, &self.tower, style)?;
            let y = g.linear(tower, "head", 1, Activation::Identity)?; // [B, 1]
            g.output(task, y)?;
        }
        Ok(())
    }

    fn scaled(&self, factor: f64) -> Self {
        Self { bottom: scaled(&self.bottom, factor), ..self.clone() }
    }
}

fn main() -> Result<ExitCode, pleiad_model::Error> {
    register::<TargetAttention>()?;
    Ok(ExitCode::from(pleiad_cli::run(std::env::args_os().collect())))
}
