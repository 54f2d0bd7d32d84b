//! One feature's values in another order, and back.

use pleiad_data::{Batch, Ids, Input};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

/// A feature's values before they were shuffled.
pub(super) enum Kept {
    Numbers(Vec<f32>),
    Rows(Ids),
}

/// Gives row i of the batch the feature's value of row `order[i]`.
pub(super) fn shuffle(batch: &mut Batch, input: &Input, order: &[usize]) -> Kept {
    match input {
        Input::Numeric { column, .. } => {
            let width = batch.numeric_width();
            let kept: Vec<f32> = batch.numeric.iter().skip(*column).step_by(width.max(1)).copied().collect();
            set_column(batch, *column, order.iter().map(|&row| kept[row]));
            Kept::Numbers(kept)
        }
        Input::Categorical { slot, .. } => {
            let ids = &batch.categorical[*slot];
            let moved = match ids {
                Ids::Single(rows) => Ids::Single(order.iter().map(|&row| rows[row]).collect()),
                Ids::Multiple { .. } => {
                    let (mut offsets, mut rows) = (vec![0], Vec::with_capacity(ids.table_rows().len()));
                    for &row in order {
                        rows.extend_from_slice(&ids.table_rows()[ids.range(row)]);
                        offsets.push(rows.len());
                    }
                    Ids::Multiple { offsets, rows }
                }
            };
            Kept::Rows(std::mem::replace(&mut batch.categorical[*slot], moved))
        }
    }
}

impl Kept {
    /// Undoes [`shuffle`].
    pub(super) fn put_back(self, batch: &mut Batch, input: &Input) {
        match (self, input) {
            (Self::Numbers(values), Input::Numeric { column, .. }) => set_column(batch, *column, values.into_iter()),
            (Self::Rows(ids), Input::Categorical { slot, .. }) => batch.categorical[*slot] = ids,
            _ => unreachable!("values go back to the feature they were taken from"),
        }
    }
}

fn set_column(batch: &mut Batch, column: usize, values: impl Iterator<Item = f32>) {
    let width = batch.numeric_width();
    batch.numeric.iter_mut().skip(column).step_by(width.max(1)).zip(values).for_each(|(x, value)| *x = value);
}

#[cfg(test)]
mod tests {
    use pleiad_data::Pooling;

    use super::*;

    fn batch() -> Batch {
        Batch {
            rows: 4,
            numeric: vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 40.0],
            categorical: vec![
                Ids::Single(vec![5, 6, 7, 8]),
                Ids::Multiple { offsets: vec![0, 2, 2, 3, 4], rows: vec![1, 2, 3, 4] },
            ],
            labels: vec![],
        }
    }

    fn list(slot: usize, pooling: Option<Pooling>) -> Input {
        Input::Categorical { name: "c".into(), slot, table: "c".into(), rows: 9, dim: 1, pooling }
    }

    #[test]
    fn one_feature_moves_and_comes_back() {
        let number = Input::Numeric { name: "n".into(), column: 1 };
        for input in [number, list(0, None), list(1, Some(Pooling::Sum))] {
            let mut batch = batch();
            let kept = shuffle(&mut batch, &input, &[2, 0, 3, 1]);
            match &input {
                Input::Numeric { .. } => assert_eq!(batch.numeric, [1.0, 30.0, 2.0, 10.0, 3.0, 40.0, 4.0, 20.0]),
                Input::Categorical { slot: 0, .. } => assert_eq!(batch.categorical[0], Ids::Single(vec![7, 5, 8, 6])),
                // Lists move whole, the empty one too.
                Input::Categorical { .. } => {
                    let moved = Ids::Multiple { offsets: vec![0, 1, 3, 4, 4], rows: vec![3, 1, 2, 4] };
                    assert_eq!(batch.categorical[1], moved);
                }
            }
            kept.put_back(&mut batch, &input);
            assert_eq!(batch, self::batch());
        }
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
