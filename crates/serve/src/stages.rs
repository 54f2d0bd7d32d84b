//! [`Stages`]: how long the parts of a request took.

use std::time::{Duration, Instant};

/// A part of the way of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In the queue.
    Wait,
    /// JSON into columns.
    Decode,
    /// Columns into what the model reads.
    Encode,
    /// The model.
    Predict,
    /// Equation 1, and the order.
    Score,
    /// Why candidates stand where they do.
    Explain,
    /// The answer into JSON.
    Write,
}

impl Stage {
    pub(crate) const ALL: [(Self, &'static str); 7] = [
        (Self::Wait, "wait"),
        (Self::Decode, "decode"),
        (Self::Encode, "encode"),
        (Self::Predict, "predict"),
        (Self::Score, "score"),
        (Self::Explain, "explain"),
        (Self::Write, "write"),
    ];
}

/// How long the stages of one request took.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    pub(crate) times: [Option<Duration>; Stage::ALL.len()],
    /// Number of candidates, once it is known.
    pub candidates: usize,
}

impl Stages {
    pub(crate) fn add(&mut self, stage: Stage, time: Duration) {
        self.times[stage as usize] = Some(time);
    }

    /// How long a stage took, if it was come to.
    #[must_use]
    pub fn time(&self, stage: Stage) -> Option<Duration> {
        self.times[stage as usize]
    }
}

/// A clock that gives each stage the time since the one before.
pub(crate) struct Laps(Instant);

impl Laps {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn add(&mut self, stages: &mut Stages, stage: Stage) {
        let now = Instant::now();
        stages.add(stage, now - self.0);
        self.0 = now;
    }
}
