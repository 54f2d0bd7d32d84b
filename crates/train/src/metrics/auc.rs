//! Area under the ROC curve, exact.

use super::Metric;

/// The probability that a positive row drawn at random is predicted above a negative one, ties counting half:
///
/// ```text
/// AUC = (sum over pairs of [p_i > p_j] + [p_i = p_j] / 2) / (P N)     i positive, j negative
/// ```
///
/// This is the Mann-Whitney statistic with average ranks, and the area under the ROC curve by the trapezoidal rule.
/// Pairs are counted in integers after a sort, O(n log n); the state holds 4 bytes for each row, unless it is
/// [bounded](Auc::bounded). `None` if there is no positive or no negative row, or any prediction was NaN (infinite ones
/// have a rank and are fine). A label of 0.5 or more is positive.
#[derive(Debug, Clone, Default)]
pub struct Auc {
    positives: Vec<f32>,
    negatives: Vec<f32>,
    /// Rows that may be kept one by one; `None` is any number.
    most: Option<usize>,
    /// Where all rows are counted once there are more than that.
    bins: Option<Bins>,
    nan: bool,
}

impl Auc {
    /// Rows of a task that a state of a log on disk keeps one by one: 8 MiB.
    pub const BOUND: usize = 1 << 21;

    /// A state of bounded memory. AUC is exact up to `most` rows. Of more, each row is counted in one of 2^20 bins by its
    /// prediction, and rows of one bin tie: 16 MiB, whatever the number of rows. A bin is as wide as 2^-15 of the
    /// probabilities in it; those up to 2^-32 share one. The error is at most half the share of pairs that lie in one bin.
    #[must_use]
    pub fn bounded(most: usize) -> Self {
        Self { most: Some(most), ..Self::default() }
    }

    /// Number of positive rows, P.
    #[must_use]
    pub fn positives(&self) -> u64 {
        self.positives.len() as u64 + self.bins.as_ref().map_or(0, |bins| bins.positives.iter().sum())
    }

    /// Number of negative rows, N.
    #[must_use]
    pub fn negatives(&self) -> u64 {
        self.negatives.len() as u64 + self.bins.as_ref().map_or(0, |bins| bins.negatives.iter().sum())
    }

    /// All rows by prediction.
    pub(super) fn ties(&self) -> Ties {
        if self.nan {
            return Ties::Nan;
        }
        if self.bins.is_none() {
            return Ties::Sorted(sorted(&self.positives), sorted(&self.negatives));
        }
        let mut settled = self.clone();
        settled.settle();
        let Bins { positives, negatives } = settled.bins.unwrap_or_default();
        Ties::Bins(positives, negatives)
    }

    /// Moves rows into bins if they are too many, or others are there already.
    fn settle(&mut self) {
        let too_many = self.most.is_some_and(|most| self.positives.len() + self.negatives.len() > most);
        if !too_many && self.bins.is_none() {
            return;
        }
        let bins = self.bins.get_or_insert_default();
        self.positives.iter().for_each(|&p| bins.positives[Bins::of(p)] += 1);
        self.negatives.iter().for_each(|&p| bins.negatives[Bins::of(p)] += 1);
        (self.positives, self.negatives) = (Vec::new(), Vec::new());
    }
}

/// Rows by prediction.
#[derive(Debug, Clone)]
struct Bins {
    positives: Vec<u64>,
    negatives: Vec<u64>,
}

impl Default for Bins {
    fn default() -> Self {
        Self { positives: vec![0; Self::COUNT], negatives: vec![0; Self::COUNT] }
    }
}

impl Bins {
    const COUNT: usize = 1 << 20;

    /// The bits of 2^-32, where the first bin ends.
    const LEAST: u32 = 95 << 23;

    /// Bits of a float within a bin.
    const WITHIN: u32 = 8;

    /// The bits of positive floats ascend as they do.
    fn of(prediction: f32) -> usize {
        if prediction.is_sign_negative() {
            return 0;
        }
        let above = prediction.to_bits().saturating_sub(Self::LEAST) >> Self::WITHIN;
        (above as usize).min(Self::COUNT - 1)
    }
}

/// Rows by prediction, those of equal ones together.
pub(super) enum Ties {
    /// Predictions of positive and of negative rows, ascending.
    Sorted(Vec<f32>, Vec<f32>),
    /// Positive and negative rows of each bin, ascending.
    Bins(Vec<u64>, Vec<u64>),
    /// A prediction was NaN, which has no place among others.
    Nan,
}

impl Ties {
    /// Hands over the numbers of positive and of negative rows of each prediction, the highest first.
    pub(super) fn each(&self, mut f: impl FnMut(u64, u64)) {
        match self {
            Self::Nan => {}
            Self::Bins(positives, negatives) => {
                let bins = positives.iter().zip(negatives).rev().filter(|&(&p, &n)| p + n > 0);
                bins.for_each(|(&p, &n)| f(p, n));
            }
            Self::Sorted(positives, negatives) => {
                let (mut positives, mut negatives) = (positives.as_slice(), negatives.as_slice());
                while let Some(&highest) = match (positives.last(), negatives.last()) {
                    (Some(p), Some(n)) => Some(if p >= n { p } else { n }),
                    (p, n) => p.or(n),
                } {
                    f(take(&mut positives, highest), take(&mut negatives, highest));
                }
            }
        }
    }

    /// AUC by the pairs that are in order.
    pub(super) fn auc(&self) -> Option<f64> {
        let (mut positives, mut negatives, mut half_pairs) = (0u64, 0u64, 0u128);
        self.each(|p, n| {
            half_pairs += u128::from(n) * (2 * u128::from(positives) + u128::from(p));
            (positives, negatives) = (positives + p, negatives + n);
        });
        let pairs = u128::from(positives) * u128::from(negatives);
        (pairs > 0).then(|| half_pairs as f64 / (2 * pairs) as f64)
    }
}

/// Removes the last values while they are `value`, and counts them.
fn take(values: &mut &[f32], value: f32) -> u64 {
    let mut count = 0;
    while let Some((_, rest)) = values.split_last().filter(|(last, _)| **last == value) {
        *values = rest;
        count += 1;
    }
    count
}

impl Metric for Auc {
    fn add(&mut self, prediction: f32, label: f32) {
        self.nan |= prediction.is_nan();
        let of = if label >= 0.5 { &mut self.positives } else { &mut self.negatives };
        // Turns -0 into 0, which it ties with but does not sort with.
        of.push(prediction + 0.0);
        // Rows wait to be counted many at a time, which makes no difference to the bins.
        if self.bins.is_none() || self.positives.len() + self.negatives.len() > 1 << 12 {
            self.settle();
        }
    }

    fn merge(&mut self, other: &Self) {
        self.positives.extend_from_slice(&other.positives);
        self.negatives.extend_from_slice(&other.negatives);
        self.nan |= other.nan;
        if let Some(others) = &other.bins {
            let bins = self.bins.get_or_insert_default();
            bins.positives.iter_mut().zip(&others.positives).for_each(|(sum, more)| *sum += more);
            bins.negatives.iter_mut().zip(&others.negatives).for_each(|(sum, more)| *sum += more);
        }
        self.settle();
    }

    fn compute(&self) -> Option<f64> {
        self.ties().auc()
    }
}

fn sorted(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f32::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auc(rows: &[(f32, f32)]) -> Option<f64> {
        let mut state = Auc::default();
        rows.iter().for_each(|&(p, y)| state.add(p, y));
        state.compute()
    }

    #[test]
    fn order_decides() {
        assert_eq!(auc(&[(0.1, 0.0), (0.4, 0.0), (0.35, 1.0), (0.8, 1.0)]), Some(0.75));
        assert_eq!(auc(&[(0.1, 0.0), (0.9, 1.0)]), Some(1.0));
        assert_eq!(auc(&[(0.9, 0.0), (0.1, 1.0)]), Some(0.0));
    }

    #[test]
    fn ties_count_half() {
        assert_eq!(auc(&[(0.5, 0.0), (0.5, 1.0)]), Some(0.5));
        assert_eq!(auc(&[(0.5, 0.0), (0.5, 1.0), (0.5, 1.0), (0.2, 0.0)]), Some(0.75));
        assert_eq!(auc(&[(-0.0, 1.0), (0.0, 0.0)]), Some(0.5));
        assert_eq!(auc(&[(0.0, 1.0), (-0.0, 0.0)]), Some(0.5));
    }

    #[test]
    fn one_class_has_none() {
        assert_eq!(auc(&[]), None);
        assert_eq!(auc(&[(0.3, 1.0), (0.4, 1.0)]), None);
        assert_eq!(auc(&[(0.3, 0.0)]), None);
    }

    #[test]
    fn nan_has_none_and_infinity_a_rank() {
        assert_eq!(auc(&[(f32::NAN, 1.0), (0.4, 0.0), (0.5, 1.0)]), None);
        assert_eq!(auc(&[(f32::INFINITY, 1.0), (0.4, 0.0), (f32::NEG_INFINITY, 0.0)]), Some(1.0));
    }

    /// Some twenty rows to a bin, of which the higher ones are more often positive.
    fn crowded_rows(count: u32) -> Vec<(f32, f32)> {
        let row = |i: u32| {
            let u = (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 24) as f32;
            (0.5 + u / 64.0, f32::from(u8::from(i.wrapping_mul(40_503) % 97 < (97.0 * u) as u32)))
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_bounded_state_is_exact_up_to_its_bound_and_near_beyond() {
        let rows = crowded_rows(20_000);
        let bounded = |most: usize| {
            let mut state = Auc::bounded(most);
            rows.iter().for_each(|&(p, y)| state.add(p, y));
            state
        };
        let exact = auc(&rows);
        assert_eq!(bounded(20_000).compute(), exact);
        let binned = bounded(19_999);
        assert!(binned.bins.is_some());
        let positives = rows.iter().filter(|(_, y)| *y == 1.0).count() as u64;
        assert_eq!((binned.positives(), binned.negatives()), (positives, 20_000 - positives));
        let error = (binned.compute().unwrap_or_default() - exact.unwrap_or_default()).abs();
        let bins = binned.bins.unwrap_or_default();
        let tied: u64 = bins.positives.iter().zip(&bins.negatives).map(|(p, n)| p * n).sum();
        let bound = 0.5 * tied as f64 / (positives * (20_000 - positives)) as f64;
        assert!(0.0 < error && error <= bound && bound < 1e-3, "{error} {bound}");
    }

    #[test]
    fn bins_do_not_depend_on_the_order_of_merging() {
        let rows = crowded_rows(3000);
        let mut whole = Auc::bounded(100);
        rows.iter().for_each(|&(p, y)| whole.add(p, y));
        let mut merged = Auc::bounded(100);
        for part in rows.chunks(70).rev() {
            let mut state = Auc::bounded(100);
            part.iter().for_each(|&(p, y)| state.add(p, y));
            merged.merge(&state);
        }
        assert_eq!(merged.compute(), whole.compute());
        merged.add(f32::NAN, 1.0);
        assert_eq!(merged.compute(), None);
    }

    #[test]
    fn bins_ascend_with_predictions() {
        let bins = [-1.0, 0.0, 1e-30, 1e-9, 1e-3, 0.5, 0.9999, 1.0, f32::INFINITY].map(Bins::of);
        assert!(bins.is_sorted(), "{bins:?}");
        assert_eq!((bins[1], bins[2], bins[7]), (0, 0, Bins::COUNT - 1));
        assert_ne!(Bins::of(0.5), Bins::of(0.5 + 2f32.powi(-15)));
    }
}
