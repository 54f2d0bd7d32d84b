//! `pleiad predict`: predictions of a model, a column per task.

use std::path::PathBuf;

use pleiad_train::Model;
use serde_json::json;

use crate::commands::rows::FileForm;
use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::RowProgress;
use crate::{Global, signals};

/// Predict every task for rows
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad predict run/model --data candidates.parquet --out predictions.parquet

The file has a column per task, named after it, and its rows are in the order of the
rows read.")]
pub(crate) struct Predict {
    /// Model (the folder RUN/model)
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Rows: CSV, Parquet or Arrow; a file, a folder, a glob in quotes, or - for standard input; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    data: Vec<String>,
    #[command(flatten)]
    form: FileForm,
    /// File to write: .csv, .csv.gz, .csv.zst, .parquet or .arrow
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Predict {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let mut model = Model::open(&self.model)?;
        let source = self.form.source(&self.data)?;
        let progress = RowProgress::new("predicting", None);
        let (rows, read) = model.predict(&source, &self.out, &interrupt, &mut |rows| progress.at(rows))?;
        drop(progress);
        super::warn_of(&read);
        match global.format {
            Format::Text => print(&format!("{}: {} rows", self.out.display(), count(rows)))?,
            Format::Json => print_json(&json!({ "file": self.out, "rows": rows, "features": read.features }))?,
        }
        Ok(())
    }
}
