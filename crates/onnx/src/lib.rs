//! A trained model as one ONNX file: named inputs, encoders inside, an output per task.
//!
//! [`export_saved`] takes a model's folder, which `pleiad-rank` opens and verifies. [`export()`] walks the model's graph, which says everything about the network, and the fitted encoders, which say how columns
//! become its inputs. Opset 17 with `ai.onnx.ml` 3 and IR 8, so that runtimes of 2022 and later read it. What stands in which file
//! here:
//!
//! ```text
//! inputs/     columns into numbers and table rows        outputs   predictions and the score
//! network     the graph, operation by operation          writer    nodes, names and constants
//! file        messages into a file, weights streamed     schema    the messages (proto/, build.rs)
//! ```
//!
//! Nothing is computed here: how Pleiad trains and predicts is not known to the export itself.

#![forbid(unsafe_code)]

mod error;
mod file;
mod inputs;
mod network;
mod outputs;
mod saved;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

pub use error::{Error, Result};
pub use outputs::{Function, Score, TaskFactor, Transform};
use pleiad_data::Encoder;
use pleiad_model::{Graph, TensorSource};
pub use saved::export_saved;
pub use writer::Port;

use crate::schema::DataType;
use crate::writer::NetworkWriter;

/// Most bytes of a file without external data: what a message of Protocol Buffers can have.
pub const MOST_BYTES: u64 = (1 << 31) - 1;

/// What a saved model consists of, as far as an export needs it.
#[derive(Clone, Copy)]
pub struct NetworkModel<'m> {
    /// Its structure, such as `ple`; becomes the graph's name.
    pub kind: &'m str,
    /// The network.
    pub graph: &'m Graph,
    /// Schema and fitted encoders.
    pub encoder: &'m Encoder,
    /// Every tensor that the graph names.
    pub weights: &'m dyn TensorSource,
    /// How predictions become a score, where the model says so.
    pub score: Option<&'m Score>,
}

/// What the exported model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inputs {
    /// Columns as they stand in a log: encoders are inside, but for the hash of texts.
    #[default]
    Columns,
    /// What encoders give: numbers after their transforms, and table rows.
    Ids,
}

/// How a model is exported.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What it takes.
    pub inputs: Inputs,
    /// Bytes above which weights go to a file beside it; at most [`MOST_BYTES`].
    pub most_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { inputs: Inputs::default(), most_bytes: MOST_BYTES }
    }
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives: the tasks in configuration order, then the score.
    pub outputs: Vec<Port>,
    /// Operations.
    pub nodes: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// The file of its weights and that file's bytes, if they have one of their own.
    pub data: Option<(PathBuf, u64)>,
}

/// Writes `model` to `path`, whole or not at all.
///
/// Above [`Options::most_bytes`] its weights go to `<path>.data`, which has to stay beside it.
///
/// # Errors
/// [`Error::Exists`] if there is a file already, [`Error::Io`] if it cannot be written; [`Error::Inseparable`] and
/// [`Error::TooLarge`] for encoders that ONNX cannot hold; [`Error::Score`] and [`Error::Inconsistent`] for parts that do not belong
/// together.
pub fn export(model: &NetworkModel<'_>, options: &Options, path: &Path) -> Result<Exported> {
    let writer = written(model, options.inputs)?;
    file::write(model, writer, options.most_bytes.min(MOST_BYTES), path)
}

/// The graph of a model, without its weights.
fn written(model: &NetworkModel<'_>, inputs: Inputs) -> Result<NetworkWriter> {
    let NetworkModel { graph, encoder, score, .. } = model;
    graph.validate().map_err(|error| Error::Inconsistent { reason: error.to_string() })?;
    if encoder.layout() != &graph.layout {
        return Err(Error::Inconsistent { reason: "its encoder gives other inputs than its graph reads".to_owned() });
    }
    let mut writer = NetworkWriter::default();
    // Outputs keep their names whatever else there is.
    for output in &graph.outputs {
        writer.reserve(&output.task);
    }
    let score_name = score.map(|_| writer.unique(outputs::SCORE));
    let encoded = match inputs {
        Inputs::Columns => inputs::columns(&mut writer, encoder)?,
        Inputs::Ids => inputs::ids(&mut writer, &graph.layout),
    };
    let nodes = network::nodes(&mut writer, graph, &encoded);
    outputs::predictions(&mut writer, graph, &nodes, encoded.bad.as_deref());
    if let (Some(score), Some(name)) = (score, score_name) {
        let of = if inputs == Inputs::Columns { DataType::Double } else { DataType::Float };
        outputs::score(&mut writer, &name, score, encoder, &encoded, of)?;
    }
    Ok(writer)
}
