//! Area under the ROC curve, exact.

use super::Metric;

/// The probability that a positive row drawn at random is predicted above a negative one, ties counting half:
///
/// ```text
/// AUC = (sum over pairs of [p_i > p_j] + [p_i = p_j] / 2) / (P N)     i positive, j negative
/// ```
///
/// This is the Mann-Whitney statistic with average ranks, and the area under the ROC curve by the trapezoidal rule.
/// Pairs are counted in integers after a sort, O(n log n); the state holds 4 bytes for each row. `None` if there is no
/// positive or no negative row, or any prediction was NaN (infinite ones have a rank and are fine). A label of 0.5 or
/// more is positive.
#[derive(Debug, Clone, Default)]
pub struct Auc {
    positives: Vec<f32>,
    negatives: Vec<f32>,
    nan: bool,
}

impl Auc {
    /// Number of positive rows, P.
    #[must_use]
    pub fn positives(&self) -> u64 {
        self.positives.len() as u64
    }

    /// Number of negative rows, N.
    #[must_use]
    pub fn negatives(&self) -> u64 {
        self.negatives.len() as u64
    }
}

impl Metric for Auc {
    fn add(&mut self, prediction: f32, label: f32) {
        self.nan |= prediction.is_nan();
        let of = if label >= 0.5 { &mut self.positives } else { &mut self.negatives };
        // Turns -0 into 0, which it ties with but does not sort with.
        of.push(prediction + 0.0);
    }

    fn merge(&mut self, other: &Self) {
        self.positives.extend_from_slice(&other.positives);
        self.negatives.extend_from_slice(&other.negatives);
        self.nan |= other.nan;
    }

    fn compute(&self) -> Option<f64> {
        if self.nan || self.positives.is_empty() || self.negatives.is_empty() {
            return None;
        }
        let (positives, negatives) = (sorted(&self.positives), sorted(&self.negatives));
        let (mut below, mut not_above) = (0, 0);
        let mut half_pairs = 0u128;
        for p in &positives {
            while negatives.get(below).is_some_and(|n| n < p) {
                below += 1;
            }
            while negatives.get(not_above).is_some_and(|n| n <= p) {
                not_above += 1;
            }
            half_pairs += (below + not_above) as u128;
        }
        let pairs = positives.len() as u128 * negatives.len() as u128;
        Some(half_pairs as f64 / (2 * pairs) as f64)
    }
}

fn sorted(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f32::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auc(rows: &[(f32, f32)]) -> Option<f64> {
        let mut state = Auc::default();
        rows.iter().for_each(|&(p, y)| state.add(p, y));
        state.compute()
    }

    #[test]
    fn order_decides() {
        assert_eq!(auc(&[(0.1, 0.0), (0.4, 0.0), (0.35, 1.0), (0.8, 1.0)]), Some(0.75));
        assert_eq!(auc(&[(0.1, 0.0), (0.9, 1.0)]), Some(1.0));
        assert_eq!(auc(&[(0.9, 0.0), (0.1, 1.0)]), Some(0.0));
    }

    #[test]
    fn ties_count_half() {
        assert_eq!(auc(&[(0.5, 0.0), (0.5, 1.0)]), Some(0.5));
        assert_eq!(auc(&[(0.5, 0.0), (0.5, 1.0), (0.5, 1.0), (0.2, 0.0)]), Some(0.75));
        assert_eq!(auc(&[(-0.0, 1.0), (0.0, 0.0)]), Some(0.5));
        assert_eq!(auc(&[(0.0, 1.0), (-0.0, 0.0)]), Some(0.5));
    }

    #[test]
    fn one_class_has_none() {
        assert_eq!(auc(&[]), None);
        assert_eq!(auc(&[(0.3, 1.0), (0.4, 1.0)]), None);
        assert_eq!(auc(&[(0.3, 0.0)]), None);
    }

    #[test]
    fn nan_has_none_and_infinity_a_rank() {
        assert_eq!(auc(&[(f32::NAN, 1.0), (0.4, 0.0), (0.5, 1.0)]), None);
        assert_eq!(auc(&[(f32::INFINITY, 1.0), (0.4, 0.0), (f32::NEG_INFINITY, 0.0)]), Some(1.0));
    }
}
