//! `pleiad compare`: several models on the same rows, over several seeds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pleiad_report::Html;
use pleiad_train::compare::{
    CompareOptions, CompareStage, ComparedModel, Comparison, Interval, SeedRun, Spread, TaskComparison, VerdictKind,
    compare,
};
use pleiad_train::metrics::MetricKind;
use pleiad_train::{ConfigFile, Observer, figures};

use crate::exit::Failure;
use crate::output::{self, Format, Table, count, folded, print, print_json};
use crate::paint::{Tone, paint, paints};
use crate::progress::{Outlook, TrainProgress};
use crate::{Global, signals, stderr};

/// Compare several models over several seeds: does sharing help every task, and who pays?
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad compare census.toml --out census-compared --set compare.seeds=[1,2,3,4,5]

Trains every [[compare.model]] with every seed on rows that are read once. DIR/compare.json has all
figures, DIR/report.html the pictures, DIR/runs every run as `pleiad train` writes it. Interrupted
with Ctrl-C, or killed, it goes on where it stopped with the same command.")]
pub(crate) struct Compare {
    /// Configuration (TOML) with [compare] and [[compare.model]]
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Folder to write; what it has of this comparison is not done again
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Change a key of the configuration: --set compare.seeds=[1,2,3] --set train.epochs=3
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Compare {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let config = ConfigFile::load(&self.config, &self.set)?;
        let interrupt = signals::interrupt()?;
        let options = CompareOptions { config: &config, out: &self.out, rows: None, pages: Some(&Html) };
        let mut progress = Progress::default();
        let comparison = compare(options, &interrupt, &mut |stage| progress.of(stage))?;
        if comparison.models.iter().all(|model| model.runs.iter().all(|run| run.evaluation().is_none())) {
            return Err(Failure::run("every model failed with every seed; see the warnings above".to_owned()));
        }
        match global.format {
            Format::Json => print_json(&comparison)?,
            Format::Text => {
                let out = self.out.display();
                print(&format!("{}\nreport: {out}/report.html\nfigures: {out}/compare.json", text(&comparison)))?;
            }
        }
        Ok(())
    }
}

/// Shows the progress of each stage, with the time that all of them take.
#[derive(Default)]
pub(super) struct Progress {
    outlook: Arc<Mutex<Outlook>>,
}

impl Progress {
    /// Says what stage begins, and shows its progress.
    pub(super) fn of(&mut self, stage: CompareStage<'_>) -> Box<dyn Observer> {
        match stage {
            CompareStage::Load => Box::new(TrainProgress::new("reading rows")),
            CompareStage::Run { model, seed, number, of, known } => {
                let label = format!("{number}/{of} {model}, seed {seed}");
                if known {
                    stderr::note(&format!("{label}: done before"));
                }
                Box::new(TrainProgress::among(&label, &self.outlook, of.saturating_sub(number)))
            }
        }
    }
}

/// Tables of metrics and gains, verdicts, notes.
pub(super) fn text(comparison: &Comparison) -> String {
    let rows = match &comparison.rows.test {
        Some(test) => test.rows,
        None => comparison.rows.valid.as_ref().map_or(0, |valid| valid.rows),
    };
    let seeds = comparison.seeds.len();
    let measured = format!(
        "Metrics on {} {} rows, mean over {seeds} seed{} ± standard deviation ({})",
        count(rows),
        comparison.measured_on.name(),
        if seeds == 1 { "" } else { "s" },
        direction(comparison),
    );
    let gained = format!(
        "MTL gain over {} (+ is better), paired by seed{}",
        comparison.baseline,
        if seeds > 1 { ", 95 % confidence interval; * holds after Holm's correction" } else { "" },
    );
    let (metrics, gains) = (metrics_by_model(comparison), gains_by_model(comparison));
    let alone = comparison.models.len() == 1;
    // In a pipe a sentence stays a line.
    let answer = folded(&comparison.answer.text, output::width().unwrap_or(usize::MAX), 0);
    let answer = paint(&answer, Tone::Strong, paints(&std::io::stdout()));
    let widest = output::width().unwrap_or(WIDEST).min(WIDEST);
    let mut text = match [&metrics, &gains].iter().all(|table| width(table) <= widest) {
        true if alone => format!("{answer}\n\n{measured}\n\n{metrics}"),
        true => format!("{answer}\n\n{measured}\n\n{metrics}\n{gained}\n\n{gains}"),
        // Tasks below one another where they have no room side by side.
        false => format!("{answer}\n\n{measured}\n{gained}\n\n{}\n{}", sizes(comparison).render(), by_task(comparison)),
    };
    if !alone {
        text.push_str(&format!("\n{}", verdicts(comparison)));
    }
    if let Some(also) = also_measured(comparison) {
        text.push_str(&format!("\nOther metrics, of which no verdict is made{also}"));
    }
    if !comparison.notes.is_empty() {
        text.push_str("\nTo be known:\n");
        comparison.notes.iter().for_each(|note| text.push_str(&format!("  - {note}\n")));
    }
    text
}

/// The verdicts, each in its tone.
fn verdicts(comparison: &Comparison) -> String {
    let judged = || comparison.models.iter().filter_map(|model| Some((model, model.verdict.as_ref()?)));
    let mut table = Table::new(["model", "verdict"]).left();
    for (model, verdict) in judged() {
        table.row([model.name.clone(), format!("{}{}", verdict.text, failures(model))]);
    }
    let tones = judged().map(|(_, verdict)| match verdict.kind {
        VerdictKind::HelpsAll | VerdictKind::HelpsSome => Some(Tone::Good),
        VerdictKind::Seesaw => Some(Tone::Warning),
        VerdictKind::Hurts => Some(Tone::Bad),
        VerdictKind::NoDifference | VerdictKind::Unknown => None,
    });
    // Header and rule come first.
    let tones = [None, None].into_iter().chain(tones);
    let (paints, width) = (paints(&std::io::stdout()), output::width());
    let indent = judged().map(|(model, _)| model.name.chars().count()).max().unwrap_or(0).max("model".len()) + 2;
    let line = |(line, tone): (&str, Option<Tone>)| {
        let line = match width {
            // A rule is as long as the lines below it.
            Some(width) if line.starts_with("--") => line.chars().take(width).collect(),
            Some(width) => folded(line, width, indent),
            None => line.to_owned(),
        };
        format!("{}\n", tone.map_or(line.clone(), |tone| paint(&line, tone, paints)))
    };
    table.render().lines().zip(tones).map(line).collect()
}

/// Characters that a line may have; beyond them tasks stand below one another.
const WIDEST: usize = 120;

fn width(table: &str) -> usize {
    table.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn tasks(comparison: &Comparison) -> impl Iterator<Item = String> + '_ {
    comparison.metrics.iter().map(|(task, metric)| format!("{task} {}", metric.name()))
}

const SIZES: [&str; 5] = ["model", "parameters", "in tables", "operations/row", "rows/s"];

fn size(model: &ComparedModel) -> [String; 5] {
    [
        model.name.clone(),
        count(model.parameters.total),
        count(model.parameters.tables),
        count(model.flops_per_row),
        model.rows_per_second.map_or_else(|| "-".to_owned(), |speed| count(speed.mean as u64)),
    ]
}

fn sizes(comparison: &Comparison) -> Table {
    let mut table = Table::new(SIZES);
    comparison.models.iter().for_each(|model| table.row(size(model)));
    table
}

fn metrics_by_model(comparison: &Comparison) -> String {
    let mut table = Table::new(SIZES.map(str::to_owned).into_iter().chain(tasks(comparison)));
    for model in &comparison.models {
        table.row(size(model).into_iter().chain(model.tasks.iter().map(|(_, task)| spread(task.metric))));
    }
    table.render()
}

fn gains_by_model(comparison: &Comparison) -> String {
    let changes = comparison.metrics.iter().map(|(task, metric)| format!("{task}: {}", figures::direction(*metric)));
    let mut table = Table::new(std::iter::once("model".to_owned()).chain(changes));
    for model in comparison.models.iter().filter(|model| model.verdict.is_some()) {
        let gains = model.tasks.iter().map(|(_, task)| interval(task));
        table.row(std::iter::once(model.name.clone()).chain(gains));
    }
    table.render()
}

/// A table per task, a row per model.
fn by_task(comparison: &Comparison) -> String {
    let table_of = |(name, heading): ((&str, &MetricKind), String)| {
        let gain = figures::direction(*name.1);
        let mut table = Table::new([heading.as_str(), "mean", &gain]);
        for model in &comparison.models {
            let Some(task) = model.tasks.get(name.0) else { continue };
            let gain = if model.verdict.is_some() { interval(task) } else { String::new() };
            table.row([model.name.clone(), spread(task.metric), gain]);
        }
        table.render()
    };
    comparison.metrics.iter().zip(tasks(comparison)).map(table_of).collect::<Vec<_>>().join("\n")
}

/// Rows of other metrics that a terminal shows; more are a heap that the report says better.
const MOST_OTHERS: usize = 60;

/// A row per task, metric and model, where there are other metrics than those of the verdicts.
fn also_measured(comparison: &Comparison) -> Option<String> {
    let mut table = Table::new(["task", "metric", "model", "mean", "gain (+ is better)"]);
    let mut rows = 0;
    for (task, _) in comparison.tasks.iter() {
        let of = |model: &ComparedModel| model.tasks.get(task).map_or_else(Vec::new, |task| task.also.clone());
        let metrics = comparison.models.first().map_or_else(Vec::new, of);
        for (at, metric) in metrics.iter().map(|also| also.metric.name()).enumerate() {
            for model in &comparison.models {
                let Some(also) = of(model).into_iter().nth(at) else { continue };
                let gain = if model.verdict.is_some() { gain_of(also.gain, " ") } else { String::new() };
                table.row([task.to_owned(), metric.to_string(), model.name.clone(), spread(also.value), gain]);
                rows += 1;
            }
        }
    }
    match rows {
        0 => None,
        1..=MOST_OTHERS => Some(format!("\n\n{}", table.render())),
        _ => Some(": see the report\n".to_owned()),
    }
}

/// Which values of the metrics at hand are better.
fn direction(comparison: &Comparison) -> String {
    let mut kinds: Vec<MetricKind> = Vec::new();
    for (_, kind) in comparison.metrics.iter().filter(|(_, kind)| **kind != MetricKind::Auc) {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    if comparison.metrics.iter().any(|(_, kind)| *kind == MetricKind::Auc) {
        kinds.insert(0, MetricKind::Auc);
    }
    let words = |kind: &MetricKind| match kind {
        MetricKind::Calibration => "calibration: nearer to 1 is better".to_owned(),
        kind if kind.larger_is_better() => format!("{kind}: larger is better"),
        kind => format!("{kind}: smaller is better"),
    };
    kinds.iter().map(words).collect::<Vec<_>>().join("; ")
}

fn spread(spread: Option<Spread>) -> String {
    match spread {
        Some(Spread { mean, sd: Some(sd), .. }) => {
            format!("{} ± {}", figures::metric(Some(mean)), figures::deviation(sd, mean))
        }
        Some(Spread { mean, .. }) => figures::metric(Some(mean)),
        None => "-".to_owned(),
    }
}

/// The gain with its interval; a star where it holds after the correction.
fn interval(task: &TaskComparison) -> String {
    gain_of(task.gain, if task.holds() { "*" } else { " " })
}

fn gain_of(gain: Option<Interval>, star: &str) -> String {
    match gain {
        Some(Interval { mean, bounds: Some(bounds), .. }) => {
            format!("{} {}{star}", figures::gain(mean), figures::bounds(bounds))
        }
        Some(Interval { mean, .. }) => figures::gain(mean),
        None => "-".to_owned(),
    }
}

fn failures(model: &ComparedModel) -> String {
    let failed = model.runs.iter().filter(|run| matches!(run, SeedRun::Failed { .. })).count();
    if failed == 0 { String::new() } else { format!(" (failed in {failed} of {} seeds)", model.runs.len()) }
}
