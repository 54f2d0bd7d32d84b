//! `pleiad evaluate`: metrics of a model on rows with labels.

use std::path::PathBuf;

use pleiad_data::FeatureCount;
use pleiad_rank::{ByTask, Model};
use pleiad_train::{Evaluation, measure};
use serde::Serialize;

use crate::commands::rows::FileForm;
use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::RowProgress;
use crate::{Global, signals};

/// Measure a model on rows with labels
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad evaluate run/model --data test.csv.gz --format json")]
pub(crate) struct Evaluate {
    /// Model (the folder RUN/model)
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Rows: CSV, Parquet or Arrow; a file, a folder, a glob in quotes, or - for standard input; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    data: Vec<String>,
    #[command(flatten)]
    form: FileForm,
}

impl Evaluate {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let model = Model::open(&self.model)?;
        let source = self.form.source(&self.data)?;
        let progress = RowProgress::new("evaluating", None);
        let (evaluation, read) = measure(&model, &source, &interrupt, &mut |rows| progress.at(rows))?;
        drop(progress);
        super::warn_of(&read);
        match global.format {
            Format::Json => print_json(&Measured { evaluation: &evaluation, features: &read.features })?,
            Format::Text => print(&text(&evaluation))?,
        }
        Ok(())
    }
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Measured<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    /// Values of every feature: rows, missing, values, unknown.
    features: &'a ByTask<FeatureCount>,
}

fn text(evaluation: &Evaluation) -> String {
    let table = super::metrics_table(&["task"], evaluation.tasks.iter().map(|(task, e)| (vec![task.to_owned()], e)));
    format!("{table}\n{} rows read", count(evaluation.rows))
}
