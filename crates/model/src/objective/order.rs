//! The penalty for predictions that contradict a funnel's order.

use super::{BinaryCrossEntropy, RowLoss};

/// `max(p_later - p_earlier, 0)` of one row, as a function of the two logits: what [`crate::graph::OrderPenalty`] takes
/// the mean of. In a funnel such as click, then purchase, the later event cannot be the likelier one.
///
/// Source: the behavioral expectation calibrator of AITM (Xi et al., KDD 2021), equation 15.
#[derive(Debug, Clone, Copy)]
pub struct OrderExcess;

impl OrderExcess {
    /// The excess, in `[0, 1)`.
    #[must_use]
    pub fn value(earlier: f32, later: f32) -> f32 {
        (BinaryCrossEntropy.prediction(later) - BinaryCrossEntropy.prediction(earlier)).max(0.0)
    }

    /// Its derivatives by the two logits, `(-p_earlier (1 - p_earlier), p_later (1 - p_later))` where there is an
    /// excess and zeros where there is none. `1 - p` is taken as the prediction of `-z`, so that it does not vanish
    /// before p is 1.
    #[must_use]
    pub fn derivatives(earlier: f32, later: f32) -> (f32, f32) {
        if Self::value(earlier, later) > 0.0 {
            let slope = |z: f32| BinaryCrossEntropy.prediction(z) * BinaryCrossEntropy.prediction(-z);
            (-slope(earlier), slope(later))
        } else {
            (0.0, 0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_only_what_goes_against_the_order() {
        assert_eq!(OrderExcess::value(2.0, -1.0), 0.0);
        assert_eq!(OrderExcess::derivatives(2.0, -1.0), (0.0, 0.0));
        assert_eq!(OrderExcess::derivatives(0.5, 0.5), (0.0, 0.0));
        // p = 1/2 and 3/4.
        let z = 3f32.ln();
        assert!((OrderExcess::value(0.0, z) - 0.25).abs() < 1e-6);
        let (earlier, later) = OrderExcess::derivatives(0.0, z);
        assert!((earlier + 0.25).abs() < 1e-6 && (later - 0.1875).abs() < 1e-6, "{earlier} {later}");
    }

    #[test]
    fn derivatives_equal_finite_differences() {
        for (a, b) in [(-2.0f32, 0.4f32), (0.0, 3.0), (-1.0, -0.5), (1.0, -1.0)] {
            let h = 1e-2;
            let (by_a, by_b) = OrderExcess::derivatives(a, b);
            let of_a = (OrderExcess::value(a + h, b) - OrderExcess::value(a - h, b)) / (2.0 * h);
            let of_b = (OrderExcess::value(a, b + h) - OrderExcess::value(a, b - h)) / (2.0 * h);
            assert!((by_a - of_a).abs() < 1e-4 && (by_b - of_b).abs() < 1e-4, "{a} {b}");
        }
    }
}
