//! How far predicted probabilities are right on average.

use super::{ExactSum, Metric};

/// Calibration ratio `sum_i p_i / sum_i y_i`: 1 is right, 2 predicts twice as many positives as there are.
///
/// `None` if no label is positive.
#[derive(Debug, Clone, Default)]
pub struct Calibration {
    predicted: ExactSum,
    observed: ExactSum,
}

impl Metric for Calibration {
    fn add(&mut self, prediction: f32, label: f32) {
        self.predicted.add(f64::from(prediction));
        self.observed.add(f64::from(label));
    }

    fn merge(&mut self, other: &Self) {
        self.predicted.merge(&other.predicted);
        self.observed.merge(&other.observed);
    }

    fn compute(&self) -> Option<f64> {
        let observed = self.observed.value()?;
        let predicted = self.predicted.value()?;
        (observed != 0.0).then(|| predicted / observed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_ratio_of_sums() {
        let mut state = Calibration::default();
        assert_eq!(state.compute(), None);
        state.add(0.25, 0.0);
        assert_eq!(state.compute(), None);
        state.add(0.5, 1.0);
        assert_eq!(state.compute(), Some(0.75));
        state.add(f32::INFINITY, 1.0);
        assert_eq!(state.compute(), None);
    }
}
