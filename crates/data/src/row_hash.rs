//! Hashes of single rows, to find repeated rows.

use std::ops::Range;

use crate::batch::{Batch, Ids};

/// The fractional part of the golden ratio: an odd number whose multiples spread.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl Batch {
    /// A hash of each of these rows, inputs and labels: equal rows have equal ones. Others have equal ones as rarely as
    /// chance gives 64 bits alike. For this process alone: it may change from version to version.
    ///
    /// # Panics
    /// If the range reaches beyond the rows.
    #[must_use]
    pub fn row_hashes(&self, range: Range<usize>) -> Vec<u64> {
        let mut hashes = vec![FACTOR; range.len()];
        let width = self.numeric_width();
        if width > 0 {
            let numbers = self.numeric[range.start * width..range.end * width].chunks_exact(width);
            for (hash, numbers) in hashes.iter_mut().zip(numbers) {
                // Zero has two signs, and is one number.
                numbers.iter().for_each(|number| add(hash, u64::from((number + 0.0).to_bits())));
            }
        }
        let single = self.categorical.iter().filter(|ids| matches!(ids, Ids::Single(_)));
        let columns: Vec<&[u64]> = single.map(|ids| &ids.table_rows()[range.clone()]).collect();
        // Memory is what takes the time: four columns come sooner at once than one after the other.
        let (fours, rest) = columns.as_chunks();
        for [a, b, c, d] in fours {
            for ((((hash, &a), &b), &c), &d) in hashes.iter_mut().zip(*a).zip(*b).zip(*c).zip(*d) {
                [a, b, c, d].into_iter().for_each(|row| add(hash, row));
            }
        }
        for column in rest {
            hashes.iter_mut().zip(*column).for_each(|(hash, &row)| add(hash, row));
        }
        for ids in &self.categorical {
            let Ids::Multiple { rows, .. } = ids else { continue };
            for (hash, at) in hashes.iter_mut().zip(range.clone()) {
                let own = &rows[ids.range(at)];
                own.iter().for_each(|&row| add(hash, row));
                add(hash, own.len() as u64);
            }
        }
        for labels in &self.labels {
            let rows = labels.values[range.clone()].iter().zip(&labels.present[range.clone()]);
            for (hash, (value, &present)) in hashes.iter_mut().zip(rows) {
                add(hash, u64::from(value.to_bits()) << 1 | u64::from(present));
            }
        }
        hashes.iter_mut().for_each(|hash| *hash ^= *hash >> 29);
        hashes
    }
}

#[inline(always)]
fn add(hash: &mut u64, value: u64) {
    *hash = (*hash ^ value).wrapping_mul(FACTOR).rotate_left(29);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Labels;

    fn batch() -> Batch {
        Batch {
            rows: 3,
            numeric: vec![1.0, 0.0, 1.0, -0.0, 0.0, 1.0],
            categorical: vec![
                Ids::Single(vec![7, 7, 7]),
                Ids::Multiple { offsets: vec![0, 2, 4, 4], rows: vec![1, 2, 1, 2] },
            ],
            labels: vec![Labels { values: vec![0.0; 3], present: vec![true; 3], weights: Vec::new() }],
            ..Batch::default()
        }
    }

    #[test]
    fn equal_rows_have_equal_hashes_wherever_they_stand() {
        let rows = batch();
        let hashes = rows.row_hashes(0..3);
        assert_eq!(hashes[0], hashes[1]);
        assert_ne!(hashes[1], hashes[2]);
        assert_eq!(rows.row_hashes(1..3), hashes[1..]);
    }

    #[test]
    fn whatever_differs_changes_the_hash() {
        let same = batch().row_hashes(0..1);
        let changes: [fn(&mut Batch); 5] = [
            |b| b.numeric[1] = 2.0,
            |b| b.categorical[0] = Ids::Single(vec![8, 7, 7]),
            |b| b.categorical[1] = Ids::Multiple { offsets: vec![0, 1, 3, 3], rows: vec![1, 2, 1] },
            |b| b.labels[0].values[0] = 1.0,
            |b| b.labels[0].present[0] = false,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = batch();
            change(&mut other);
            assert_ne!(other.row_hashes(0..1), same, "{number}");
        }
    }
}
