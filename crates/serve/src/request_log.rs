//! [`RequestLog`]: requests with what they were answered, as Parquet that training and `pleiad replay` read.
//!
//! A worker hands over what it has ranked and goes on; one thread writes ([`files`]). What waits for it is bounded by
//! [`MOST_WAITING`] bytes: where the disk is slower than requests, whole requests are left out and counted. [`kinds`] keeps the type of each
//! column the same within a file.

mod files;
mod kinds;
mod rows;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{Array, RecordBatch};
use pleiad_rank::RankConfig;
use xxhash_rust::xxh64::xxh64;

use self::files::Files;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::registry::Entry;
use crate::served::Served;

/// Bytes of requests that may wait to be written.
const MOST_WAITING: usize = 64 << 20;

/// The longest that the thread sleeps before it looks at the age of files.
const LOOK: Duration = Duration::from_millis(200);

/// Where requests are logged, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLogSettings {
    /// A folder; each model has one of its own in it.
    pub folder: PathBuf,
    /// The share of requests that is logged, 0 to 1.
    pub share: f64,
    /// A file is completed once it has so many rows.
    pub rows: u64,
    /// A file is completed once it is so old.
    pub age: Duration,
}

/// What a ranking leaves to be logged.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The columns that the model read.
    pub(crate) records: RecordBatch,
    /// The candidates' ids; empty where the request gave none.
    pub(crate) ids: Vec<Option<String>>,
    /// The arm of a route that answered.
    pub(crate) label: Option<String>,
    /// `[rank]` in force.
    pub(crate) rank: RankConfig,
    /// `[T][B]`.
    pub(crate) predictions: Vec<Vec<f32>>,
    /// What the transform read; empty where there is none.
    pub(crate) numbers: Vec<f64>,
    /// `[B]`.
    pub(crate) scores: Vec<f64>,
    /// The candidates of the answer, the first one first.
    pub(crate) order: Vec<usize>,
}

impl Answered {
    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let columns = self.records.columns().iter();
        let columns: usize = columns
            .map(|array| array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()))
            .sum();
        let ids: usize = self.ids.iter().map(|id| 24 + id.as_ref().map_or(0, String::len)).sum();
        let figures = self.predictions.len() * 4 + 8 + 8 + 8;
        columns + ids + figures * self.scores.len() + 512
    }
}

/// A request that is to be logged.
#[derive(Clone)]
pub(crate) struct Ticket {
    log: Arc<RequestLog>,
    /// What it is called, in the log and in the answer.
    pub(crate) id: String,
}

impl Ticket {
    /// Hands it over. It waits for nothing: where too much waits already, the request is left out.
    pub(crate) fn write(self, entry: &Arc<Entry>, served: &Arc<Served>, answered: Answered) {
        let bytes = answered.bytes();
        let reserve = |waiting: usize| (waiting.saturating_add(bytes) <= MOST_WAITING).then(|| waiting + bytes);
        let log = &self.log;
        if log.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_err() {
            entry.counted.log_dropped_slow.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let time = i64::try_from(time).unwrap_or(i64::MAX);
        let (entry, served) = (Arc::clone(entry), Arc::clone(served));
        let logged = Logged { id: self.id, time, entry, served, answered, bytes };
        if let Err(left) = log.send.send(Message::Write(Box::new(logged)))
            && let Message::Write(logged) = left.0
        {
            logged.entry.counted.log_dropped_failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request on its way to the disk.
struct Logged {
    id: String,
    /// Milliseconds since 1970.
    time: i64,
    entry: Arc<Entry>,
    served: Arc<Served>,
    answered: Answered,
    bytes: usize,
}

enum Message {
    Write(Box<Logged>),
    End,
}

/// A log of requests while the server runs.
pub(crate) struct RequestLog {
    /// What ids of this server begin with: no other server, and no later start of this one, has it.
    start: u64,
    next: AtomicU64,
    share: f64,
    waiting: Arc<AtomicUsize>,
    send: Sender<Message>,
    ended: Mutex<Receiver<()>>,
}

impl RequestLog {
    /// Starts the thread that writes. A folder that cannot be written is a warning, as it is later.
    pub(crate) fn start(settings: RequestLogSettings, log: Arc<dyn Log>) -> Result<Arc<Self>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        // The standard library's hash maps begin with random keys of the system.
        let start = RandomState::new().hash_one((now, std::process::id()));
        let (send, receive) = channel();
        let (end, ended) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let held = Arc::clone(&waiting);
        let share = settings.share;
        let mut files = Files::new(settings, start, log);
        files.try_folder();
        let write = move || {
            write_all(&receive, &mut files, &held);
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("pleiad-request-log".to_owned()).spawn(write);
        thread.map_err(|error| Error::Start { what: "the log of requests", reason: error.to_string() })?;
        Ok(Arc::new(Self { start, next: AtomicU64::new(0), share, waiting, send, ended: Mutex::new(ended) }))
    }

    /// A ticket for the next request, if it is one of those that are logged.
    pub(crate) fn ticket(self: &Arc<Self>) -> Option<Ticket> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}-{number}", self.start);
        is_drawn(&id, self.share).then(|| Ticket { log: Arc::clone(self), id })
    }

    /// Completes all files; `false` if that took longer than `most`.
    pub(crate) fn end(&self, most: Duration) -> bool {
        if self.send.send(Message::End).is_err() {
            return true;
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(ended.recv_timeout(most), Err(RecvTimeoutError::Timeout))
    }
}

/// Whether a request of this id is one of the share: its hash decides, so that a request is logged as a whole or not at all.
fn is_drawn(id: &str, share: f64) -> bool {
    // 53 bits, which a float has.
    (xxh64(id.as_bytes(), 0) >> 11) as f64 / ((1u64 << 53) as f64) < share
}

fn write_all(receive: &Receiver<Message>, files: &mut Files, waiting: &AtomicUsize) {
    loop {
        match receive.recv_timeout(LOOK) {
            Ok(Message::Write(logged)) => {
                let bytes = logged.bytes;
                files.add(*logged);
                waiting.fetch_sub(bytes, Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return files.finish_all(),
        }
        files.finish_old(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_drawn_by_the_id() {
        let drawn = |share| (0..10_000).filter(|number| is_drawn(&format!("{:016x}-{number}", 7), share)).count();
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 10_000));
        assert!((900..1100).contains(&drawn(0.1)), "{}", drawn(0.1));
        let twice = |number: u32| is_drawn(&format!("a-{number}"), 0.5) == is_drawn(&format!("a-{number}"), 0.5);
        assert!((0..100).all(twice));
    }
}
