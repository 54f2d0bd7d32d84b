//! [`App`]: what all connections share; [`Reply`]: an answer before it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::audit::Audit;
use crate::body::Budget;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::registry::Entry;
use crate::request_log::RequestLog;
use crate::routes::Routes;
use crate::settings::Settings;
use crate::slow::Slow;
use crate::socket::Pace;

/// The longest time that a request may ask for.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// Of an answer, and of a refusal.
pub(crate) const JSON: &str = "application/json";

/// A stream of Arrow IPC.
pub(crate) const ARROW: &str = "application/vnd.apache.arrow.stream";

/// What all connections share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    /// The first one is the one of `/v1/rank`.
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) slow: Arc<Slow>,
    pub(crate) audit: Audit,
    pub(crate) request_log: Option<Arc<RequestLog>>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) draining: AtomicBool,
    pub(crate) in_flight: AtomicUsize,
    /// Bytes that were written to all clients.
    pub(crate) written: Arc<AtomicU64>,
    pub(crate) log: Arc<dyn Log>,
}

/// A request that is being answered.
pub(crate) struct Flight<'a> {
    app: &'a App,
    pace: &'a Pace,
}

impl<'a> Flight<'a> {
    pub(crate) fn new(app: &'a App, pace: &'a Pace) -> Self {
        app.in_flight.fetch_add(1, Ordering::Relaxed);
        pace.started.fetch_add(1, Ordering::Relaxed);
        Self { app, pace }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.pace.finished.fetch_add(1, Ordering::Relaxed);
        self.app.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer before it is sent.
pub(crate) struct Reply {
    pub(crate) body: Vec<u8>,
    pub(crate) content: &'static str,
    /// Length of the JSON, where the bytes of tensors come behind it.
    pub(crate) json: Option<usize>,
    /// What the request is called in the log.
    pub(crate) logged_as: Option<String>,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        Self::text(value.to_string(), JSON)
    }

    pub(crate) fn text(text: String, content: &'static str) -> Self {
        Self { body: text.into_bytes(), content, json: None, logged_as: None }
    }
}
