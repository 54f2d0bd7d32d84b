//! `pleiad tune`: score weights that would have ranked logged requests better.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use pleiad_rank::{Model, RankConfig, Scorer, Source};
use pleiad_train::replay::{LogRows, Outcomes};
use pleiad_train::tune::{TuneOptions, TuneRows, Tuned, requests, tune};
use pleiad_train::{ConfigFile, figures};

use crate::exit::Failure;
use crate::output::{Format, Table, count, print, print_json};
use crate::progress::RowProgress;
use crate::{Global, signals};

/// Search score weights that would have ranked logged requests better, and say what they gain
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad tune config.toml --model run/model --by request_id \\
      --metric click.ndcg@10 --bound 'share>=0.98'
  pleiad tune config.toml --log joined.parquet --metric click.ndcg@10

The search begins with [rank] of CONFIG. It sees one half of the requests; the metric, its
gain with a 95 % interval, and what becomes of each task are those of the other half. The
rows are the validation rows of CONFIG, which the model predicts, or with --log those of a
server's log, with the predictions that were logged; [[task]] says where outcomes stand.")]
pub(crate) struct Tune {
    /// Configuration (TOML) with [data], [[task]] and [rank]
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// What is to become better: TASK.gauc, TASK.ndcg@K or TASK.recall@K
    #[arg(long, value_name = "TASK.METRIC")]
    metric: String,
    /// What must be left of a task's metric, as a share of what the present weights have: 'share>=0.98' or
    /// 'share.ndcg@5>=0.98'; may be repeated
    #[arg(long, value_name = "BOUND")]
    bound: Vec<String>,
    /// The model that predicts the rows (the folder RUN/model)
    #[arg(long, value_name = "DIR", conflicts_with = "log", required_unless_present = "log")]
    model: Option<PathBuf>,
    /// A server's log, joined with outcomes, in the place of CONFIG's rows; may be repeated
    #[arg(long, value_name = "LOG")]
    log: Vec<String>,
    /// Which rows of CONFIG [default: valid, or test where there are no others]
    #[arg(long, value_enum, conflicts_with = "log")]
    rows: Option<Rows>,
    /// The column that says which rows are one request [default: `request` of [data], or `group` of [metrics]]
    #[arg(long, value_name = "COLUMN", conflicts_with = "log")]
    by: Option<String>,
    /// Tasks that [rank] score does not name and the search may use, too
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    also: Vec<String>,
    /// Starts of the search beside the present weights
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000), default_value_t = 4)]
    restarts: u32,
    /// Seed of these starts, and of the draws behind intervals
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Change a key of the configuration, such as rank.score.share=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Rows of a configuration.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rows {
    /// The validation rows
    Valid,
    /// The test rows
    Test,
}

impl Tune {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let file = ConfigFile::load(&self.config, &self.set)?;
        let Some(rank) = file.config.rank.clone() else {
            return Err(Failure::usage(format!(
                "{}: there is no [rank], whose weights the search begins with: write one, or give --set rank.score.TASK=1",
                self.config.display()
            )));
        };
        let options = TuneOptions {
            metric: self.metric,
            bounds: self.bound,
            also: self.also,
            restarts: self.restarts as usize,
            seed: self.seed,
        };
        let progress = RowProgress::new("reading rows", None);
        let with = |score: &BTreeMap<String, f64>| RankConfig { score: score.clone(), ..rank.clone() };
        let found = if let Some(path) = &self.model {
            let model = Model::open(path)?;
            let schema = model.encoder().schema();
            let scorer = |score: &BTreeMap<String, f64>| Scorer::new(&with(score), schema);
            let rows = match self.rows {
                Some(Rows::Valid) => TuneRows::Valid,
                Some(Rows::Test) => TuneRows::Test,
                None => TuneRows::of(&file),
            };
            let own = scorer(&rank.score)?;
            let (lists, skipped) =
                requests(&file, &model, &own, (rows, self.by.as_deref()), &interrupt, &mut |rows| progress.at(rows))?;
            drop(progress);
            super::warn_skipped(&skipped);
            let progress = RowProgress::new("trying weights", None);
            tune(&lists, &rank.score, &scorer, &options, &interrupt, &mut |tried| progress.at(tried))?
        } else {
            let source = Source::new(&self.log, None)?;
            let outcomes = Outcomes { tasks: &file.schema.tasks, required: true };
            let log = LogRows::read(&source, outcomes, &interrupt, &mut |rows| progress.at(rows))?;
            drop(progress);
            let scoring = log.rankings.first().map(|(_, scoring)| scoring.with(&rank)).unwrap_or_default();
            let scorer = |score: &BTreeMap<String, f64>| Scorer::of_log(score, &scoring.with(&with(score)));
            let progress = RowProgress::new("trying weights", None);
            tune(&log.lists, &rank.score, &scorer, &options, &interrupt, &mut |tried| progress.at(tried))?
        };
        match global.format {
            Format::Json => print_json(&found)?,
            Format::Text => print(&text(&found))?,
        }
        Ok(())
    }
}

fn text(found: &Tuned) -> String {
    let mut weights = Table::new(["exponent", "present", "found"]);
    for (task, before) in &found.before {
        let after = found.after.get(task).copied().unwrap_or(0.0);
        weights.row([task.clone(), before.to_string(), after.to_string()]);
    }
    let mut metrics = Table::new(["held-out requests", "requests", "present", "found", "gain, 95 % interval", "bound"]);
    let mut row = |name: &str, gain: Option<&pleiad_train::lists::Gain>, bound: String| match gain {
        None => metrics.row([name, "0", "-", "-", "-", bound.as_str()]),
        Some(gain) => metrics.row([
            name.to_owned(),
            count(gain.requests as u64),
            figures::metric(Some(gain.before)),
            figures::metric(Some(gain.after)),
            format!("{} {}", figures::gain(gain.gain), figures::bounds(gain.bounds)),
            bound,
        ]),
    };
    row(&found.metric, Some(&found.gain), String::new());
    for task in &found.tasks {
        let bound = match (task.bound, task.holds) {
            (None, _) => String::new(),
            (Some(share), true) => format!(">= {share}: holds"),
            (Some(share), false) => format!(">= {share}: broken"),
        };
        row(&task.metric, task.gain.as_ref(), bound);
    }
    let searched = format!(
        "{} weights were tried on {} requests; all figures are those of {} others",
        count(found.tried as u64),
        count(found.searched as u64),
        count(found.held_out as u64)
    );
    format!("{}\n{}\n{searched}\n{}", weights.render(), metrics.render(), answer(found))
}

/// What to do.
fn answer(found: &Tuned) -> String {
    let gain = format!("{} {}", figures::gain(found.gain.gain), figures::bounds(found.gain.bounds));
    if found.before == found.after {
        return "keep the present weights: none that were tried is better on the requests that were searched on"
            .to_owned();
    }
    let broken: Vec<&str> = found.tasks.iter().filter(|task| !task.holds).map(|task| task.metric.as_str()).collect();
    if found.gain.bounds.0 <= 0.0 {
        let promised = figures::gain(found.promised.gain);
        return format!(
            "keep the present weights: the gain of {} is {gain}, an interval that is not above 0. On the requests that were searched on \
             it was {promised}, which the others do not confirm",
            found.metric
        );
    }
    if !broken.is_empty() {
        return format!(
            "keep the present weights: {} gains {gain}, and {} breaks its bound",
            found.metric,
            broken.join(", ")
        );
    }
    let score: Vec<String> = found.after.iter().map(|(task, power)| format!("{} = {power:?}", key(task))).collect();
    format!(
        "the weights found are better: {} gains {gain}. To use them:\n\n[rank]\nscore = {{ {} }}",
        found.metric,
        score.join(", ")
    )
}

/// A name as a key of TOML.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { name.to_owned() } else { format!("{name:?}") }
}
