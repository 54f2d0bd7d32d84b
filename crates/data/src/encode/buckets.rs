//! Bucketized numbers: boundaries given, or fitted as quantiles of the training rows.

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

    /// Boundaries of `buckets` buckets of equal size; fewer where many values are equal.
    pub(super) fn boundaries(&self, buckets: usize) -> Vec<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let Some(&least) = sorted.first() else { return Vec::new() };
        let mut boundaries: Vec<f64> = (1..buckets).map(|i| sorted[i * sorted.len() / buckets]).collect();
        // -0 and 0 are one number.
        boundaries.dedup_by(|a, b| a == b);
        boundaries.retain(|&boundary| boundary > least);
        boundaries
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

    #[test]
    fn equal_values_make_fewer_buckets() {
        let mut sample = Sample::default();
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0].into_iter().for_each(|v| sample.observe(v));
        assert_eq!(sample.boundaries(4), [2.0]);
        assert!(Sample::default().boundaries(4).is_empty());
    }

    #[test]
    fn the_sample_thins_evenly() {
        let mut sample = Sample::with_capacity(8);
        (0..100).for_each(|i| sample.observe(f64::from(i)));
        assert_eq!(sample.values, [0.0, 16.0, 32.0, 48.0, 64.0, 80.0, 96.0]);
    }
}
