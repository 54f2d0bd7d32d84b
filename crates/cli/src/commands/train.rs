//! `pleiad train`: a configuration into a run.

use std::path::PathBuf;

use pleiad_report::Html;
use pleiad_train::{ConfigFile, RunReport, StopReason, TrainOptions, TrainOutcome, train};

use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::TrainProgress;
use crate::{Global, signals, stderr};

/// Train a model
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad train census.toml --out run --set train.epochs=3 --set train.optimizer.learning_rate=2e-3

RUN/model is the model, RUN/report.html the run to look at, RUN/metrics.json and
RUN/explain.json the same in numbers, RUN/tensorboard its curves. Interrupted with Ctrl-C,
or killed, a run goes on where it stopped with the same command and --resume.")]
pub(crate) struct Train {
    /// Configuration (TOML)
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Folder to write; must not exist, or be empty, unless --resume is given
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Start from the weights and encoders of this model
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,
    /// Train this one of [[compare.model]] instead of [model]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Go on from the last checkpoint of RUN; starts anew where there is none
    #[arg(long)]
    resume: bool,
    /// Change a key of the configuration: --set train.epochs=3 --set feature.0.embedding=4
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Train {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = ConfigFile::load(&self.config, &self.set)?;
        let options = TrainOptions {
            config: &config,
            model: self.model.as_deref(),
            out: &self.out,
            init: self.init.as_deref(),
            resume: self.resume,
            rows: None,
            pages: Some(&Html),
        };
        let interrupt = signals::interrupt()?;
        let mut progress = TrainProgress::new("");
        let outcome = train(&options, &interrupt, &mut progress)?;
        drop(progress);
        let report = match outcome {
            TrainOutcome::Finished(report) => report,
            TrainOutcome::AlreadyDone(report) => {
                stderr::note(&format!("{} is complete; there is nothing to resume", self.out.display()));
                report
            }
        };
        match global.format {
            Format::Json => print_json(&report)?,
            Format::Text => print(&self.text(&report))?,
        }
        Ok(())
    }

    fn text(&self, report: &RunReport) -> String {
        let mut text = String::new();
        if report.valid.is_some() || report.test.is_some() {
            text = report_table(report) + "\n";
        }
        let why = match report.stop {
            StopReason::Epochs => "all epochs done",
            StopReason::EarlyStopping => "stopped early",
        };
        let kept = match (report.kept_by_task(), &report.selected_by) {
            (Some(own), _) => format!("kept each task's own best epoch: {own}"),
            (None, Some(metric)) => format!("kept epoch {}, the best by {metric}", report.best_epoch),
            (None, None) => format!("kept epoch {}, the last{}", report.best_epoch, report.why_last()),
        };
        text.push_str(&format!("{why} after epoch {}; {kept}\n", report.history.len()));
        text.push_str(&format!("{} parameters, {:.1} s\n", count(report.parameters.total), report.seconds));
        text.push_str(&format!("model: {}\n", self.out.join("model").display()));
        // A run that was completed by an older version has none.
        let page = self.out.join("report.html");
        if page.exists() {
            text.push_str(&format!("report: {}\n", page.display()));
        }
        text
    }
}

/// A row per task and split, a column per metric.
fn report_table(report: &RunReport) -> String {
    let splits = [("valid", &report.valid), ("test", &report.test)];
    let rows = report.rows.train.tasks.iter().flat_map(|(task, _)| {
        splits.iter().filter_map(move |(split, evaluation)| {
            let metrics = evaluation.as_ref()?.tasks.get(task)?;
            Some((vec![task.to_owned(), (*split).to_owned()], metrics))
        })
    });
    super::metrics_table(&["task", "split"], rows)
}
