//! [`Shadow`]: a model that ranks some requests of a route after they are answered, and whose answers are thrown away. What is kept
//! is how far they lie from those that were given.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::answer::ordered;
use crate::body::Body;
use crate::registry::Entry;
use crate::routes::TaskExponents;
use crate::served::{BodyForm, Served};
use crate::steps::Kept;

/// Candidates whose places are compared.
const FIRST: usize = 10;

/// Tasks whose predictions are compared.
const MOST_TASKS: usize = 256;

/// How often a ranking makes way for a request before it is given up.
const WAYS: usize = 8;

/// A model that ranks some requests, too.
pub(crate) struct Shadow {
    entry: Arc<Entry>,
    /// In buckets.
    share: usize,
    score: Option<TaskExponents>,
    counts: Arc<Mutex<ShadowCounts>>,
}

/// What is counted of a shadow of a route.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShadowCounts {
    pub(crate) ranked: u64,
    /// For which there was no room or no time.
    pub(crate) dropped: u64,
    /// Which the model could not rank.
    pub(crate) errors: u64,
    /// Rankings that were compared with the answer, and the sum of their overlaps.
    pub(crate) compared: u64,
    pub(crate) overlap: f64,
    /// By task that both models have.
    pub(crate) differences: Vec<(String, Difference)>,
}

/// Absolute differences between predictions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Difference {
    pub(crate) sum: f64,
    pub(crate) candidates: u64,
}

/// A body that is to be ranked once more.
pub(crate) struct ShadowJob {
    pub(crate) shadow: Arc<Shadow>,
    pub(crate) body: Arc<Body>,
    pub(crate) form: BodyForm,
    pub(crate) most: usize,
    pub(crate) deadline: Instant,
    /// What was answered, and by which version.
    pub(crate) answered: Arc<(Kept, Arc<Served>)>,
    /// Where it goes on.
    pub(crate) begun: Option<(Arc<Served>, Kept)>,
    ways: usize,
}

impl ShadowJob {
    pub(crate) fn new(
        shadow: Arc<Shadow>,
        (body, form): (Arc<Body>, BodyForm),
        most: usize,
        deadline: Instant,
        answered: Arc<(Kept, Arc<Served>)>,
    ) -> Self {
        Self { shadow, body, form, most, deadline, answered, begun: None, ways: 0 }
    }

    /// Ranks until a request waits, as `is_wanted` says. Gives itself back where it is to go on later.
    pub(crate) fn run(mut self, is_wanted: &dyn Fn() -> bool) -> Option<Self> {
        if Instant::now() >= self.deadline || self.ways >= WAYS {
            self.shadow.dropped();
            return None;
        }
        let begun = self.begun.take();
        let Some((served, mut kept)) = begun.or_else(|| Some((self.shadow.entry.current()?, Kept::default()))) else {
            self.shadow.failed();
            return None;
        };
        let done = served.step(&self.body.bytes, self.form, self.most, self.shadow.score(), &mut kept, is_wanted);
        match done {
            Ok(true) => self.shadow.compare(&self.answered.0, &self.answered.1, &kept, &served),
            Ok(false) => {
                self.ways += 1;
                self.begun = Some((served, kept));
                return Some(self);
            }
            Err(_) => self.shadow.failed(),
        }
        None
    }
}

impl Shadow {
    /// One that goes on with the counts of a former one.
    pub(crate) fn new(entry: Arc<Entry>, share: usize, score: Option<TaskExponents>, former: Option<&Self>) -> Self {
        let counts = former.map_or_else(Arc::default, |former| Arc::clone(&former.counts));
        Self { entry, share, score, counts }
    }

    pub(crate) fn model(&self) -> &str {
        &self.entry.spec.name
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(crate) fn share(&self) -> usize {
        self.share
    }

    pub(crate) fn score(&self) -> Option<&TaskExponents> {
        self.score.as_ref()
    }

    fn counts_mut(&self) -> MutexGuard<'_, ShadowCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> ShadowCounts {
        self.counts_mut().clone()
    }

    /// Counts a body for which there was no room.
    pub(crate) fn dropped(&self) {
        self.counts_mut().dropped += 1;
    }

    /// Counts a body that the model could not rank.
    pub(crate) fn failed(&self) {
        self.counts_mut().errors += 1;
    }

    fn compare(&self, answered: &Kept, by: &Served, own: &Kept, of: &Served) {
        let overlap = overlap(&answered.scores, &own.scores);
        let names = |served: &Served| served.model().tasks().iter().map(|task| task.name.clone()).collect::<Vec<_>>();
        let (theirs, ours) = (names(by), names(of));
        let mut found = Vec::new();
        for (task, predictions) in theirs.into_iter().zip(&answered.predictions) {
            let at = ours.iter().position(|own| *own == task);
            let Some(own) = at.and_then(|at| own.predictions.get(at)) else { continue };
            let pairs = predictions.iter().zip(own);
            let sum = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).sum();
            found.push((task, Difference { sum, candidates: predictions.len() as u64 }));
        }
        let mut counts = self.counts_mut();
        counts.ranked += 1;
        if let Some(overlap) = overlap {
            counts.compared += 1;
            counts.overlap += overlap;
        }
        for (task, more) in found {
            let known = counts.differences.iter().position(|(known, _)| *known == task);
            if let Some(at) = known {
                let all = &mut counts.differences[at].1;
                all.sum += more.sum;
                all.candidates += more.candidates;
            } else if counts.differences.len() < MOST_TASKS {
                counts.differences.push((task, more));
            }
        }
    }

    /// As `/v1/routes` has it.
    pub(crate) fn shown(&self) -> Value {
        let counts = self.counts();
        let differences = counts.differences.iter().map(|(task, all)| {
            let mean = all.sum / all.candidates.max(1) as f64;
            (task.clone(), json!(mean))
        });
        json!({
            "model": self.model(),
            "ranked": counts.ranked,
            "dropped": counts.dropped,
            "errors": counts.errors,
            "top10_overlap": (counts.compared > 0).then(|| counts.overlap / counts.compared as f64),
            "prediction_difference": differences.collect::<Map<_, _>>(),
        })
    }
}

/// The share of the first candidates of one order that are among the first of another; `None` without candidates.
fn overlap(one: &[f64], other: &[f64]) -> Option<f64> {
    let [one, other] = [one, other].map(|scores| ordered(scores, FIRST));
    let both = one.iter().filter(|candidate| other.contains(candidate)).count();
    (!one.is_empty()).then(|| both as f64 / one.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_shares_of_the_first() {
        let scores: Vec<f64> = (0..40).map(f64::from).collect();
        let turned: Vec<f64> = scores.iter().map(|score| -score).collect();
        // Five of the first ten are others.
        let half: Vec<f64> = scores.iter().map(|&score| if score >= 35.0 { -1.0 } else { score }).collect();
        assert_eq!(overlap(&scores, &scores), Some(1.0));
        assert_eq!(overlap(&scores, &turned), Some(0.0));
        assert_eq!(overlap(&scores, &half), Some(0.5));
        assert_eq!(overlap(&scores[..3], &turned[..3]), Some(1.0));
        assert_eq!(overlap(&[], &[]), None);
    }
}
