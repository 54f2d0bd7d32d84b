//! The commands, one file each.

mod bench;
mod compare;
mod completions;
mod evaluate;
mod export;
mod file;
mod import;
mod init;
mod inspect;
mod load;
mod man;
mod predict;
mod quickstart;
mod replay;
mod rows;
mod schema;
mod serve;
mod synth;
mod train;
mod tune;

use clap::Subcommand;
use pleiad_data::{Skipped, TaskKind};
use pleiad_rank::Read;
use pleiad_train::metrics::{MetricKind, TaskMetrics};
use pleiad_train::{figures, named_metrics};

use crate::exit::Failure;
use crate::output::{self, Table, count};
use crate::{Global, stderr};

/// What the shell asks for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Quickstart(quickstart::Quickstart),
    Init(init::Init),
    Train(train::Train),
    Compare(compare::Compare),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Serve(serve::Serve),
    Replay(replay::Replay),
    Tune(tune::Tune),
    Inspect(inspect::Inspect),
    Export(export::Export),
    #[command(subcommand)]
    Synth(synth::Synth),
    Import(import::Import),
    Schema(schema::Schema),
    Bench(bench::Bench),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Quickstart(command) => command.run(global),
            Self::Init(command) => command.run(global),
            Self::Train(command) => command.run(global),
            Self::Compare(command) => command.run(global),
            Self::Evaluate(command) => command.run(global),
            Self::Predict(command) => command.run(global),
            Self::Serve(command) => command.run(global),
            Self::Replay(command) => command.run(global),
            Self::Tune(command) => command.run(global),
            Self::Inspect(command) => command.run(global),
            Self::Export(command) => command.run(global),
            Self::Synth(command) => command.run(global),
            Self::Import(command) => command.run(global),
            Self::Schema(command) => command.run(),
            Self::Bench(command) => command.run(global),
            Self::Completions(command) => command.run(),
            Self::Man(command) => command.run(global),
        }
    }
}

/// Warns of what is wrong with rows that were read.
fn warn_of(read: &Read) {
    warn_skipped(&read.skipped);
    read.alarms.iter().for_each(|alarm| stderr::warning(&alarm.text));
}

/// Warns of rows that were left out as bad.
fn warn_skipped(skipped: &Skipped) {
    if skipped.rows > 0 {
        let examples: String = skipped.examples.iter().map(|bad| format!("\n  {bad}")).collect();
        stderr::warning(&format!("{} bad rows were skipped, among them:{examples}", count(skipped.rows)));
    }
}

/// A row of a table of metrics: the first cells, then the metrics of a task.
type Measured<'e> = (Vec<String>, &'e TaskMetrics, Vec<(MetricKind, Option<f64>)>);

/// A row per evaluated task, a column per metric that any of them has, and below it what needs a word; `first` names the
/// columns before them. Where the terminal has no room for all metrics side by side, those of each kind of task have a table
/// of their own, as have those within groups.
fn metrics_table<'e>(first: &[&str], rows: impl Iterator<Item = (Vec<String>, &'e TaskMetrics)>) -> String {
    let rows: Vec<Measured<'_>> = rows.map(|(cells, metrics)| (cells, metrics, named_metrics(metrics))).collect();
    let mut kinds: Vec<MetricKind> = Vec::new();
    for (kind, _) in rows.iter().flat_map(|(_, _, named)| named) {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    let of = |wanted: &dyn Fn(MetricKind) -> bool| kinds.iter().copied().filter(|kind| wanted(*kind)).collect();
    let of_groups: Vec<MetricKind> = of(&MetricKind::needs_groups);
    let of_task = |task: TaskKind| -> Vec<MetricKind> { of(&|kind| MetricKind::of(task).contains(&kind)) };
    let (binary, regression) = (of_task(TaskKind::Binary), of_task(TaskKind::Regression));
    let mut tables = part(first, &rows, &[binary.as_slice(), &of_groups, &regression].concat());
    if output::width().is_some_and(|width| tables.lines().any(|line| line.chars().count() > width)) {
        let parts = [&binary, &regression, &of_groups].into_iter().filter(|kinds| !kinds.is_empty());
        tables = parts.map(|kinds| part(first, &rows, kinds)).collect::<Vec<_>>().join("\n");
    }
    let counted = rows.iter().filter_map(|(cells, metrics, _)| Some((cells, figures::counted(metrics)?)));
    let counted: String = counted.map(|(cells, counted)| format!("{}: {counted}\n", cells.join(", "))).collect();
    let with_groups = rows.iter().filter_map(|(cells, metrics, _)| Some((cells, metrics.by_group()?)));
    let groups: String =
        with_groups.map(|(cells, groups)| format!("{}: {}\n", cells.join(", "), figures::groups(groups))).collect();
    let defined = if kinds.contains(&MetricKind::Calibration) { figures::CALIBRATION } else { "" };
    format!("{tables}{counted}{groups}{defined}\n")
}

/// A column for each of these metrics, a row for each task that has one of them.
fn part(first: &[&str], rows: &[Measured<'_>], kinds: &[MetricKind]) -> String {
    let names = kinds.iter().map(|kind| kind.name().into_owned());
    let mut table = Table::new(first.iter().copied().chain(["rows"]).map(str::to_owned).chain(names));
    for (cells, metrics, named) in rows.iter().filter(|(_, _, named)| named.iter().any(|(k, _)| kinds.contains(k))) {
        let mut row = cells.clone();
        row.push(count(metrics.rows()));
        for kind in kinds {
            let value = named.iter().find(|(k, _)| k == kind);
            // A metric of another kind of task leaves its cell empty; one that is undefined shows a dash.
            row.push(value.map_or_else(String::new, |(_, value)| figures::metric(*value)));
        }
        table.row(row);
    }
    table.render()
}
