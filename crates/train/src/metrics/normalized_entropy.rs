//! Log loss beside that of the base rate.

/// Normalized entropy (He et al. 2014, *Practical lessons from predicting clicks on ads at Facebook*):
///
/// ```text
/// NE = log loss / H(q)      H(q) = -(q ln q + (1 - q) ln(1 - q))      q = positives / rows
/// ```
///
/// Its denominator is the log loss of q for every row. 1 is what a model is worth that knows the base rate alone, 0 a perfect
/// one; tasks with different base rates can be compared by it, which their log losses cannot. `None` where all labels are the
/// same, or the log loss is not defined. Where rows have weights, sums of these stand in place of numbers of rows.
#[must_use]
pub fn normalized_entropy(log_loss: Option<f64>, positives: f64, rows: f64) -> Option<f64> {
    (positives > 0.0 && positives < rows).then_some(())?;
    let (of_positives, of_negatives) = (positives / rows, (rows - positives) / rows);
    let entropy = -(of_positives * of_positives.ln() + of_negatives * of_negatives.ln());
    Some(log_loss? / entropy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{LogLoss, Metric};

    fn of(rows: &[(f32, f32)]) -> Option<f64> {
        let mut log_loss = LogLoss::default();
        rows.iter().for_each(|&(p, y)| log_loss.add(p, y));
        normalized_entropy(log_loss.compute(), rows.iter().filter(|row| row.1 == 1.0).count() as f64, rows.len() as f64)
    }

    #[test]
    fn the_base_rate_for_every_row_has_one() {
        let rows: Vec<(f32, f32)> = (0..8).map(|i| (0.25, f32::from(u8::from(i % 4 == 0)))).collect();
        assert!(of(&rows).is_some_and(|ne| (ne - 1.0).abs() < 1e-15));
        let better: Vec<(f32, f32)> = rows.iter().map(|&(_, y)| (0.2 + 0.6 * y, y)).collect();
        assert!(of(&better).is_some_and(|ne| ne < 0.5));
        let worse: Vec<(f32, f32)> = rows.iter().map(|&(_, y)| (0.8 - 0.6 * y, y)).collect();
        assert!(of(&worse).is_some_and(|ne| ne > 2.0));
    }

    #[test]
    fn one_class_has_none() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(0.3, 1.0), (0.4, 1.0)]), None);
        assert_eq!(of(&[(0.3, 0.0)]), None);
        assert_eq!(of(&[(f32::NAN, 1.0), (0.4, 0.0)]), None);
    }
}
