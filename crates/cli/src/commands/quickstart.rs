//! `pleiad quickstart`: from nothing to a compared and saved model.

use std::path::PathBuf;

use pleiad_report::Html;
use pleiad_train::compare::Verdict;
use pleiad_train::quickstart::{QuickstartOptions, QuickstartReport, SAVED, TourStage, quickstart};
use pleiad_train::{Observer, figures};

use super::compare;
use crate::exit::Failure;
use crate::output::{Format, count, print, print_json};
use crate::progress::TrainProgress;
use crate::{Global, signals, stderr};

/// Rows of the log: as many as show a gain on the rarest tasks, in about two minutes of two cores.
const ROWS: u64 = 500_000;

/// Generate a video log, compare four models on it over five seeds, and save PLE
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad quickstart --out first-steps")]
pub(crate) struct Quickstart {
    /// Folder to make
    #[arg(long, value_name = "DIR", default_value = "pleiad-quickstart")]
    out: PathBuf,
    /// Rows of the log, 1000 to 100000000
    #[arg(long, value_name = "N", default_value_t = ROWS)]
    rows: u64,
}

impl Quickstart {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let mut progress = compare::Progress::default();
        let mut stage = |stage: TourStage<'_>| -> Box<dyn Observer> {
            match stage {
                TourStage::Generate { rows } => {
                    stderr::note(&format!("Generating a video log of {} impressions ...", count(rows)));
                    Box::new(TrainProgress::new(""))
                }
                TourStage::Compare(next) => progress.of(next),
            }
        };
        let options = QuickstartOptions { out: &self.out, rows: self.rows, pages: Some(&Html) };
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
    let saved = report.comparison.models.iter().find(|model| model.name == SAVED);
    let verdict = saved.and_then(|model| model.verdict.as_ref());
    format!(
        "\
{}
{}

Written to {out}:
  compared/report.html  the comparison in pictures: open it in a browser
  compared/             its figures (compare.json) and every run
  model                 {SAVED}, of the first seed
  video.toml            the configuration, ready to be changed
  video.parquet         the log
  later.parquet         rows that came after it, for the test

Next:
  pleiad inspect {out}/model --data {out}/later.parquet
  pleiad predict {out}/model --data {out}/later.parquet --out predictions.parquet
  pleiad train {out}/video.toml --out run --set train.epochs=8
",
        compare::text(&report.comparison),
        shown(report.rows, &report.comparison.baseline, verdict),
    )
}

/// What the verdict on the saved model says in plain words, gains and costs that hold; of a log that shows no gain, what would.
fn shown(rows: u64, baseline: &str, verdict: Option<&Verdict>) -> String {
    let held = |of: fn(&Verdict) -> &Vec<String>| -> Vec<String> {
        let verdict = verdict.into_iter();
        verdict.flat_map(|v| of(v).iter().filter(|task| v.holds.contains(task))).cloned().collect()
    };
    let (helps, hurts) = (held(|verdict| &verdict.helps), held(|verdict| &verdict.hurts));
    let mut text = if helps.is_empty() {
        let more = match rows {
            ..ROWS => format!("--rows {ROWS}, the default, shows gains on share and comment"),
            _ => "more seeds may show one (compare.seeds)".to_owned(),
        };
        format!("On {} rows no gain of {SAVED} over {baseline} holds; {more}.", count(rows))
    } else {
        format!("{SAVED} predicts {} better than networks that learn each task alone.", figures::list(&helps))
    };
    if !hurts.is_empty() {
        let pay = if hurts.len() == 1 { "pays" } else { "pay" };
        text.push_str(&format!(" A seesaw: {} {pay}.", figures::list(&hurts)));
    }
    text.push_str("\nThat is one generated log; docs/quickstart.md has others. Yours may differ: compare on it.");
    text
}

#[cfg(test)]
mod tests {
    use pleiad_train::compare::VerdictKind;

    use super::*;

    fn verdict(kind: VerdictKind, helps: &[&str], hurts: &[&str], holds: &[&str]) -> Verdict {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Verdict {
            kind,
            text: String::new(),
            helps: owned(helps),
            hurts: owned(hurts),
            open: vec![],
            holds: owned(holds),
        }
    }

    #[test]
    fn only_what_holds_is_called_a_gain() {
        let seesaw =
            verdict(VerdictKind::Seesaw, &["share", "comment", "view"], &["click"], &["share", "view", "click"]);
        let text = shown(ROWS, "single-task", Some(&seesaw));
        assert!(text.starts_with("PLE predicts share and view better than "), "{text}");
        assert!(text.contains("A seesaw: click pays."), "{text}");

        let open = verdict(VerdictKind::HelpsSome, &["share"], &[], &[]);
        for verdict in [None, Some(&open)] {
            let text = shown(200_000, "single-task", verdict);
            assert!(text.starts_with("On 200,000 rows no gain of PLE over single-task holds; --rows 500000"), "{text}");
            let text = shown(ROWS, "single-task", verdict);
            assert!(text.contains("more seeds") && !text.contains("the default"), "{text}");
        }
    }
}
