//! AUC within groups.

use super::ExactSum;
use super::groups::{GroupedRow, OverGroups, Ranked, ties};

/// AUC within each group, its mean over groups weighted by their rows (Zhu et al. 2017, *Optimized cost per click in Taobao
/// display advertising*; Zhou et al. 2018, *Deep interest network for click-through rate prediction*):
///
/// ```text
/// GAUC = sum_g n_g AUC_g / sum_g n_g
/// ```
///
/// n_g counts the group's rows in the task's sample space ("impressions" in those papers), AUC_g is [`super::Auc`] over them,
/// ties counting half. A group whose rows are all of one class has no AUC: it is left out of both sums, and counted. An
/// order of the users among themselves, which AUC over all rows rewards, earns nothing here.
#[must_use]
pub fn gauc(rows: &Ranked) -> OverGroups {
    let (mut sum, mut weight, mut left_out) = (ExactSum::default(), 0u64, 0);
    for group in rows.groups() {
        let Some(auc) = auc_within(group) else {
            left_out += 1;
            continue;
        };
        sum.add(group.len() as f64 * auc);
        weight += group.len() as u64;
    }
    let value = sum.value().filter(|_| weight > 0 && !rows.is_broken()).map(|sum| sum / weight as f64);
    OverGroups { value, left_out }
}

/// AUC of one group, the highest prediction first; `None` where all rows are of one class.
pub(crate) fn auc_within(group: &[GroupedRow]) -> Option<f64> {
    // Positives, twice the pairs in order.
    let (mut above, mut half_pairs) = (0u128, 0u128);
    for tied in ties(group) {
        let positives = tied.iter().filter(|row| row.is_positive()).count() as u128;
        half_pairs += (tied.len() as u128 - positives) * (2 * above + positives);
        above += positives;
    }
    let pairs = above * (group.len() as u128 - above);
    (pairs > 0).then(|| half_pairs as f64 / (2 * pairs) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::GroupedRows;

    fn of(rows: &[(u64, f32, f32)]) -> OverGroups {
        let mut state = GroupedRows::default();
        rows.iter().for_each(|&(group, p, y)| state.add(group, p, y));
        gauc(&state.ranked())
    }

    #[test]
    fn groups_count_by_their_rows() {
        // AUC 1 over two rows, 1/2 over four: (2 * 1 + 4 * 0.5) / 6.
        let rows = [(1, 0.1, 0.0), (1, 0.2, 1.0), (2, 0.5, 1.0), (2, 0.5, 0.0), (2, 0.5, 0.0), (2, 0.5, 1.0)];
        assert_eq!(of(&rows), OverGroups { value: Some(4.0 / 6.0), left_out: 0 });
    }

    #[test]
    fn users_that_differ_are_not_rewarded() {
        // Between groups all is in order; within each all is turned around.
        let rows = [(1, 0.1, 1.0), (1, 0.2, 0.0), (2, 0.8, 1.0), (2, 0.9, 0.0)];
        assert_eq!(of(&rows).value, Some(0.0));
    }

    #[test]
    fn groups_of_one_class_are_left_out() {
        let rows = [(1, 0.1, 0.0), (1, 0.2, 1.0), (2, 0.5, 1.0), (3, 0.5, 0.0), (3, 0.6, 0.0)];
        assert_eq!(of(&rows), OverGroups { value: Some(1.0), left_out: 2 });
        assert_eq!(of(&rows[2..]), OverGroups { value: None, left_out: 2 });
        assert_eq!(of(&[]), OverGroups::default());
    }
}
