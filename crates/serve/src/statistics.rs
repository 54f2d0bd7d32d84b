//! [`Statistics`]: what the Open Inference Protocol's statistics say of a version of a model.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::proto::inference::{InferStatistics, ModelStatistics, StatisticDuration};
use crate::stages::{Stage, Stages};

/// How many, and how long together.
#[derive(Debug, Default)]
struct TimeSum {
    count: AtomicU64,
    nanos: AtomicU64,
}

impl TimeSum {
    fn add(&self, time: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn now(&self) -> StatisticDuration {
        StatisticDuration { count: self.count.load(Ordering::Relaxed), ns: self.nanos.load(Ordering::Relaxed) }
    }
}

/// Requests of one version, ranked ones among them. They begin anew when a version is loaded.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// Milliseconds since 1970.
    last: AtomicU64,
    rows: AtomicU64,
    success: TimeSum,
    fail: TimeSum,
    queue: TimeSum,
    input: TimeSum,
    infer: TimeSum,
    output: TimeSum,
}

impl Statistics {
    /// Adds a request that was answered or refused, `time` after it came.
    pub(crate) fn add(&self, stages: &Stages, is_answered: bool, time: Duration) {
        if !is_answered {
            return self.fail.add(time);
        }
        self.success.add(time);
        let of = |parts: &[Stage]| parts.iter().filter_map(|&stage| stages.time(stage)).sum::<Duration>();
        self.queue.add(of(&[Stage::Wait]));
        self.input.add(of(&[Stage::Decode, Stage::Encode]));
        self.infer.add(of(&[Stage::Predict, Stage::Score]));
        self.output.add(of(&[Stage::Explain, Stage::Write]));
        self.rows.fetch_add(stages.candidates as u64, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.last.fetch_max(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// As a message.
    pub(crate) fn message(&self, name: &str, version: &str) -> ModelStatistics {
        let parts = InferStatistics {
            success: Some(self.success.now()),
            fail: Some(self.fail.now()),
            queue: Some(self.queue.now()),
            compute_input: Some(self.input.now()),
            compute_infer: Some(self.infer.now()),
            compute_output: Some(self.output.now()),
            cache_hit: Some(StatisticDuration::default()),
            cache_miss: Some(StatisticDuration::default()),
        };
        ModelStatistics {
            name: name.to_owned(),
            version: version.to_owned(),
            last_inference: self.last.load(Ordering::Relaxed),
            inference_count: self.rows.load(Ordering::Relaxed),
            execution_count: self.success.now().count,
            inference_stats: Some(parts),
        }
    }
}

/// Messages as the protocol has them over HTTP.
pub(crate) fn in_json(models: &[ModelStatistics]) -> Value {
    let time = |sum: &Option<StatisticDuration>| {
        let sum = sum.unwrap_or_default();
        json!({ "count": sum.count, "ns": sum.ns })
    };
    let model = |model: &ModelStatistics| {
        let parts = model.inference_stats.unwrap_or_default();
        json!({
            "name": model.name,
            "version": model.version,
            "last_inference": model.last_inference,
            "inference_count": model.inference_count,
            "execution_count": model.execution_count,
            "inference_stats": {
                "success": time(&parts.success),
                "fail": time(&parts.fail),
                "queue": time(&parts.queue),
                "compute_input": time(&parts.compute_input),
                "compute_infer": time(&parts.compute_infer),
                "compute_output": time(&parts.compute_output),
                "cache_hit": time(&parts.cache_hit),
                "cache_miss": time(&parts.cache_miss),
            },
            "batch_stats": [],
        })
    };
    json!({ "model_stats": models.iter().map(model).collect::<Value>() })
}
