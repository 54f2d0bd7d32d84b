//! The work per row of the batch where the layer was applied to the tables: only additions.
//!
//! `P [V, N]` is the layer's output for each row of the tables, and `places [B, F]` holds the row indices that fields
//! look up: forward `y_i = sum_f P[places_if]`, backward `g_v = sum of d_i over all (i, f) with places_if = v`. Sums
//! run in the order of the fields, and of the rows of the batch. Every implementation gives the same bits.

#[cfg_attr(target_arch = "x86_64", path = "x86.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "other.rs")]
mod processor;

use std::ops::Range;

use super::tiles::LANES;
use super::{Lines, MatMut, MatRef, dispatch};

/// Columns of P that are added up before the next ones, in registers: what all rows have of them stays in cache.
const FORTH: usize = 3;

/// Registers of d that are added up before the next ones: 256 rows of them take 32 KiB.
const BACK: usize = 2;

/// The rows that a shard looks up, and memory for what is made of them.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    fields: usize,
    /// Rows of the tables `[B, fields]`, all below [`Looked::rows`].
    places: Vec<u32>,
    table_rows: usize,
    /// Whether some places are the row behind all tables.
    dropped: bool,
    /// Rows of the batch that read row v of the tables: `readers[starts[v] .. starts[v + 1]]`.
    starts: Vec<u32>,
    readers: Vec<u16>,
    /// Some columns of d, side by side.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the plain path lays nothing side by side"))]
    panel: Lines<f32>,
}

impl Looked {
    /// Takes the rows of tables that have `table_rows` together: of each field its ids, one per row of the batch, and the
    /// first row of its table.
    ///
    /// # Panics
    /// If an id is not below `table_rows`, or there are more than 65,536 rows: checks and plan are wrong then.
    pub(crate) fn take<'i>(
        &mut self,
        table_rows: usize,
        rows: usize,
        fields: impl ExactSizeIterator<Item = (&'i [u64], usize)>,
    ) {
        assert!(rows <= 1 << 16, "a shard of {rows} rows");
        // Nothing is there until all of it has been looked at, and readers are those of other rows.
        let mut places = std::mem::take(&mut self.places);
        self.starts.clear();
        (self.fields, self.table_rows, self.dropped) = (fields.len(), table_rows, false);
        places.resize(rows * self.fields, 0);
        let mut highest = 0;
        for (f, (ids, first)) in fields.enumerate() {
            assert_eq!(ids.len(), rows, "an id for every row");
            let places = places.get_mut(f..).unwrap_or_default();
            for (&id, place) in ids.iter().zip(places.iter_mut().step_by(self.fields)) {
                let at = id + first as u64;
                highest = highest.max(at);
                *place = at as u32;
            }
        }
        let all = places.is_empty() || highest < table_rows as u64;
        assert!(all && table_rows < u32::MAX as usize, "row {highest} of {table_rows}");
        self.places = places;
    }

    /// Lets fields look up the row behind all tables, which P has then, of zeros: where `drops` says so of a row of the batch
    /// and a field.
    pub(crate) fn drop(&mut self, drops: impl Fn(usize, usize) -> bool) {
        self.dropped = true;
        for (row, places) in self.places.chunks_exact_mut(self.fields.max(1)).enumerate() {
            for (field, place) in places.iter_mut().enumerate() {
                if drops(row, field) {
                    *place = self.table_rows as u32;
                }
            }
        }
    }

    /// Whether these are rows of such a shard.
    fn check(&self, rows: usize) {
        assert_eq!(self.places.len(), rows * self.fields, "places of a shard of {rows} rows");
    }

    /// Rows that places may be.
    fn rows(&self) -> usize {
        self.table_rows + usize::from(self.dropped)
    }

    /// Says of each row of the tables by whom it is read, rows of the batch in order.
    pub(crate) fn sort(&mut self) {
        let rows = self.rows();
        let Self { fields, places, starts, readers, .. } = self;
        // Counted two further on, and summed, the entry behind a row tells where its next reader goes; at the end it has
        // become the start of the row after it.
        starts.clear();
        starts.resize(rows + 2, 0);
        places.iter().for_each(|&v| starts[v as usize + 2] += 1);
        for v in 2..starts.len() {
            starts[v] += starts[v - 1];
        }
        readers.resize(places.len(), 0);
        for (i, places) in places.chunks_exact((*fields).max(1)).enumerate() {
            for &v in places {
                let next = &mut starts[v as usize + 1];
                readers[*next as usize] = i as u16;
                *next += 1;
            }
        }
    }
}

/// `y_i = sum_f P[places_if]`, for the rows that were taken. P has a row of zeros behind those of the tables after
/// [`Looked::drop`].
///
/// # Panics
/// If shapes disagree.
pub(crate) fn forward(mut y: MatMut<'_>, products: MatRef<'_>, looked: &Looked) {
    looked.check(y.rows());
    assert!(looked.rows() <= products.rows() && y.cols() == products.cols(), "products of other tables");
    if processor::forward::<FORTH>(y.by_ref(), products, looked) {
        return;
    }
    dispatch(
        #[inline(always)]
        || plain::forward(y, products, looked),
    );
}

/// `g_v = sum of d_i over those that read v`, or `g_v += ...` where `add`, after [`Looked::sort`].
///
/// # Panics
/// If shapes disagree, or readers were not sorted.
pub(crate) fn backward(mut sums: MatMut<'_>, d: MatRef<'_>, looked: &mut Looked, add: bool) {
    looked.check(d.rows());
    assert!(sums.rows() == looked.table_rows && sums.cols() == d.cols(), "sums of other tables");
    let sorted = looked.starts.len() > looked.table_rows && looked.readers.len() == looked.places.len();
    assert!(sorted, "readers that were not sorted");
    if processor::backward::<BACK>(sums.by_ref(), d, looked, add) {
        return;
    }
    dispatch(
        #[inline(always)]
        || plain::backward(sums, d, looked, add),
    );
}

/// `out = a b` by this processor, for a `b` of few columns that is not worth packing, whose columns are neighbours. False, and
/// nothing done, where the processor cannot.
///
/// # Panics
/// If shapes disagree: the plan is wrong then, never the data.
pub(crate) fn narrow(out: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>) -> bool {
    assert!(out.rows() == a.rows() && out.cols() == b.cols() && a.cols() == b.rows(), "shapes of a product disagree");
    assert!(b.col_stride() == 1, "columns that are no neighbours");
    processor::narrow(out, a, b)
}

/// Blocks of `width` columns.
fn blocks(cols: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..cols).step_by(width).map(move |start| start..cols.min(start + width))
}

/// For any processor. Loops are `for` loops here: a closure that is not inlined is compiled without the processor's
/// vectors.
mod plain {
    use std::ops::Range;

    use super::{BACK, FORTH, LANES, Looked, MatMut, MatRef, blocks};

    /// See [`super::forward`].
    #[inline(always)]
    pub(super) fn forward(mut y: MatMut<'_>, products: MatRef<'_>, looked: &Looked) {
        for block in blocks(y.cols(), FORTH * LANES) {
            if block.len() == FORTH * LANES {
                forward_block::<{ FORTH * LANES }>(y.by_ref(), products, looked, block);
                continue;
            }
            for part in parts(block) {
                forward_block::<LANES>(y.by_ref(), products, looked, part);
            }
        }
    }

    /// At most `WIDE` columns.
    #[inline(always)]
    fn forward_block<const WIDE: usize>(mut y: MatMut<'_>, products: MatRef<'_>, looked: &Looked, block: Range<usize>) {
        for (y, places) in y.each_row().zip(looked.places.chunks_exact(looked.fields.max(1))) {
            let mut sum = [0.0; WIDE];
            for &v in places {
                add(&mut sum, &products.row(v as usize)[block.clone()]);
            }
            y[block.clone()].copy_from_slice(&sum[..block.len()]);
        }
    }

    /// See [`super::backward`].
    #[inline(always)]
    pub(super) fn backward(mut sums: MatMut<'_>, d: MatRef<'_>, looked: &Looked, accumulate: bool) {
        for block in blocks(sums.cols(), BACK * LANES) {
            if block.len() == BACK * LANES {
                backward_block::<{ BACK * LANES }>(sums.by_ref(), d, looked, block, accumulate);
                continue;
            }
            for part in parts(block) {
                backward_block::<LANES>(sums.by_ref(), d, looked, part, accumulate);
            }
        }
    }

    /// At most `WIDE` columns.
    #[inline(always)]
    fn backward_block<const WIDE: usize>(
        mut sums: MatMut<'_>,
        d: MatRef<'_>,
        looked: &Looked,
        block: Range<usize>,
        accumulate: bool,
    ) {
        for (sums, range) in sums.each_row().zip(looked.starts.windows(2)) {
            let sums = &mut sums[block.clone()];
            let mut sum = [0.0; WIDE];
            if accumulate {
                sum[..block.len()].copy_from_slice(sums);
            }
            for &i in &looked.readers[range[0] as usize..range[1] as usize] {
                add(&mut sum, &d.row(usize::from(i))[block.clone()]);
            }
            sums.copy_from_slice(&sum[..block.len()]);
        }
    }

    /// Parts of a block that does not fill its registers.
    fn parts(block: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = block.start;
        blocks(block.len(), LANES).map(move |part| first + part.start..first + part.end)
    }

    #[inline(always)]
    fn add<const WIDE: usize>(sum: &mut [f32; WIDE], x: &[f32]) {
        if let Some(x) = x.first_chunk::<WIDE>() {
            for (sum, x) in sum.iter_mut().zip(x) {
                *sum += x;
            }
            return;
        }
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Columns;
    use super::*;

    fn value(i: usize) -> f32 {
        ((i as u32).wrapping_mul(2_654_435_761) >> 16) as f32 / 65536.0 - 0.5
    }

    proptest! {
        /// The definition, number by number; and the bits of the plain path, on any processor.
        #[test]
        fn additions_are_those_of_the_definition(
            rows in 1usize..40, tables in prop::collection::vec(1usize..9, 1..6), width in 1usize..120, pad in 0usize..20,
            seed: u32, add: bool,
        ) {
            let total: usize = tables.iter().sum();
            let ids: Vec<Vec<u64>> = tables
                .iter()
                .enumerate()
                .map(|(f, &n)| {
                    let draw = |i: usize| (i + 31 * f) as u32 ^ seed;
                    (0..rows).map(|i| u64::from(draw(i).wrapping_mul(2_654_435_761) >> 8) % n as u64).collect()
                })
                .collect();
            let firsts: Vec<usize> = tables.iter().scan(0, |first, n| { *first += n; Some(*first - n) }).collect();
            let mut looked = Looked::default();
            looked.take(total, rows, ids.iter().map(Vec::as_slice).zip(firsts.iter().copied()));
            looked.sort();
            let (ld, col) = (width + pad, pad / 2);
            let at = Columns { ld, col, width };
            let products: Vec<f32> = (0..total * ld).map(value).collect();
            let mut y = vec![9.0; rows * ld];
            forward(at.of_mut(&mut y, rows), MatRef::new(&products, total, width, ld), &looked);
            let d: Vec<f32> = (0..rows * ld).map(|i| value(i + 5)).collect();
            let mut sums = vec![0.25; total * ld];
            backward(MatMut::new(&mut sums, total, width, ld), at.of(&d, rows), &mut looked, add);

            let mut wanted_y = vec![9.0; rows * ld];
            let mut wanted_sums = vec![0.25; total * ld];
            for j in 0..width {
                for i in 0..rows {
                    let of = |f: usize| products[(firsts[f] + ids[f][i] as usize) * ld + j];
                    wanted_y[i * ld + col + j] = (0..tables.len()).map(of).fold(0.0, |sum, x| sum + x);
                }
                for f in 0..tables.len() {
                    for v in 0..tables[f] {
                        let sum = &mut wanted_sums[(firsts[f] + v) * ld + j];
                        let readers = (0..rows).filter(|&i| ids[f][i] == v as u64);
                        *sum = readers.fold(if add { *sum } else { 0.0 }, |sum, i| sum + d[i * ld + col + j]);
                    }
                }
            }
            prop_assert_eq!(&y, &wanted_y);
            prop_assert_eq!(&sums, &wanted_sums);

            let mut again = vec![9.0; rows * ld];
            plain::forward(at.of_mut(&mut again, rows), MatRef::new(&products, total, width, ld), &looked);
            prop_assert_eq!(&again, &y);
            let mut again = vec![0.25; total * ld];
            plain::backward(MatMut::new(&mut again, total, width, ld), at.of(&d, rows), &looked, add);
            prop_assert_eq!(&again, &sums);
        }
    }

    proptest! {
        #[test]
        fn narrow_products_are_those_of_the_definition(
            rows in 1usize..30, terms in 1usize..70, cols in 1usize..20, pad in 0usize..5, turn: bool,
        ) {
            let a: Vec<f32> = (0..(rows + pad) * (terms + pad)).map(value).collect();
            let b: Vec<f32> = (0..terms * (cols + pad)).map(|i| value(i + 1000)).collect();
            let a = match turn {
                true => MatRef::new(&a, terms, rows, rows + pad).transposed(),
                false => MatRef::new(&a, rows, terms, terms + pad),
            };
            let b = MatRef::new(&b, terms, cols, cols + pad);
            let (mut found, mut wanted) = (vec![0.25; rows * (cols + pad)], vec![0.25; rows * (cols + pad)]);
            crate::kernels::product::product(MatMut::new(&mut wanted, rows, cols, cols + pad), a, b, false);
            if narrow(MatMut::new(&mut found, rows, cols, cols + pad), a, b) {
                prop_assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {wanted:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "row 3 of 3")]
    fn a_row_beyond_the_tables_is_refused() {
        Looked::default().take(3, 2, [(&[0u64, 1][..], 2)].into_iter());
    }

    #[test]
    #[should_panic(expected = "not sorted")]
    fn readers_of_other_rows_are_refused() {
        let mut looked = Looked::default();
        looked.take(3, 4, [(&[0u64, 1, 1, 0][..], 0)].into_iter());
        looked.sort();
        looked.take(3, 2, [(&[0u64, 1][..], 0), (&[0, 1], 1)].into_iter());
        let at = Columns { ld: 4, col: 0, width: 4 };
        backward(MatMut::new(&mut [0.0; 12], 3, 4, 4), at.of(&[0.0; 8], 2), &mut looked, false);
    }

    #[test]
    #[should_panic(expected = "products of other tables")]
    fn products_of_other_tables_are_refused() {
        let mut looked = Looked::default();
        looked.take(3, 2, [(&[0u64, 1][..], 0)].into_iter());
        forward(MatMut::new(&mut [0.0; 8], 2, 4, 4), MatRef::new(&[0.0; 11], 2, 4, 4), &looked);
    }

    #[test]
    #[should_panic(expected = "places of a shard")]
    fn nothing_is_left_of_rows_that_were_refused() {
        let mut looked = Looked::default();
        let take = || looked.take(3, 2, [(&[7u64, 9][..], 0)].into_iter());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(take)).is_err());
        looked.drop(|_, _| false);
        forward(MatMut::new(&mut [0.0; 8], 2, 4, 4), MatRef::new(&[0.0; 12], 3, 4, 4), &looked);
    }
}
