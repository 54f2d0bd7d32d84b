//! `pleiad export`: a model for other runtimes.

use std::path::PathBuf;

use pleiad_onnx::{Exported, Inputs, Options, Port};
use serde_json::json;

use crate::Global;
use crate::exit::Failure;
use crate::output::{Format, Table, count, print, print_json};

/// Write a model as an ONNX file, encoders inside
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad export run/model --onnx model.onnx

Inputs are columns as they stand in a log, outputs are the tasks. docs/onnx.md says what each
input holds and how ONNX Runtime is given rows.")]
pub(crate) struct Export {
    /// Model (the folder RUN/model)
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// File to write, which must not exist; above 2 GiB its weights go to FILE.data beside it
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
    /// What the file takes: columns, or what encoders make of them (for runtimes without ai.onnx.ml)
    #[arg(long, value_name = "INPUTS", value_enum, default_value_t)]
    inputs: Takes,
    /// Bytes above which weights go to a file of their own; for tests
    #[arg(long, value_name = "BYTES", default_value_t = pleiad_onnx::MOST_BYTES, hide = true)]
    most_bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Takes {
    #[default]
    Columns,
    Ids,
}

impl Export {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let inputs = match self.inputs {
            Takes::Columns => Inputs::Columns,
            Takes::Ids => Inputs::Ids,
        };
        let options = Options { inputs, most_bytes: self.most_bytes };
        let exported = pleiad_onnx::export_saved(&self.model, &options, &self.onnx).map_err(failure)?;
        match global.format {
            Format::Text => print(&text(&self, &exported))?,
            Format::Json => {
                let data = exported.data.as_ref().map(|(file, bytes)| json!({ "file": file, "bytes": bytes }));
                print_json(&json!({
                    "file": self.onnx,
                    "bytes": exported.bytes,
                    "data": data,
                    "operations": exported.nodes,
                    "inputs": exported.inputs,
                    "outputs": exported.outputs,
                }))?;
            }
        }
        Ok(())
    }
}

fn failure(error: pleiad_onnx::Error) -> Failure {
    match error {
        pleiad_onnx::Error::Model(error) => error.into(),
        error if error.is_usage() => Failure::usage(error.to_string()),
        error => Failure::run(error.to_string()),
    }
}

fn text(export: &Export, exported: &Exported) -> String {
    let mut text = format!(
        "{}: {} bytes, {} operations\n",
        export.onnx.display(),
        count(exported.bytes),
        count(exported.nodes as u64)
    );
    if let Some((data, bytes)) = &exported.data {
        text.push_str(&format!("{}: {} bytes of weights; keep it beside the model\n", data.display(), count(*bytes)));
    }
    for (what, ports) in [("input", &exported.inputs), ("output", &exported.outputs)] {
        let mut table = Table::new([what, "type", "shape", "holds"]).left();
        for Port { name, elements, shape, holds, .. } in ports {
            table.row([name.as_str(), elements, &format!("[{}]", shape.join(", ")), holds]);
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    text
}
