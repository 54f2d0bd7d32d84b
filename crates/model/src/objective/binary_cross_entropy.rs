//! Binary cross-entropy of a logit.

use super::RowLoss;

/// `loss(z, y) = -y log p - (1 - y) log(1 - p)` with `p = 1 / (1 + exp(-z))`, computed from the logit z so that no
/// probability is rounded to 0 or 1 first: `max(z, 0) - z y + log(1 + exp(-|z|))`.
#[derive(Debug, Clone, Copy)]
pub struct BinaryCrossEntropy;

impl RowLoss for BinaryCrossEntropy {
    fn value(&self, z: f32, y: f32) -> f32 {
        z.max(0.0) - z * y + (-z.abs()).exp().ln_1p()
    }

    /// `p - y`.
    fn derivative(&self, z: f32, y: f32) -> f32 {
        self.prediction(z) - y
    }

    /// p, without overflow for any finite z.
    fn prediction(&self, z: f32) -> f32 {
        let e = (-z.abs()).exp();
        if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_stay_finite() {
        assert_eq!(BinaryCrossEntropy.value(200.0, 1.0), 0.0);
        assert_eq!(BinaryCrossEntropy.value(-200.0, 1.0), 200.0);
        assert_eq!(BinaryCrossEntropy.value(200.0, 0.0), 200.0);
        assert_eq!(BinaryCrossEntropy.prediction(-200.0), 0.0);
        assert_eq!(BinaryCrossEntropy.prediction(200.0), 1.0);
    }

    #[test]
    fn even_odds_lose_log_two() {
        for y in [0.0, 1.0] {
            assert!((BinaryCrossEntropy.value(0.0, y) - std::f32::consts::LN_2).abs() < 1e-7);
        }
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        assert!(BinaryCrossEntropy.value(f32::NAN, 1.0).is_nan());
        assert!(BinaryCrossEntropy.prediction(f32::NAN).is_nan());
    }
}
