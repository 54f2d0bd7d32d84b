//! Cross-entropy of predicted probabilities.

use super::{ExactMean, Metric};

/// `-(1/n) sum_i (y_i ln p_i + (1 - y_i) ln(1 - p_i))`, in nats.
///
/// p is clipped to [2^-23, 1 - 2^-23], the resolution of an f32 at 1, so that a wrong certainty costs 15.9 and not
/// infinity; scikit-learn does the same with f32 predictions. `None` without rows.
#[derive(Debug, Clone, Default)]
pub struct LogLoss(ExactMean);

impl Metric for LogLoss {
    fn add(&mut self, prediction: f32, label: f32) {
        self.0.add(surprise(prediction, label));
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn compute(&self) -> Option<f64> {
        self.0.value()
    }
}

/// What one row adds.
pub(super) fn surprise(prediction: f32, label: f32) -> f64 {
    let least = f64::from(f32::EPSILON);
    let (p, y) = (f64::from(prediction).clamp(least, 1.0 - least), f64::from(label));
    // `ln_1p` keeps what `1 - p` would round off a small p.
    -(y * p.ln() + (1.0 - y) * (-p).ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_loss(rows: &[(f32, f32)]) -> Option<f64> {
        let mut state = LogLoss::default();
        rows.iter().for_each(|&(p, y)| state.add(p, y));
        state.compute()
    }

    #[test]
    fn it_is_the_mean_surprise() {
        assert_eq!(log_loss(&[(0.5, 1.0), (0.5, 0.0)]), Some(std::f64::consts::LN_2));
        assert_eq!(log_loss(&[]), None);
        assert_eq!(log_loss(&[(f32::NAN, 1.0)]), None);
    }

    #[test]
    fn certainty_is_clipped() {
        let worst = 23.0 * std::f64::consts::LN_2;
        for (p, y) in [(0.0, 1.0), (1.0, 0.0), (1e-30, 1.0)] {
            let loss = log_loss(&[(p, y)]);
            assert!(loss.is_some_and(|loss| (loss - worst).abs() < 1e-8), "{loss:?}");
        }
        assert!(log_loss(&[(1.0, 1.0)]).is_some_and(|loss| loss > 0.0 && loss < 1.3e-7));
    }
}
