//! One feature's values in another order, in many copies of the same rows at once.

use pleiad_data::{Batch, Ids, Input};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows of a stack, at the most, unless one copy has more: enough that the cost of a call is spread over them.
const ROWS: usize = 4096;

/// Numbers and ids of a stack, at the most, unless one copy has more.
const CELLS: usize = 1 << 22;

/// The order in which a feature's values are dealt out in a repeat.
pub(super) fn shuffled(rows: usize, seed: u64, feature: u64, repeat: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut stream(seed, "shuffle", feature, repeat));
    order
}

/// A random stream of its own for each purpose.
pub(super) fn stream(seed: u64, purpose: &str, a: u64, b: u64) -> impl Rng {
    let key = [&seed.to_le_bytes()[..], purpose.as_bytes(), &a.to_le_bytes()[..], &b.to_le_bytes()[..]].concat();
    ChaCha8Rng::seed_from_u64(xxhash_rust::xxh64::xxh64(&key, 0))
}

/// Copies of the same rows one after the other. In each of them one feature can be shuffled, so that one pass through the
/// model serves several shuffles of few rows.
pub(super) struct Stack<'s> {
    sample: &'s Batch,
    copies: usize,
    batch: Batch,
}

impl<'s> Stack<'s> {
    /// As many copies of `sample` as one pass should have, `most` at the most and one at the least.
    pub(super) fn of(sample: &'s Batch, most: usize) -> Self {
        let lists = sample.categorical.iter().map(|ids| ids.table_rows().len());
        let cells = sample.numeric.len() + lists.sum::<usize>();
        let copies = (ROWS / sample.rows.max(1)).min(CELLS / cells.max(1)).min(most).max(1);
        let mut batch = sample.clone();
        (1..copies).for_each(|_| batch.append(sample));
        Self { sample, copies, batch }
    }

    /// Number of copies.
    pub(super) fn copies(&self) -> usize {
        self.copies
    }

    /// All copies.
    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Gives row i of a copy the feature's value of row `order[i]`.
    pub(super) fn shuffle(&mut self, copy: usize, input: &Input, order: &[usize]) {
        self.deal(copy, input, order.iter().copied());
    }

    /// Undoes [`Stack::shuffle`].
    pub(super) fn put_back(&mut self, copy: usize, input: &Input) {
        self.deal(copy, input, 0..self.sample.rows);
    }

    fn deal(&mut self, copy: usize, input: &Input, order: impl Iterator<Item = usize>) {
        let Self { sample, batch, .. } = self;
        let first = copy * sample.rows;
        match input {
            Input::Numeric { column, .. } | Input::Periodic { column, .. } => {
                let width = sample.numeric_width();
                for (row, from) in (first..).zip(order) {
                    batch.numeric[row * width + column] = sample.numeric[from * width + column];
                }
            }
            Input::Categorical { slot, .. } => match (&mut batch.categorical[*slot], &sample.categorical[*slot]) {
                (Ids::Multiple { offsets, rows }, ids) => {
                    let mut at = copy * ids.table_rows().len();
                    for (row, from) in (first..).zip(order) {
                        let list = &ids.table_rows()[ids.range(from)];
                        rows[at..][..list.len()].copy_from_slice(list);
                        at += list.len();
                        offsets[row + 1] = at;
                    }
                }
                (Ids::Single(rows), ids) => {
                    rows[first..].iter_mut().zip(order).for_each(|(row, from)| *row = ids.table_rows()[from]);
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use pleiad_data::Pooling;

    use super::*;

    fn sample() -> Batch {
        Batch {
            rows: 4,
            numeric: vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0],
            categorical: vec![
                Ids::Single(vec![5, 6, 7, 8]),
                Ids::Multiple { offsets: vec![0, 2, 2, 3, 4], rows: vec![1, 2, 3, 4] },
            ],
            labels: vec![],
            groups: Vec::new(),
        }
    }

    fn list(slot: usize, pooling: Option<Pooling>) -> Input {
        Input::Categorical { name: "c".into(), slot, table: "c".into(), rows: 9, dim: 1, pooling }
    }

    #[test]
    fn one_feature_of_one_copy_moves_and_comes_back() {
        let sample = sample();
        let mut stack = Stack::of(&sample, 3);
        assert_eq!((stack.copies(), stack.batch().rows), (3, 12));
        let untouched = stack.batch().clone();
        let number = Input::Numeric { name: "n".into(), column: 1 };
        for input in [number, list(0, None), list(1, Some(Pooling::Sum))] {
            stack.shuffle(1, &input, &[2, 0, 3, 1]);
            let index = |copy: usize| (copy * 4..copy * 4 + 4).collect::<Vec<_>>();
            let mut moved = Batch::default();
            moved.clone_from(&sample);
            moved.gather_from(stack.batch(), &index(1));
            match &input {
                Input::Numeric { .. } | Input::Periodic { .. } => {
                    assert_eq!(moved.numeric, [1.0, 30.0, 2.0, 10.0, 3.0, 40.0, 4.0, 20.0])
                }
                Input::Categorical { slot: 0, .. } => assert_eq!(moved.categorical[0], Ids::Single(vec![7, 5, 8, 6])),
                // Lists move whole, the empty one too.
                Input::Categorical { .. } => {
                    let lists = Ids::Multiple { offsets: vec![0, 1, 3, 4, 4], rows: vec![3, 1, 2, 4] };
                    assert_eq!(moved.categorical[1], lists);
                }
            }
            for copy in [0, 2] {
                moved.gather_from(stack.batch(), &index(copy));
                assert_eq!(moved, sample, "copy {copy}");
            }
            stack.put_back(1, &input);
            assert_eq!(*stack.batch(), untouched);
        }
    }

    #[test]
    fn a_stack_has_one_copy_at_the_least_and_is_bounded() {
        let sample = sample();
        assert_eq!(Stack::of(&sample, usize::MAX).copies(), ROWS / 4);
        assert_eq!(Stack::of(&sample, 0).copies(), 1);
        let large = Batch { rows: 2 * ROWS, numeric: vec![0.0; 2 * ROWS], ..Batch::default() };
        assert_eq!(Stack::of(&large, 9).copies(), 1);
    }

    #[test]
    fn orders_depend_on_all_that_they_are_for() {
        let first = shuffled(100, 1, 2, 3);
        assert_eq!(first, shuffled(100, 1, 2, 3));
        for other in [shuffled(100, 2, 2, 3), shuffled(100, 1, 3, 3), shuffled(100, 1, 2, 4)] {
            assert_ne!(first, other);
        }
    }
}
