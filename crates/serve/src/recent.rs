//! [`Recent`]: how fast the server has answered in the last minute, in memory that does not grow.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Seconds that are looked back.
const SECONDS: usize = 60;

/// Buckets for each doubling of a time: a time is known to within a tenth.
const PER_DOUBLING: f64 = 8.0;

/// The least time that is told from a shorter one, in seconds.
const LEAST: f64 = 20e-6;

/// Buckets: 23 doublings of [`LEAST`] are more than two minutes.
const BUCKETS: usize = 23 * PER_DOUBLING as usize;

/// Counts of the requests of one second.
#[derive(Debug, Clone)]
struct Second {
    /// Which second since the start it is.
    at: u64,
    requests: u32,
    errors: u32,
    /// Answered ones by their time.
    times: [u32; BUCKETS],
}

/// Requests of the last minute, by second and time.
#[derive(Debug)]
pub(crate) struct Recent {
    began: Instant,
    seconds: Mutex<Vec<Second>>,
}

/// What `/v1/recent` says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RecentFigures {
    /// Seconds that are looked back at.
    seconds: usize,
    /// Requests of these, errors among them.
    requests: u64,
    /// Those that were refused or failed.
    errors: u64,
    /// Requests a second, since the start where it is less than a minute ago.
    per_second: f64,
    /// Half of all answers took no longer, in milliseconds, from head to answer.
    p50_ms: Option<f64>,
    /// 99 of 100 answers took no longer.
    p99_ms: Option<f64>,
    /// Requests of each second, the oldest first.
    requests_by_second: Vec<u32>,
    /// Errors of each second.
    errors_by_second: Vec<u32>,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let none = |_| Second { at: u64::MAX, requests: 0, errors: 0, times: [0; BUCKETS] };
        Self { began: Instant::now(), seconds: Mutex::new((0..SECONDS).map(none).collect()) }
    }

    /// Counts a request that took `time`.
    pub(crate) fn add(&self, time: Duration, failed: bool) {
        self.add_at(self.began.elapsed().as_secs(), time, failed);
    }

    fn add_at(&self, now: u64, time: Duration, failed: bool) {
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let second = &mut seconds[place(now)];
        if second.at != now {
            *second = Second { at: now, requests: 0, errors: 0, times: [0; BUCKETS] };
        }
        second.requests = second.requests.saturating_add(1);
        if failed {
            second.errors = second.errors.saturating_add(1);
        } else {
            let bucket = &mut second.times[bucket(time.as_secs_f64())];
            *bucket = bucket.saturating_add(1);
        }
    }

    /// The last minute as it is now.
    pub(crate) fn figures(&self) -> RecentFigures {
        self.figures_at(self.began.elapsed())
    }

    fn figures_at(&self, since: Duration) -> RecentFigures {
        let now = since.as_secs();
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times = [0u64; BUCKETS];
        let (mut requests_by_second, mut errors_by_second) = (vec![0; SECONDS], vec![0; SECONDS]);
        for back in 0..(SECONDS as u64).min(now + 1) {
            let second = &seconds[place(now - back)];
            if second.at == now - back {
                let at = SECONDS - 1 - back as usize;
                (requests_by_second[at], errors_by_second[at]) = (second.requests, second.errors);
                times.iter_mut().zip(&second.times).for_each(|(sum, count)| *sum += u64::from(*count));
            }
        }
        drop(seconds);
        let sum = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum::<u64>();
        let (requests, errors) = (sum(&requests_by_second), sum(&errors_by_second));
        RecentFigures {
            seconds: SECONDS,
            requests,
            errors,
            per_second: requests as f64 / since.as_secs_f64().clamp(1.0, SECONDS as f64),
            p50_ms: quantile(&times, 0.5),
            p99_ms: quantile(&times, 0.99),
            requests_by_second,
            errors_by_second,
        }
    }
}

fn place(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

/// The bucket of a time. Bucket b ends at `LEAST * 2^(b / PER_DOUBLING)`.
fn bucket(seconds: f64) -> usize {
    let at = (seconds / LEAST).log2() * PER_DOUBLING;
    (at.ceil().max(0.0) as usize).min(BUCKETS - 1)
}

/// The end of the bucket in which the quantile lies, in milliseconds.
fn quantile(times: &[u64; BUCKETS], share: f64) -> Option<f64> {
    let all: u64 = times.iter().sum();
    let rank = ((all as f64 * share).ceil() as u64).max(1);
    let mut below = 0;
    let at = times.iter().position(|count| {
        below += count;
        below >= rank
    })?;
    Some(1000.0 * LEAST * (at as f64 / PER_DOUBLING).exp2())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn figures(recent: &Recent, second: u64) -> RecentFigures {
        recent.figures_at(Duration::from_secs(second))
    }

    #[test]
    fn a_minute_is_remembered_and_no_more() {
        let recent = Recent::new();
        let empty = figures(&recent, 0);
        assert_eq!((empty.requests, empty.p50_ms, empty.per_second), (0, None, 0.0));
        for second in 0..200 {
            for _ in 0..3 {
                recent.add_at(second, Duration::from_millis(2), false);
            }
            recent.add_at(second, Duration::from_secs(1), true);
        }
        let full = figures(&recent, 199);
        assert_eq!((full.requests, full.errors, full.per_second), (240, 60, 4.0));
        assert!(full.requests_by_second.iter().all(|&count| count == 4));
        // Half a minute later half of them are gone, and two minutes later all.
        let half = figures(&recent, 229);
        assert_eq!((half.requests, &half.requests_by_second[28..32]), (120, &[4, 4, 0, 0][..]));
        assert_eq!(figures(&recent, 320).requests, 0);
        assert_eq!(recent.seconds.lock().unwrap().len(), SECONDS);
    }

    #[test]
    fn quantiles_lie_within_a_tenth() {
        let recent = Recent::new();
        for micros in 1..=1000u64 {
            recent.add_at(7, Duration::from_micros(micros * 10), false);
        }
        // Errors are no latencies.
        recent.add_at(7, Duration::from_secs(50), true);
        let found = figures(&recent, 7);
        for (found, exact) in [(found.p50_ms.unwrap(), 5.0), (found.p99_ms.unwrap(), 9.9)] {
            assert!(found >= exact && found < exact * 1.1, "{found} {exact}");
        }
        // The ends of the scale.
        for extreme in [Duration::ZERO, Duration::from_secs(100_000)] {
            recent.add_at(8, extreme, false);
        }
        assert_eq!((bucket(0.0), bucket(1e9)), (0, BUCKETS - 1));
    }
}
