//! Bucketized numbers: boundaries given, or fitted as quantiles of the training rows.
//!
//! A value that is so frequent that several quantiles would fall on it has a bucket of its own: see [`SplitValues`].

use crate::schema::Buckets;

/// Values kept for quantiles, at most; beyond it every second one is dropped, again and again.
const MAX_SAMPLE: usize = 1 << 20;

/// Every 2^k-th known value in row order, k as small as the bound on memory allows: all values of up to about a million
/// training rows. Which values those are depends on the rows alone.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    values: Vec<f64>,
    stride: u64,
    seen: u64,
    most: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self::with_capacity(MAX_SAMPLE)
    }
}

impl Sample {
    fn with_capacity(most: usize) -> Self {
        Self { values: Vec::new(), stride: 1, seen: 0, most }
    }

    pub(super) fn observe(&mut self, value: f64) {
        if self.seen.is_multiple_of(self.stride) {
            if self.values.len() == self.most {
                let mut keep = false;
                self.values.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.values.push(value);
            }
        }
        self.seen += 1;
    }

    /// Boundaries of `buckets` buckets; fewer where there are fewer values. See [`SplitValues`].
    pub(super) fn boundaries(&self, buckets: usize) -> Vec<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let values: Vec<Value> = sorted
            // -0 and 0 are one number.
            .chunk_by(|a, b| a == b)
            .map(|equal| Value { number: equal[0], rows: equal.len(), alone: false })
            .collect();
        SplitValues::of(values, buckets).boundaries()
    }
}

/// A number that rows hold, and how many rows do.
#[derive(Debug, Clone, Copy)]
struct Value {
    number: f64,
    rows: usize,
    /// Whether it has a bucket of its own.
    alone: bool,
}

/// The buckets, each by its least value.
///
/// With N rows and B buckets, a value of more than N / B rows gets a bucket of its own, which counts as one of the B.
/// The same rule is applied to the remaining rows and buckets until there is no such value. The remaining R rows are
/// cut into the remaining b buckets: bucket i begins at the value of row `floor(i R / b)` in ascending order, i = 1 to
/// b - 1. Where no value has more than N / B rows, these are the plain quantiles.
///
/// A bucket that a value of its own would cut in two becomes two. If there are more than B of them by that, the two
/// neighbours without a value of their own that hold the fewest rows become one, again and again; where there are no such
/// neighbours, the smallest bucket becomes a part of the one before it (the first of the one behind it).
struct SplitValues {
    parts: Vec<Value>,
}

impl SplitValues {
    /// Parts of all values, in ascending order.
    fn of(mut values: Vec<Value>, buckets: usize) -> Self {
        let (mut rows, mut left) = (values.iter().map(|value| value.rows).sum::<usize>(), buckets);
        loop {
            let is_large = |value: &&mut Value| !value.alone && value.rows as u128 * left as u128 > rows as u128;
            let (mut count, mut taken) = (0, 0);
            for value in values.iter_mut().filter(is_large) {
                value.alone = true;
                count += 1;
                taken += value.rows;
            }
            if count == 0 {
                break;
            }
            // Each has more than its share, so that they are fewer than the buckets.
            (rows, left) = (rows - taken, left - count);
        }
        let mut parts: Vec<Value> = Vec::new();
        let mut before = 0;
        for value in values {
            let begins = if value.alone {
                true
            } else {
                // The least i whose row is this value's or a later one's.
                let i = (before as u128 * left as u128).div_ceil(rows as u128).max(1);
                let row = i * rows as u128 / left as u128;
                before += value.rows;
                i < left as u128 && row < before as u128 || parts.last().is_none_or(|last| last.alone)
            };
            match parts.last_mut() {
                Some(last) if !begins => last.rows += value.rows,
                _ => parts.push(value),
            }
        }
        let mut parts = Self { parts };
        while parts.parts.len() > buckets && parts.join() {}
        parts
    }

    /// Makes one of two buckets; whether there were two.
    fn join(&mut self) -> bool {
        let neighbours = self.parts.windows(2).enumerate().filter(|(_, pair)| !pair[0].alone && !pair[1].alone);
        let pair = neighbours.min_by_key(|(_, pair)| pair[0].rows + pair[1].rows).map(|(at, _)| at);
        let smallest = || {
            let parts = self.parts.iter().enumerate().filter(|(_, part)| !part.alone);
            parts.min_by_key(|(_, part)| part.rows).map(|(at, _)| at.saturating_sub(1))
        };
        let Some(at) = pair.or_else(smallest).filter(|at| at + 1 < self.parts.len()) else { return false };
        let second = self.parts.remove(at + 1);
        self.parts[at].rows += second.rows;
        self.parts[at].alone |= second.alone;
        true
    }

    fn boundaries(&self) -> Vec<f64> {
        self.parts.iter().skip(1).map(|part| part.number).collect()
    }
}

/// Table row of a number: 0 if it is missing (NaN), else 1 + the number of boundaries that are not above it.
pub(super) fn row(boundaries: &[f64], value: f64) -> u64 {
    if value.is_nan() { 0 } else { 1 + boundaries.partition_point(|&boundary| boundary <= value) as u64 }
}

/// Rows of the table over these boundaries.
pub(super) fn table_rows(boundaries: &[f64]) -> u64 {
    boundaries.len() as u64 + 2
}

/// Why boundaries that were read from a file cannot be those of `buckets`.
pub(super) fn check(boundaries: &[f64], buckets: &Buckets) -> Result<(), String> {
    if boundaries.iter().any(|b| !b.is_finite()) || boundaries.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err("bucket boundaries are not finite and ascending".to_owned());
    }
    let fits = match buckets {
        Buckets::Boundaries(given) => given == boundaries,
        Buckets::Quantiles(buckets) => boundaries.len() < *buckets,
    };
    if fits { Ok(()) } else { Err("bucket boundaries are not those of the schema".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_boundary_lies_above_it() {
        let boundaries = [0.0, 10.0];
        let rows = [f64::NAN, -1.0, -0.0, 0.0, 9.99, 10.0, 1e9].map(|value| row(&boundaries, value));
        assert_eq!(rows, [0, 1, 2, 2, 2, 3, 3]);
        assert_eq!(table_rows(&boundaries), 4);
    }

    #[test]
    fn quantiles_cut_into_equal_parts() {
        let mut sample = Sample::default();
        (0..100).rev().for_each(|i| sample.observe(f64::from(i)));
        assert_eq!(sample.boundaries(4), [25.0, 50.0, 75.0]);
    }

    fn boundaries(values: impl IntoIterator<Item = f64>, buckets: usize) -> Vec<f64> {
        let mut sample = Sample::default();
        values.into_iter().for_each(|value| sample.observe(value));
        sample.boundaries(buckets)
    }

    fn times(value: f64, rows: usize) -> impl Iterator<Item = f64> {
        std::iter::repeat_n(value, rows)
    }

    #[test]
    fn fewer_values_than_buckets_have_one_each() {
        assert_eq!(boundaries([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0], 4), [2.0, 3.0]);
        assert!(boundaries([], 4).is_empty());
        assert!(boundaries(times(5.0, 9), 4).is_empty());
        assert!(boundaries([-0.0, 0.0, 0.0], 2).is_empty());
    }

    /// Capital gains: 96 % zeros, amounts, and a last value that stands for all above.
    #[test]
    fn a_frequent_value_has_a_bucket_of_its_own_and_the_others_are_cut_as_if_it_were_not_there() {
        let amounts = (1..=300).map(f64::from);
        let found = boundaries(times(0.0, 9600).chain(amounts).chain(times(99_999.0, 100)), 5);
        assert_eq!(found, [1.0, 101.0, 201.0, 99_999.0]);
        let rows = [0.0, 1.0, 100.0, 101.0, 300.0, 99_999.0].map(|value| row(&found, value));
        assert_eq!(rows, [1, 2, 2, 3, 4, 5]);
    }

    #[test]
    fn buckets_are_no_more_than_asked_for() {
        // 0 to 8, every second one in 10 rows and the others in one: 5 buckets are of the frequent ones.
        let values = || (0..9).flat_map(|i| times(f64::from(i), if i % 2 == 0 { 10 } else { 1 }));
        assert_eq!(boundaries(values(), 9), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(boundaries(values(), 6).len(), 5);
        // A bucket between two frequent values is one of those that are left.
        let found = boundaries(times(-1.0, 2).chain(times(0.0, 90)).chain((1..=10).map(f64::from)), 4);
        assert_eq!(found, [0.0, 1.0, 7.0]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_values(
            counts in proptest::collection::vec(1..60usize, 1..40), buckets in 2..30usize, thin in proptest::bool::ANY,
        ) {
            let of = |count: usize| if thin { 1 } else { count };
            let values: Vec<f64> =
                counts.iter().enumerate().flat_map(|(i, &count)| times(i as f64, of(count))).collect();
            let found = boundaries(values.clone(), buckets);
            proptest::prop_assert!(check(&found, &Buckets::Quantiles(buckets)).is_ok(), "{found:?}");
            proptest::prop_assert!(found.iter().all(|boundary| values.contains(boundary) && *boundary > 0.0));
            let is_frequent = |count: usize| of(count) * buckets > values.len();
            if !counts.iter().any(|&count| is_frequent(count)) {
                let mut plain: Vec<f64> = (1..buckets).map(|i| values[i * values.len() / buckets]).collect();
                plain.dedup();
                plain.retain(|&boundary| boundary > 0.0);
                proptest::prop_assert_eq!(&found, &plain);
            }
            // Two frequent values are never in one bucket.
            let frequent = (0..counts.len()).filter(|&i| is_frequent(counts[i])).map(|i| row(&found, i as f64));
            let frequent: Vec<u64> = frequent.collect();
            proptest::prop_assert!(frequent.windows(2).all(|pair| pair[0] < pair[1]), "{frequent:?} {found:?}");
        }
    }

    #[test]
    fn the_sample_thins_evenly() {
        let mut sample = Sample::with_capacity(8);
        (0..100).for_each(|i| sample.observe(f64::from(i)));
        assert_eq!(sample.values, [0.0, 16.0, 32.0, 48.0, 64.0, 80.0, 96.0]);
    }
}
