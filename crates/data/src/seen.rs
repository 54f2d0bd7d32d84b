//! [`FeatureCount`]: counts of a feature's values, and how many of them a model knows.

use serde::{Deserialize, Serialize};

/// A number this far from 0 is large beside what a network is made for: scaled ones rarely pass 10.
pub const LARGE_NUMBER: f32 = 30.0;

/// Values of one feature over any number of rows. Whichever way rows are cut and put together, it is the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureCount {
    /// Rows.
    pub rows: u64,
    /// Rows without a value; of a list, those with an empty one.
    pub missing: u64,
    /// Values: one for each row that has one, of a list all of its own.
    pub values: u64,
    /// Values that the vocabulary does not have: they share row 0 of the table.
    pub unknown: u64,
    /// The first of these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_unknown: Option<String>,
    /// Numeric inputs beyond [`LARGE_NUMBER`], after the transforms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub large: u64,
    /// Size of the largest numeric input, after the transforms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub largest: f32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl FeatureCount {
    /// Share of the rows that have no value.
    #[must_use]
    pub fn missing_share(&self) -> f64 {
        share(self.missing, self.rows)
    }

    /// Share of the values that the vocabulary does not have.
    #[must_use]
    pub fn unknown_share(&self) -> f64 {
        share(self.unknown, self.values)
    }

    /// Share of the rows whose numeric input is large.
    #[must_use]
    pub fn large_share(&self) -> f64 {
        share(self.large, self.rows)
    }

    /// Adds those of rows that come later.
    pub fn add(&mut self, later: &Self) {
        self.rows += later.rows;
        self.missing += later.missing;
        self.values += later.values;
        self.unknown += later.unknown;
        self.large += later.large;
        self.largest = self.largest.max(later.largest);
        if self.first_unknown.is_none() {
            self.first_unknown.clone_from(&later.first_unknown);
        }
    }
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

/// Adds the counts of each feature.
pub(crate) fn add_all(sum: &mut Vec<FeatureCount>, later: &[FeatureCount]) {
    sum.resize(sum.len().max(later.len()), FeatureCount::default());
    sum.iter_mut().zip(later).for_each(|(sum, later)| sum.add(later));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_nothing_are_zero_and_parts_add_up() {
        assert_eq!(FeatureCount::default().unknown_share(), 0.0);
        let part = |unknown: u64, first: Option<&str>| FeatureCount {
            rows: 10,
            missing: 2,
            values: 8,
            unknown,
            first_unknown: first.map(str::to_owned),
            large: 1,
            largest: unknown as f32,
        };
        let mut sum = vec![part(0, None)];
        add_all(&mut sum, &[part(4, Some("x"))]);
        add_all(&mut sum, &[part(2, Some("y"))]);
        assert_eq!((sum[0].missing_share(), sum[0].unknown_share(), sum[0].large_share()), (0.2, 0.25, 0.1));
        assert_eq!((sum[0].first_unknown.as_deref(), sum[0].largest), (Some("x"), 4.0));
        let json = serde_json::to_string(&sum[0]).unwrap();
        assert_eq!(serde_json::from_str::<FeatureCount>(&json).unwrap(), sum[0]);
    }
}
