//! Area under the ROC curve of rows with weights, and under that of precision over recall.

use super::ExactSum;

/// As [`super::Auc`], each row counting by its weight w:
///
/// ```text
/// AUC = (sum over pairs of w_i w_j ([p_i > p_j] + [p_i = p_j] / 2)) / (W_P W_N)     i positive, j negative
/// ```
///
/// `W_P` and `W_N` are the sums of both classes' weights. Sums are of f64 in the order of predictions. `None` if one of them
/// is 0, or any prediction was NaN.
#[derive(Debug, Clone, Default)]
pub struct WeightedAuc {
    rows: Vec<Tie>,
    /// Rows that may be kept one by one; `None` is any number.
    most: Option<usize>,
    /// Whether predictions have been rounded, as there were more.
    rounded: bool,
    nan: bool,
}

/// Rows of one prediction.
#[derive(Debug, Clone, Copy)]
struct Tie {
    prediction: f32,
    /// Sums of weights.
    positive: f64,
    negative: f64,
}

impl WeightedAuc {
    /// Rows of a task that a state of a log on disk keeps one by one: 24 MiB.
    pub const BOUND: usize = 1 << 20;

    /// A state of bounded memory: exact up to `most` rows. Of more, predictions are rounded down to 16 bits of their
    /// mantissa, those up to 2^-32 to 0, and rows of equal ones tie, as in the bins of [`super::Auc::bounded`].
    #[must_use]
    pub fn bounded(most: usize) -> Self {
        Self { most: Some(most), ..Self::default() }
    }

    /// Adds one row of the sample space.
    pub fn add(&mut self, prediction: f32, label: f32, weight: f64) {
        self.nan |= prediction.is_nan();
        let (positive, negative) = if label >= 0.5 { (weight, 0.0) } else { (0.0, weight) };
        // Turns -0 into 0, which it ties with but does not sort with.
        self.rows.push(Tie { prediction: prediction + 0.0, positive, negative });
        self.settle();
    }

    /// Adds the rows that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.rows.extend_from_slice(&other.rows);
        self.nan |= other.nan;
        self.rounded |= other.rounded;
        self.settle();
    }

    /// Makes ties of the rows once they are twice as many as they may be.
    fn settle(&mut self) {
        if self.most.is_none_or(|most| self.rows.len() <= if self.rounded { 2 * most.max(TIES) } else { most }) {
            return;
        }
        self.rounded = true;
        self.rows.iter_mut().for_each(|tie| tie.prediction = round(tie.prediction));
        self.rows = ties(&self.rows);
    }

    /// What all rows added so far make, in ascending order of predictions; `None` if one was NaN.
    fn ties(&self) -> Option<Vec<Tie>> {
        if self.nan {
            return None;
        }
        let mut rows = self.rows.clone();
        if self.rounded {
            rows.iter_mut().for_each(|tie| tie.prediction = round(tie.prediction));
        }
        Some(ties(&rows))
    }

    /// [`super::average_precision`], where R and P are ratios of weights in place of numbers of rows; `None` if the positives'
    /// weight is 0.
    #[must_use]
    pub fn average_precision(&self) -> Option<f64> {
        let (mut positives, mut weights, mut sum) = (0.0, 0.0, ExactSum::default());
        for Tie { positive, negative, .. } in self.ties()?.into_iter().rev() {
            positives += positive;
            weights += positive + negative;
            if positive > 0.0 {
                sum.add(positive * (positives / weights));
            }
        }
        (positives > 0.0).then_some(())?;
        Some(sum.value()? / positives)
    }

    /// AUC over all rows added so far.
    #[must_use]
    pub fn compute(&self) -> Option<f64> {
        let (mut positive, mut below, mut pairs) = (0.0, 0.0, 0.0);
        for tie in self.ties()? {
            pairs += tie.positive * (below + 0.5 * tie.negative);
            positive += tie.positive;
            below += tie.negative;
        }
        let all = positive * below;
        (all > 0.0).then(|| (pairs / all).min(1.0))
    }
}

/// Ties of rounded probabilities, at the most.
const TIES: usize = 1 << 20;

/// A prediction, rounded down as the bins of [`super::Auc`] are.
fn round(prediction: f32) -> f32 {
    if prediction < f32::from_bits(95 << 23) { 0.0 } else { f32::from_bits(prediction.to_bits() & !0xFF) }
}

/// Rows of equal predictions made one, in ascending order. What they sum to does not depend on the order of the rows.
fn ties(rows: &[Tie]) -> Vec<Tie> {
    let mut rows = rows.to_vec();
    let order = |a: &Tie, b: &Tie| {
        let by_weight = a.positive.total_cmp(&b.positive).then(a.negative.total_cmp(&b.negative));
        a.prediction.total_cmp(&b.prediction).then(by_weight)
    };
    rows.sort_unstable_by(order);
    let mut ties: Vec<Tie> = Vec::new();
    for row in rows {
        match ties.last_mut() {
            Some(last) if last.prediction == row.prediction => {
                last.positive += row.positive;
                last.negative += row.negative;
            }
            _ => ties.push(row),
        }
    }
    ties
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Auc, Metric};

    type Row = (f32, f32, f64);

    fn auc(rows: &[Row], mut state: WeightedAuc) -> Option<f64> {
        rows.iter().for_each(|&(p, y, w)| state.add(p, y, w));
        state.compute()
    }

    /// Pair by pair.
    fn slow(rows: &[Row]) -> f64 {
        let (mut pairs, mut all) = (0.0, 0.0);
        for i in rows.iter().filter(|row| row.1 == 1.0) {
            for j in rows.iter().filter(|row| row.1 == 0.0) {
                let order = if i.0 > j.0 { 1.0 } else { 0.5 * f64::from(u8::from(i.0 == j.0)) };
                pairs += i.2 * j.2 * order;
                all += i.2 * j.2;
            }
        }
        pairs / all
    }

    /// Predictions that tie, weights of many sizes.
    fn rows(count: u32) -> Vec<Row> {
        let number = |i: u32, of: u32| i.wrapping_mul(2_654_435_761).wrapping_add(of * 40_503) >> 8;
        let row = |i: u32| {
            let p = (number(i, 1) % 1000) as f32 / 1000.0;
            let y = f32::from(u8::from(number(i, 2) % 1000 < 200 + (500.0 * p) as u32));
            (p, y, f64::from(number(i, 3) % 997 + 1) / 100.0)
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn it_counts_pairs_by_their_weights() {
        assert_eq!(auc(&[(0.4, 0.0, 3.0), (0.6, 0.0, 1.0), (0.5, 1.0, 7.0)], WeightedAuc::default()), Some(0.75));
        assert_eq!(auc(&[(0.5, 0.0, 3.0), (0.5, 1.0, 7.0), (-0.0, 0.0, 3.0)], WeightedAuc::default()), Some(0.75));
        assert_eq!(auc(&[(0.5, 0.0, 3.0)], WeightedAuc::default()), None);
        assert_eq!(auc(&[(f32::NAN, 0.0, 1.0), (0.5, 1.0, 1.0)], WeightedAuc::default()), None);
        let rows = rows(400);
        let found = auc(&rows, WeightedAuc::default()).unwrap_or_default();
        assert!((found - slow(&rows)).abs() < 1e-13, "{found} {}", slow(&rows));
        let turned: Vec<Row> = rows.iter().rev().copied().collect();
        assert_eq!(auc(&turned, WeightedAuc::default()), Some(found));
    }

    #[test]
    fn rows_of_one_weight_have_the_plain_metric() {
        let rows: Vec<Row> = rows(3000).into_iter().map(|(p, y, _)| (p, y, 2.5)).collect();
        let mut plain = Auc::default();
        rows.iter().for_each(|&(p, y, _)| plain.add(p, y));
        let (found, exact) = (auc(&rows, WeightedAuc::default()), plain.compute());
        assert!((found.unwrap_or_default() - exact.unwrap_or_default()).abs() < 1e-14, "{found:?} {exact:?}");
    }

    #[test]
    fn a_bounded_state_is_exact_up_to_its_bound_and_near_beyond() {
        let rows = rows(3000);
        let exact = auc(&rows, WeightedAuc::default()).unwrap_or_default();
        assert_eq!(auc(&rows, WeightedAuc::bounded(3000)), Some(exact));
        let near = auc(&rows, WeightedAuc::bounded(100)).unwrap_or_default();
        assert!((near - exact).abs() < 1e-4, "{near} {exact}");
        let mut merged = WeightedAuc::bounded(100);
        for part in rows.chunks(70).rev() {
            let mut state = WeightedAuc::bounded(100);
            part.iter().for_each(|&(p, y, w)| state.add(p, y, w));
            merged.merge(&state);
        }
        assert!((merged.compute().unwrap_or_default() - near).abs() < 1e-12);
    }
}
