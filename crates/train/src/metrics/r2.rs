//! Coefficient of determination.

use super::{ExactSum, Metric};

/// `R2 = 1 - sum_i (p_i - y_i)^2 / sum_i (y_i - mean(y))^2`: 1 is perfect, 0 no better than the mean label, negative
/// worse.
///
/// `None` if all labels are the same (or there is none): there is nothing to explain.
#[derive(Debug, Clone, Default)]
pub struct R2 {
    errors: ExactSum,
    labels: ExactSum,
    squares: ExactSum,
    rows: u64,
}

impl Metric for R2 {
    fn add(&mut self, prediction: f32, label: f32) {
        let (p, y) = (f64::from(prediction), f64::from(label));
        self.errors.add((p - y).powi(2));
        self.labels.add(y);
        // Exact: the square of a 24-bit number has 48 bits.
        self.squares.add(y * y);
        self.rows += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.errors.merge(&other.errors);
        self.labels.merge(&other.labels);
        self.squares.merge(&other.squares);
        self.rows += other.rows;
    }

    fn compute(&self) -> Option<f64> {
        let n = self.rows as f64;
        // n sum (y - mean)^2 = n sum y^2 - (sum y)^2 in twice the precision of an f64: the difference loses most of
        // its digits where labels vary little around a large mean.
        let (squares, squares_low) = self.squares.double_value()?;
        let (sum, sum_low) = self.labels.double_value()?;
        let (a, b) = (n * squares, sum * sum);
        let a_low = n.mul_add(squares, -a) + n * squares_low;
        let b_low = sum.mul_add(sum, -b) + 2.0 * sum * sum_low;
        let scatter = (a - b) + (a_low - b_low);
        (scatter > 0.0).then_some(())?;
        Some(1.0 - self.errors.value()? * n / scatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r2(rows: &[(f32, f32)]) -> Option<f64> {
        let mut state = R2::default();
        rows.iter().for_each(|&(p, y)| state.add(p, y));
        state.compute()
    }

    #[test]
    fn the_mean_explains_nothing_and_the_truth_everything() {
        assert_eq!(r2(&[(2.0, 1.0), (2.0, 2.0), (2.0, 3.0)]), Some(0.0));
        assert_eq!(r2(&[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]), Some(1.0));
        assert_eq!(r2(&[(3.0, 1.0), (2.0, 2.0), (1.0, 3.0)]), Some(-3.0));
    }

    #[test]
    fn constant_labels_have_none() {
        assert_eq!(r2(&[]), None);
        assert_eq!(r2(&[(1.0, 5.0)]), None);
        assert_eq!(r2(&[(1.0, 0.1); 1000]), None);
        assert_eq!(r2(&[(1.0, f32::NAN), (1.0, 2.0)]), None);
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        // Labels 1e7 and 1e7 + 1: a sum of squares in plain f64 keeps two digits of their scatter over so many rows.
        let rows: Vec<(f32, f32)> = (0..100_000).map(|i| (1e7 + 0.0, 1e7 + (i % 2) as f32)).collect();
        let r2 = r2(&rows);
        assert!(r2.is_some_and(|r2| (r2 + 1.0).abs() < 1e-12), "{r2:?}");
    }
}
