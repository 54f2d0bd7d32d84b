//! Mean squared error.

use super::{ExactMean, Metric};

/// `(1/n) sum_i (p_i - y_i)^2`, in the label's unit squared; `None` without rows.
#[derive(Debug, Clone, Default)]
pub struct Mse(ExactMean);

impl Metric for Mse {
    fn add(&mut self, prediction: f32, label: f32) {
        self.0.add((f64::from(prediction) - f64::from(label)).powi(2));
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn compute(&self) -> Option<f64> {
        self.0.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_square() {
        let mut state = Mse::default();
        assert_eq!(state.compute(), None);
        state.add(1.0, 0.0);
        state.add(0.0, 2.0);
        assert_eq!(state.compute(), Some(2.5));
        state.add(f32::NAN, 2.0);
        assert_eq!(state.compute(), None);
    }
}
