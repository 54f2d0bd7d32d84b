//! Rows by group: what every metric within groups reads.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The rows of a task's sample space that have a group, 16 bytes each. It is sorted once for all metrics, O(n log n).
#[derive(Debug, Clone, Default)]
pub struct GroupedRows {
    rows: Vec<GroupedRow>,
    /// Rows without a group.
    without: u64,
    broken: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupedRow {
    group: u64,
    prediction: f32,
    pub(super) label: f32,
}

impl GroupedRow {
    /// A row of the only group there is.
    pub(crate) fn alone(prediction: f32, label: f32) -> Self {
        Self { group: 1, prediction, label: label + 0.0 }
    }

    pub(super) fn is_positive(&self) -> bool {
        self.label >= 0.5
    }
}

impl GroupedRows {
    /// Adds one row of the sample space; group 0 is that of no group.
    pub fn add(&mut self, group: u64, prediction: f32, label: f32) {
        if group == 0 {
            self.without += 1;
            return;
        }
        self.broken |= prediction.is_nan() || !label.is_finite();
        // Turns -0 into 0, which it ties with but does not sort with.
        self.rows.push(GroupedRow { group, prediction: prediction + 0.0, label: label + 0.0 });
    }

    /// Adds the rows that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.rows.extend_from_slice(&other.rows);
        self.without += other.without;
        self.broken |= other.broken;
    }

    /// The rows in the order in which metrics look at them.
    #[must_use]
    pub fn ranked(&self) -> Ranked {
        let mut rows = self.rows.clone();
        // Labels decide last, so that sums over rows that tie do not depend on the order of the rows.
        rows.par_sort_unstable_by(|a, b| {
            let by_prediction = || b.prediction.total_cmp(&a.prediction).then_with(|| a.label.total_cmp(&b.label));
            a.group.cmp(&b.group).then_with(by_prediction)
        });
        Ranked { rows, without: self.without, broken: self.broken }
    }
}

/// Rows group by group, in each the highest prediction first.
#[derive(Debug)]
pub struct Ranked {
    rows: Vec<GroupedRow>,
    without: u64,
    broken: bool,
}

impl Ranked {
    /// The rows of each group.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[GroupedRow]> {
        self.rows.chunk_by(|a, b| a.group == b.group)
    }

    /// Rows without a group.
    pub(super) fn without(&self) -> u64 {
        self.without
    }

    /// Whether a prediction was NaN or a label not finite, so that nothing can be said.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// Rows of one group that have one prediction, the highest first.
pub(super) fn ties(group: &[GroupedRow]) -> impl Iterator<Item = &[GroupedRow]> {
    group.chunk_by(|a, b| a.prediction == b.prediction)
}

/// A mean over groups.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverGroups {
    /// The mean; `None` where it is defined in no group.
    pub value: Option<f64>,
    /// Groups that have no part in it, as it is not defined in them.
    pub left_out: u64,
}
