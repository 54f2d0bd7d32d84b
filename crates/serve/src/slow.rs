//! [`Slow`]: the last requests that took long, with the time of each stage.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::stages::{Stage, Stages};

/// So many are kept.
const KEPT: usize = 100;

/// A request that took long.
#[derive(Debug, Clone)]
pub(crate) struct SlowRequest {
    pub(crate) model: String,
    pub(crate) version: String,
    /// `rank`, `infer` or `grpc_infer`.
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    /// From its head on.
    pub(crate) time: Duration,
    /// Until its body was there.
    pub(crate) body: Duration,
    pub(crate) bytes: usize,
    pub(crate) stages: Stages,
}

/// The last requests that took long.
#[derive(Debug)]
pub(crate) struct Slow {
    above: Duration,
    kept: Mutex<VecDeque<(SystemTime, SlowRequest)>>,
}

impl Slow {
    /// Keeps those that take longer.
    pub(crate) fn new(above: Duration) -> Self {
        Self { above, kept: Mutex::default() }
    }

    /// Keeps a request if it took long; it is made only then.
    pub(crate) fn see(&self, time: Duration, request: impl FnOnce() -> SlowRequest) {
        if time <= self.above {
            return;
        }
        let request = request();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front((SystemTime::now(), request));
    }

    /// The latest first.
    pub(crate) fn shown(&self) -> Value {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = |(ended, request): (SystemTime, SlowRequest)| {
            let mut stages = Map::from_iter([("body".to_owned(), json!(milliseconds(request.body)))]);
            let known = Stage::ALL.iter().filter_map(|(stage, name)| Some((name, request.stages.time(*stage)?)));
            stages.extend(known.map(|(name, time)| ((*name).to_owned(), json!(milliseconds(time)))));
            json!({
                "ended": ended.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
                "route": request.route,
                "model": request.model,
                "version": request.version,
                "status": request.status,
                "candidates": request.stages.candidates,
                "bytes": request.bytes,
                "milliseconds": milliseconds(request.time),
                "stages": stages,
            })
        };
        json!({ "above_milliseconds": milliseconds(self.above), "requests": kept.into_iter().map(request).collect::<Value>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slow_requests_are_kept() {
        let slow = Slow::new(Duration::from_millis(10));
        for number in 0..KEPT + 20 {
            let time = Duration::from_millis(if number % 2 == 0 { 10 } else { 11 + number as u64 });
            for _ in 0..2 {
                slow.see(time, || SlowRequest {
                    model: "m".to_owned(),
                    version: "v".to_owned(),
                    route: "rank",
                    status: 200,
                    time,
                    body: Duration::from_micros(1500),
                    bytes: number,
                    stages: Stages::default(),
                });
            }
        }
        let shown = slow.shown();
        let requests = shown["requests"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!((requests.len(), &requests[0]["bytes"]), (KEPT, &json!(KEPT + 19)));
        assert!(requests.iter().all(|request| request["milliseconds"].as_f64() > Some(10.0)));
        assert_eq!(requests[0]["stages"], json!({ "body": 1.5 }));
    }
}
