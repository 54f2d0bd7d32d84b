//! The order of an epoch over rows on disk: blocks drawn from all over, some of them at a time in memory, their rows
//! shuffled.

use std::ops::Range;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use xxhash_rust::xxh64::xxh64;

/// How an epoch goes through the blocks.
///
/// The blocks are put in a new order in each epoch, and cut into windows of at least as many rows as asked for (the last
/// one may have fewer); each window's rows are put in a new order of their own. Rows that are neighbours in the log thus
/// end anywhere in the epoch, a block at a time. All of it depends on nothing but seed, epoch and the rows of each block,
/// so that an epoch can be entered in its middle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Windows {
    /// Blocks with rows to train on, in the epoch's order.
    blocks: Vec<usize>,
    /// For each window, the end of its part of `blocks`, and of its rows.
    ends: Vec<(usize, usize)>,
    shuffle: bool,
    seed: u64,
    epoch: u64,
}

impl Windows {
    /// `rows` are those of each block that are trained on; `window` is how many are to be in memory.
    pub(super) fn new(rows: &[usize], window: usize, shuffle: bool, seed: u64, epoch: u64) -> Self {
        let mut blocks: Vec<usize> = (0..rows.len()).filter(|&block| rows[block] > 0).collect();
        if shuffle {
            blocks.shuffle(&mut stream("stream/blocks", seed, epoch));
        }
        let (mut ends, mut begun, mut all) = (Vec::new(), 0, 0);
        for (at, &block) in blocks.iter().enumerate() {
            all += rows[block];
            if all - begun >= window || at + 1 == blocks.len() {
                ends.push((at + 1, all));
                begun = all;
            }
        }
        Self { blocks, ends, shuffle, seed, epoch }
    }

    /// Number of windows.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Blocks of a window.
    pub(super) fn blocks(&self, window: usize) -> &[usize] {
        let start = window.checked_sub(1).map_or(0, |before| self.ends[before].0);
        &self.blocks[start..self.ends[window].0]
    }

    /// Rows of the epoch that a window holds.
    fn rows(&self, window: usize) -> Range<usize> {
        window.checked_sub(1).map_or(0, |before| self.ends[before].1)..self.ends[window].1
    }

    /// The window that holds row `row` of the epoch, and the row's number in it; the end for rows beyond the last.
    pub(super) fn find(&self, row: usize) -> (usize, usize) {
        let window = self.ends.partition_point(|&(_, end)| end <= row);
        if window == self.count() { (window, 0) } else { (window, row - self.rows(window).start) }
    }

    /// Puts the rows of a window in their order.
    pub(super) fn arrange(&self, window: usize, rows: &mut [usize]) {
        if self.shuffle {
            // Keyed by the window's first row, as that is what it is the window of.
            let name = format!("stream/rows/{}", self.rows(window).start);
            rows.shuffle(&mut stream(&name, self.seed, self.epoch));
        }
    }
}

/// The random stream of an epoch for one purpose.
fn stream(name: &str, seed: u64, epoch: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(xxh64(name.as_bytes(), seed));
    rng.set_stream(epoch);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [usize; 7] = [4, 4, 0, 4, 1, 4, 3];

    fn windows(window: usize, epoch: u64) -> Windows {
        Windows::new(&ROWS, window, true, 5, epoch)
    }

    #[test]
    fn every_block_with_rows_comes_once() {
        for window in [1, 6, 100] {
            let windows = windows(window, 3);
            let mut blocks: Vec<usize> = (0..windows.count()).flat_map(|w| windows.blocks(w).to_vec()).collect();
            assert_ne!(blocks, [0, 1, 3, 4, 5, 6], "in another order");
            blocks.sort_unstable();
            assert_eq!(blocks, [0, 1, 3, 4, 5, 6]);
            for w in 0..windows.count() {
                let rows: usize = windows.blocks(w).iter().map(|&block| ROWS[block]).sum();
                assert_eq!(rows, windows.rows(w).len());
                assert!(rows >= window || w + 1 == windows.count());
            }
        }
    }

    #[test]
    fn rows_are_found_where_they_are() {
        let windows = windows(6, 0);
        for row in 0..20 {
            let (window, at) = windows.find(row);
            assert_eq!(windows.rows(window).start + at, row);
            assert!(windows.rows(window).contains(&row));
        }
        assert_eq!(windows.find(20), (windows.count(), 0));
    }

    #[test]
    fn the_order_depends_on_seed_epoch_and_window() {
        let order = |windows: &Windows, window| {
            let mut rows: Vec<usize> = (0..50).collect();
            windows.arrange(window, &mut rows);
            rows
        };
        let first = windows(6, 0);
        assert_eq!(order(&first, 0), order(&windows(6, 0), 0));
        assert_ne!(order(&first, 0), order(&first, 1));
        assert_ne!(order(&first, 0), order(&windows(6, 1), 0));
        assert_ne!(first.blocks, windows(6, 1).blocks);
        assert_ne!(first.blocks, Windows::new(&ROWS, 6, true, 6, 0).blocks);
    }

    #[test]
    fn without_shuffle_the_log_decides() {
        let windows = Windows::new(&ROWS, 6, false, 5, 3);
        assert_eq!(windows.blocks, [0, 1, 3, 4, 5, 6]);
        let mut rows = [3, 1, 2];
        windows.arrange(0, &mut rows);
        assert_eq!(rows, [3, 1, 2]);
    }
}
