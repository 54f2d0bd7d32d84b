//! [`Queue`]: what waits for the workers, bounded by candidates. A worker takes one request, or with [`Batching`] several.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::body::Body;
use crate::infer::Inferred;
use crate::refusal::Refusal;
use crate::registry::Entry;
use crate::request_log::Ticket;
use crate::routes::Asked;
use crate::served::{BodyForm, Served};
use crate::settings::Batching;
use crate::shadow::ShadowJob;

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

impl Job {
    /// How long it may wait for others: for half of the time that it has at the most.
    fn latest(&self, wait: Duration) -> Instant {
        self.came + wait.min(self.deadline.saturating_duration_since(self.came) / 2)
    }
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
    pub(crate) fn route(self) -> &'static str {
        match self {
            Self::Rank(_) => "rank",
            Self::Infer(_) => "infer",
            Self::Message => "grpc_infer",
        }
    }

    /// The form of the body of a ranking.
    pub(crate) fn form(self) -> BodyForm {
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
    /// Workers that have jobs now.
    running: usize,
    /// Whether one of them waits for more requests that it predicts together; it gets all that come.
    gathering: bool,
    /// What is ranked once more while nothing waits.
    shadows: VecDeque<ShadowJob>,
    /// Workers that do so now.
    shadowing: usize,
    closed: bool,
}

impl State {
    fn take(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front()?;
        self.candidates -= job.candidates;
        Some(job)
    }
}

/// What a worker does next.
pub(crate) enum Next {
    /// Requests that are predicted together; mostly one.
    Jobs(Vec<Job>),
    Shadow(ShadowJob),
}

/// Jobs in the order in which they came; shadows behind all of them.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
    workers: usize,
    batching: Option<Batching>,
    /// Nanoseconds of a worker's time that a candidate costs, a running mean.
    cost: AtomicU64,
}

impl Queue {
    /// One in which `limit` candidates may wait for `workers` workers.
    pub(crate) fn new(limit: usize, workers: usize, batching: Option<Batching>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), limit, workers, batching, cost: AtomicU64::new(0) }
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// Whether requests are predicted together.
    pub(crate) fn batches(&self) -> bool {
        self.batching.is_some()
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
        // One of them may gather, and it alone takes the job then.
        if self.batches() {
            self.changed.notify_all()
        } else {
            self.changed.notify_one()
        }
        Ok(())
    }

    /// The next jobs; `None` once the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<Next> {
        let mut state = self.state();
        loop {
            if !state.gathering
                && let Some(job) = state.take()
            {
                state.running += 1;
                let jobs = self.batching.map_or_else(Vec::new, |batching| self.gather(state, &job, batching));
                return Some(Next::Jobs(std::iter::once(job).chain(jobs).collect()));
            }
            if state.closed && state.jobs.is_empty() {
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

    /// What is to be predicted together with the first job: what waits, and what comes until it is time, or until they are as
    /// many candidates as may be.
    fn gather(&self, mut state: MutexGuard<'_, State>, first: &Job, batching: Batching) -> Vec<Job> {
        let (mut jobs, mut candidates) = (Vec::new(), first.candidates);
        let mut until = first.latest(batching.wait);
        state.gathering = true;
        loop {
            while let Some(next) = state.jobs.front()
                && candidates.saturating_add(next.candidates) <= batching.candidates
            {
                candidates += next.candidates;
                until = until.min(next.latest(batching.wait));
                jobs.extend(state.take());
            }
            let left = until.saturating_duration_since(Instant::now());
            // What is left does not fit.
            let is_full = !state.jobs.is_empty() || candidates >= batching.candidates;
            if is_full || state.closed || left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.gathering = false;
        drop(state);
        self.changed.notify_one();
        jobs
    }

    /// Lets a shadow wait, if there is room.
    pub(crate) fn push_shadow(&self, job: ShadowJob) {
        let mut state = self.state();
        if state.closed || state.shadows.len() >= MOST_SHADOWS {
            return job.shadow.dropped();
        }
        state.shadows.push_back(job);
        drop(state);
        self.changed.notify_one();
    }

    /// A shadow was ranked; or made way, and goes on before others.
    pub(crate) fn shadowed(&self, again: Option<ShadowJob>) {
        let mut state = self.state();
        state.shadowing -= 1;
        if let Some(job) = again {
            state.shadows.push_front(job);
        }
    }

    /// Whether a request waits for a worker, or the server ends.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.state();
        state.closed || !state.jobs.is_empty()
    }

    /// A job is done.
    pub(crate) fn done(&self) {
        self.state().running -= 1;
    }

    /// Whether half of the workers have nothing to do, no shadow either, so that a request may have their cores.
    pub(crate) fn is_calm(&self) -> bool {
        let state = self.state();
        state.jobs.is_empty() && 2 * (state.running + state.shadowing) <= self.workers
    }

    /// Takes no more jobs; workers end when those that wait are done.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn learn(&self, time: Duration, candidates: usize) {
        let own = time.as_nanos() as f64 / candidates.max(1) as f64;
        let mean = self.cost.load(Ordering::Relaxed) as f64;
        let mean = if mean == 0.0 { own } else { mean + (own - mean) / 16.0 };
        self.cost.store(mean as u64, Ordering::Relaxed);
    }
}

/// The refusal of a request whose time is over.
pub(crate) fn late() -> Refusal {
    let message = "the request's time was over before it was ranked";
    Refusal::new(503, "deadline", message, "allow more time, send fewer candidates, or try again later").after(1)
}
