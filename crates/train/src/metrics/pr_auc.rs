//! Area under the curve of precision over recall.

use super::ExactSum;
use super::auc::{Auc, Ties};

/// Average precision, as scikit-learn's `average_precision_score` has it:
///
/// ```text
/// PR AUC = sum over thresholds t, descending, of (R_t - R_(t-1)) P_t
/// R_t = positives at or above t / P      P_t = positives at or above t / rows at or above t
/// ```
///
/// The thresholds are the different predictions, so that rows that tie count together and their order does not matter. There
/// is no interpolation, which would flatter (Davis and Goadrich 2006, *The relationship between precision-recall and ROC
/// curves*). A model that knows nothing has the share of positives. `None` without a positive row, or if a prediction was
/// NaN; over a [bounded](Auc::bounded) state rows of one bin tie.
#[must_use]
pub fn average_precision(rows: &Auc) -> Option<f64> {
    of_ties(&rows.ties())
}

pub(super) fn of_ties(ties: &Ties) -> Option<f64> {
    let (mut positives, mut rows, mut sum) = (0u64, 0u64, ExactSum::default());
    ties.each(|p, n| {
        (positives, rows) = (positives + p, rows + p + n);
        if p > 0 {
            sum.add(p as f64 * (positives as f64 / rows as f64));
        }
    });
    (positives > 0).then_some(())?;
    Some(sum.value()? / positives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;

    fn pr_auc(rows: &[(f32, f32)]) -> Option<f64> {
        let mut state = Auc::default();
        rows.iter().for_each(|&(p, y)| state.add(p, y));
        average_precision(&state)
    }

    #[test]
    fn precision_is_taken_at_each_positive() {
        // Of four rows in this order the first and the third are positive: (1/1 + 2/3) / 2.
        let rows = [(0.9, 1.0), (0.8, 0.0), (0.7, 1.0), (0.1, 0.0)];
        assert!(pr_auc(&rows).is_some_and(|auc| (auc - 5.0 / 6.0).abs() < 1e-15));
        assert_eq!(pr_auc(&[(0.9, 1.0), (0.1, 0.0)]), Some(1.0));
        assert_eq!(pr_auc(&[(0.1, 1.0), (0.9, 0.0)]), Some(0.5));
    }

    #[test]
    fn rows_that_tie_count_together() {
        assert_eq!(pr_auc(&[(0.5, 1.0), (0.5, 0.0), (0.5, 0.0), (0.5, 0.0)]), Some(0.25));
        assert_eq!(pr_auc(&[(-0.0, 1.0), (0.0, 0.0)]), Some(0.5));
    }

    #[test]
    fn without_positives_there_is_none() {
        assert_eq!(pr_auc(&[]), None);
        assert_eq!(pr_auc(&[(0.3, 0.0)]), None);
        assert_eq!(pr_auc(&[(0.3, 1.0)]), Some(1.0));
        assert_eq!(pr_auc(&[(f32::NAN, 1.0), (0.4, 1.0)]), None);
    }

    #[test]
    fn bins_give_what_rows_give_where_no_bin_has_two_predictions() {
        let rows: Vec<(f32, f32)> =
            (0..500u32).map(|i| (i as f32 / 500.0, f32::from(u8::from(i * i % 7 < 2)))).collect();
        let mut bounded = Auc::bounded(10);
        rows.iter().for_each(|&(p, y)| bounded.add(p, y));
        assert_eq!(average_precision(&bounded), pr_auc(&rows));
    }
}
