//! [`ExactMean`]: what every metric that is a mean over rows keeps.

use super::ExactSum;

/// The mean of one number per row; its sum is exact ([`ExactSum`]).
#[derive(Debug, Clone, Default)]
pub struct ExactMean {
    sum: ExactSum,
    rows: u64,
}

impl ExactMean {
    /// Adds one row's number.
    pub fn add(&mut self, value: f64) {
        self.sum.add(value);
        self.rows += 1;
    }

    /// Adds the rows of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.rows += other.rows;
    }

    /// The mean; `None` without rows, or where a number was not finite.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.rows > 0).then_some(())?;
        Some(self.sum.value()? / self.rows as f64)
    }
}
