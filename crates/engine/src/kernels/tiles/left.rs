//! The left operand: as it lies in memory in f32, copied in bf16.

use super::panels::{pair_neighbours, pair_rows};
use super::{Amx, Kernel, LANES, Pair, Unit};
use crate::kernels::dispatch;

/// The left operand: element (i, r) at `i * row + r * step`, where one of the two strides is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left<'a, U> {
    pub(crate) data: &'a [U],
    pub(crate) row: usize,
    pub(crate) step: usize,
}

/// A kernel's left operand of a row-major matrix of f32, `rows` rows of `cols` columns with stride `ld`. What has to be
/// copied is in `memory`.
pub(crate) trait Operand: Kernel {
    /// The matrix's rows become those of C.
    fn along_rows<'a>(
        memory: &'a mut Rounded,
        data: &'a [f32],
        ld: usize,
        rows: usize,
        cols: usize,
    ) -> Left<'a, Self::Unit>;

    /// The matrix's columns become the rows of C.
    fn along_columns<'a>(
        memory: &'a mut Rounded,
        data: &'a [f32],
        ld: usize,
        rows: usize,
        cols: usize,
    ) -> Left<'a, Self::Unit>;
}

impl Operand for f32 {
    fn along_rows<'a>(_: &'a mut Rounded, data: &'a [f32], ld: usize, _: usize, _: usize) -> Left<'a, f32> {
        Left { data, row: ld, step: 1 }
    }

    fn along_columns<'a>(_: &'a mut Rounded, data: &'a [f32], ld: usize, _: usize, _: usize) -> Left<'a, f32> {
        Left { data, row: 1, step: ld }
    }
}

impl Operand for Pair {
    fn along_rows<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        m.along_rows::<Self>(data, ld, rows, cols)
    }

    fn along_columns<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        m.along_columns(data, ld, rows, cols)
    }
}

impl Operand for Amx {
    fn along_rows<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        m.along_rows::<Self>(data, ld, rows, cols)
    }

    fn along_columns<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        m.turned::<Self>(data, ld, rows, cols)
    }
}

/// Memory of a left operand in bf16.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounded {
    data: Vec<Pair>,
}

impl Rounded {
    /// Rows as they are: neighbours within a row become pairs.
    fn along_rows<K: Kernel>(&mut self, data: &[f32], ld: usize, rows: usize, cols: usize) -> Left<'_, Pair> {
        let pairs = cols.div_ceil(2);
        let row = self.make_room::<K>(pairs, rows);
        dispatch(
            #[inline(always)]
            || {
                for (out, x) in self.data.chunks_mut(row.max(1)).zip(data.chunks(ld)).take(rows) {
                    pair_neighbours(&x[..cols], out);
                    out[pairs..pairs.next_multiple_of(K::UNITS)].fill(Pair::default());
                }
            },
        );
        Left { data: &self.data, row, step: 1 }
    }

    /// Columns where they are, side by side: neighbours within a column become pairs.
    fn along_columns(&mut self, data: &[f32], ld: usize, rows: usize, cols: usize) -> Left<'_, Pair> {
        let step = if cols.is_multiple_of(1024) { cols + LANES } else { cols };
        self.data.resize(self.data.len().max(rows.div_ceil(2) * step), Pair::default());
        dispatch(
            #[inline(always)]
            || {
                for (r, out) in self.data.chunks_mut(step.max(1)).take(rows.div_ceil(2)).enumerate() {
                    pair_rows(&mut out[..cols], data, ld, 2 * r, rows);
                }
            },
        );
        Left { data: &self.data, row: 1, step }
    }

    /// Columns turned into rows, in squares of 16 columns by 16 pairs.
    fn turned<K: Kernel>(&mut self, data: &[f32], ld: usize, rows: usize, cols: usize) -> Left<'_, Pair> {
        const { assert!(K::UNITS.is_multiple_of(LANES), "squares would not fit") };
        let pairs = rows.div_ceil(2);
        let row = self.make_room::<K>(pairs, cols);
        dispatch(
            #[inline(always)]
            || {
                for (i, out) in self.data.chunks_mut((LANES * row).max(1)).take(cols.div_ceil(LANES)).enumerate() {
                    let start = i * LANES;
                    let wide = (cols - start).min(LANES);
                    for first in (0..pairs).step_by(LANES) {
                        let mut square = [[Pair::default(); LANES]; LANES];
                        for (r, side) in (first..pairs).zip(&mut square) {
                            pair_rows(&mut side[..wide], &data[start..], ld, 2 * r, rows);
                        }
                        Pair::turn(&mut square);
                        for (out, turned) in out.chunks_mut(row).zip(&square).take(wide) {
                            out[first..][..LANES].copy_from_slice(turned);
                        }
                    }
                }
            },
        );
        Left { data: &self.data, row, step: 1 }
    }

    /// Makes room for `rows` rows of `pairs` pairs, padded as K wants it, and gives their stride.
    fn make_room<K: Kernel>(&mut self, pairs: usize, rows: usize) -> usize {
        let padded = pairs.next_multiple_of(K::UNITS);
        // A line that is a multiple of 4 KiB would send all rows of a tile to the same cache sets.
        let row = if padded.is_multiple_of(1024) { padded + LANES } else { padded };
        self.data.resize(self.data.len().max(rows.next_multiple_of(K::ROWS) * row), Pair::default());
        row
    }
}
