//! Inverted dropout. The mask is not stored: it is a hash of seed, step, node, row and column, computed again in
//! the backward pass. So it does not depend on shards and threads.

use super::{Columns, dispatch};

/// The mask's key for one node in one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask {
    /// Hash of seed, step and node.
    pub(crate) key: u32,
    /// Probability of a zero.
    pub(crate) rate: f32,
}

impl Mask {
    pub(crate) fn new(seed: u64, step: u64, node: usize, rate: f32) -> Self {
        let mut key = mix64(seed ^ mix64(step ^ mix64(node as u64 ^ 0x9e37_79b9_7f4a_7c15)));
        key ^= key >> 32;
        Self { key: key as u32, rate }
    }

    /// `y = x * mask / (1 - rate)`, overwritten or added; row i of the slices is row `first_row + i` of the batch.
    #[allow(clippy::too_many_arguments, reason = "two matrices and a mask")]
    pub(crate) fn apply(
        self,
        y: &mut [f32],
        y_at: Columns,
        x: &[f32],
        x_at: Columns,
        first_row: usize,
        rows: usize,
        accumulate: bool,
    ) {
        let scale = 1.0 / (1.0 - self.rate);
        let threshold = self.threshold();
        dispatch(
            #[inline(always)]
            || {
                for (i, (y, x)) in y_at.rows_mut(y, rows).zip(x_at.rows(x, rows)).enumerate() {
                    let row = self.row(first_row + i);
                    for (j, (y, x)) in y.iter_mut().zip(x).enumerate() {
                        let kept = draw(row, j as u32) >= threshold;
                        let value = if kept { x * scale } else { 0.0 };
                        *y = if accumulate { *y + value } else { value };
                    }
                }
            },
        );
    }

    /// Whether column `j` of a row of the batch is kept.
    pub(crate) fn keeps(self, row: usize, j: u32) -> bool {
        draw(self.row(row), j) >= self.threshold()
    }

    /// Draws below it are zeros. The rate is below 1, so it fits.
    fn threshold(self) -> u32 {
        (f64::from(self.rate) * 4_294_967_296.0) as u32
    }

    #[inline(always)]
    fn row(self, row: usize) -> u32 {
        mix32(self.key ^ (row as u32).wrapping_mul(0x9e37_79b1))
    }
}

#[inline(always)]
fn draw(row: u32, j: u32) -> u32 {
    mix32(row ^ j.wrapping_mul(0x85eb_ca6b))
}

/// The finaliser of MurmurHash3 with Chris Wellons' constants ("lowbias32").
#[inline(always)]
fn mix32(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The finaliser of SplitMix64.
fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(step: u64, first_row: usize, rows: usize) -> Vec<f32> {
        let at = Columns { ld: 100, col: 0, width: 100 };
        let mut y = vec![0.0; rows * 100];
        Mask::new(7, step, 3, 0.25).apply(&mut y, at, &vec![1.0; rows * 100], at, first_row, rows, false);
        y
    }

    #[test]
    fn keeps_the_mean_and_drops_at_the_rate() {
        let y = masked(0, 0, 1000);
        let dropped = y.iter().filter(|&&v| v == 0.0).count() as f64 / y.len() as f64;
        assert!((dropped - 0.25).abs() < 0.01, "{dropped}");
        assert!(y.iter().all(|&v| v == 0.0 || v == 1.0 / 0.75));
    }

    #[test]
    fn does_not_depend_on_the_cut_into_shards() {
        let whole = masked(5, 0, 10);
        assert_eq!(whole[400..], masked(5, 4, 6));
        assert_ne!(whole, masked(6, 0, 10));
    }
}
