//! Weighting by homoscedastic uncertainty.

use pleiad_data::TaskKind;
use serde::{Deserialize, Serialize};

use super::ScalarAdam;

/// Weights that each task learns from its own noise (Kendall, Gal and Cipolla, CVPR 2018, equations 5 and 10).
///
/// With one learned number `s_k = log sigma_k^2` per task, which starts at 0, the joint loss is
///
/// ```text
/// sum_k  exp(-s_k) L_k + s_k / 2        binary (cross-entropy): weight exp(-s_k), at rest at exp(s_k) = 2 L_k
///        exp(-s_k) / 2 L_k + s_k / 2    regression (squared error): weight exp(-s_k) / 2, at rest at exp(s_k) = L_k
/// ```
///
/// `s_k` is moved by [`ScalarAdam`] after each step in which the task had rows, and kept within
/// [`Uncertainty::BOUND`], so that a loss that vanishes gives a large weight and not an infinite one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uncertainty {
    /// Per task, `log sigma^2` and what moves it.
    tasks: Vec<(f64, ScalarAdam)>,
}

impl Uncertainty {
    /// Largest magnitude of `s_k`: weights stay between 2e-9 and 5e8.
    pub const BOUND: f64 = 20.0;

    /// All `s_k` at 0.
    #[must_use]
    pub fn new(tasks: usize) -> Self {
        Self { tasks: vec![(0.0, ScalarAdam::default()); tasks] }
    }

    /// Per task, `s_k = log sigma_k^2`.
    pub fn log_variances(&self) -> impl Iterator<Item = f64> {
        self.tasks.iter().map(|task| task.0)
    }

    /// The weight of each task's loss.
    #[must_use]
    pub fn weights(&self, kinds: &[TaskKind]) -> Vec<f64> {
        self.tasks.iter().zip(kinds).map(|(task, &kind)| factor(kind) * (-task.0).exp()).collect()
    }

    /// Moves each `s_k` against its derivative `1/2 - weight_k L_k`, for the tasks that had rows.
    pub fn update(&mut self, kinds: &[TaskKind], losses: &[f64], rows: &[usize], learning_rate: f64) {
        for (((s, adam), &kind), (&loss, &rows)) in self.tasks.iter_mut().zip(kinds).zip(losses.iter().zip(rows)) {
            if rows > 0 {
                let gradient = 0.5 - factor(kind) * (-*s).exp() * loss;
                *s = (*s + adam.step(gradient, learning_rate)).clamp(-Self::BOUND, Self::BOUND);
            }
        }
    }
}

/// What `exp(-s)` is multiplied with.
fn factor(kind: TaskKind) -> f64 {
    match kind {
        TaskKind::Binary => 1.0,
        TaskKind::Regression => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [TaskKind; 3] = [TaskKind::Binary, TaskKind::Regression, TaskKind::Binary];

    #[test]
    fn comes_to_rest_where_the_formula_says() {
        let mut method = Uncertainty::new(3);
        let losses = [0.3, 4.0, 0.7];
        for step in 0..6000 {
            // Smaller steps towards the end, so that Adam does not circle.
            let learning_rate = if step < 4000 { 1e-2 } else { 1e-4 };
            method.update(&KINDS, &losses, &[8, 8, 8], learning_rate);
        }
        let sigma: Vec<f64> = method.log_variances().map(f64::exp).collect();
        for (found, exact) in sigma.iter().zip([0.6, 4.0, 1.4]) {
            assert!((found / exact - 1.0).abs() < 1e-3, "{sigma:?}");
        }
        let weights = method.weights(&KINDS);
        for (found, exact) in weights.iter().zip([1.0 / 0.6, 0.125, 1.0 / 1.4]) {
            assert!((found / exact - 1.0).abs() < 1e-3, "{weights:?}");
        }
    }

    #[test]
    fn starts_at_one_and_a_half() {
        assert_eq!(Uncertainty::new(3).weights(&KINDS), [1.0, 0.5, 1.0]);
    }

    #[test]
    fn a_task_without_rows_stays_as_it_is() {
        let mut method = Uncertainty::new(3);
        method.update(&KINDS, &[0.3, 0.0, 0.7], &[8, 0, 8], 0.1);
        let s: Vec<f64> = method.log_variances().collect();
        assert!(s[0] != 0.0 && s[2] != 0.0 && s[1] == 0.0, "{s:?}");
    }

    #[test]
    fn a_loss_of_nothing_gives_no_infinite_weight() {
        let mut method = Uncertainty::new(3);
        (0..5000).for_each(|_| method.update(&KINDS, &[0.0; 3], &[1; 3], 0.1));
        assert!(method.log_variances().all(|s| s == -Uncertainty::BOUND));
        assert!(method.weights(&KINDS).iter().all(|&w| (w as f32).is_finite()));
    }
}
