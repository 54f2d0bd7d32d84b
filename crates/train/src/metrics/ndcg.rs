//! Discounted gain of a group's first rows, beside that of the best order.

use super::ExactSum;
use super::groups::{GroupedRow, OverGroups, Ranked, ties};

/// NDCG of the first k rows of each group, its mean over groups (Järvelin and Kekäläinen 2002, *Cumulated gain-based
/// evaluation of IR techniques*):
///
/// ```text
/// NDCG@k = DCG@k / IDCG@k      DCG@k = sum_(i = 1 .. k) gain_i / log2(i + 1)
/// ```
///
/// `gain_i` is the label of the row at rank i by prediction, IDCG@k is DCG@k of the rows by label. A label of 0 or 1 is its
/// gain in both forms that are in use; of a regression task the gain is the label itself, and not `2^label - 1`, which no
/// watch time could stand. This is scikit-learn's `ndcg_score`.
///
/// Rows that tie share the gains of their ranks, each the mean of their labels (McSherry and Najork 2008, *Computing
/// information retrieval performance measures efficiently in the presence of tied scores*): the expectation over their
/// orders, so that the order of the rows does not matter.
///
/// A group without a label above 0 has no best order: it is left out, and counted. The others count alike, however many rows
/// they have. `None` if a label is below 0, which has no gain.
#[must_use]
pub fn ndcg(rows: &Ranked, k: u32) -> OverGroups {
    let longest = rows.groups().map(<[_]>::len).max().unwrap_or(0);
    let discounts = discounts(longest, k);
    let (mut sum, mut groups, mut left_out, mut negative) = (ExactSum::default(), 0u64, 0, false);
    let mut labels = Vec::new();
    for group in rows.groups() {
        negative |= group.iter().any(|row| row.label < 0.0);
        match ndcg_within(group, &discounts, &mut labels) {
            Some(ndcg) => {
                sum.add(ndcg);
                groups += 1;
            }
            None => left_out += 1,
        }
    }
    let value = sum.value().filter(|_| groups > 0 && !negative && !rows.is_broken()).map(|sum| sum / groups as f64);
    OverGroups { value, left_out }
}

/// What a gain is worth at each of the first k ranks of at most `longest` rows.
pub(crate) fn discounts(longest: usize, k: u32) -> Vec<f64> {
    (0..longest.min(k as usize)).map(|rank| ((rank + 2) as f64).log2().recip()).collect()
}

/// NDCG of one group, the highest prediction first, over as many rows as there are discounts; `None` where no label is above 0.
pub(crate) fn ndcg_within(group: &[GroupedRow], discounts: &[f64], labels: &mut Vec<f32>) -> Option<f64> {
    labels.clear();
    labels.extend(group.iter().map(|row| row.label));
    labels.sort_unstable_by(|a, b| b.total_cmp(a));
    let ideal: f64 = labels.iter().zip(discounts).map(|(&label, discount)| f64::from(label) * discount).sum();
    (ideal > 0.0).then(|| dcg(group, discounts) / ideal)
}

/// DCG of as many rows as there are discounts.
fn dcg(group: &[GroupedRow], discounts: &[f64]) -> f64 {
    let (mut sum, mut rank) = (0.0, 0);
    for tied in ties(group) {
        let of_ranks = &discounts[rank.min(discounts.len())..discounts.len().min(rank + tied.len())];
        if of_ranks.is_empty() {
            break;
        }
        let gain = tied.iter().map(|row| f64::from(row.label)).sum::<f64>() / tied.len() as f64;
        sum += gain * of_ranks.iter().sum::<f64>();
        rank += tied.len();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::GroupedRows;

    fn of(rows: &[(u64, f32, f32)], k: u32) -> OverGroups {
        let mut state = GroupedRows::default();
        rows.iter().for_each(|&(group, p, y)| state.add(group, p, y));
        ndcg(&state.ranked(), k)
    }

    fn is(found: OverGroups, value: f64, left_out: u64) -> bool {
        found.left_out == left_out && found.value.is_some_and(|found| (found - value).abs() < 1e-15)
    }

    #[test]
    fn a_gain_is_worth_less_the_later_it_comes() {
        let rows = [(1, 0.9, 0.0), (1, 0.8, 1.0), (1, 0.7, 0.0)];
        assert!(is(of(&rows, 10), 3f64.log2().recip(), 0));
        assert!(is(of(&rows, 1), 0.0, 0));
        // Gains of 1 and 3 in the wrong order.
        let values = [(1, 0.9, 1.0), (1, 0.8, 3.0)];
        let second = 3f64.log2().recip();
        assert!(is(of(&values, 10), (1.0 + 3.0 * second) / (3.0 + second), 0));
    }

    #[test]
    fn rows_that_tie_share_their_ranks() {
        let second = 3f64.log2().recip();
        let rows = [(1, 0.5, 1.0), (1, 0.5, 0.0)];
        assert!(is(of(&rows, 10), (1.0 + second) / 2.0, 0));
        // The cut goes through the tie.
        assert!(is(of(&rows, 1), 0.5, 0));
        let turned = [rows[1], rows[0]];
        assert_eq!(of(&turned, 10), of(&rows, 10));
    }

    #[test]
    fn groups_count_alike_and_those_without_gain_not() {
        let rows = [(1, 0.9, 1.0), (2, 0.9, 0.0), (2, 0.8, 1.0), (3, 0.5, 0.0)];
        assert!(is(of(&rows, 10), (1.0 + 3f64.log2().recip()) / 2.0, 1));
        assert_eq!(of(&rows[3..], 10), OverGroups { value: None, left_out: 1 });
        assert_eq!(of(&[], 10), OverGroups::default());
    }

    #[test]
    fn a_label_below_zero_has_no_gain() {
        assert_eq!(of(&[(1, 0.9, 1.0), (2, 0.5, -1.0)], 10).value, None);
    }
}
