//! The queue before the workers, bounded by candidates, and the workers: a request is run by one of them, in a pool of one
//! thread, so that requests do not fight for cores. While most workers have nothing to do, `helpers` compute its predictions with it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::body::{Body, Budget};
use crate::error::{Error, Result};
use crate::frame::HEAD;
use crate::helpers::Helpers;
use crate::infer::Inferred;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::registry::Entry;
use crate::request_log::Ticket;
use crate::routes::Asked;
use crate::served::{BodyForm, Served, Wish};
use crate::shadow::ShadowJob;
use crate::slow::{Slow, SlowRequest};
use crate::stages::{Stage, Stages};
use crate::steps::Kept;

/// The most rankings of shadows that wait.
const MOST_SHADOWS: usize = 256;

/// A request that waits.
pub(crate) struct Job {
    pub(crate) body: Body,
    pub(crate) of: Target,
    /// About how many candidates it has.
    pub(crate) candidates: usize,
    /// The most that it may have.
    pub(crate) most: usize,
    pub(crate) came: Instant,
    /// When the head of the request was there.
    pub(crate) head: Instant,
    pub(crate) deadline: Instant,
    pub(crate) work: Work,
    /// If the request is to be logged.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) reply: oneshot::Sender<Result<Inferred, Refusal>>,
}

/// Who is asked.
pub(crate) enum Target {
    /// A model, and its version that was current when the request came.
    Model(Arc<Entry>, Arc<Served>),
    /// An arm of a route, which the body decides.
    Route(Asked),
}

impl Target {
    /// About how many values a candidate has.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Model(_, served) => served.columns().names.len().max(1),
            Self::Route(asked) => asked.width(),
        }
    }
}

/// What a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A ranking: the form of the body, and of the answer.
    Rank([BodyForm; 2]),
    /// Predictions by the Open Inference Protocol, with the length of the JSON where bytes come behind it.
    Infer(Option<usize>),
    /// The same by a message of gRPC, behind its head of five bytes.
    Message,
}

impl Work {
    /// The route that it came by, as metrics name it.
    fn route(self) -> &'static str {
        match self {
            Self::Rank(_) => "rank",
            Self::Infer(_) => "infer",
            Self::Message => "grpc_infer",
        }
    }

    /// The form of the body of a ranking.
    fn form(self) -> BodyForm {
        match self {
            Self::Rank([sent, _]) => sent,
            Self::Infer(_) | Self::Message => BodyForm::Json,
        }
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    candidates: usize,
    /// Workers that run a job now.
    running: usize,
    /// What is ranked once more while nothing waits.
    shadows: VecDeque<ShadowJob>,
    /// Workers that do so now.
    shadowing: usize,
    closed: bool,
}

/// What a worker does next.
enum Next {
    Job(Job),
    Shadow(ShadowJob),
}

/// Jobs in the order in which they came; shadows behind all of them.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
    workers: usize,
    /// Nanoseconds of a worker's time that a candidate costs, a running mean.
    cost: AtomicU64,
}

impl Queue {
    /// One in which `limit` candidates may wait for `workers` workers.
    pub(crate) fn new(limit: usize, workers: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limit, workers, cost: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Candidates that wait, and the most that may.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.state().candidates, self.limit)
    }

    /// Lets a job wait, if there is room. A job that is larger than the queue gets in when nothing else waits.
    pub(crate) fn push(&self, job: Job) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.closed {
            return Err(
                Refusal::new(503, "draining", "the server is shutting down", "send it to another server").after(1)
            );
        }
        if !state.jobs.is_empty() && state.candidates.saturating_add(job.candidates) > self.limit {
            let waiting = state.candidates;
            drop(state);
            let nanos = (self.cost.load(Ordering::Relaxed) as f64) * waiting as f64 / self.workers as f64;
            let seconds = (nanos / 1e9).ceil().clamp(1.0, 60.0) as u64;
            let message = format!("{waiting} candidates wait already; {} may", self.limit);
            let advice = "try again later, send fewer candidates, or start more servers";
            return Err(Refusal::new(429, "queue_full", message, advice).after(seconds));
        }
        state.candidates += job.candidates;
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next job; `None` once the queue is closed and empty.
    fn pop(&self) -> Option<Next> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.candidates -= job.candidates;
                state.running += 1;
                return Some(Next::Job(job));
            }
            if state.closed {
                return None;
            }
            if state.shadowing < (self.workers / 2).max(1)
                && let Some(job) = state.shadows.pop_front()
            {
                state.shadowing += 1;
                return Some(Next::Shadow(job));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets a shadow wait, if there is room.
    fn push_shadow(&self, job: ShadowJob) {
        let mut state = self.state();
        if state.closed || state.shadows.len() >= MOST_SHADOWS {
            return job.shadow.dropped();
        }
        state.shadows.push_back(job);
        drop(state);
        self.changed.notify_one();
    }

    /// A shadow was ranked; or made way, and goes on before others.
    fn shadowed(&self, again: Option<ShadowJob>) {
        let mut state = self.state();
        state.shadowing -= 1;
        if let Some(job) = again {
            state.shadows.push_front(job);
        }
    }

    /// Whether a request waits for a worker, or the server ends.
    fn is_wanted(&self) -> bool {
        let state = self.state();
        state.closed || !state.jobs.is_empty()
    }

    /// A job is done.
    fn done(&self) {
        self.state().running -= 1;
    }

    /// Whether half of the workers have nothing to do, no shadow either, so that a request may have their cores.
    fn is_calm(&self) -> bool {
        let state = self.state();
        state.jobs.is_empty() && 2 * (state.running + state.shadowing) <= self.workers
    }

    /// Takes no more jobs; workers end when those that wait are done.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn learn(&self, time: Duration, candidates: usize) {
        let own = time.as_nanos() as f64 / candidates.max(1) as f64;
        let mean = self.cost.load(Ordering::Relaxed) as f64;
        let mean = if mean == 0.0 { own } else { mean + (own - mean) / 16.0 };
        self.cost.store(mean as u64, Ordering::Relaxed);
    }
}

/// Starts the workers. They end when the queue is closed.
pub(crate) fn start(
    queue: &Arc<Queue>,
    metrics: &Arc<Metrics>,
    slow: &Arc<Slow>,
    shadows: &Arc<Budget>,
) -> Result<Vec<rayon::ThreadPool>> {
    let failed = |error: rayon::ThreadPoolBuildError| Error::Start { what: "a worker", reason: error.to_string() };
    let helpers = Arc::new(Helpers::start(queue.workers)?);
    (0..queue.workers)
        .map(|worker| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(1);
            let pool = builder.thread_name(move |_| format!("pleiad-worker-{worker}")).build().map_err(failed)?;
            let (queue, metrics) = (Arc::clone(queue), Arc::clone(metrics));
            let (slow, shadows) = (Arc::clone(slow), Arc::clone(shadows));
            let helpers = Arc::clone(&helpers);
            pool.spawn(move || {
                while let Some(next) = queue.pop() {
                    match next {
                        Next::Job(job) => {
                            run(&queue, &helpers, &metrics, &slow, &shadows, job);
                            queue.done();
                        }
                        Next::Shadow(job) => run_shadow(&queue, &metrics, job),
                    }
                }
            });
            Ok(pool)
        })
        .collect()
}

/// Ranks a body once more, whose answer is given.
fn run_shadow(queue: &Queue, metrics: &Metrics, job: ShadowJob) {
    let shadow = Arc::clone(&job.shadow);
    let ranked = catch_unwind(AssertUnwindSafe(|| job.run(&|| queue.is_wanted())));
    queue.shadowed(ranked.unwrap_or_else(|_| {
        metrics.panics.fetch_add(1, Ordering::Relaxed);
        shadow.failed();
        None
    }));
}

fn run(queue: &Queue, helpers: &Helpers, metrics: &Metrics, slow: &Slow, room: &Arc<Budget>, job: Job) {
    let Job { mut body, of, most, came, head, deadline, work, ticket, reply, .. } = job;
    // Nobody waits for it any more: the client is gone, or was told that it took too long.
    if reply.is_closed() {
        return;
    }
    let begin = Instant::now();
    let (entry, served, routed) = match of {
        Target::Model(entry, served) => (entry, served, None),
        Target::Route(asked) => match asked.choose(&body.bytes, work.form()) {
            Ok(chosen) => (Arc::clone(&chosen.entry), Arc::clone(&chosen.served), Some((asked, chosen))),
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        },
    };
    let shadows = routed.as_ref().map_or_else(Vec::new, |(asked, _)| asked.shadows());
    let mut kept = (!shadows.is_empty()).then(Kept::default);
    let mut stages = Stages::default();
    stages.add(Stage::Wait, begin - came);
    let bytes = body.bytes.len();
    let see = |stages: &Stages, status: u16| {
        let time = head.elapsed();
        slow.see(time, || SlowRequest {
            model: entry.spec.name.clone(),
            version: served.version().to_owned(),
            route: work.route(),
            status,
            time,
            body: came - head,
            bytes,
            stages: stages.clone(),
        });
    };
    if begin >= deadline {
        see(&stages, 503);
        let _ = reply.send(Err(late()));
        return;
    }
    let ranking = AssertUnwindSafe(|| match work {
        Work::Rank(forms) => {
            let arm = routed.as_ref().map(|(asked, chosen)| asked.arm(chosen));
            let label = arm.map(|arm| arm.label.as_str());
            let mut logged = None;
            let wish = Wish {
                label,
                score: arm.and_then(|arm| arm.score.as_ref()),
                kept: kept.as_mut(),
                logged: ticket.is_some().then_some(&mut logged),
            };
            let answer = served.rank_for(&body.bytes, forms, most, &mut stages, wish)?;
            if let (Some(ticket), Some(logged)) = (ticket, logged) {
                ticket.write(&entry, &served, logged);
            }
            Ok(Inferred { body: answer, json: None })
        }
        Work::Infer(json) => served.infer(&body.bytes, json, most, &mut stages),
        Work::Message => {
            let message = Bytes::from(std::mem::take(&mut body.bytes)).split_off(HEAD);
            served.infer_message(message, most, &mut stages).map(|body| Inferred { body, json: None })
        }
    });
    let ranked = catch_unwind(AssertUnwindSafe(|| if queue.is_calm() { helpers.run(ranking) } else { ranking() }));
    // The body is given back before the answer is there, so that memory is free when the next request is. Bodies for shadows have a
    // budget of their own.
    let kept = kept.filter(|_| matches!(ranked, Ok(Ok(_))));
    let body = kept.as_ref().and_then(|kept| body.moved(room, kept.bytes()));
    let ranked = ranked.unwrap_or_else(|_| {
        metrics.panics.fetch_add(1, Ordering::Relaxed);
        let advice = "this is a mistake of the server; report it with the request";
        Err(Refusal::new(500, "internal", "the request hit a mistake of the server", advice))
    });
    see(&stages, ranked.as_ref().map_or_else(|refusal| refusal.status, |_| 200));
    served.statistics.add(&stages, ranked.is_ok(), came.elapsed());
    if ranked.is_ok() {
        entry.counted.add(&stages);
        queue.learn(begin.elapsed(), stages.candidates);
    }
    if let Some((asked, chosen)) = &routed {
        asked.count(chosen, ranked.is_ok());
    }
    let _ = reply.send(ranked);
    let Some(kept) = kept else { return };
    let Some(body) = body.map(Arc::new) else { return shadows.iter().for_each(|shadow| shadow.dropped()) };
    let answered = Arc::new((kept, served));
    for shadow in shadows {
        let body = (Arc::clone(&body), work.form());
        queue.push_shadow(ShadowJob::new(shadow, body, most, deadline, Arc::clone(&answered)));
    }
}

/// The refusal of a request whose time is over.
pub(crate) fn late() -> Refusal {
    let message = "the request's time was over before it was ranked";
    Refusal::new(503, "deadline", message, "allow more time, send fewer candidates, or try again later").after(1)
}

/// About how many candidates a body has, without parsing it: the objects of a list in the body, or the values of a list in an
/// object of it, whichever are more. A long body counts for more, since it costs memory and time whatever it holds.
pub(crate) fn estimate(body: &[u8]) -> usize {
    let (mut objects, mut values, mut most) = (0usize, 0usize, 0usize);
    // What is open around the place, of the first levels.
    let mut open = [0u8; 4];
    let (mut depth, mut at) = (0usize, 0usize);
    while let Some(&byte) = body.get(at) {
        at += 1;
        match byte {
            b'"' => loop {
                let rest = body.get(at..).unwrap_or_default();
                match memchr::memchr2(b'"', b'\\', rest) {
                    // What is escaped ends nothing.
                    Some(found) if rest[found] == b'\\' => at += found + 2,
                    Some(found) => break at += found + 1,
                    None => break at = body.len(),
                }
            },
            b'{' | b'[' => {
                if byte == b'{' && depth == 2 && open[1] == b'[' {
                    objects += 1;
                }
                if let Some(level) = open.get_mut(depth) {
                    *level = byte;
                }
                depth += 1;
                if depth == 3 {
                    values = 0;
                }
            }
            b'}' | b']' => {
                if depth == 3 && open[2] == b'[' {
                    most = most.max(values + 1);
                }
                depth = depth.saturating_sub(1);
            }
            b',' if depth == 3 && open[2] == b'[' => values += 1,
            _ => {}
        }
    }
    objects.max(most).max(body.len() / BYTES_PER_CANDIDATE).max(1)
}

/// A body of so many bytes counts as a candidate at least.
const BYTES_PER_CANDIDATE: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn candidates_are_counted_without_parsing() {
        for (body, candidates) in [
            (r#"{"request": {"a": 1}, "rows": [{"x": 1}, {"x": [1, 2, 3]}, {"y": "a]}{\""}]}"#, 3),
            (r#"{"columns": {"a": [1, 2, 3, 4], "b": ["x,y", "z", "[", "]"]}}"#, 4),
            (r#"{"columns": {"a": [[1, 2], [3]]}}"#, 2),
            ("", 1),
            ("]]]]", 1),
            ("\"\\", 1),
        ] {
            assert_eq!(estimate(body.as_bytes()), candidates, "{body}");
        }
        assert_eq!(estimate(&vec![b' '; 1 << 20]), 256);
    }

    proptest! {
        #[test]
        fn any_bytes_are_counted(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(estimate(&body) >= 1);
        }
    }
}
