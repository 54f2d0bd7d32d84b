//! `pleiad quickstart`: from nothing to a compared and saved model.

use std::path::PathBuf;

use pleiad_train::Observer;
use pleiad_train::quickstart::{QuickstartOptions, QuickstartReport, Stage, quickstart};

use super::compare;
use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::TrainProgress;
use crate::{Global, signals, stderr};

/// Generate a video log, compare four models on it over three seeds, and save PLE
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad quickstart --out first-steps")]
pub(crate) struct Quickstart {
    /// Folder to make
    #[arg(long, value_name = "DIR", default_value = "pleiad-quickstart")]
    out: PathBuf,
    /// Rows of the log, 1000 to 100000000
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    rows: u64,
}

impl Quickstart {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let mut progress = compare::Progress::default();
        let mut stage = |stage: Stage<'_>| -> Box<dyn Observer> {
            match stage {
                Stage::Generate { rows } => {
                    stderr::note(&format!("Generating a video log of {} impressions ...", count(rows)));
                    Box::new(TrainProgress::new(""))
                }
                Stage::Compare(next) => progress.of(next),
            }
        };
        let options = QuickstartOptions { out: &self.out, rows: self.rows };
        let report = quickstart(options, &interrupt, &mut stage)?;
        match global.format {
            Format::Json => print_json(&report)?,
            Format::Text => print(&text(&report))?,
        }
        Ok(())
    }
}

fn text(report: &QuickstartReport) -> String {
    let out = report.out.display();
    format!(
        "\
{}
Three seeds on one generated log show how a comparison reads, not which structure is best.

Written to {out}:
  compared/report.html  the comparison in pictures: open it in a browser
  compared/             its figures (compare.json) and every run
  model                 PLE, of the first seed
  video.toml            the configuration, ready to be changed
  video.parquet         the log
  later.parquet         rows that came after it, for the test

Next:
  pleiad inspect {out}/model --data {out}/later.parquet
  pleiad predict {out}/model --data {out}/later.parquet --out predictions.parquet
  pleiad train {out}/video.toml --out run --set train.epochs=8
",
        compare::text(&report.comparison)
    )
}
