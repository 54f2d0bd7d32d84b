//! What `/metrics` says, in the text format of Prometheus. Histograms have fixed buckets, so that nothing grows with use.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::drift::DriftFigures;
use crate::recent::Recent;
use crate::routes::Routes;
use crate::stages::{Stage, Stages};

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Upper bounds of the buckets of candidates of a request.
const CANDIDATES: [f64; 10] = [1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0];

/// Upper bounds of the buckets of requests that are predicted together.
const TOGETHER: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// Counts by bucket.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    bounds: &'static [f64; N],
    buckets: [AtomicU64; N],
    count: AtomicU64,
    /// In millionths.
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: &'static [f64; N]) -> Self {
        let buckets = std::array::from_fn(|_| AtomicU64::new(0));
        Self { bounds, buckets, count: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    pub(crate) fn observe(&self, value: f64) {
        if let Some(at) = self.bounds.iter().position(|bound| value <= *bound) {
            self.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * 1e6).round() as u64, Ordering::Relaxed);
    }

    /// The lines of one histogram, `labels` without braces.
    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, bucket) in self.bounds.iter().zip(&self.buckets) {
            below += bucket.load(Ordering::Relaxed);
            line(text, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}"));
        }
        // What was counted meanwhile must not make a bucket larger than all.
        let count = self.count.load(Ordering::Relaxed).max(below);
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        line(text, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"));
        line(text, format_args!("{name}_sum{braces} {sum}"));
        line(text, format_args!("{name}_count{braces} {count}"));
    }
}

/// What is counted of one model under one name, whatever its version.
#[derive(Debug)]
pub(crate) struct OfModel {
    stages: [Histogram<14>; Stage::ALL.len()],
    candidates: Histogram<10>,
    pub(crate) reloaded: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) rolled_back: AtomicU64,
    pub(crate) unloaded: AtomicU64,
    /// Recorded requests that new versions ranked before they were served, and that they refused.
    pub(crate) warm_ranked: AtomicU64,
    pub(crate) warm_refused: AtomicU64,
    /// Requests in files of the log that are whole; left out since the disk was too slow; since it could not be written.
    pub(crate) logged: AtomicU64,
    pub(crate) log_dropped_slow: AtomicU64,
    pub(crate) log_dropped_failed: AtomicU64,
}

impl OfModel {
    pub(crate) fn new() -> Self {
        Self {
            stages: std::array::from_fn(|_| Histogram::new(&SECONDS)),
            candidates: Histogram::new(&CANDIDATES),
            reloaded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            rolled_back: AtomicU64::new(0),
            unloaded: AtomicU64::new(0),
            warm_ranked: AtomicU64::new(0),
            warm_refused: AtomicU64::new(0),
            logged: AtomicU64::new(0),
            log_dropped_slow: AtomicU64::new(0),
            log_dropped_failed: AtomicU64::new(0),
        }
    }

    /// Counts a request that was ranked.
    pub(crate) fn add(&self, stages: &Stages) {
        for (histogram, time) in self.stages.iter().zip(&stages.times) {
            if let Some(time) = time {
                histogram.observe(time.as_secs_f64());
            }
        }
        self.candidates.observe(stages.candidates as f64);
    }
}

/// What is counted of the server as a whole.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By route and status.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    seconds: Histogram<14>,
    /// Requests that were predicted together, where that is wanted.
    pub(crate) batches: Histogram<7>,
    /// The last minute of rankings and predictions.
    pub(crate) recent: Recent,
    pub(crate) connections: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            requests: Mutex::default(),
            seconds: Histogram::new(&SECONDS),
            batches: Histogram::new(&TOGETHER),
            recent: Recent::new(),
            connections: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
        }
    }

    /// Counts an answer; of ranked ones its time, too.
    pub(crate) fn answered(&self, route: &'static str, status: u16, time: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
        drop(requests);
        if matches!(route, "rank" | "infer" | "grpc_infer") {
            self.recent.add(time, status >= 400);
        }
        if route == "rank" && status == 200 {
            self.seconds.observe(time.as_secs_f64());
        }
    }
}

/// What `/metrics` shows beside counters: how things are now.
pub(crate) struct Now<'a> {
    pub(crate) queued: usize,
    pub(crate) queue_limit: usize,
    pub(crate) in_flight: usize,
    pub(crate) body_bytes: usize,
    pub(crate) ready: bool,
    /// Whether requests are logged.
    pub(crate) logs: bool,
    /// Whether requests are predicted together.
    pub(crate) batches: bool,
    pub(crate) models: Vec<ModelNow<'a>>,
    pub(crate) routes: &'a Routes,
}

/// A model as it is now.
pub(crate) struct ModelNow<'a> {
    pub(crate) name: &'a str,
    pub(crate) counted: &'a OfModel,
    pub(crate) served: Option<std::sync::Arc<crate::Served>>,
}

impl Metrics {
    /// The whole page.
    pub(crate) fn page(&self, now: &Now<'_>) -> String {
        let mut page = String::with_capacity(1 << 14);
        let text = &mut page;
        head(text, "pleiad_requests_total", "counter", "Requests by route and status.");
        let requests = self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        for ((route, status), count) in requests {
            line(text, format_args!("pleiad_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}"));
        }
        head(text, "pleiad_request_seconds", "histogram", "Time of ranked requests, from head to answer.");
        self.seconds.write(text, "pleiad_request_seconds", "");
        if now.batches {
            head(text, "pleiad_batch_requests", "histogram", "Requests that were predicted together.");
            self.batches.write(text, "pleiad_batch_requests", "");
        }
        let simple = [
            ("pleiad_connections", "gauge", "Open connections.", self.connections.load(Ordering::Relaxed)),
            ("pleiad_in_flight_requests", "gauge", "Requests that are not answered yet.", now.in_flight as u64),
            ("pleiad_queue_candidates", "gauge", "Candidates that wait for a worker.", now.queued as u64),
            ("pleiad_queue_limit_candidates", "gauge", "The most that may wait.", now.queue_limit as u64),
            ("pleiad_body_bytes", "gauge", "Memory of the bodies of requests.", now.body_bytes as u64),
            ("pleiad_ready", "gauge", "1 while the server is ready.", u64::from(now.ready)),
            (
                "pleiad_panics_total",
                "counter",
                "Requests that hit a mistake of the server.",
                self.panics.load(Ordering::Relaxed),
            ),
            (
                "pleiad_tls_failures_total",
                "counter",
                "Connections that ended before TLS was agreed on.",
                self.handshakes_failed.load(Ordering::Relaxed),
            ),
        ];
        for (name, kind, help, value) in simple {
            head(text, name, kind, help);
            line(text, format_args!("{name} {value}"));
        }
        head(text, "pleiad_stage_seconds", "histogram", "Time of each stage of ranked requests.");
        for model in &now.models {
            for ((_, stage), histogram) in Stage::ALL.iter().zip(&model.counted.stages) {
                let labels = format!("model=\"{}\",stage=\"{stage}\"", model.name);
                histogram.write(text, "pleiad_stage_seconds", &labels);
            }
        }
        head(text, "pleiad_request_candidates", "histogram", "Candidates of ranked requests.");
        for model in &now.models {
            let labels = format!("model=\"{}\"", model.name);
            model.counted.candidates.write(text, "pleiad_request_candidates", &labels);
        }
        head(text, "pleiad_model_info", "gauge", "The version that each model serves.");
        for model in &now.models {
            if let Some(served) = &model.served {
                let (name, version) = (model.name, served.version());
                line(text, format_args!("pleiad_model_info{{model=\"{name}\",version=\"{version}\"}} 1"));
            }
        }
        head(text, "pleiad_model_changes_total", "counter", "Changes of each model's version, and refused ones.");
        for model in &now.models {
            let counted = model.counted;
            let results = [
                ("reloaded", &counted.reloaded),
                ("refused", &counted.refused),
                ("rolled_back", &counted.rolled_back),
                ("unloaded", &counted.unloaded),
            ];
            for (result, count) in results {
                let count = count.load(Ordering::Relaxed);
                let name = model.name;
                line(text, format_args!("pleiad_model_changes_total{{model=\"{name}\",result=\"{result}\"}} {count}"));
            }
        }
        let help = "Recorded requests that new versions ranked, or refused, before they were served.";
        head(text, "pleiad_warm_requests_total", "counter", help);
        for model in &now.models {
            let counted = model.counted;
            for (result, count) in [("ranked", &counted.warm_ranked), ("refused", &counted.warm_refused)] {
                let (name, count) = (model.name, count.load(Ordering::Relaxed));
                line(text, format_args!("pleiad_warm_requests_total{{model=\"{name}\",result=\"{result}\"}} {count}"));
            }
        }
        if now.logs {
            request_log(text, now);
        }
        self.features(text, now);
        drift(text, now);
        now.routes.metrics(text);
        page
    }

    /// Counters of features begin anew with each version.
    fn features(&self, text: &mut String, now: &Now<'_>) {
        type Of = fn(&crate::served::Tally) -> f64;
        let families: [(&str, &str, &str, Of); 4] = [
            ("pleiad_feature_values_total", "counter", "Values of each feature.", |tally| {
                tally.values.load(Ordering::Relaxed) as f64
            }),
            ("pleiad_feature_unknown_total", "counter", "Values that the vocabulary does not have.", |tally| {
                tally.unknown.load(Ordering::Relaxed) as f64
            }),
            ("pleiad_feature_missing_total", "counter", "Candidates without a value.", |tally| {
                tally.missing.load(Ordering::Relaxed) as f64
            }),
            ("pleiad_feature_unknown_share", "gauge", "Unknown values as a share of all, of this version.", |tally| {
                let values = tally.values.load(Ordering::Relaxed).max(1);
                tally.unknown.load(Ordering::Relaxed) as f64 / values as f64
            }),
        ];
        for (name, kind, help, of) in families {
            head(text, name, kind, help);
            for model in &now.models {
                for (feature, tally) in model.served.iter().flat_map(|served| served.tallies()) {
                    let (model, feature, value) = (model.name, escaped(feature), of(tally));
                    line(text, format_args!("{name}{{model=\"{model}\",feature=\"{feature}\"}} {value}"));
                }
            }
        }
    }
}

/// How predictions lie beside those of training, of models that say how those lay.
fn drift(text: &mut String, now: &Now<'_>) {
    type Of = fn(&DriftFigures) -> Option<f64>;
    let families: [(&str, &str, Of); 3] = [
        ("pleiad_prediction_drift", "Population stability index of recent predictions against training.", |of| {
            of.drift
        }),
        ("pleiad_prediction_mean", "Mean of recent predictions.", |of| of.mean),
        ("pleiad_prediction_training_mean", "Mean of predictions in training.", |of| Some(of.training_mean)),
    ];
    let models = now.models.iter().filter_map(|model| Some((model.name, model.served.as_ref()?.drift())));
    let models: Vec<(&str, Vec<DriftFigures>)> = models.collect();
    for (name, help, of) in families {
        head(text, name, "gauge", help);
        for (model, task) in models.iter().flat_map(|(model, tasks)| tasks.iter().map(move |task| (model, task))) {
            if let Some(value) = of(task) {
                let task = escaped(&task.task);
                line(text, format_args!("{name}{{model=\"{model}\",task=\"{task}\"}} {value}"));
            }
        }
    }
}

fn request_log(text: &mut String, now: &Now<'_>) {
    head(text, "pleiad_request_log_logged_total", "counter", "Requests in files of the log that are complete.");
    for model in &now.models {
        let (name, count) = (model.name, model.counted.logged.load(Ordering::Relaxed));
        line(text, format_args!("pleiad_request_log_logged_total{{model=\"{name}\"}} {count}"));
    }
    let help = "Requests left out of the log: it was too slow, or it could not be written.";
    head(text, "pleiad_request_log_dropped_total", "counter", help);
    for model in &now.models {
        for (why, count) in [("slow", &model.counted.log_dropped_slow), ("failed", &model.counted.log_dropped_failed)] {
            let (name, count) = (model.name, count.load(Ordering::Relaxed));
            line(text, format_args!("pleiad_request_log_dropped_total{{model=\"{name}\",reason=\"{why}\"}} {count}"));
        }
    }
}

pub(crate) fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    let _ = writeln!(text, "{line}");
}

/// A value of a label, as the format wants it.
pub(crate) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::new(&CANDIDATES);
        [0.5, 1.0, 40.0, 20_000.0].iter().for_each(|&value| histogram.observe(value));
        let mut text = String::new();
        histogram.write(&mut text, "x", "a=\"b\"");
        assert!(
            text.contains("x_bucket{a=\"b\",le=\"1\"} 2\n") && text.contains("x_bucket{a=\"b\",le=\"50\"} 3\n"),
            "{text}"
        );
        assert!(text.contains("x_bucket{a=\"b\",le=\"10000\"} 3\n") && text.contains("le=\"+Inf\"} 4\n"), "{text}");
        assert!(text.ends_with("x_sum{a=\"b\"} 20041.5\nx_count{a=\"b\"} 4\n"), "{text}");
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
