//! `pleiad quickstart`: from nothing to a compared and saved model.

use std::path::PathBuf;

use pleiad_train::Observer;
use pleiad_train::quickstart::{QuickstartOptions, QuickstartReport, Stage, quickstart};

use crate::exit::Failure;
use crate::output::{Format, Table, count, gain, metric, print, print_json};
use crate::progress::TrainProgress;
use crate::{Global, signals};

/// Generate a video log, train four models on it, compare them and save PLE
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad quickstart --out first-steps")]
pub(crate) struct Quickstart {
    /// Folder to make
    #[arg(long, value_name = "DIR", default_value = "pleiad-quickstart")]
    out: PathBuf,
    /// Rows of the log
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    rows: u64,
}

impl Quickstart {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let mut stage = |stage: Stage<'_>| -> Box<dyn Observer> {
            match stage {
                Stage::Generate { rows } => {
                    eprintln!("Generating a video log of {} impressions ...", count(rows));
                    Box::new(TrainProgress::new(""))
                }
                Stage::Load => {
                    eprintln!("Reading it ...");
                    Box::new(TrainProgress::new(""))
                }
                Stage::Train { name, number, of } => {
                    eprintln!("Training model {number} of {of} ...");
                    Box::new(TrainProgress::new(name))
                }
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
    let header = || report.metrics.iter().map(|(task, metric)| format!("{task} ({metric})"));
    let mut metrics =
        Table::new(["model".to_owned(), "parameters".to_owned(), "seconds".to_owned()].into_iter().chain(header()));
    let mut gains = Table::new(std::iter::once("model".to_owned()).chain(header()));
    for model in &report.models {
        let values = report.metrics.iter().map(|(task, name)| {
            let task = model.test.tasks.get(task);
            metric(task.and_then(|task| task.get(pleiad_train::metrics::MetricKind::from_name(name)?)))
        });
        let size = [model.name.clone(), count(model.parameters), format!("{:.1}", model.seconds)];
        metrics.row(size.into_iter().chain(values));
    }
    for model in report.models.iter().skip(1) {
        gains.row(std::iter::once(model.name.clone()).chain(model.gain.iter().map(|(_, value)| gain(*value))));
    }
    format!(
        "\
Metrics on the {} test rows (auc: larger is better; mse: smaller is better)

{}
MTL gain over the single-task models (positive: better than a network per task)

{}
One seed on one generated log shows how it works, not which structure is best: differences in the last digits are noise.

Written to {out}:
  video.parquet  the log
  later.parquet  rows that came after it, for the test
  video.toml     the configuration, ready to be changed
  model          PLE

Next:
  pleiad inspect {out}/model --data {out}/later.parquet
  pleiad predict {out}/model --data {out}/later.parquet --out predictions.parquet
  pleiad train {out}/video.toml --out run --set train.epochs=8
",
        count(report.models.first().map_or(0, |model| model.test.rows)),
        metrics.render(),
        gains.render()
    )
}
