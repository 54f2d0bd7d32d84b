//! The order in which an epoch reads the training rows.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Rows `0..rows` in the order of epoch `epoch`.
///
/// It depends on nothing but `seed`, `epoch` and the number of rows, so that a resumed epoch finds the same order.
pub(super) fn epoch_order(rows: usize, shuffle: bool, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    if shuffle {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(epoch);
        order.shuffle(&mut rng);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once() {
        let mut order = epoch_order(1000, true, 3, 5);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn depends_on_seed_and_epoch_alone() {
        assert_eq!(epoch_order(100, true, 3, 5), epoch_order(100, true, 3, 5));
        assert_ne!(epoch_order(100, true, 3, 5), epoch_order(100, true, 3, 6));
        assert_ne!(epoch_order(100, true, 3, 5), epoch_order(100, true, 4, 5));
    }

    #[test]
    fn without_shuffle_the_files_decide() {
        assert_eq!(epoch_order(4, false, 3, 5), [0, 1, 2, 3]);
    }
}
