//! The workers: each takes requests from the queue, from the body to the answer, in a pool of one thread, so that requests do not fight
//! for cores. While most workers have nothing to do, `helpers` compute its predictions with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use pleiad_engine::Predictions;
use tokio::sync::oneshot;

use crate::body::{Body, Budget};
use crate::encoded::{EncodedRequest, Step};
use crate::error::{Error, Result};
use crate::frame::HEAD;
use crate::helpers::Helpers;
use crate::infer::Inferred;
use crate::metrics::Metrics;
use crate::queue::{Job, Next, Queue, Target, Work, late};
use crate::ranking::{Ranking, Wish};
use crate::refusal::Refusal;
use crate::registry::Entry;
use crate::request_log::{Answered, Ticket};
use crate::routes::{Asked, Chosen};
use crate::served::Served;
use crate::shadow::{Shadow, ShadowJob};
use crate::slow::{Slow, SlowRequest};
use crate::stages::{Stage, Stages};
use crate::steps::Kept;
use crate::together::predict_together;

/// What all workers share.
pub(crate) struct Workers {
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) slow: Arc<Slow>,
    /// For bodies that wait for shadows.
    pub(crate) shadows: Arc<Budget>,
    pub(crate) helpers: Helpers,
}

/// Starts the workers. They end when the queue is closed.
pub(crate) fn start(workers: Workers) -> Result<Vec<rayon::ThreadPool>> {
    let failed = |error: rayon::ThreadPoolBuildError| Error::Start { what: "a worker", reason: error.to_string() };
    let workers = Arc::new(workers);
    (0..workers.queue.workers())
        .map(|worker| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(1);
            let pool = builder.thread_name(move |_| format!("pleiad-worker-{worker}")).build().map_err(failed)?;
            let workers = Arc::clone(&workers);
            pool.spawn(move || {
                while let Some(next) = workers.queue.pop() {
                    match next {
                        Next::Jobs(jobs) => {
                            workers.run(jobs);
                            workers.queue.done();
                        }
                        Next::Shadow(job) => workers.run_shadow(job),
                    }
                }
            });
            Ok(pool)
        })
        .collect()
}

/// A request that a worker has.
struct Running {
    body: Body,
    bytes: usize,
    most: usize,
    came: Instant,
    head: Instant,
    deadline: Instant,
    work: Work,
    ticket: Option<Ticket>,
    reply: oneshot::Sender<Result<Inferred, Refusal>>,
    entry: Arc<Entry>,
    served: Arc<Served>,
    routed: Option<(Asked, Chosen)>,
    shadows: Vec<Arc<Shadow>>,
    /// What shadows are compared with; there if there are any.
    kept: Option<Kept>,
    logged: Option<Answered>,
}

impl Workers {
    /// Ranks a body once more, whose answer is given.
    fn run_shadow(&self, job: ShadowJob) {
        let shadow = Arc::clone(&job.shadow);
        let ranked = catch_unwind(AssertUnwindSafe(|| job.run(&|| self.queue.is_wanted())));
        self.queue.shadowed(ranked.unwrap_or_else(|_| {
            self.metrics.panics.fetch_add(1, Ordering::Relaxed);
            shadow.failed();
            None
        }));
    }

    /// Answers requests, whose predictions are computed together.
    fn run(&self, jobs: Vec<Job>) {
        let begin = Instant::now();
        let (mut running, mut stages): (Vec<_>, Vec<_>) = jobs.into_iter().filter_map(|job| self.begin(job)).unzip();
        if running.is_empty() {
            return;
        }
        if self.queue.batches() {
            self.metrics.batches.observe(running.len() as f64);
        }
        let answers = if self.queue.is_calm() {
            self.helpers.run(|| self.answers(&mut running, &mut stages))
        } else {
            self.answers(&mut running, &mut stages)
        };
        let ranked = answers.iter().zip(&stages).filter(|(answer, _)| answer.is_ok());
        let candidates: usize = ranked.map(|(_, stages)| stages.candidates).sum();
        if candidates > 0 {
            self.queue.learn(begin.elapsed(), candidates);
        }
        for ((running, stages), answer) in running.into_iter().zip(stages).zip(answers) {
            self.end(running, &stages, answer);
        }
    }

    /// Finds who answers; refuses what nobody waits for any more, and what nobody can answer.
    fn begin(&self, job: Job) -> Option<(Running, Stages)> {
        let Job { body, of, most, came, head, deadline, work, ticket, reply, .. } = job;
        // The client is gone, or was told that it took too long.
        if reply.is_closed() {
            return None;
        }
        let begin = Instant::now();
        let (entry, served, routed) = match of {
            Target::Model(entry, served) => (entry, served, None),
            Target::Route(asked) => match asked.choose(&body.bytes, work.form()) {
                Ok(chosen) => (Arc::clone(&chosen.entry), Arc::clone(&chosen.served), Some((asked, chosen))),
                Err(refusal) => {
                    let _ = reply.send(Err(refusal));
                    return None;
                }
            },
        };
        let shadows = routed.as_ref().map_or_else(Vec::new, |(asked, _)| asked.shadows());
        let kept = (!shadows.is_empty()).then(Kept::default);
        let mut stages = Stages::default();
        stages.add(Stage::Wait, begin - came);
        let bytes = body.bytes.len();
        let running = Running {
            body,
            bytes,
            most,
            came,
            head,
            deadline,
            work,
            ticket,
            reply,
            entry,
            served,
            routed,
            shadows,
            kept,
            logged: None,
        };
        if begin >= deadline {
            self.see(&running, &stages, 503);
            let _ = running.reply.send(Err(late()));
            return None;
        }
        Some((running, stages))
    }

    /// The answer of each request.
    fn answers(&self, running: &mut [Running], stages: &mut [Stages]) -> Vec<Result<Inferred, Refusal>> {
        let steps = running.iter_mut().zip(&mut *stages);
        let steps: Vec<_> = steps.map(|(running, stages)| self.caught(|| running.step(stages))).collect();
        let time = Instant::now();
        let encoded: Vec<&EncodedRequest<'_>> = steps.iter().filter_map(|step| step.as_ref().ok()?.encoded()).collect();
        let mut together = self.predictions(&encoded).into_iter();
        let time = time.elapsed();
        let finish = |(step, stages): (Result<Step<'_>, Refusal>, &mut Stages)| match step? {
            Step::Done(answer) => Ok(answer),
            Step::Predict(encoded) => {
                stages.add(Stage::Predict, time);
                let predictions = together.next().unwrap_or_else(|| encoded.predict())?;
                self.caught(|| encoded.finish(predictions, stages))
            }
        };
        steps.into_iter().zip(stages).map(finish).collect()
    }

    /// The predictions of each; of several together where they are asked of one model.
    fn predictions(&self, encoded: &[&EncodedRequest<'_>]) -> Vec<Result<Predictions, Refusal>> {
        let together = if encoded.len() > 1 {
            catch_unwind(AssertUnwindSafe(|| predict_together(encoded))).unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut together = together.into_iter();
        // What went wrong together goes wrong once more for those alone whose fault it is.
        encoded
            .iter()
            .map(|encoded| match together.next().flatten() {
                Some(predictions) => Ok(predictions),
                None => self.caught(|| encoded.predict()),
            })
            .collect()
    }

    /// A panic as a refusal.
    fn caught<T>(&self, work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            self.metrics.panics.fetch_add(1, Ordering::Relaxed);
            let advice = "this is a mistake of the server; report it with the request";
            Err(Refusal::new(500, "internal", "the request hit a mistake of the server", advice))
        })
    }

    /// Answers a request, counts it, and leaves it to its shadows.
    fn end(&self, running: Running, stages: &Stages, answer: Result<Inferred, Refusal>) {
        self.see(&running, stages, answer.as_ref().map_or_else(|refusal| refusal.status, |_| 200));
        let Running {
            mut body, bytes, most, came, deadline, work, ticket, reply, entry, served, routed, shadows, ..
        } = running;
        if let (Some(ticket), Some(logged)) = (ticket, running.logged) {
            ticket.write(&entry, &served, logged);
        }
        // The body is given back before the answer is there, so that memory is free when the next request is. Bodies for shadows
        // have a budget of their own.
        let kept = running.kept.filter(|_| answer.is_ok());
        if let Work::Rank([form, _]) = work
            && answer.is_ok()
            && entry.recorded.takes(bytes)
        {
            let bytes = if kept.is_some() { body.bytes.clone() } else { std::mem::take(&mut body.bytes) };
            entry.recorded.add(bytes, form);
        }
        let body = kept.as_ref().and_then(|kept| body.moved(&self.shadows, kept.bytes()));
        served.statistics.add(stages, answer.is_ok(), came.elapsed());
        if answer.is_ok() {
            entry.counted.add(stages);
        }
        if let Some((asked, chosen)) = &routed {
            asked.count(chosen, answer.is_ok());
        }
        let _ = reply.send(answer);
        let Some(kept) = kept else { return };
        let Some(body) = body.map(Arc::new) else { return shadows.iter().for_each(|shadow| shadow.dropped()) };
        let answered = Arc::new((kept, served));
        for shadow in shadows {
            let body = (Arc::clone(&body), work.form());
            self.queue.push_shadow(ShadowJob::new(shadow, body, most, deadline, Arc::clone(&answered)));
        }
    }

    /// Keeps what took long.
    fn see(&self, running: &Running, stages: &Stages, status: u16) {
        let time = running.head.elapsed();
        self.slow.see(time, || SlowRequest {
            model: running.entry.spec.name.clone(),
            version: running.served.version().to_owned(),
            route: running.work.route(),
            status,
            time,
            body: running.came - running.head,
            bytes: running.bytes,
            stages: stages.clone(),
        });
    }
}

impl Running {
    /// Reads and encodes it.
    fn step<'r>(&'r mut self, stages: &mut Stages) -> Result<Step<'r>, Refusal> {
        let Self { body, most, work, served, routed, kept, logged, ticket, .. } = self;
        match *work {
            Work::Rank(forms) => {
                let arm = routed.as_ref().map(|(asked, chosen)| asked.arm(chosen));
                let wish = Wish {
                    label: arm.map(|arm| arm.label.as_str()),
                    score: arm.and_then(|arm| arm.score.as_ref()),
                    kept: kept.as_mut(),
                    logged: ticket.is_some().then_some(logged),
                };
                Ranking::read(served, &body.bytes, forms, *most, stages, wish)?.encode(stages)
            }
            Work::Infer(json) => served.begin_infer(&body.bytes, json, *most, stages),
            Work::Message => {
                let message = Bytes::from(std::mem::take(&mut body.bytes)).split_off(HEAD);
                served.begin_message(message, *most, stages)
            }
        }
    }
}
