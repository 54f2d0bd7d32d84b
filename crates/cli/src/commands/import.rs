//! `pleiad import`: weights from elsewhere into a model.

use std::path::PathBuf;

use pleiad_train::{ConfigFile, ImportOptions, import};

use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::TrainProgress;
use crate::{Global, signals};

/// Make a model of weights that were trained elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad import --config census.toml --weights pytorch.safetensors --out model

Tensors are named as in the weights.safetensors of a model; linear weights are [out, in],
as in PyTorch. Encoders are fitted on the training rows of the configuration.")]
pub(crate) struct Import {
    /// Configuration (TOML) of data, features, tasks and model
    #[arg(long, value_name = "CONFIG")]
    config: PathBuf,
    /// Weights (safetensors)
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
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
        let options =
            ImportOptions { config: &config, model: self.model.as_deref(), weights: &self.weights, out: &self.out };
        let interrupt = signals::interrupt()?;
        let mut progress = TrainProgress::new("");
        let report = import(&options, &interrupt, &mut progress)?;
        drop(progress);
        match global.format {
            Format::Json => print_json(&report)?,
            Format::Text => print(&format!(
                "{}: {} parameters in {} tensors; predictions of {} golden rows recorded",
                self.out.display(),
                count(report.parameters),
                report.tensors,
                report.golden_rows
            ))?,
        }
        Ok(())
    }
}
