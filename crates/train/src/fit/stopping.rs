//! Which epoch is the best so far, and whether to go on.

use serde::{Deserialize, Serialize};

/// What is remembered of the epochs so far; part of every checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stopping {
    /// Epoch and score of the best epoch.
    best: Option<(u64, f64)>,
    /// Score that the next gain is counted from.
    reference: Option<f64>,
    /// Epochs since the last gain.
    waited: u64,
}

/// What an epoch's score means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether this epoch is the best so far: its weights are to be kept.
    pub(super) best: bool,
    /// Whether patience has run out.
    pub(super) stop: bool,
}

impl Stopping {
    /// The best epoch, from 1.
    pub(crate) fn best_epoch(&self) -> Option<u64> {
        self.best.map(|(epoch, _)| epoch)
    }

    /// Takes note of an epoch's score, larger being better. Of equal scores the earlier epoch is the best.
    ///
    /// `patience` is `None` where there is no early stopping.
    pub(super) fn update(&mut self, epoch: u64, score: f64, patience: Option<u64>, min_delta: f64) -> Verdict {
        let best = self.best.is_none_or(|(_, best)| score > best);
        if best {
            self.best = Some((epoch, score));
        }
        if self.reference.is_none_or(|reference| score > reference + min_delta) {
            self.reference = Some(score);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        Verdict { best, stop: patience.is_some_and(|patience| self.waited >= patience) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scores: &[f64], patience: Option<u64>, min_delta: f64) -> (usize, Option<u64>) {
        let mut stopping = Stopping::default();
        for (i, &score) in scores.iter().enumerate() {
            if stopping.update(i as u64 + 1, score, patience, min_delta).stop {
                return (i + 1, stopping.best_epoch());
            }
        }
        (scores.len(), stopping.best_epoch())
    }

    #[test]
    fn stops_after_patience_epochs_without_a_gain() {
        assert_eq!(run(&[0.5, 0.7, 0.6, 0.65, 0.9], Some(2), 0.0), (4, Some(2)));
        assert_eq!(run(&[0.5, 0.7, 0.6, 0.71, 0.6, 0.6], Some(2), 0.0), (6, Some(4)));
    }

    #[test]
    fn the_best_is_known_when_it_never_stops() {
        assert_eq!(run(&[0.5, 0.9, 0.6], None, 0.0), (3, Some(2)));
    }

    #[test]
    fn equal_scores_leave_the_earlier_epoch() {
        assert_eq!(run(&[0.5, 0.5, 0.5], Some(2), 0.0), (3, Some(1)));
    }

    #[test]
    fn small_gains_count_for_the_weights_but_not_for_patience() {
        assert_eq!(run(&[0.5, 0.51, 0.52], Some(2), 0.1), (3, Some(3)));
        // Small gains that add up past min_delta do count.
        assert_eq!(run(&[0.5, 0.56, 0.62, 0.62], Some(2), 0.1), (4, Some(3)));
    }
}
