//! Dynamic weight averaging.

use serde::{Deserialize, Serialize};

/// Weights by how fast each task's loss falls (Liu, Johns and Davison, CVPR 2019, equation 7).
///
/// With `L_k(t)` the mean training loss of epoch t, the weights of epoch t are
///
/// ```text
/// r_k = L_k(t-1) / L_k(t-2),    w_k = T exp(r_k / temperature) / sum_i exp(r_i / temperature)
/// ```
///
/// so a task whose loss falls slower than the others' weighs more, and the T weights sum to T. In the first two epochs
/// all weights are 1. An epoch without a row of a task says nothing of that task; a ratio that is not defined (fewer
/// than two epochs, or a loss of 0 before) counts as 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicAverage {
    /// Per task, the losses of the last two epochs that had rows of it, the older one first.
    losses: Vec<[Option<f64>; 2]>,
}

impl DynamicAverage {
    /// Before the first epoch.
    #[must_use]
    pub fn new(tasks: usize) -> Self {
        Self { losses: vec![[None; 2]; tasks] }
    }

    /// The weights of the epoch at hand. `temperature` is above 0; the larger, the more alike are the weights.
    #[must_use]
    pub fn weights(&self, temperature: f64) -> Vec<f64> {
        let ratio = |losses: &[Option<f64>; 2]| match *losses {
            [Some(before), Some(last)] if before > 0.0 => last / before,
            _ => 1.0,
        };
        // Infinite ratios are cut, and the largest is taken off, so that nothing overflows.
        let scaled: Vec<f64> = self.losses.iter().map(|losses| (ratio(losses) / temperature).min(f64::MAX)).collect();
        let largest = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exponentials: Vec<f64> = scaled.iter().map(|r| (r - largest).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        exponentials.iter().map(|e| self.losses.len() as f64 * e / sum).collect()
    }

    /// Takes note of an epoch's mean training loss per task; `None` of a task without rows.
    pub fn end_epoch(&mut self, losses: &[Option<f64>]) {
        for (known, &loss) in self.losses.iter_mut().zip(losses) {
            if loss.is_some() {
                *known = [known[1], loss];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], exact: &[f64]) -> bool {
        found.len() == exact.len() && found.iter().zip(exact).all(|(f, e)| (f - e).abs() < 1e-12)
    }

    #[test]
    fn weights_by_hand() {
        let mut method = DynamicAverage::new(2);
        assert_eq!(method.weights(2.0), [1.0, 1.0]);
        method.end_epoch(&[Some(1.0), Some(4.0)]);
        assert_eq!(method.weights(2.0), [1.0, 1.0]);
        method.end_epoch(&[Some(0.5), Some(4.0)]);
        // r = 1/2 and 1: exp(1/4) = 1.2840254167, exp(1/2) = 1.6487212707; twice each over their sum.
        let (a, b) = (0.25f64.exp(), 0.5f64.exp());
        assert!(close(&method.weights(2.0), &[2.0 * a / (a + b), 2.0 * b / (a + b)]));
        assert!((method.weights(2.0)[0] - 0.875_647).abs() < 1e-6, "{:?}", method.weights(2.0));
        // The next epoch looks at the last two alone: r = 1 and 1/2.
        method.end_epoch(&[Some(0.5), Some(2.0)]);
        assert!(close(&method.weights(2.0), &[2.0 * b / (a + b), 2.0 * a / (a + b)]));
    }

    #[test]
    fn undefined_ratios_count_as_one() {
        let mut method = DynamicAverage::new(3);
        method.end_epoch(&[Some(1.0), None, Some(0.0)]);
        method.end_epoch(&[Some(1.0), Some(2.0), Some(1.0)]);
        assert!(close(&method.weights(1.0), &[1.0; 3]));
        // A task that was away goes on from what was last known of it.
        method.end_epoch(&[Some(1.0), None, Some(1.0)]);
        method.end_epoch(&[Some(1.0), Some(1.0), Some(1.0)]);
        let weights = method.weights(1.0);
        assert!(weights[1] < 1.0 && (weights.iter().sum::<f64>() - 3.0).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn ratios_of_any_size_give_numbers() {
        let mut method = DynamicAverage::new(2);
        method.end_epoch(&[Some(1e-300), Some(1.0)]);
        method.end_epoch(&[Some(1e8), Some(1.0)]);
        assert_eq!(method.weights(1e-3), [2.0, 0.0]);
    }
}
