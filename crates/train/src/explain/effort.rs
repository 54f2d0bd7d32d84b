//! [`ImportanceOptions`]: how much of permutation importance is computed. It costs a prediction per row, feature and
//! repeat, and a prediction reads every feature: without a bound it would cost the square of the features.

use pleiad_model::Graph;

/// What looking up one vector costs, in floating-point operations that take as long.
const LOOKUP: u64 = 600;

/// How much of it is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImportanceOptions {
    /// Rows sampled from each task's sample space, at most.
    pub rows: usize,
    /// Times that each feature is shuffled, at most.
    pub repeats: usize,
    /// Share of the features that are shuffled, above 0 and at most 1.
    pub features: f64,
    /// Rows predicted in all, at most; where features are many, fewer are sampled, though never below
    /// [`ImportanceOptions::LEAST`].
    pub predictions: u64,
    /// Floating-point operations in all, at most ([`ImportanceOptions::cost`] a row): beyond it features are shuffled fewer
    /// times, and then fewer features are.
    pub work: u64,
    /// Seed of sample and shuffles.
    pub seed: u64,
}

impl ImportanceOptions {
    /// Rows below which a sample would say nothing.
    pub const LEAST: usize = 500;

    /// Features that are shuffled at the least, whatever it costs.
    pub const LEAST_FEATURES: usize = 16;

    /// Features that are shuffled at the most where there are fewer rows than this; else no more than there are rows.
    /// Fewer rows than features put no features in order.
    pub const FEW_ROWS: usize = 100;

    /// Floating-point operations of one row's prediction, lookups among them.
    #[must_use]
    pub fn cost(graph: &Graph) -> u64 {
        let lookups = LOOKUP.saturating_mul(graph.layout.inputs.len() as u64);
        graph.summary().flops_per_row.saturating_add(lookups).max(1)
    }

    /// What can be had for `features` features in each of `spaces` sample spaces of at most `available` rows, where a
    /// row costs `cost`.
    pub(super) fn effort(&self, features: usize, spaces: usize, available: usize, cost: u64) -> Effort {
        let asked = ((features as f64 * self.features).ceil() as usize).max(1).min(features);
        let asked = asked.min(available.max(Self::FEW_ROWS));
        let shuffles = (asked * self.repeats * spaces).max(1) as u64;
        let rows = self.predictions.min(self.work / cost) / shuffles;
        let rows = (rows as usize).clamp(Self::LEAST.min(self.rows), self.rows);
        let once = cost.saturating_mul(rows.min(available).max(1) as u64).saturating_mul(spaces.max(1) as u64);
        let affordable = (self.work / once) as usize;
        let repeats = (affordable / asked.max(1)).clamp(1, self.repeats.max(1)).min(self.repeats);
        let features = asked.min((affordable / repeats.max(1)).max(Self::LEAST_FEATURES));
        Effort { rows, repeats, features }
    }
}

impl Default for ImportanceOptions {
    fn default() -> Self {
        // A second or two of two cores for 39 features and 243,000 operations a row, as in the census example.
        Self { rows: 10_000, repeats: 3, features: 1.0, predictions: 500_000, work: 130_000_000_000, seed: 0 }
    }
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effort {
    /// Rows of each sample, at most.
    pub(super) rows: usize,
    /// Times that each feature is shuffled.
    pub(super) repeats: usize,
    /// Features that are shuffled.
    pub(super) features: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(options: &ImportanceOptions, features: usize, available: usize, cost: u64) -> (usize, usize, usize) {
        let effort = options.effort(features, 1, available, cost);
        (effort.rows, effort.repeats, effort.features)
    }

    #[test]
    fn what_fits_into_the_budget_is_computed_whole() {
        let options = ImportanceOptions::default();
        assert_eq!(effort(&options, 10, 1_000_000, 1000), (10_000, 3, 10));
        assert_eq!(effort(&options, 39, 1_000_000, 254_700), (500_000 / 117, 3, 39));
        assert_eq!(effort(&options, 0, 1_000_000, 1000), (10_000, 3, 0));
    }

    #[test]
    fn beyond_it_rows_go_first_then_repeats_then_features() {
        let options = ImportanceOptions::default();
        assert_eq!(effort(&options, 1000, 1_000_000, 1000), (500, 3, 1000));
        // 500 rows of 1000 features: 500,000 rows once.
        assert_eq!(effort(&options, 1000, 1_000_000, 200_000), (500, 1, 1000));
        assert_eq!(effort(&options, 1000, 1_000_000, 2_600_000), (500, 1, 100));
        assert_eq!(effort(&options, 1000, 1_000_000, u64::MAX), (500, 1, 16));
    }

    #[test]
    fn few_rows_put_few_features_in_order() {
        let options = ImportanceOptions::default();
        assert_eq!(effort(&options, 1000, 50, 1000), (1666, 3, 100));
        assert_eq!(effort(&options, 1000, 300, 1000), (555, 3, 300));
        assert_eq!(effort(&options, 60, 0, 1000), (2777, 3, 60));
    }

    #[test]
    fn the_work_never_grows_with_the_square_of_the_features() {
        let options = ImportanceOptions::default();
        for features in [1000usize, 10_000, 100_000] {
            let cost = 500 * features as u64;
            let Effort { rows, repeats, features } = options.effort(features, 2, 200, cost);
            let work = rows.min(200) as u64 * 2 * (repeats * features) as u64 * cost;
            let least = features == ImportanceOptions::LEAST_FEATURES;
            assert!(work <= options.work || least, "{features} features: {work}");
        }
    }

    #[test]
    fn a_share_of_the_features_is_rounded_up() {
        let options = ImportanceOptions { features: 0.05, ..ImportanceOptions::default() };
        assert_eq!(effort(&options, 41, 1000, 1000).2, 3);
        assert_eq!(effort(&options, 1, 1000, 1000).2, 1);
    }
}
