//! [`Recorded`]: some of the last requests that a model has answered. A new version ranks them before it is served ([`WarmUp`]), so that
//! whoever asks it first does not wait for what is made at the first time: its plan for the fields that requests have in common.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::refusal::Refusal;
use crate::sample;
use crate::served::{BodyForm, Served};
use crate::steps::Kept;

/// One answered request in so long is recorded: what clients ask changes slowly.
const EVERY: Duration = Duration::from_secs(1);

/// The most bytes of all recorded bodies of a model.
const MOST_BYTES: usize = 16 << 20;

/// The longest body that is recorded: some others are to have room beside it.
const LONGEST: usize = MOST_BYTES / 4;

/// No further request is begun after this time: a trainer may publish every minute.
const MOST_TIME: Duration = Duration::from_secs(1);

/// A request that was answered.
#[derive(Debug)]
struct RecordedRequest {
    body: Box<[u8]>,
    form: BodyForm,
}

/// Some of the last requests that a model has answered.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// The most of them.
    most: usize,
    begin: Instant,
    /// Milliseconds from then on until the next is recorded.
    due: AtomicU64,
    requests: Mutex<VecDeque<Arc<RecordedRequest>>>,
}

/// What a version made of recorded requests before it is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WarmUp {
    /// Requests that it ranked.
    pub(crate) ranked: usize,
    /// Requests that it refused; versions before have answered them.
    pub(crate) refused: usize,
    /// Why it refused the first of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<String>,
}

impl Recorded {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, begin: Instant::now(), due: AtomicU64::new(0), requests: Mutex::default() }
    }

    fn requests(&self) -> MutexGuard<'_, VecDeque<Arc<RecordedRequest>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request of so many bytes is to be recorded. Whoever is told so records it.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        if self.most == 0 || bytes > LONGEST {
            return false;
        }
        let now = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.due.load(Ordering::Relaxed);
        let next = now.saturating_add(EVERY.as_millis() as u64);
        due <= now && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Records it; the oldest make room.
    pub(crate) fn add(&self, body: Vec<u8>, form: BodyForm) {
        let request = Arc::new(RecordedRequest { body: body.into_boxed_slice(), form });
        let mut requests = self.requests();
        requests.push_back(request);
        while requests.len() > self.most
            || requests.iter().map(|request| request.body.len()).sum::<usize>() > MOST_BYTES
        {
            requests.pop_front();
        }
    }

    /// Lets a version rank them, the last one first; where there are none, the rows that it keeps as its sample. Nothing of it
    /// counts as served.
    pub(crate) fn warm(&self, served: &Served) -> WarmUp {
        let begin = Instant::now();
        let requests: Vec<_> = self.requests().iter().rev().cloned().collect();
        if requests.is_empty() && self.most > 0 {
            // Not everybody's request: what it says of its score is nobody's fault.
            if let Ok(body) = sample::body(served.model()) {
                let _ = ranked(served, body.to_string().as_bytes(), BodyForm::Json);
            }
        }
        let mut warm = WarmUp::default();
        for request in requests {
            if begin.elapsed() >= MOST_TIME {
                break;
            }
            match ranked(served, &request.body, request.form) {
                Ok(()) => warm.ranked += 1,
                Err(refusal) => {
                    warm.refused += 1;
                    warm.refusal.get_or_insert_with(|| refusal.message.clone());
                }
            }
        }
        warm
    }
}

fn ranked(served: &Served, body: &[u8], form: BodyForm) -> Result<(), Refusal> {
    served.step(body, form, usize::MAX, None, &mut Kept::default(), &|| false).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(recorded: &Recorded) -> Vec<usize> {
        recorded.requests().iter().map(|request| request.body.len()).collect()
    }

    #[test]
    fn the_last_requests_are_kept_within_bounds() {
        let recorded = Recorded::new(3);
        (1..=5).for_each(|bytes| recorded.add(vec![0; bytes], BodyForm::Json));
        assert_eq!(bodies(&recorded), [3, 4, 5]);
        recorded.add(vec![0; MOST_BYTES - 4], BodyForm::Json);
        assert_eq!(bodies(&recorded), [MOST_BYTES - 4]);
    }

    #[test]
    fn one_request_in_a_second_is_taken() {
        let recorded = Recorded::new(3);
        assert!(!recorded.takes(LONGEST + 1));
        assert!(recorded.takes(LONGEST) && !recorded.takes(1));
        recorded.due.store(0, Ordering::Relaxed);
        assert!(recorded.takes(1));
        assert!(!Recorded::new(0).takes(1));
    }
}
