//! Bodies of requests into memory: no longer than allowed, no slower than allowed, and together within a budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, header};
use tokio::time::{Instant, timeout, timeout_at};

use crate::refusal::Refusal;

/// What is read of a body that is too long and thrown away, so that its client comes to read the answer.
const THROWN_AWAY: usize = 64 << 20;

/// How long that may take.
const THROWING: Duration = Duration::from_secs(5);

/// Memory that bodies may take together.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    /// Bytes that are taken.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// Takes more, if it is there.
    fn grow(&mut self, bytes: usize) -> bool {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.budget.limit {
            self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body, and its part of the budget.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    _held: Held,
}

impl Body {
    /// The same in another budget, with `more` bytes of what belongs to it; `None` where that has no room. The one that it had has
    /// its part back.
    pub(crate) fn moved(self, budget: &Arc<Budget>, more: usize) -> Option<Self> {
        let mut held = Held { budget: Arc::clone(budget), bytes: 0 };
        held.grow(self.bytes.len().saturating_add(more)).then(|| Self { bytes: self.bytes, _held: held })
    }
}

/// The body of a request that has come so far as its head.
#[derive(Debug)]
pub(crate) struct Unread {
    incoming: Option<Incoming>,
    /// The client waits for a word before it sends it.
    expects: bool,
}

impl Unread {
    pub(crate) fn new(incoming: Incoming, headers: &HeaderMap) -> Self {
        Self { incoming: Some(incoming), expects: headers.contains_key(header::EXPECT) }
    }

    /// Reads it, once: at most `most` bytes.
    pub(crate) async fn read(&mut self, most: usize, until: Instant, budget: &Arc<Budget>) -> Result<Body, Refusal> {
        match self.incoming.take() {
            Some(incoming) => read(incoming, most, self.expects, until, budget).await,
            None => Ok(Body { bytes: Vec::new(), _held: Held { budget: Arc::clone(budget), bytes: 0 } }),
        }
    }

    /// Reads what an answer had no need of, so that its client comes to read the answer and can send the next request. Whether the
    /// connection is as good as before.
    pub(crate) async fn end(self) -> bool {
        match self.incoming {
            Some(incoming) if !incoming.is_end_stream() => !self.expects && throw_away(incoming).await,
            _ => true,
        }
    }
}

/// Reads a body of at most `most` bytes. `expects` says whether the client waits for a word before it sends it.
pub(crate) async fn read(
    mut incoming: Incoming,
    most: usize,
    expects: bool,
    until: Instant,
    budget: &Arc<Budget>,
) -> Result<Body, Refusal> {
    let too_long = || {
        let message = format!("the body is longer than {most} bytes");
        Refusal::new(413, "body_too_large", message, "send fewer candidates, in several requests").closing()
    };
    if incoming.size_hint().lower() > most as u64 {
        if !expects {
            throw_away(incoming).await;
        }
        return Err(too_long());
    }
    let mut held = Held { budget: Arc::clone(budget), bytes: 0 };
    let mut bytes = Vec::new();
    loop {
        let frame = match timeout_at(until, incoming.frame()).await {
            Err(_) => {
                let message = format!("the body did not come in time; {} bytes of it did", bytes.len());
                return Err(Refusal::new(408, "slow_body", message, "send it faster").closing());
            }
            Ok(None) => return Ok(Body { bytes, _held: held }),
            Ok(Some(Err(error))) => {
                let message = format!("the body ends too early or is not well-formed: {error}");
                return Err(Refusal::new(
                    400,
                    "broken_body",
                    message,
                    "send the whole body, of the length that its head says",
                )
                .closing());
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > most {
            throw_away(incoming).await;
            return Err(too_long());
        }
        if !held.grow(data.remaining()) {
            throw_away(incoming).await;
            let message = "the bodies of other requests take all the memory that is for bodies";
            return Err(Refusal::new(503, "out_of_memory", message, "try again later").after(1).closing());
        }
        bytes.extend_from_slice(&data);
    }
}

/// Reads a body that nobody wants; whether to its end.
async fn throw_away(mut incoming: Incoming) -> bool {
    let all = async {
        let mut read = 0;
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else { return false };
            read += frame.data_ref().map_or(0, Buf::remaining);
            if read > THROWN_AWAY {
                return false;
            }
        }
        true
    };
    timeout(THROWING, all).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::new(10);
        let mut one = Held { budget: Arc::clone(&budget), bytes: 0 };
        let mut other = Held { budget: Arc::clone(&budget), bytes: 0 };
        assert!(one.grow(6) && !other.grow(5) && other.grow(4));
        drop(one);
        assert_eq!(budget.used(), 4);
        assert!(other.grow(6));
    }
}
