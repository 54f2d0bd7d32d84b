//! [`replay`]: what other score weights, or another model, would have ranked in the requests of a log.

mod read;
mod shift;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use pleiad_data::EncodedStream;
use pleiad_data::schema::OnBadRow;
use pleiad_engine::Predictions;
use pleiad_rank::{Interrupt, Model, RankConfig, RankFusion, Source, check_finite};
use serde::Serialize;

pub use read::{LogRows, LoggedScore, Outcomes};
pub use shift::TaskShift;

use crate::error::{Error, Result};
use crate::lists::{Gain, ListMetric, ordered, paired};

/// Seed of the draws behind intervals.
const SEED: u64 = 1;

/// What is replayed, and how.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// Exponents of tasks above those that each request had, or above the model's.
    pub score: BTreeMap<String, f64>,
    /// How tasks come together, if otherwise.
    pub fusion: Option<RankFusion>,
    /// Other changes of `[rank]`: `rank.KEY=VALUE`.
    pub sets: Vec<String>,
    /// How many candidates of a request are looked at.
    pub top: usize,
    /// Metrics of outcomes, such as `click.ndcg@10`.
    pub metrics: Vec<String>,
    /// A file for the new order.
    pub out: Option<PathBuf>,
}

/// Two orders of the same requests: the logged one and another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// Requests.
    pub requests: usize,
    /// Candidates of all of them.
    pub candidates: usize,
    /// How many candidates of a request are looked at.
    pub top: usize,
    /// Share of requests in which another candidate comes first.
    pub first_changed: f64,
    /// Share of requests in which any candidate has another place.
    pub order_changed: f64,
    /// What both orders have in common among the first `top`, as a share: mean over requests.
    pub overlap: f64,
    /// Kendall's rank correlation of both orders: mean over requests of two candidates or more.
    pub kendall: Option<f64>,
    /// Predictions among the first `top`.
    pub tasks: Vec<TaskShift>,
    /// Metrics of outcomes.
    pub metrics: Vec<MetricShift>,
    /// Requests whose logged scores are not what their logged predictions and weights give.
    pub unlike: usize,
}

/// A metric in both orders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricShift {
    /// Such as `click.ndcg@10`.
    pub metric: String,
    /// `None` where it is defined in no request.
    #[serde(flatten)]
    pub gain: Option<Gain>,
}

/// Ranks the requests of a log anew: by other weights over the logged predictions, or with `model` by what that one predicts, whose
/// `[rank]` it then begins with.
///
/// # Errors
/// Those of [`LogRows::read`]; [`Error::Ask`] and [`Error::Rank`] for weights and metrics that cannot be; a score that is no number.
pub fn replay(
    source: &Source,
    model: Option<&Model>,
    outcomes: Outcomes<'_>,
    options: &ReplayOptions,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> Result<Replay> {
    let mut log = LogRows::read(source, outcomes, interrupt, progress)?;
    let logged = log.rescored(&mut |own| Ok(own.clone())).ok();
    let unlike = match &logged {
        Some(scores) => {
            log.lists.requests.iter().filter(|range| scores[(*range).clone()] != log.scores[(*range).clone()]).count()
        }
        None => log.lists.requests.len(),
    };
    let scores = match model {
        Some(model) => predicted_again(&mut log, source, model, options, interrupt, progress)?,
        None => log.rescored(&mut |own| changed(own, options))?,
    };
    let metrics = options.metrics.iter().map(|text| {
        let metric = ListMetric::parse(text, &log.lists.tasks);
        metric.map_err(|reason| Error::Ask { option: "--metric", reason })
    });
    let metrics = metrics.collect::<Result<Vec<_>>>()?;
    if !metrics.is_empty() && log.lists.labels.is_empty() {
        let reason = "the log has no outcomes: join it with what users did, and name the columns with --outcome TASK=COLUMN, or \
                      give the model whose labels they are with --model";
        return Err(Error::Ask { option: "--metric", reason: reason.to_owned() });
    }
    if let Some(reason) = metrics.iter().find_map(|metric| metric.refuses(&log.lists.labels[metric.task])) {
        return Err(Error::Ask { option: "--metric", reason });
    }
    let result = compare(&log, &scores, &metrics, options.top, unlike);
    if let Some(out) = &options.out {
        write::write(&log, &scores, out, source, interrupt)?;
    }
    Ok(result)
}

/// What the score of a request becomes.
fn changed((exponents, scoring): &LoggedScore, options: &ReplayOptions) -> Result<LoggedScore> {
    let mut score = exponents.clone();
    score.extend(options.score.iter().map(|(task, power)| (task.clone(), *power)));
    let rank = set(scoring.rank(&score), options)?;
    let column = |rank: &RankConfig| rank.transform.as_ref().map(|transform| transform.column.clone());
    if let Some(other) = column(&rank)
        && scoring.transform.as_ref().is_none_or(|own| own.column != other)
    {
        let reason = format!("the log has no numbers of column {other:?}; give a model with --model");
        return Err(Error::Ask { option: "--set", reason });
    }
    Ok((rank.score.clone(), scoring.with(&rank)))
}

fn set(rank: RankConfig, options: &ReplayOptions) -> Result<RankConfig> {
    let rank = RankConfig { fusion: options.fusion.unwrap_or(rank.fusion), ..rank };
    Ok(RankConfig::with_sets(Some(&rank), &options.sets)?)
}

/// Puts a model's predictions in the place of the logged ones, and gives the scores of its `[rank]`.
fn predicted_again(
    log: &mut LogRows,
    source: &Source,
    model: &Model,
    options: &ReplayOptions,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<f64>> {
    let mut rank = model.rank().cloned().unwrap_or_default();
    rank.score.extend(options.score.iter().map(|(task, power)| (task.clone(), *power)));
    if rank.score.is_empty() && options.sets.is_empty() {
        return Err(model
            .scorer()
            .err()
            .map_or_else(|| Error::Ask { option: "--score", reason: "name a task".to_owned() }, Error::from));
    }
    let rank = set(rank, options)?;
    let scorer = pleiad_rank::Scorer::new(&rank, model.encoder().schema())?;
    let mut wanted = source.options(model.encoder())?;
    wanted.stop = Some(interrupt.flag());
    wanted.numbers_of = scorer.feature();
    wanted.on_bad_row = OnBadRow::Stop;
    let rows = log.lists.rows();
    let mut place = vec![usize::MAX; log.positions.iter().max().map_or(0, |last| *last as usize + 1)];
    log.positions.iter().enumerate().for_each(|(row, &position)| place[position as usize] = row);
    let tasks: Vec<String> = model.tasks().iter().map(|task| task.name.clone()).collect();
    let mut predictions = vec![vec![0f32; rows]; tasks.len()];
    let mut numbers = if scorer.feature().is_some() { vec![f64::NAN; rows] } else { Vec::new() };
    let mut done = 0;
    for encoded in EncodedStream::open(model.encoder(), &wanted)? {
        if let Some(signal) = interrupt.raised() {
            return Err(Error::Interrupted { signal, what: format!("stopped after {done} rows were predicted") });
        }
        let encoded = encoded?;
        let own = model.predictor().predict(&encoded.batch)?;
        check_finite(&own, model.tasks(), done)?;
        for (at, position) in encoded.positions.iter().enumerate() {
            let Some(&row) = place.get(*position as usize).filter(|row| **row != usize::MAX) else { continue };
            predictions.iter_mut().zip(&own.tasks).for_each(|(all, own)| all[row] = own[at]);
            if let (Some(number), Some(own)) = (numbers.get_mut(row), encoded.numbers.get(at)) {
                *number = *own;
            }
        }
        done += encoded.batch.rows as u64;
        progress(done);
    }
    // Outcomes go with the names of tasks.
    if !log.lists.labels.is_empty() {
        let none = || pleiad_data::Labels { values: vec![0.0; rows], present: vec![false; rows], weights: Vec::new() };
        let own =
            |task: &String| log.lists.tasks.iter().position(|own| own == task).map(|at| log.lists.labels[at].clone());
        log.lists.labels = tasks.iter().map(|task| own(task).unwrap_or_else(none)).collect();
    }
    log.lists.tasks = tasks;
    log.lists.predictions = Predictions { tasks: predictions };
    log.lists.numbers = numbers;
    Ok(log.lists.scores(&scorer)?)
}

/// The logged order against the one by `scores`.
fn compare(log: &LogRows, scores: &[f64], metrics: &[ListMetric], top: usize, unlike: usize) -> Replay {
    let requests = &log.lists.requests;
    let count = requests.len().max(1) as f64;
    let orders: Vec<[Vec<usize>; 2]> =
        requests.iter().map(|range| [&log.scores, scores].map(|scores| ordered(&scores[range.clone()]))).collect();
    let share = |is: &dyn Fn(&[Vec<usize>; 2]) -> bool| orders.iter().filter(|order| is(order)).count() as f64 / count;
    let overlaps: f64 = orders.iter().map(|[before, after]| shift::overlap(before, after, top)).sum();
    let correlations: Vec<f64> = orders.iter().filter_map(|[before, after]| shift::kendall(before, after)).collect();
    let tasks = log.lists.tasks.iter().zip(&log.lists.predictions.tasks);
    let gain = |metric: &ListMetric| {
        let [before, after] = [&log.scores[..], scores].map(|scores| metric.of(&log.lists, scores));
        MetricShift { metric: metric.to_string(), gain: paired(&before, &after, SEED) }
    };
    Replay {
        requests: requests.len(),
        candidates: log.lists.rows(),
        top,
        first_changed: share(&|[before, after]| before.first() != after.first()),
        order_changed: share(&|[before, after]| before != after),
        overlap: overlaps / count,
        kendall: (!correlations.is_empty()).then(|| correlations.iter().sum::<f64>() / correlations.len() as f64),
        tasks: tasks.map(|(task, values)| TaskShift::of(task, values, requests, &orders, top)).collect(),
        metrics: metrics.iter().map(gain).collect(),
        unlike,
    }
}
