//! `pleiad import`: weights from elsewhere into a model.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use pleiad_train::{ConfigFile, ImportOptions, Package, import};

use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::TrainProgress;
use crate::{Global, signals};

/// Make a model of weights that were trained elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad import --config census.toml --weights pytorch.safetensors --out model
  pleiad import --config census.toml --weights state.safetensors --from torch-rechub --out model

Tensors are named as in the weights.safetensors of a model; linear weights are [out, in],
as in PyTorch. With --from they are named as that package names them, batch norms are folded
into the layers before them, and [model] may be left out. Encoders are fitted on the training rows of the configuration.")]
pub(crate) struct Import {
    /// Configuration (TOML) of data, features, tasks and model
    #[arg(long, value_name = "CONFIG")]
    config: PathBuf,
    /// Weights (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Package whose state_dict the weights are
    #[arg(long, value_name = "PACKAGE", value_parser = PossibleValuesParser::new(Package::ALL.map(Package::name)))]
    from: Option<String>,
    /// Model to write, a folder that must not exist
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// This one of [[compare.model]] instead of [model]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Change a key of the configuration: --set model.tower=[32]
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Import {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = ConfigFile::load(&self.config, &self.set)?;
        let options = ImportOptions {
            config: &config,
            model: self.model.as_deref(),
            weights: &self.weights,
            package: self.from.as_deref().and_then(Package::named),
            out: &self.out,
        };
        let interrupt = signals::interrupt()?;
        let mut progress = TrainProgress::new("");
        let report = import(&options, &interrupt, &mut progress)?;
        drop(progress);
        match global.format {
            Format::Json => print_json(&report)?,
            Format::Text => {
                let mut lines: Vec<String> = report.notes.iter().map(|note| format!("note: {note}")).collect();
                if let Some(model) = &report.model {
                    lines.push(format!("[model] of the weights' shapes: {model}"));
                }
                lines.push(format!(
                    "{}: {} parameters in {} tensors; predictions of {} golden rows recorded",
                    self.out.display(),
                    count(report.parameters),
                    report.tensors,
                    report.golden_rows
                ));
                print(&lines.join("\n"))?;
            }
        }
        Ok(())
    }
}
