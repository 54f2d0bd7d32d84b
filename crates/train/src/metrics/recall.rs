//! Positives among a group's first rows.

use super::ExactSum;
use super::groups::{GroupedRow, OverGroups, Ranked, ties};

/// Recall of the first k rows of each group, its mean over groups:
///
/// ```text
/// recall@k = positives among the k rows with the highest predictions / positives of the group
/// ```
///
/// Rows may tie at the k-th rank. Then the expected number over all of their orders counts: with m ranks left
/// for t rows of which p are positive, `p m / t` (McSherry and Najork 2008), so that the order of the rows does not matter.
///
/// A group without a positive row has none: it is left out, and counted. The others count alike. Where a group has more than
/// k positives it stays below 1, however good the order; where it has at most k rows it is 1, however bad. A label of 0.5 or
/// more is positive.
#[must_use]
pub fn recall(rows: &Ranked, k: u32) -> OverGroups {
    let (mut sum, mut groups, mut left_out) = (ExactSum::default(), 0u64, 0);
    for group in rows.groups() {
        let Some(recall) = recall_within(group, k) else {
            left_out += 1;
            continue;
        };
        sum.add(recall);
        groups += 1;
    }
    let value = sum.value().filter(|_| groups > 0 && !rows.is_broken()).map(|sum| sum / groups as f64);
    OverGroups { value, left_out }
}

/// Recall of one group, the highest prediction first; `None` where no row is positive.
pub(crate) fn recall_within(group: &[GroupedRow], k: u32) -> Option<f64> {
    let positives = count(group);
    (positives > 0.0).then(|| found(group, k as usize) / positives)
}

/// Positives that are expected among the first `k` rows.
fn found(group: &[GroupedRow], k: usize) -> f64 {
    let (mut sum, mut left) = (0.0, k);
    for tied in ties(group) {
        if left < tied.len() {
            return sum + count(tied) * left as f64 / tied.len() as f64;
        }
        sum += count(tied);
        left -= tied.len();
    }
    sum
}

fn count(rows: &[GroupedRow]) -> f64 {
    rows.iter().filter(|row| row.is_positive()).count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::GroupedRows;

    fn of(rows: &[(u64, f32, f32)], k: u32) -> OverGroups {
        let mut state = GroupedRows::default();
        rows.iter().for_each(|&(group, p, y)| state.add(group, p, y));
        recall(&state.ranked(), k)
    }

    #[test]
    fn it_is_the_part_of_the_positives_that_is_found() {
        let rows = [(1, 0.9, 1.0), (1, 0.8, 0.0), (1, 0.7, 1.0), (1, 0.6, 1.0)];
        let values: Vec<Option<f64>> = [1, 2, 3, 4, 10].iter().map(|&k| of(&rows, k).value).collect();
        assert_eq!(values, [Some(1.0 / 3.0), Some(1.0 / 3.0), Some(2.0 / 3.0), Some(1.0), Some(1.0)]);
    }

    #[test]
    fn a_tie_at_the_cut_counts_in_part() {
        // One of two ranks is left for three rows, of which two are positive.
        let rows = [(1, 0.9, 0.0), (1, 0.5, 1.0), (1, 0.5, 1.0), (1, 0.5, 0.0)];
        assert_eq!(of(&rows, 2).value, Some(1.0 / 3.0));
        let turned: Vec<_> = rows.iter().rev().copied().collect();
        assert_eq!(of(&turned, 2), of(&rows, 2));
    }

    #[test]
    fn groups_count_alike_and_those_without_positives_not() {
        let rows = [(1, 0.9, 1.0), (2, 0.9, 0.0), (2, 0.8, 1.0), (3, 0.5, 0.0)];
        assert_eq!(of(&rows, 1), OverGroups { value: Some(0.5), left_out: 1 });
        assert_eq!(of(&rows[3..], 1), OverGroups { value: None, left_out: 1 });
    }
}
