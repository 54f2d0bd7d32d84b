//! Focal loss of a logit.

use super::{BinaryCrossEntropy, RowLoss};

/// `loss(z, y) = -alpha_t (1 - p_t)^gamma log p_t` with `p_t = p` and `alpha_t = alpha` where y is 1, `p_t = 1 - p` and
/// `alpha_t = 1 - alpha` where it is 0. Rows that are predicted well lose less than by cross-entropy, the less, the larger
/// gamma is; `gamma = 0` leaves cross-entropy times `alpha_t`.
///
/// With `s = z` where y is 1 and `s = -z` where it is 0, `p_t = sigmoid(s)`, and no probability is rounded to 0 or 1
/// first: `loss = alpha_t sigmoid(-s)^gamma softplus(-s)`.
///
/// Source: Lin, Goyal, Girshick, He and Dollar, *Focal Loss for Dense Object Detection*, ICCV 2017, equation 5.
#[derive(Debug, Clone, Copy)]
pub struct FocalLoss {
    /// 0 or above.
    pub gamma: f32,
    /// Above 0 and below 1.
    pub alpha: f32,
}

impl FocalLoss {
    /// `s`, `alpha_t`, and the sign of s.
    fn turned(&self, z: f32, y: f32) -> (f32, f32, f32) {
        if y >= 0.5 { (z, self.alpha, 1.0) } else { (-z, 1.0 - self.alpha, -1.0) }
    }
}

/// `log(1 + exp(x))`.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

impl RowLoss for FocalLoss {
    fn value(&self, z: f32, y: f32) -> f32 {
        let (s, alpha, _) = self.turned(z, y);
        alpha * BinaryCrossEntropy.prediction(-s).powf(self.gamma) * softplus(-s)
    }

    /// `-alpha_t sigmoid(-s)^gamma (gamma sigmoid(s) softplus(-s) + sigmoid(-s))`, with the sign of s.
    fn derivative(&self, z: f32, y: f32) -> f32 {
        let (s, alpha, sign) = self.turned(z, y);
        let (right, wrong) = (BinaryCrossEntropy.prediction(s), BinaryCrossEntropy.prediction(-s));
        -sign * alpha * wrong.powf(self.gamma) * (self.gamma * right * softplus(-s) + wrong)
    }

    /// As [`BinaryCrossEntropy`]'s.
    fn prediction(&self, z: f32) -> f32 {
        BinaryCrossEntropy.prediction(z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_stay_finite() {
        let focal = FocalLoss { gamma: 2.0, alpha: 0.25 };
        for z in [100.0, 1e30] {
            assert_eq!((focal.value(z, 1.0), focal.derivative(z, 1.0)), (0.0, 0.0));
            assert_eq!((focal.value(-z, 0.0), focal.derivative(-z, 0.0)), (0.0, 0.0));
            assert_eq!((focal.value(-z, 1.0), focal.derivative(-z, 1.0)), (0.25 * z, -0.25));
            assert_eq!((focal.value(z, 0.0), focal.derivative(z, 0.0)), (0.75 * z, 0.75));
        }
    }

    #[test]
    fn without_gamma_it_is_cross_entropy_by_class() {
        let focal = FocalLoss { gamma: 0.0, alpha: 0.25 };
        for z in [-100.0, -3.0, 0.0, 0.5, 100.0] {
            for (y, alpha) in [(1.0, 0.25), (0.0, 0.75)] {
                let exact = alpha * BinaryCrossEntropy.value(z, y);
                assert!((focal.value(z, y) - exact).abs() <= 1e-6 * exact.max(1.0), "{z} {y}");
                let slope = alpha * BinaryCrossEntropy.derivative(z, y);
                assert!((focal.derivative(z, y) - slope).abs() <= 1e-6, "{z} {y}");
            }
        }
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        let focal = FocalLoss { gamma: 2.0, alpha: 0.25 };
        assert!(focal.value(f32::NAN, 1.0).is_nan() && focal.derivative(f32::NAN, 0.0).is_nan());
    }
}
