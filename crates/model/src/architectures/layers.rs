//! Parts of every structure: layer stacks, towers, and the settings that all structures share.

use pleiad_data::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::per_task::PerTask;
use crate::error::{Error, Result};
use crate::graph::{Activation, GraphBuilder, Node};

/// Layer widths, from the input up.
pub type Widths = Vec<usize>;

/// Settings of layers, for every structure.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct LayerStyle {
    /// The non-linearity after every layer but a tower's last.
    pub activation: Activation,
    /// Dropout after every non-linearity.
    pub dropout: f32,
}

/// Name of the shared module in tensor names and configuration.
pub(super) const SHARED: &str = "shared";

/// A layer on `x`: `[B, D] -> [B, width]`, with activation and dropout.
pub(super) fn layer(g: &mut GraphBuilder<'_>, x: Node, name: &str, width: usize, style: LayerStyle) -> Result<Node> {
    let y = g.linear(x, name, width, style.activation)?;
    g.dropout(y, style.dropout)
}

/// A stack of layers on `x`, named `0`, `1`, ...: `[B, D] -> [B, last width]`.
///
/// # Errors
/// As [`GraphBuilder::linear`] and [`GraphBuilder::dropout`].
pub fn stack(g: &mut GraphBuilder<'_>, x: Node, widths: &[usize], style: LayerStyle) -> Result<Node> {
    widths.iter().enumerate().try_fold(x, |x, (l, &width)| layer(g, x, &l.to_string(), width, style))
}

/// Task k's tower `t_k`, declared the task's prediction.
pub(super) fn tower(
    g: &mut GraphBuilder<'_>,
    x: Node,
    task: &TaskSpec,
    widths: &PerTask<Widths>,
    style: LayerStyle,
) -> Result<()> {
    let y = tower_output(g, x, task, widths, style)?;
    g.output(task, y)
}

/// Task k's tower `t_k`: a stack of `widths`, then one linear unit that gives the logit or the value.
pub(super) fn tower_output(
    g: &mut GraphBuilder<'_>,
    x: Node,
    task: &TaskSpec,
    widths: &PerTask<Widths>,
    style: LayerStyle,
) -> Result<Node> {
    let widths = layers_of(widths.get(&task.name, "tower")?, "tower")?;
    let mut g = g.scope(format!("towers.{}", task.name));
    let top = stack(&mut g, x, widths, style)?;
    g.linear(top, &widths.len().to_string(), 1, Activation::Identity)
}

/// Every width times `factor`, rounded; 1 at least.
#[must_use]
pub fn scaled(widths: &[usize], factor: f64) -> Widths {
    // A float that is no width (too large, not a number) becomes the nearest one that is.
    widths.iter().map(|&width| (width as f64 * factor).round().max(1.0) as usize).collect()
}

/// Experts of one module, at the most. Bounds keep a slip of the keyboard from filling memory before the size of the model is known.
const MOST_EXPERTS: usize = 1024;

/// Units of a layer, at the most.
const MOST_UNITS: usize = 1 << 16;

/// Layers of a stack, and levels of a structure, at the most.
const MOST_LAYERS: usize = 256;

/// Refuses a number of experts of zero, or beyond the bound.
pub(super) fn experts_of(count: usize, key: &str) -> Result<usize> {
    if !(1..=MOST_EXPERTS).contains(&count) {
        let message = format!("must be at least 1 and at most {MOST_EXPERTS}, found {count}");
        return Err(Error::Config { key: key.to_owned(), message });
    }
    Ok(count)
}

/// Refuses a structure without levels, or with more than the bound.
pub(super) fn levels_of<L>(levels: &[L]) -> Result<&[L]> {
    let message = match levels.len() {
        0 => "needs at least one level".to_owned(),
        count if count > MOST_LAYERS => format!("has {count} levels, at most {MOST_LAYERS} are possible"),
        _ => return Ok(levels),
    };
    Err(Error::Config { key: "levels".to_owned(), message })
}

/// Refuses a stack without layers, or a layer without units, where there must be one.
///
/// # Errors
/// [`Error::Config`] with `key`.
pub fn at_least_one_layer<'w>(widths: &'w [usize], key: &str) -> Result<&'w [usize]> {
    if widths.is_empty() {
        let message = "needs at least one layer, such as [64]".to_owned();
        return Err(Error::Config { key: key.to_owned(), message });
    }
    layers_of(widths, key)
}

/// Refuses a layer without units or with more than the bound, and a stack of more layers than the bound.
pub(super) fn layers_of<'w>(widths: &'w [usize], key: &str) -> Result<&'w [usize]> {
    let refuse = |message: String| Err(Error::Config { key: key.to_owned(), message });
    if widths.len() > MOST_LAYERS {
        return refuse(format!("has {} layers, at most {MOST_LAYERS} are possible", widths.len()));
    }
    if widths.contains(&0) {
        return refuse(format!("a layer has at least 1 unit, found {widths:?}"));
    }
    match widths.iter().find(|&&width| width > MOST_UNITS) {
        Some(width) => refuse(format!("a layer has at most {MOST_UNITS} units, found {width}")),
        None => Ok(widths),
    }
}
