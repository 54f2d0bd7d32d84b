//! The order in which an epoch reads the training rows.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Rows `rows` in the order of epoch `epoch`, where rows of one request stay together: `begins` says which row of the training
/// rows begins one. Whole requests are shuffled, as [`epoch_order`] shuffles rows.
pub(super) fn request_order(rows: &[usize], begins: &[bool], shuffle: bool, seed: u64, epoch: u64) -> Vec<usize> {
    let mut requests: Vec<&[usize]> = Vec::new();
    let mut first = 0;
    for next in 1..=rows.len() {
        // Rows without labels may lie between two of one request.
        if next == rows.len() || begins[rows[next - 1] + 1..=rows[next]].contains(&true) {
            requests.push(&rows[first..next]);
            first = next;
        }
    }
    let order = epoch_order(requests.len(), shuffle, seed, epoch);
    order.into_iter().flat_map(|request| requests[request]).copied().collect()
}

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
    fn requests_stay_together() {
        let begins: Vec<bool> = (0..100).map(|row| row % 7 == 0).collect();
        // Every tenth row has no label.
        let rows: Vec<usize> = (0..100).filter(|row| row % 10 != 3).collect();
        let order = request_order(&rows, &begins, true, 3, 5);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted == rows && order != rows);
        let changes = order.windows(2).filter(|pair| pair[0] / 7 != pair[1] / 7).count();
        assert_eq!(changes, 100 / 7);
        assert_eq!(request_order(&rows, &begins, false, 3, 5), rows);
        assert!(request_order(&[], &[], true, 3, 5).is_empty());
    }

    #[test]
    fn without_shuffle_the_files_decide() {
        assert_eq!(epoch_order(4, false, 3, 5), [0, 1, 2, 3]);
    }
}
