//! [`tune`]: score weights that would have ranked logged requests better, searched on one half of the requests and judged on the other.

mod rows;
mod search;

use std::collections::BTreeMap;

use pleiad_data::suggest;
use pleiad_rank::{Interrupt, RankFusion, Scorer};
pub use rows::{TuneRows, requests};
use serde::Serialize;
use xxhash_rust::xxh64::xxh64;

use self::search::{Space, search};
use crate::error::{Error, Result};
use crate::lists::{Gain, ListMetric, Lists, mean, paired};
use crate::metrics::MetricKind;

/// Decides which half a request is in.
const HALVES: u64 = 0x7475_6e65;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct TuneOptions {
    /// The metric that is to become better, such as `click.ndcg@10`.
    pub metric: String,
    /// Bounds: `TASK>=SHARE` or `TASK.METRIC>=SHARE`, the share of what the weights at hand have that must be left.
    pub bounds: Vec<String>,
    /// Tasks that the weights at hand do not name, and the search may.
    pub also: Vec<String>,
    /// Starts beside the weights at hand.
    pub restarts: usize,
    /// Seed of these starts and of the draws behind intervals.
    pub seed: u64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// The metric.
    pub metric: String,
    /// Requests that were searched on.
    pub searched: usize,
    /// Requests that it was judged on, of which the search has seen nothing.
    pub held_out: usize,
    /// Weights that were tried.
    pub tried: usize,
    /// The weights at hand.
    pub before: BTreeMap<String, f64>,
    /// The best weights that were found.
    pub after: BTreeMap<String, f64>,
    /// The metric on the requests that were searched on: what it promises.
    pub promised: Gain,
    /// The metric on the others: what it is worth.
    pub gain: Gain,
    /// What becomes of each task with outcomes, on the others.
    pub tasks: Vec<TunedTask>,
    /// Whether the found weights are better: the whole interval is above 0, and every bound holds.
    pub recommended: bool,
}

/// A task's own metric by both weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TunedTask {
    /// The metric.
    pub metric: String,
    /// `None` where it is defined in no request.
    #[serde(flatten)]
    pub gain: Option<Gain>,
    /// The share of the metric before that must be left.
    pub bound: Option<f64>,
    /// Whether it is.
    pub holds: bool,
}

/// A bound of a search.
struct Bound {
    metric: ListMetric,
    share: f64,
}

/// Searches exponents by which `lists` are ranked better. `now` are the weights at hand, `scorer` makes a score of weights.
///
/// The order of requests, and the threads, change nothing.
///
/// # Errors
/// [`Error::Ask`] for metrics, bounds and tasks that cannot be, and where a half has no request with the metric; [`Error::Interrupted`];
/// what is wrong with the score by the weights at hand.
pub fn tune(
    lists: &Lists,
    now: &BTreeMap<String, f64>,
    scorer: &dyn Fn(&BTreeMap<String, f64>) -> pleiad_rank::Result<Scorer>,
    options: &TuneOptions,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> Result<Tuned> {
    let metric = metric_of(lists, "--metric", &options.metric)?;
    let bounds = options.bounds.iter().map(|text| bound(lists, &metric, text)).collect::<Result<Vec<_>>>()?;
    let mut now = now.clone();
    for task in &options.also {
        if !lists.tasks.contains(task) {
            let known: Vec<&str> = lists.tasks.iter().map(String::as_str).collect();
            let reason = format!("there is no task {task:?}{}", suggest(task, &known));
            return Err(Error::Ask { option: "--also", reason });
        }
        now.entry(task.clone()).or_insert(0.0);
    }
    let [first, second] = halves(lists);
    let own = scorer(&now)?;
    let free = free(&now, &own);
    if free.is_empty() {
        let reason = "the score has one task, whose exponent changes no order: add a task to [rank] score, or name it with --also";
        return Err(Error::Ask { option: "CONFIG", reason: reason.to_owned() });
    }
    let before = first.scores(&own)?;
    let base: Vec<Option<f64>> = bounds.iter().map(|bound| mean(&bound.metric.of(&first, &before))).collect();
    if mean(&metric.of(&first, &before)).is_none() {
        return Err(too_few(&metric, first.requests.len()));
    }
    let mut tried = 0;
    let mut worth = |weights: &BTreeMap<String, f64>| {
        tried += 1;
        progress(tried);
        // Weights by which a score is no number are none.
        let scores = first.scores(&scorer(weights).ok()?).ok()?;
        let holds = |(bound, base): (&Bound, &Option<f64>)| match (base, mean(&bound.metric.of(&first, &scores))) {
            (Some(base), Some(value)) => value >= base * bound.share,
            _ => true,
        };
        bounds.iter().zip(&base).all(holds).then(|| mean(&metric.of(&first, &scores)))?
    };
    let space = Space { now: now.clone(), free, restarts: options.restarts, seed: options.seed };
    let (found, tried) = search(&space, &mut worth, &|| interrupt.raised().is_some());
    if let Some(signal) = interrupt.raised() {
        let what = format!("stopped after {tried} weights were tried; the present ones stay");
        return Err(Error::Interrupted { signal, what });
    }
    let after = found.map_or_else(|| now.clone(), |(weights, _)| weights);
    let (own, best) = (scorer(&now)?, scorer(&after)?);
    let both = |lists: &Lists| Ok::<_, Error>((lists.scores(&own)?, lists.scores(&best)?));
    let (of_first, of_second) = (both(&first)?, both(&second)?);
    let gain = |metric: &ListMetric, lists: &Lists, (before, after): &(Vec<f64>, Vec<f64>)| {
        paired(&metric.of(lists, before), &metric.of(lists, after), options.seed)
    };
    let promised = gain(&metric, &first, &of_first).ok_or_else(|| too_few(&metric, first.requests.len()))?;
    let objective = gain(&metric, &second, &of_second).ok_or_else(|| too_few(&metric, second.requests.len()))?;
    let tasks: Vec<TunedTask> = shown(lists, &metric, &bounds)
        .into_iter()
        .map(|(metric, share)| {
            let gain = gain(&metric, &second, &of_second);
            let holds = share.zip(gain).is_none_or(|(share, gain)| gain.after >= gain.before * share);
            TunedTask { metric: metric.to_string(), gain, bound: share, holds }
        })
        .collect();
    let recommended = objective.bounds.0 > 0.0 && tasks.iter().all(|task| task.holds);
    Ok(Tuned {
        metric: metric.to_string(),
        searched: first.requests.len(),
        held_out: second.requests.len(),
        tried,
        before: now,
        after,
        promised,
        gain: objective,
        tasks,
        recommended,
    })
}

/// The requests that are searched on, and those that are held out: by a hash of each, whatever their order.
fn halves(lists: &Lists) -> [Lists; 2] {
    let half = |request: &usize| xxh64(&lists.hashes[*request].to_le_bytes(), HALVES) & 1 == 0;
    let mut numbers: Vec<usize> = (0..lists.requests.len()).collect();
    // Sums over requests are rounded in this order.
    numbers.sort_by_key(|&request| lists.hashes[request]);
    let (first, second): (Vec<usize>, Vec<usize>) = numbers.into_iter().partition(half);
    [lists.part(&first), lists.part(&second)]
}

/// The tasks whose exponents change an order. By a product without a transform, twice all exponents change none: the largest stays.
fn free(now: &BTreeMap<String, f64>, scorer: &Scorer) -> Vec<String> {
    let largest = now.iter().fold(None::<(&String, f64)>, |largest, (task, power)| match largest {
        Some((_, size)) if size >= power.abs() => largest,
        _ => Some((task, power.abs())),
    });
    let is_scaled = scorer.transform().is_none();
    // By a sum, too: the order is that of the ratios, and a transform multiplies the whole sum.
    let is_scaled = is_scaled || scorer.fusion() == RankFusion::Sum;
    now.keys().filter(|task| !is_scaled || largest.is_none_or(|(largest, _)| largest != *task)).cloned().collect()
}

/// The metrics that are shown: those of bounds, then one of each other task with outcomes.
fn shown(lists: &Lists, metric: &ListMetric, bounds: &[Bound]) -> Vec<(ListMetric, Option<f64>)> {
    let mut shown: Vec<(ListMetric, Option<f64>)> =
        bounds.iter().map(|bound| (bound.metric.clone(), Some(bound.share))).collect();
    for (task, name) in lists.tasks.iter().enumerate() {
        let own = ListMetric { task, name: name.clone(), kind: kind_of(metric) };
        if task == metric.task || shown.iter().any(|(shown, _)| shown.task == task) {
            continue;
        }
        if lists.labels.get(task).is_some_and(|labels| own.refuses(labels).is_none()) {
            shown.push((own, None));
        }
    }
    shown
}

/// The metric of other tasks: NDCG, which values have, too.
fn kind_of(metric: &ListMetric) -> MetricKind {
    match metric.kind {
        MetricKind::Ndcg(k) | MetricKind::Recall(k) => MetricKind::Ndcg(k),
        _ => MetricKind::Ndcg(10),
    }
}

fn metric_of(lists: &Lists, option: &'static str, text: &str) -> Result<ListMetric> {
    let refuse = |reason: String| Error::Ask { option, reason };
    let metric = ListMetric::parse(text, &lists.tasks).map_err(refuse)?;
    let labels = lists.labels.get(metric.task);
    match labels.map_or_else(|| Some("no outcome is known".to_owned()), |labels| metric.refuses(labels)) {
        Some(reason) => Err(refuse(reason)),
        None => Ok(metric),
    }
}

/// `TASK>=SHARE` or `TASK.METRIC>=SHARE`.
fn bound(lists: &Lists, objective: &ListMetric, text: &str) -> Result<Bound> {
    let refuse = |reason: String| Err(Error::Ask { option: "--bound", reason });
    let Some((name, share)) = text.split_once(">=") else {
        return refuse(format!("{text:?} is none: expected TASK>=SHARE, such as share>=0.98"));
    };
    let share = match share.trim().parse::<f64>() {
        Ok(share) if share.is_finite() && share >= 0.0 => share,
        _ => return refuse(format!("{text:?}: a share is a number, 0 or above, of what the weights at hand have")),
    };
    let name = name.trim();
    let text = match lists.tasks.iter().any(|task| task == name) {
        true => format!("{name}.{}", kind_of(objective)),
        false => name.to_owned(),
    };
    Ok(Bound { metric: metric_of(lists, "--bound", &text)?, share })
}

fn too_few(metric: &ListMetric, requests: usize) -> Error {
    let reason = format!(
        "{metric} is defined in none of {requests} requests of a half: there are too few, or none has an outcome that counts"
    );
    Error::Ask { option: "--metric", reason }
}
