//! [`Drift`]: how the predictions of a version lie of late, beside how they lay when it was trained.
//!
//! Predictions are counted into the bins of training, in two windows of half an hour that take turns: memory does not grow, and
//! what is looked at is between half an hour and an hour old.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pleiad_rank::{MOST_BINS, PredictionSpread};
use serde::Serialize;

/// How long predictions are counted into one window.
const WINDOW: Duration = Duration::from_secs(1800);

/// Candidates below which nothing is said: chance alone moves the index of 20 bins by 19 parts of their number.
const FEW: u64 = 1000;

/// Predictions of one task in one window.
#[derive(Debug, Clone)]
struct Window {
    /// Which one since the start it is.
    number: u64,
    sum: f64,
    counts: [u64; MOST_BINS],
}

/// Predictions of the tasks of a version. Of a model that says nothing of its training it is empty.
#[derive(Debug)]
pub(crate) struct Drift {
    began: Instant,
    tasks: Vec<Mutex<[Window; 2]>>,
}

/// How the predictions of a task lie.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DriftFigures {
    /// The task.
    pub(crate) task: String,
    /// Candidates that were predicted of late.
    pub(crate) candidates: u64,
    /// The mean of these predictions.
    pub(crate) mean: Option<f64>,
    /// The mean when the model was trained.
    pub(crate) training_mean: f64,
    /// The population stability index of the recent predictions; `None` while there are few.
    pub(crate) drift: Option<f64>,
}

impl Drift {
    pub(crate) fn new(tasks: usize) -> Self {
        let window = || Window { number: 0, sum: 0.0, counts: [0; MOST_BINS] };
        Self { began: Instant::now(), tasks: (0..tasks).map(|_| Mutex::new([window(), window()])).collect() }
    }

    /// Counts predictions `[T][B]`.
    pub(crate) fn add(&self, spreads: &[PredictionSpread], predictions: &[Vec<f32>]) {
        self.add_at(self.now(), spreads, predictions);
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_secs() / WINDOW.as_secs()
    }

    fn add_at(&self, now: u64, spreads: &[PredictionSpread], predictions: &[Vec<f32>]) {
        for ((windows, spread), predictions) in self.tasks.iter().zip(spreads).zip(predictions) {
            // Counted here, so that the lock is held for some additions alone.
            let (mut counts, mut sum) = ([0u32; MOST_BINS], 0.0);
            for &prediction in predictions {
                counts[spread.bin(prediction)] += 1;
                sum += f64::from(prediction);
            }
            let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
            let window = &mut windows[(now % 2) as usize];
            if window.number != now {
                *window = Window { number: now, sum: 0.0, counts: [0; MOST_BINS] };
            }
            window.sum += sum;
            window.counts.iter_mut().zip(&counts).for_each(|(all, more)| *all += u64::from(*more));
        }
    }

    /// By task, in the order of the model.
    pub(crate) fn figures(&self, spreads: &[PredictionSpread], names: &[&str]) -> Vec<DriftFigures> {
        self.figures_at(self.now(), spreads, names)
    }

    fn figures_at(&self, now: u64, spreads: &[PredictionSpread], names: &[&str]) -> Vec<DriftFigures> {
        let task = |((windows, spread), name): ((&Mutex<[Window; 2]>, &PredictionSpread), &&str)| {
            let windows = windows.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut counts = [0u64; MOST_BINS];
            let mut sum = 0.0;
            for window in windows.iter().filter(|window| window.number + 1 >= now) {
                sum += window.sum;
                counts.iter_mut().zip(&window.counts).for_each(|(all, more)| *all += more);
            }
            let candidates = counts.iter().sum();
            DriftFigures {
                task: (*name).to_owned(),
                candidates,
                mean: (candidates > 0).then(|| sum / candidates as f64),
                training_mean: spread.mean,
                drift: spread.stability_index(&counts[..spread.shares.len()]).filter(|_| candidates >= FEW),
            }
        };
        self.tasks.iter().zip(spreads).zip(names).map(task).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn uniform(rows: usize) -> Vec<f32> {
        (0..rows).map(|row| (row as f32 + 0.5) / rows as f32).collect()
    }

    #[test]
    fn recent_predictions_are_compared_and_old_ones_are_forgotten() {
        let spreads = [PredictionSpread::of(&uniform(2000)).unwrap()];
        let drift = Drift::new(1);
        let at = |now| drift.figures_at(now, &spreads, &["click"]).remove(0);
        assert_eq!((at(0).candidates, at(0).mean, at(0).drift), (0, None, None));
        drift.add_at(0, &spreads, &[uniform(800)]);
        assert_eq!((at(0).candidates, at(0).drift), (800, None));
        drift.add_at(1, &spreads, &[uniform(800)]);
        let same = at(1);
        assert!(same.candidates == 1600 && same.drift.unwrap() < 1e-6 && (same.mean.unwrap() - 0.5).abs() < 1e-6);
        // All in the upper half: see the test of the index itself for its value.
        let upper: Vec<f32> = uniform(2000).iter().map(|p| 0.5 + p / 2.0).collect();
        drift.add_at(3, &spreads, &[upper]);
        let shifted = at(3);
        let expected = 10.0 * ((1e-4 - 0.05) * (1e-4f64 / 0.05).ln() + 0.05 * 2f64.ln());
        assert_eq!(shifted.candidates, 2000);
        assert!((shifted.drift.unwrap() - expected).abs() < 1e-9 && (shifted.mean.unwrap() - 0.75).abs() < 1e-6);
        assert_eq!((at(4).candidates, at(5).candidates), (2000, 0));
    }

    #[test]
    fn without_training_there_is_nothing() {
        let drift = Drift::new(0);
        drift.add_at(0, &[], &[uniform(10)]);
        assert!(drift.figures_at(0, &[], &["click"]).is_empty());
    }
}
