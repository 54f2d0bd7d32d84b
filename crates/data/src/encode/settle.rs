//! Counts what was encoded, feature by feature, and gives unknown values their table row.

use super::parse::UNKNOWN;
use crate::batch::Ids;
use crate::seen::{FeatureCount, LARGE_NUMBER};
use crate::split::Split;

/// Counts of one feature, by split; all at [`Split::Train`] where rows are not split.
pub(super) type Counts = [FeatureCount; 3];

/// Gives unknown values of a vocabulary row 0, which missing ones have, and counts both.
pub(super) fn settle(ids: &mut Ids, splits: &[Split]) -> Counts {
    let mut counts = Counts::default();
    match ids {
        // The common case apart, so that its loop holds no choice.
        Ids::Single(rows) if splits.is_empty() => {
            let (mut missing, mut unknown) = (0, 0);
            for row in rows.iter_mut() {
                let is_unknown = *row == UNKNOWN;
                missing += u64::from(*row == 0);
                unknown += u64::from(is_unknown);
                *row = if is_unknown { 0 } else { *row };
            }
            let rows = rows.len() as u64;
            counts[0] = FeatureCount { rows, missing, values: rows - missing, unknown, ..FeatureCount::default() };
        }
        Ids::Single(rows) => {
            for (row, &split) in rows.iter_mut().zip(splits) {
                let count = &mut counts[split as usize];
                count.rows += 1;
                count.missing += u64::from(*row == 0);
                count.values += u64::from(*row != 0);
                count.unknown += u64::from(*row == UNKNOWN);
                *row = if *row == UNKNOWN { 0 } else { *row };
            }
        }
        Ids::Multiple { offsets, rows } => {
            for (i, ends) in offsets.windows(2).enumerate() {
                let count = &mut counts[splits.get(i).map_or(0, |&split| split as usize)];
                let values = &mut rows[ends[0]..ends[1]];
                count.rows += 1;
                count.missing += u64::from(values.is_empty());
                count.values += values.len() as u64;
                for value in values.iter_mut().filter(|value| **value == UNKNOWN) {
                    count.unknown += 1;
                    *value = 0;
                }
            }
        }
    }
    counts
}

/// Counts table rows of which none is unknown; where `zero_is_missing`, row 0 is that of a missing value.
pub(super) fn known(ids: &Ids, splits: &[Split], zero_is_missing: bool) -> Counts {
    let mut counts = Counts::default();
    let of = |i: usize| splits.get(i).map_or(0, |&split| split as usize);
    match ids {
        Ids::Single(rows) if splits.is_empty() => {
            let missing = if zero_is_missing { rows.iter().filter(|&&row| row == 0).count() as u64 } else { 0 };
            let rows = rows.len() as u64;
            counts[0] = FeatureCount { rows, missing, values: rows - missing, ..FeatureCount::default() };
        }
        Ids::Single(rows) => {
            for (i, &row) in rows.iter().enumerate() {
                let is_missing = zero_is_missing && row == 0;
                let count = &mut counts[of(i)];
                count.rows += 1;
                count.missing += u64::from(is_missing);
                count.values += u64::from(!is_missing);
            }
        }
        Ids::Multiple { offsets, .. } => {
            for (i, ends) in offsets.windows(2).enumerate() {
                let count = &mut counts[of(i)];
                count.rows += 1;
                count.missing += u64::from(ends[0] == ends[1]);
                count.values += (ends[1] - ends[0]) as u64;
            }
        }
    }
    counts
}

/// Counts numbers as they were read, NaN where one is missing; where none `may_miss`, they need not be looked at.
pub(super) fn numbers(numbers: &[f64], splits: &[Split], may_miss: bool) -> Counts {
    let mut counts = Counts::default();
    if splits.is_empty() {
        counts[0].rows = numbers.len() as u64;
        counts[0].missing = if may_miss { numbers.iter().filter(|number| number.is_nan()).count() as u64 } else { 0 };
    }
    for (number, &split) in numbers.iter().zip(splits) {
        counts[split as usize].rows += 1;
        counts[split as usize].missing += u64::from(number.is_nan());
    }
    counts.iter_mut().for_each(|count| count.values = count.rows - count.missing);
    counts
}

/// Looks for large numbers in column after column of `[B, N]`; gives the counts of the N columns.
pub(super) fn sizes(numeric: &[f32], width: usize, splits: &[Split]) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); width];
    if width == 0 {
        return counts;
    }
    if splits.is_empty() {
        // Flat arrays, so that columns are looked at side by side.
        let (mut large, mut largest) = (vec![0u32; width], vec![0f32; width]);
        for row in numeric.chunks_exact(width) {
            for ((large, largest), number) in large.iter_mut().zip(&mut largest).zip(row) {
                let size = number.abs();
                *large += u32::from(size > LARGE_NUMBER);
                *largest = largest.max(size);
            }
        }
        for ((counts, large), largest) in counts.iter_mut().zip(large).zip(largest) {
            (counts[0].large, counts[0].largest) = (large.into(), largest);
        }
        return counts;
    }
    for (row, &split) in numeric.chunks_exact(width).zip(splits) {
        for (counts, number) in counts.iter_mut().zip(row) {
            let count = &mut counts[split as usize];
            count.large += u64::from(number.abs() > LARGE_NUMBER);
            count.largest = count.largest.max(number.abs());
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_of(number: u8) -> Split {
        Split::ALL[usize::from(number % 3)]
    }

    /// What is counted of all rows of one split, whether or not rows of others stand between them.
    fn of_split<T: Clone>(rows: &[T], splits: &[Split], split: Split) -> Vec<T> {
        rows.iter().zip(splits).filter(|(_, own)| **own == split).map(|(row, _)| row.clone()).collect()
    }

    fn lists(rows: &[Vec<u64>]) -> Ids {
        let mut offsets = vec![0];
        rows.iter().for_each(|row| offsets.push(offsets[offsets.len() - 1] + row.len()));
        Ids::Multiple { offsets, rows: rows.concat() }
    }

    proptest! {
        #[test]
        fn a_split_is_counted_as_if_it_were_alone(
            rows in prop::collection::vec((prop_oneof![Just(0), Just(UNKNOWN), 1..9u64], 0..3u8), 0..80),
        ) {
            let (ids, splits): (Vec<u64>, Vec<Split>) = rows.iter().map(|&(id, split)| (id, split_of(split))).unzip();
            let mut mixed = Ids::Single(ids.clone());
            let counts = settle(&mut mixed, &splits);
            prop_assert!(mixed.table_rows().iter().all(|&row| row < 9));
            let numbers_of = |ids: &[u64]| ids.iter().map(|&id| if id == 0 { f64::NAN } else { id as f64 }).collect::<Vec<_>>();
            for split in Split::ALL {
                let own = of_split(&ids, &splits, split);
                let alone = settle(&mut Ids::Single(own.clone()), &[])[0].clone();
                prop_assert_eq!(&counts[split as usize], &alone);
                let row_0 = |ids: &[u64], splits: &[Split]| known(&Ids::Single(ids.to_vec()), splits, true);
                prop_assert_eq!(&row_0(&ids, &splits)[split as usize], &row_0(&own, &[])[0]);
                prop_assert_eq!(
                    &numbers(&numbers_of(&ids), &splits, true)[split as usize],
                    &numbers(&numbers_of(&own), &[], true)[0]
                );
                let sizes_of = |ids: &[u64]| ids.iter().flat_map(|&id| [id as f32, -(id as f32) * 10.0]).collect::<Vec<_>>();
                for column in 0..2 {
                    prop_assert_eq!(
                        &sizes(&sizes_of(&ids), 2, &splits)[column][split as usize],
                        &sizes(&sizes_of(&own), 2, &[])[column][0]
                    );
                }
            }
        }

        #[test]
        fn lists_are_counted_by_their_values(rows in prop::collection::vec(prop::collection::vec(prop_oneof![Just(UNKNOWN), 1..9u64], 0..4), 0..30)) {
            let mut ids = lists(&rows);
            let count = settle(&mut ids, &[])[0].clone();
            prop_assert_eq!(count.missing, rows.iter().filter(|row| row.is_empty()).count() as u64);
            prop_assert_eq!(count.values, rows.concat().len() as u64);
            prop_assert_eq!(count.unknown, rows.concat().iter().filter(|&&id| id == UNKNOWN).count() as u64);
            prop_assert_eq!(&known(&ids, &[], true)[0].missing, &count.missing);
        }
    }

    #[test]
    fn row_0_of_ids_is_an_id() {
        assert_eq!(known(&Ids::Single(vec![0, 1, 0]), &[], false)[0].missing, 0);
    }
}
