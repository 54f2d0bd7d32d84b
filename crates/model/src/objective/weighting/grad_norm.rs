//! GradNorm.

use serde::{Deserialize, Serialize};

use super::ScalarAdam;

/// Weights that bring the tasks' gradients to one size (Chen, Badrinarayanan, Lee and Rabinovich, ICML 2018).
///
/// With `n_k = |grad L_k|` over the parameters that several tasks share, `G_k = w_k n_k`, their mean `G`, and the
/// relative inverse training rate `r_k = (L_k / L_k(0)) / mean_i (L_i / L_i(0))`, the weights go down
///
/// ```text
/// sum_k | G_k - G r_k^alpha |,    the right-hand side held constant: dw_k = sign(G_k - G r_k^alpha) n_k
/// ```
///
/// by [`ScalarAdam`], are kept above [`GradNorm::FLOOR`] and then scaled so that they sum to T, all after each step.
/// `alpha = 0` asks for equal sizes; the larger it is, the more a task that learns slowly is pushed.
///
/// Tasks without rows in the step have no part in the means and do not move, but for the scaling; below two tasks with
/// rows there is nothing to compare, and nothing happens. `L_k(0)` is the loss of the first step in which the task had
/// rows; where that is 0, the task counts as one that has not learned anything (ratio 1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradNorm {
    weights: Vec<f64>,
    initial: Vec<Option<f64>>,
    adam: Vec<ScalarAdam>,
}

impl GradNorm {
    /// The smallest weight, before scaling: a task may become quiet, but not learn backwards.
    pub const FLOOR: f64 = 1e-3;

    /// All weights 1.
    #[must_use]
    pub fn new(tasks: usize) -> Self {
        Self { weights: vec![1.0; tasks], initial: vec![None; tasks], adam: vec![ScalarAdam::default(); tasks] }
    }

    /// The weight of each task's loss.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Moves the weights after a step: mean losses over each task's rows, these rows, and the norms `n_k` of the
    /// gradients of the unweighted losses.
    pub fn update(&mut self, losses: &[f64], rows: &[usize], norms: &[f64], alpha: f64, learning_rate: f64) {
        let active: Vec<usize> = (0..self.weights.len()).filter(|&k| rows[k] > 0).collect();
        for &k in &active {
            self.initial[k].get_or_insert(losses[k]);
        }
        if active.len() < 2 {
            return;
        }
        let mean = |of: &dyn Fn(usize) -> f64| active.iter().map(|&k| of(k)).sum::<f64>() / active.len() as f64;
        let ratio = |k: usize| match self.initial[k] {
            Some(initial) if initial > 0.0 => losses[k] / initial,
            _ => 1.0,
        };
        let size = |k: usize| self.weights[k] * norms[k];
        let (mean_ratio, mean_size) = (mean(&ratio), mean(&size));
        let gradients: Vec<f64> = active
            .iter()
            .map(|&k| {
                let rate = if mean_ratio > 0.0 { ratio(k) / mean_ratio } else { 1.0 };
                let excess = size(k) - mean_size * rate.powf(alpha);
                if excess == 0.0 { 0.0 } else { excess.signum() * norms[k] }
            })
            .collect();
        for (&k, gradient) in active.iter().zip(gradients) {
            self.weights[k] = (self.weights[k] + self.adam[k].step(gradient, learning_rate)).max(Self::FLOOR);
        }
        let scale = self.weights.len() as f64 / self.weights.iter().sum::<f64>();
        self.weights.iter_mut().for_each(|w| *w *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tasks, the second with a loss ten times as large: with alpha = 0 the weights undo that.
    #[test]
    fn equal_norms_where_one_task_is_scaled_by_ten() {
        let mut method = GradNorm::new(2);
        for step in 0..3000 {
            let learning_rate = if step < 1500 { 5e-3 } else { 1e-4 };
            method.update(&[1.0, 10.0], &[4, 4], &[0.3, 3.0], 0.0, learning_rate);
        }
        let w = method.weights();
        // w_1 n_1 = w_2 n_2 and w_1 + w_2 = 2: 20/11 and 2/11.
        assert!((w[0] - 20.0 / 11.0).abs() < 2e-3 && (w[1] - 2.0 / 11.0).abs() < 2e-3, "{w:?}");
        assert!((w[0] * 0.3 / (w[1] * 3.0) - 1.0).abs() < 2e-2, "{w:?}");
    }

    /// Equal norms, but the second task has learned less: at rest G_k is proportional to r_k^alpha.
    #[test]
    fn who_learns_slowly_is_pushed() {
        let mut method = GradNorm::new(2);
        method.update(&[1.0, 1.0], &[4, 4], &[1.0, 1.0], 1.0, 1e-3);
        for step in 0..6000 {
            let learning_rate = if step < 3000 { 2e-3 } else { 1e-4 };
            method.update(&[0.2, 0.6], &[4, 4], &[1.0, 1.0], 1.0, learning_rate);
        }
        // r = 1/2 and 3/2, so that the weights, which sum to 2, are 1/2 and 3/2.
        let w = method.weights();
        assert!((w[0] - 0.5).abs() < 5e-3 && (w[1] - 1.5).abs() < 5e-3, "{w:?}");
    }

    #[test]
    fn tasks_without_rows_are_left_out() {
        let mut method = GradNorm::new(3);
        method.update(&[1.0, 0.0, 0.0], &[4, 0, 0], &[1.0, 0.0, 0.0], 1.5, 0.1);
        assert_eq!(method.weights(), [1.0; 3]);
        method.update(&[1.0, 0.0, 2.0], &[4, 0, 4], &[1.0, 0.0, 3.0], 1.5, 0.1);
        // One up, one down by the same, but for Adam's epsilon: the third keeps its weight through the scaling.
        assert!((method.weights()[1] - 1.0).abs() < 1e-8 && method.weights()[2] < 1.0, "{:?}", method.weights());
        assert_eq!(method.initial, [Some(1.0), None, Some(2.0)]);
    }

    #[test]
    fn nothing_to_go_by_gives_numbers() {
        let mut method = GradNorm::new(2);
        for _ in 0..100 {
            method.update(&[0.0, 0.0], &[1, 1], &[0.0, 0.0], 1.5, 10.0);
            method.update(&[0.0, 5.0], &[1, 1], &[0.0, 1e30], 1.5, 10.0);
        }
        assert!(method.weights().iter().all(|w| w.is_finite() && *w > 0.0), "{:?}", method.weights());
    }
}
