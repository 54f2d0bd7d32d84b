//! [`measure_in_process`]: what a request costs where it is ranked, without a server, stage by stage.

use std::time::{Duration, Instant};

use pleiad_rank::Interrupt;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::load::{LoadOptions, bodies};
use crate::served::Served;
use crate::stages::{Stage, Stages};

/// Requests before the clock runs.
const WARM: usize = 20;

/// Mean times of the stages of a request, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageFigures {
    /// Candidates of a request.
    pub candidates: usize,
    /// Requests that were ranked, one at a time.
    pub requests: usize,
    /// Bytes of a body, on average.
    pub body: usize,
    /// JSON into columns.
    pub decode: f64,
    /// Columns into what the model reads.
    pub encode: f64,
    /// The model, on as many threads as requests may be ranked at the same time.
    pub predict: f64,
    /// Equation 1, and the order.
    pub score: f64,
    /// The answer into JSON.
    pub write: f64,
}

/// Ranks requests one at a time in the current `rayon` pool.
///
/// # Errors
/// Those of opening the model and of reading rows; [`Error::Load`] for a request that is refused. A raised `interrupt` ends it
/// with the lists that are whole.
pub fn measure_in_process(options: &LoadOptions, interrupt: &Interrupt) -> Result<Vec<StageFigures>> {
    let (model, bodies) = bodies(options)?;
    let served = Served::new(options.model.name.clone(), "1".to_owned(), model);
    let mut all = Vec::new();
    for (&candidates, bodies) in options.lists.iter().zip(&bodies) {
        let mut sums = [Duration::ZERO; 5];
        let (mut requests, mut begin) = (0usize, Instant::now());
        for (number, body) in bodies.iter().cycle().enumerate() {
            if number == WARM {
                begin = Instant::now();
            }
            if number > WARM && begin.elapsed() >= options.time {
                break;
            }
            if interrupt.raised().is_some() {
                return Ok(all);
            }
            let mut stages = Stages::default();
            let ranked = served.rank_as(body, [options.form.form(); 2], usize::MAX, &mut stages);
            ranked.map_err(|refusal| Error::Load { reason: refusal.message.clone() })?;
            if number >= WARM {
                requests += 1;
                let each = [Stage::Decode, Stage::Encode, Stage::Predict, Stage::Score, Stage::Write];
                sums.iter_mut().zip(each).for_each(|(sum, stage)| *sum += stages.time(stage).unwrap_or_default());
            }
        }
        let [decode, encode, predict, score, write] = sums.map(|sum| sum.as_secs_f64() * 1e3 / requests.max(1) as f64);
        let body = bodies.iter().map(Vec::len).sum::<usize>() / bodies.len().max(1);
        all.push(StageFigures { candidates, requests, body, decode, encode, predict, score, write });
    }
    Ok(all)
}
