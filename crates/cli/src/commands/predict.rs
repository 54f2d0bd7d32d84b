//! `pleiad predict`: predictions of a model, a column per task, and the order that they give.

use std::path::PathBuf;

use pleiad_rank::{Model, Order, PredictOptions, RankConfig};
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

  pleiad predict run/model --data candidates.parquet --out ranked.parquet \\
      --score --keep user_id,video_id --by request_id --top 20

The file has a column per task, named after it, and its rows are in the order of the
rows read. --score adds the score of [rank]; --by and --top order rows by it, the
highest first, and add a column `rank` that counts each request's rows from 1.")]
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
    /// Add a column `score`: the product of [rank], equation 1
    #[arg(long)]
    score: bool,
    /// Columns of the rows to write before the predictions, as they are
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    keep: Vec<String>,
    /// Order the rows of each request by score: those with the same value of this column
    #[arg(long, value_name = "COLUMN", requires = "score")]
    by: Option<String>,
    /// Write only the first N rows of each request (of all rows without --by), ordered by score
    #[arg(long, value_name = "N", requires = "score", value_parser = clap::value_parser!(u64).range(1..))]
    top: Option<u64>,
    /// Change [rank] of the model, such as rank.score.click=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "score")]
    set: Vec<String>,
}

impl Predict {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let mut model = Model::open(&self.model)?;
        if !self.set.is_empty() {
            let rank = RankConfig::with_sets(model.rank(), &self.set)?;
            model = model.with_rank(rank)?;
        }
        let order = (self.by.is_some() || self.top.is_some())
            .then(|| Order { by: self.by, top: self.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX)) });
        let options = PredictOptions { keep: self.keep, score: self.score, order };
        let source = self.form.source(&self.data)?;
        let progress = RowProgress::new("predicting", None);
        let (rows, read) = model.predict_to(&source, &self.out, &options, &interrupt, &mut |rows| progress.at(rows))?;
        drop(progress);
        super::warn_of(&read);
        match global.format {
            Format::Text => print(&format!("{}: {} rows", self.out.display(), count(rows)))?,
            Format::Json => print_json(&json!({ "file": self.out, "rows": rows, "features": read.features }))?,
        }
        Ok(())
    }
}
