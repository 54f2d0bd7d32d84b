//! [`PackedRows`]: a copy of rows in memory, row by row in few bytes, for reading them in random order.

use rayon::prelude::*;

use crate::batch::{Batch, Ids, Labels};

/// Rows that one thread packs at a time.
const CHUNK: usize = 1 << 12;

/// Rows that are unpacked at a time.
const SOME: usize = 64;

/// Bytes of a label: its value, and whether it is there.
const LABEL: usize = 5;

/// The single ids and the labels of a batch's rows, row by row, each id in as few bytes as the column's largest needs.
///
/// Columns are the better order with one exception: the rows of a shuffled batch are spread over them, so every number
/// costs a cache line of its own from memory. Here a row takes one or two lines. Numbers, which [`Batch`] keeps row by
/// row itself, lists of ids and weights stay where they are.
#[derive(Debug)]
pub struct PackedRows<'a> {
    rows: &'a Batch,
    /// Per categorical input: where its id is; `None` for lists of ids.
    ids: Vec<Option<PackedId>>,
    /// Byte of a row at which its labels begin.
    labels: usize,
    /// Bytes of a row.
    stride: usize,
    bytes: Vec<u8>,
}

/// Where a row has an id.
#[derive(Debug, Clone, Copy)]
struct PackedId {
    /// First byte.
    at: usize,
    /// Bytes: 1, 2, 4 or 8.
    width: usize,
}

impl<'a> PackedRows<'a> {
    /// Packs all rows of `rows`, on all threads.
    #[must_use]
    pub fn new(rows: &'a Batch) -> Self {
        let widths: Vec<Option<usize>> = rows.categorical.par_iter().map(width).collect();
        let mut labels = 0;
        let places = widths.into_iter().map(|width| {
            let at = labels;
            labels += width.unwrap_or(0);
            width.map(|width| PackedId { at, width })
        });
        let ids = places.collect();
        let stride = labels + LABEL * rows.labels.len();
        let mut packed = Self { rows, ids, labels, stride, bytes: Vec::new() };
        let mut bytes = vec![0; stride * rows.rows];
        bytes.par_chunks_mut((stride * CHUNK).max(1)).enumerate().for_each(|(c, bytes)| packed.fill(c * CHUNK, bytes));
        packed.bytes = bytes;
        packed
    }

    /// The rows themselves.
    #[must_use]
    pub fn rows(&self) -> &'a Batch {
        self.rows
    }

    /// Packs the rows from row `first` on that `bytes` has room for.
    fn fill(&self, first: usize, bytes: &mut [u8]) {
        for (ids, place) in self.rows.categorical.iter().zip(&self.ids) {
            let Some(PackedId { at, width }) = *place else { continue };
            let ids = &ids.table_rows()[first..];
            match width {
                1 => self.put::<1>(ids, at, bytes),
                2 => self.put::<2>(ids, at, bytes),
                4 => self.put::<4>(ids, at, bytes),
                _ => self.put::<8>(ids, at, bytes),
            }
        }
        for (labels, at) in self.rows.labels.iter().zip((self.labels..).step_by(LABEL)) {
            let pairs = labels.values[first..].iter().zip(&labels.present[first..]);
            for (row, (value, &present)) in bytes.chunks_exact_mut(self.stride).zip(pairs) {
                row[at..at + 4].copy_from_slice(&value.to_le_bytes());
                row[at + 4] = u8::from(present);
            }
        }
    }

    /// Writes the lower N bytes of each row's id.
    fn put<const N: usize>(&self, ids: &[u64], at: usize, bytes: &mut [u8]) {
        for (row, id) in bytes.chunks_exact_mut(self.stride).zip(ids) {
            row[at..at + N].copy_from_slice(&id.to_le_bytes()[..N]);
        }
    }

    /// Replaces the rows of `into`, a batch of the same columns, by rows `index`, in that order.
    ///
    /// # Panics
    /// If an index is out of range or the columns differ: both are mistakes of the caller, not of data.
    pub fn gather(&self, index: &[usize], into: &mut Batch) {
        into.clear();
        into.rows = index.len();
        into.append_numbers(self.rows, index);
        let lists = self.ids.iter().zip(&mut into.categorical).zip(&self.rows.categorical);
        for ((_, into), from) in lists.filter(|((place, _), _)| place.is_none()) {
            into.gather_from(from, index);
        }
        for (into, from) in into.labels.iter_mut().zip(&self.rows.labels) {
            into.gather_weights_from(from, index);
        }
        // Some rows, all of their columns, and then the next ones: they stay in the nearest cache meanwhile.
        let mut some = Vec::with_capacity(SOME * self.stride);
        for index in index.chunks(SOME) {
            some.clear();
            index.iter().for_each(|&row| some.extend_from_slice(&self.bytes[row * self.stride..][..self.stride]));
            self.unpack(&some, into);
        }
    }

    /// Appends the ids and labels of packed rows.
    fn unpack(&self, rows: &[u8], into: &mut Batch) {
        for (into, place) in into.categorical.iter_mut().zip(&self.ids) {
            let (Ids::Single(into), Some(PackedId { at, width })) = (into, *place) else { continue };
            match width {
                1 => self.take(rows, at, into, |[byte]| u64::from(byte)),
                2 => self.take(rows, at, into, |id| u64::from(u16::from_le_bytes(id))),
                4 => self.take(rows, at, into, |id| u64::from(u32::from_le_bytes(id))),
                _ => self.take(rows, at, into, u64::from_le_bytes),
            }
        }
        for (Labels { values, present, .. }, at) in into.labels.iter_mut().zip((self.labels..).step_by(LABEL)) {
            self.take(rows, at, values, f32::from_le_bytes);
            self.take(rows, at + 4, present, |[byte]| byte != 0);
        }
    }

    /// Appends what `of` makes of the N bytes from byte `at` on of each row.
    fn take<T, const N: usize>(&self, rows: &[u8], at: usize, into: &mut Vec<T>, of: impl Fn([u8; N]) -> T) {
        into.extend(rows.chunks_exact(self.stride).map(|row| {
            let mut bytes = [0; N];
            bytes.copy_from_slice(&row[at..at + N]);
            of(bytes)
        }));
    }
}

/// Bytes that every id of a column fits in; `None` if it has lists of them.
fn width(ids: &Ids) -> Option<usize> {
    let Ids::Single(rows) = ids else { return None };
    Some(id_bytes(rows.iter().copied().max().unwrap_or(0)))
}

/// Bytes that an id takes where none is above `largest`: 1, 2, 4 or 8.
pub(crate) fn id_bytes(largest: u64) -> usize {
    match largest {
        0..=0xFF => 1,
        0x100..=0xFFFF => 2,
        0x1_0000..=0xFFFF_FFFF => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ids below each bound, lists of ids, numbers, labels.
    fn rows(count: usize, bounds: &[u64], seed: u64) -> Batch {
        let number = |i: usize| (i as u64 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 7;
        let mut categorical: Vec<Ids> = bounds
            .iter()
            .enumerate()
            .map(|(c, &bound)| Ids::Single((0..count).map(|i| number(i * 7 + c) % bound).collect()))
            .collect();
        let mut offsets = vec![0];
        (0..count).for_each(|i| offsets.push(offsets[i] + number(i) as usize % 4));
        let list = (0..offsets[count]).map(number).collect();
        categorical.insert(bounds.len() / 2, Ids::Multiple { offsets, rows: list });
        let labels = |task: usize| Labels {
            values: (0..count).map(|i| number(i + task) as f32).collect(),
            present: (0..count).map(|i| number(i + task) % 3 > 0).collect(),
            weights: Vec::new(),
        };
        let numeric = (0..3 * count).map(|i| number(i) as f32).collect();
        let weights = (0..count).map(|i| number(i) as f32).collect();
        let labels = vec![labels(0), Labels { weights, ..labels(1) }];
        Batch { rows: count, numeric, categorical, labels, groups: vec![] }
    }

    proptest! {
        #[test]
        fn gives_what_the_columns_give(count in 1usize..50, picks in prop::collection::vec(0usize..50, 0..60),
                                       bounds in prop::collection::vec(1u64..u64::MAX, 0..6), seed: u64) {
            let bounds: Vec<u64> = bounds.iter().enumerate().map(|(i, b)| (b >> (i * 11)).max(1)).collect();
            let rows = rows(count, &bounds, seed);
            let index: Vec<usize> = picks.into_iter().map(|i| i % count).collect();
            let mut expected = rows.slice(0..0);
            expected.gather_from(&rows, &index);
            let mut found = rows.slice(0..1);
            PackedRows::new(&rows).gather(&index, &mut found);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn an_id_takes_as_few_bytes_as_the_largest_of_its_column_needs() {
        let width = |largest: u64| width(&Ids::Single(vec![0, largest, 1]));
        let bounds = [0, 255, 256, 65_535, 65_536, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX];
        assert_eq!(bounds.map(width), [1, 1, 2, 2, 4, 4, 8, 8].map(Some));
        assert_eq!(super::width(&Ids::empty(true)), None);
    }

    #[test]
    fn more_rows_than_a_thread_packs_at_a_time() {
        let rows = rows(2 * CHUNK + 17, &[200, 70_000], 3);
        let index: Vec<usize> = (0..rows.rows).rev().collect();
        let (mut expected, mut found) = (rows.slice(0..0), rows.slice(0..0));
        expected.gather_from(&rows, &index);
        PackedRows::new(&rows).gather(&index, &mut found);
        assert_eq!(found, expected);
    }

    #[test]
    fn no_rows_and_no_columns_are_no_trouble() {
        let nothing = Batch::default();
        let mut into = Batch::default();
        PackedRows::new(&nothing).gather(&[], &mut into);
        assert_eq!(into, nothing);
        let numbers = Batch { rows: 2, numeric: vec![1.0, 2.0], ..Batch::default() };
        PackedRows::new(&numbers).gather(&[1, 0, 1], &mut into);
        assert_eq!((into.rows, &into.numeric[..]), (3, &[2.0, 1.0, 2.0][..]));
    }
}
