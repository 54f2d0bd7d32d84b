//! [`LabelCount`]: counts of a task's labels.

use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Labels};

/// Labels of one task over any number of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCount {
    /// Rows in its sample space, `sum_i d_i`.
    pub rows: u64,
    /// How many of them have a label other than 0: the positive ones of a binary task.
    pub positives: u64,
    /// Their label, if all have the same.
    pub only: Option<f32>,
}

impl LabelCount {
    /// Counts the labels of these rows.
    #[must_use]
    pub fn of(labels: &Labels) -> Self {
        let mut known = labels.values.iter().zip(&labels.present).filter(|(_, present)| **present).map(|(v, _)| *v);
        let first = known.next();
        let positives =
            labels.values.iter().zip(&labels.present).filter(|(value, present)| **present && **value != 0.0);
        Self {
            rows: labels.count() as u64,
            positives: positives.count() as u64,
            only: first.filter(|first| known.all(|value| value == *first)),
        }
    }

    /// Adds those of other rows.
    pub fn add(&mut self, other: Self) {
        self.only = match (self.rows, other.rows) {
            (0, _) => other.only,
            (_, 0) => self.only,
            _ => self.only.filter(|only| Some(*only) == other.only),
        };
        self.rows += other.rows;
        self.positives += other.positives;
    }
}

impl Batch {
    /// Labels of every task.
    #[must_use]
    pub fn label_counts(&self) -> Vec<LabelCount> {
        self.labels.iter().map(LabelCount::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[Option<f32>]) -> Labels {
        Labels {
            values: values.iter().map(|value| value.unwrap_or(0.0)).collect(),
            present: values.iter().map(Option::is_some).collect(),
            weights: Vec::new(),
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let all = [None, Some(1.0), Some(1.0), None, Some(0.0), None];
        for (cut, only) in [(3, Some(1.0)), (4, Some(1.0)), (5, None), (6, None), (1, None)] {
            assert_eq!(LabelCount::of(&labels(&all[..cut])).only, only, "{cut}");
            let mut sum = LabelCount::of(&labels(&all[..cut]));
            sum.add(LabelCount::of(&labels(&all[cut..])));
            assert_eq!(sum, LabelCount::of(&labels(&all)), "{cut}");
        }
    }
}
