//! Coefficient of determination of rows with weights.

use super::ExactSum;

/// `R2 = 1 - sum_i w_i (p_i - y_i)^2 / sum_i w_i (y_i - m)^2` with `m = sum_i w_i y_i / sum_i w_i`.
///
/// `None` if all labels are the same (or there is none).
#[derive(Debug, Clone, Default)]
pub struct WeightedR2 {
    errors: ExactSum,
    labels: ExactSum,
    squares: ExactSum,
    weights: ExactSum,
}

impl WeightedR2 {
    /// Adds one row of the sample space.
    pub fn add(&mut self, prediction: f32, label: f32, weight: f64) {
        let (p, y) = (f64::from(prediction), f64::from(label));
        self.errors.add(weight * (p - y).powi(2));
        add_product(&mut self.labels, weight, y);
        // The square is exact, as one of 24 bits.
        add_product(&mut self.squares, weight, y * y);
        self.weights.add(weight);
    }

    /// Adds the rows that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.errors.merge(&other.errors);
        self.labels.merge(&other.labels);
        self.squares.merge(&other.squares);
        self.weights.merge(&other.weights);
    }

    /// R2 over all rows added so far.
    #[must_use]
    pub fn compute(&self) -> Option<f64> {
        // W sum w (y - m)^2 = W sum w y^2 - (sum w y)^2 in twice the precision of an f64, as in `R2`.
        let (n, n_low) = self.weights.double_value()?;
        let (squares, squares_low) = self.squares.double_value()?;
        let (sum, sum_low) = self.labels.double_value()?;
        let (a, b) = (n * squares, sum * sum);
        let a_low = n.mul_add(squares, -a) + n * squares_low + n_low * squares;
        let b_low = sum.mul_add(sum, -b) + 2.0 * sum * sum_low;
        let scatter = (a - b) + (a_low - b_low);
        (scatter > 0.0).then_some(())?;
        Some(1.0 - self.errors.value()? * n / scatter)
    }
}

/// Adds `a b`, exactly.
fn add_product(sum: &mut ExactSum, a: f64, b: f64) {
    let product = a * b;
    sum.add(product);
    sum.add(a.mul_add(b, -product));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metric, R2};

    fn r2(rows: &[(f32, f32, f64)]) -> Option<f64> {
        let mut state = WeightedR2::default();
        rows.iter().for_each(|&(p, y, w)| state.add(p, y, w));
        state.compute()
    }

    #[test]
    fn a_row_of_weight_two_is_two_rows() {
        let rows = [(0.5f32, 1.0f32, 2.0), (2.0, 2.5, 1.0), (2.5, 4.0, 3.0)];
        let mut plain = R2::default();
        for &(p, y, w) in &rows {
            (0..w as usize).for_each(|_| plain.add(p, y));
        }
        assert_eq!(r2(&rows), plain.compute());
        assert_eq!(r2(&[(2.0, 1.0, 1.0), (2.0, 3.0, 1.0)]), Some(0.0));
    }

    #[test]
    fn constant_labels_have_none_whatever_their_weights() {
        assert_eq!(r2(&[]), None);
        let rows: Vec<(f32, f32, f64)> = (1..1000).map(|i| (1.0, 0.1, f64::from(i) * 0.1)).collect();
        assert_eq!(r2(&rows), None);
        assert_eq!(r2(&[(1.0, f32::NAN, 1.0), (1.0, 2.0, 1.0)]), None);
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let rows: Vec<(f32, f32, f64)> = (0..100_000).map(|i| (1e7, 1e7 + (i % 2) as f32, 0.3)).collect();
        let r2 = r2(&rows);
        assert!(r2.is_some_and(|r2| (r2 + 1.0).abs() < 1e-10), "{r2:?}");
    }
}
