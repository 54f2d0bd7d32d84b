//! `pleiad replay`: what other score weights would have ranked in the requests of a log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use pleiad_data::TaskKind;
use pleiad_data::schema::{LabelConfig, TaskConfig};
use pleiad_rank::{Model, RankFusion, Source};
use pleiad_train::figures;
use pleiad_train::replay::{Outcomes, Replay as Replayed, ReplayOptions, replay};

use crate::exit::Failure;
use crate::output::{Format, Table, count, print, print_json};
use crate::progress::RowProgress;
use crate::{Global, signals, stderr};

/// Rank the requests of a server's log anew: what would other score weights have ranked?
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad replay log/video --score click=1,share=2
  pleiad replay log/video --score share=2 --outcome click=clicked --metric click.ndcg@10
  pleiad replay log/video --model other/model --out order.parquet

LOG is what `pleiad serve --request-log DIR` has written: the folder of a model, or its
files. Without a model the logged predictions are scored again, by the weights that each
request had and those of --score above them. With --model (or a model's folder behind the
log) that model predicts anew, and its [rank] is what --score changes.")]
pub(crate) struct Replay {
    /// The log: folders, files, globs in quotes; a model's folder at the end is that of --model
    #[arg(value_name = "LOG", required = true)]
    log: Vec<String>,
    /// Exponents of tasks, above those in force
    #[arg(long, value_name = "TASK=EXPONENT", value_delimiter = ',', value_parser = exponent)]
    score: Vec<(String, f64)>,
    /// How the tasks come together [default: as logged]
    #[arg(long, value_enum)]
    fusion: Option<Fusion>,
    /// Another change of [rank], such as rank.joint=true; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Predict anew with this model (the folder RUN/model)
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Candidates of a request that are looked at
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value_t = 10)]
    top: u32,
    /// Columns of outcomes that were joined to the log, by task; with --model they are those of its labels
    #[arg(long, value_name = "TASK=COLUMN", value_delimiter = ',', value_parser = pair)]
    outcome: Vec<(String, String)>,
    /// Metrics of the outcomes in both orders: TASK.gauc, TASK.ndcg@K, TASK.recall@K; may be repeated
    #[arg(long, value_name = "TASK.METRIC")]
    metric: Vec<String>,
    /// File for the new order: .csv, .csv.gz, .csv.zst, .parquet or .arrow
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How tasks come together.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fusion {
    /// The product of powers, equation 1
    Product,
    /// The weighted sum
    Sum,
}

/// `TASK=COLUMN`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((task, value)) if !task.is_empty() && !value.is_empty() => Ok((task.to_owned(), value.to_owned())),
        _ => Err("expected TASK=VALUE, such as click=1".to_owned()),
    }
}

/// `TASK=EXPONENT`.
fn exponent(text: &str) -> Result<(String, f64), String> {
    let (task, value) = pair(text)?;
    match value.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((task, value)),
        _ => Err(format!("{value:?} is not a finite number")),
    }
}

impl Replay {
    pub(crate) fn run(mut self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        // `pleiad replay LOG MODEL`.
        if self.model.is_none()
            && self.log.len() > 1
            && let Some(last) = self.log.pop_if(|last| Path::new(last.as_str()).join("model.json").is_file())
        {
            self.model = Some(PathBuf::from(last));
        }
        let model = self.model.as_deref().map(Model::open).transpose()?;
        let outcome = |(task, column): &(String, String)| TaskConfig {
            name: task.clone(),
            kind: TaskKind::Regression,
            label: LabelConfig { column: column.clone(), positive: None, missing: None, transform: None },
            filter: None,
            weight: Default::default(),
            loss: None,
            positive_weight: None,
            sampled: None,
            row_weight: None,
        };
        let named: Vec<TaskConfig> = self.outcome.iter().map(outcome).collect();
        let outcomes = match &model {
            Some(model) if named.is_empty() => Outcomes { tasks: &model.encoder().schema().tasks, required: false },
            _ => Outcomes { tasks: &named, required: true },
        };
        let options = ReplayOptions {
            score: self.score.into_iter().collect::<BTreeMap<_, _>>(),
            fusion: self.fusion.map(|fusion| match fusion {
                Fusion::Product => RankFusion::Product,
                Fusion::Sum => RankFusion::Sum,
            }),
            sets: self.set,
            top: self.top as usize,
            metrics: self.metric,
            out: self.out,
        };
        let source = Source::new(&self.log, None)?;
        let progress = RowProgress::new("reading the log", None);
        let found = replay(&source, model.as_ref(), outcomes, &options, &interrupt, &mut |rows| progress.at(rows))?;
        drop(progress);
        if found.unlike > 0 {
            stderr::warning(&format!(
                "the logged scores of {} of {} requests are not what their logged predictions and weights give: was the log \
                 changed?",
                count(found.unlike as u64),
                count(found.requests as u64)
            ));
        }
        match global.format {
            Format::Json => print_json(&found)?,
            Format::Text => print(&text(&found))?,
        }
        Ok(())
    }
}

fn text(found: &Replayed) -> String {
    let top = found.top;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut facts = Table::new(["", "value"]);
    facts.row(["requests".to_owned(), count(found.requests as u64)]);
    facts.row(["candidates".to_owned(), count(found.candidates as u64)]);
    facts.row(["requests with another first place".to_owned(), percent(found.first_changed)]);
    facts.row(["requests with any other place".to_owned(), percent(found.order_changed)]);
    facts.row([format!("first {top} in common"), percent(found.overlap)]);
    let correlation = found.kendall.map_or_else(|| "-".to_owned(), |tau| format!("{tau:.4}"));
    facts.row(["rank correlation (Kendall)".to_owned(), correlation]);
    let mut tasks =
        Table::new([&format!("mean prediction in the first {top}"), "before", "after", "change, 95 % interval"]);
    for task in &found.tasks {
        let bounds = task.bounds.map(figures::bounds).unwrap_or_default();
        let change = format!("{} {bounds}", figures::gain(task.change));
        tasks.row([task.task.clone(), figures::metric(Some(task.before)), figures::metric(Some(task.after)), change]);
    }
    let mut text = format!("{}\n{}", facts.render(), tasks.render());
    if !found.metrics.is_empty() {
        let mut table = Table::new(["metric", "requests", "before", "after", "gain, 95 % interval"]);
        for metric in &found.metrics {
            match &metric.gain {
                None => table.row([metric.metric.as_str(), "0", "-", "-", "-"]),
                Some(gain) => table.row([
                    metric.metric.clone(),
                    count(gain.requests as u64),
                    figures::metric(Some(gain.before)),
                    figures::metric(Some(gain.after)),
                    format!("{} {}", figures::gain(gain.gain), figures::bounds(gain.bounds)),
                ]),
            }
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    text
}
