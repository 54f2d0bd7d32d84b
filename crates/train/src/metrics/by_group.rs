//! [`GroupMetrics`]: all metrics of a task within groups.

use serde::{Deserialize, Serialize};

use super::groups::{OverGroups, Ranked};
use super::{MetricKind, gauc, ndcg, recall};

impl Ranked {
    /// All metrics of a task with NDCG and recall of these k.
    pub(super) fn compute(&self, is_binary: bool, k: &[u32]) -> GroupMetrics {
        let at = |metric: fn(&Self, u32) -> OverGroups| {
            let of = |&k: &u32| {
                let OverGroups { value, left_out } = metric(self, k);
                AtK { k, value, left_out }
            };
            k.iter().map(of).collect()
        };
        GroupMetrics {
            groups: self.groups().count() as u64,
            rows_without: self.without(),
            gauc: is_binary.then(|| gauc(self)),
            ndcg: at(ndcg),
            recall: if is_binary { at(recall) } else { Vec::new() },
        }
    }
}

/// A mean over groups of a metric of the first k rows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtK {
    /// Rows that are looked at in each group.
    pub k: u32,
    /// The mean; `None` where it is defined in no group.
    pub value: Option<f64>,
    /// Groups that have no part in it, as it is not defined in them.
    pub left_out: u64,
}

/// Metrics of a task within the groups of its sample space.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMetrics {
    /// Groups with a row in the sample space.
    pub groups: u64,
    /// Rows of the sample space without a group, which have no part in anything here.
    pub rows_without: u64,
    /// See [`gauc()`]; `None` for a regression task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauc: Option<OverGroups>,
    /// See [`ndcg()`], for each k.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ndcg: Vec<AtK>,
    /// See [`recall()`], for each k; none for a regression task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recall: Vec<AtK>,
}

impl GroupMetrics {
    /// The number of groups, and of those that have a part in a metric.
    pub fn counting(&self, metric: MetricKind) -> Option<(u64, u64)> {
        let left_out = |all: &[AtK], k: u32| all.iter().find(|at| at.k == k).map(|at| at.left_out);
        let left_out = match metric {
            MetricKind::Gauc => self.gauc.map(|gauc| gauc.left_out),
            MetricKind::Ndcg(k) => left_out(&self.ndcg, k),
            MetricKind::Recall(k) => left_out(&self.recall, k),
            _ => None,
        }?;
        Some((self.groups, self.groups.saturating_sub(left_out)))
    }

    /// Every k.
    pub fn k(&self) -> Vec<u32> {
        self.ndcg.iter().map(|at| at.k).collect()
    }
}

/// The value of a k, if it was measured.
pub(super) fn at(all: &[AtK], k: u32) -> Option<f64> {
    all.iter().find(|at| at.k == k).and_then(|at| at.value)
}

#[cfg(test)]
mod tests {
    use super::super::groups::GroupedRows;
    use super::*;

    #[test]
    fn rows_without_a_group_are_counted_and_left_out() {
        let mut rows = GroupedRows::default();
        for (group, p, y) in [(0, 0.9, 0.0), (7, 0.2, 0.0), (7, 0.3, 1.0), (9, 0.1, 1.0)] {
            rows.add(group, p, y);
        }
        let metrics = rows.ranked().compute(true, &[1]);
        assert_eq!((metrics.groups, metrics.rows_without), (2, 1));
        assert_eq!(metrics.gauc, Some(OverGroups { value: Some(1.0), left_out: 1 }));
        assert_eq!(metrics.ndcg, [AtK { k: 1, value: Some(1.0), left_out: 0 }]);
        assert_eq!(metrics.k(), [1]);
        assert_eq!(metrics.counting(MetricKind::Gauc), Some((2, 1)));
        assert_eq!(metrics.counting(MetricKind::Ndcg(1)), Some((2, 2)));
        assert_eq!((metrics.counting(MetricKind::Ndcg(2)), metrics.counting(MetricKind::Auc)), (None, None));
        let regression = rows.ranked().compute(false, &[1]);
        assert_eq!((regression.gauc, regression.recall.len(), regression.ndcg.len()), (None, 0, 1));
    }

    #[test]
    fn numbers_that_are_none_leave_nothing_to_say() {
        for (p, y) in [(f32::NAN, 1.0), (0.5, f32::NAN), (0.5, f32::INFINITY)] {
            let mut rows = GroupedRows::default();
            rows.add(1, 0.1, 0.0);
            rows.add(1, 0.2, 1.0);
            rows.add(2, p, y);
            let metrics = rows.ranked().compute(true, &[1]);
            assert_eq!(metrics.gauc.and_then(|gauc| gauc.value), None);
            assert_eq!((metrics.ndcg[0].value, metrics.recall[0].value), (None, None));
        }
    }

    #[test]
    fn merged_states_are_one_state() {
        let all: Vec<(u64, f32, f32)> = (0..200u32)
            .map(|i| (u64::from(i % 13), (i * 37 % 11) as f32, f32::from(u8::from(i * i % 5 < 2))))
            .collect();
        let state = |rows: &[(u64, f32, f32)]| {
            let mut state = GroupedRows::default();
            rows.iter().for_each(|&(g, p, y)| state.add(g, p, y));
            state
        };
        let whole = state(&all).ranked().compute(true, &[1, 3]);
        let (mut left, right) = (state(&all[120..]), state(&all[..120]));
        left.merge(&right);
        assert_eq!(left.ranked().compute(true, &[1, 3]), whole);
    }
}
