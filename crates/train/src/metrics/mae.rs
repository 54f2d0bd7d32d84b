//! Mean absolute error.

use super::{ExactSum, Metric};

/// `(1/n) sum_i |p_i - y_i|`, in the label's unit; `None` without rows.
#[derive(Debug, Clone, Default)]
pub struct Mae {
    sum: ExactSum,
    rows: u64,
}

impl Metric for Mae {
    fn add(&mut self, prediction: f32, label: f32) {
        self.sum.add((f64::from(prediction) - f64::from(label)).abs());
        self.rows += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.rows += other.rows;
    }

    fn compute(&self) -> Option<f64> {
        (self.rows > 0).then_some(())?;
        Some(self.sum.value()? / self.rows as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_distance() {
        let mut state = Mae::default();
        assert_eq!(state.compute(), None);
        state.add(1.0, 0.0);
        state.add(0.0, 2.0);
        assert_eq!(state.compute(), Some(1.5));
        state.add(f32::NEG_INFINITY, 2.0);
        assert_eq!(state.compute(), None);
    }
}
