//! The left operand: in f32 it is read in place, in bf16 it is copied.

use super::panels::{pair_neighbours, pair_rows, pair_runs, turn_pairs};
use super::{Amx, Kernel, LANES, Pair, Unit};
use crate::kernels::{Lines, dispatch, prefetch};

/// The left operand: element (i, r) at `i * row + r * step`, where one of the two strides is 1.
///
/// For a kernel that wants [`Kernel::SQUARES`]: sixteen rows of sixteen units, one after another along the reduction,
/// then down the rows. The one that begins with (i, r), multiples of 16 both, is at `i * row + r * step` then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left<'a, U> {
    pub(crate) data: &'a [U],
    pub(crate) row: usize,
    pub(crate) step: usize,
}

impl<U> Left<'_, U> {
    /// Whether it has all that K reads of `rows` rows of `depth` units, as K wants it.
    pub(super) fn holds<K: Kernel>(&self, rows: usize, depth: usize) -> bool {
        if K::SQUARES {
            return self.step == LANES
                && depth <= self.row
                && rows.next_multiple_of(LANES) * self.row <= self.data.len();
        }
        let last = (rows.max(1) - 1) * self.row + (depth.max(1) - 1) * self.step;
        (self.step == 1 || self.row == 1) && (rows == 0 || depth == 0 || last < self.data.len())
    }
}

/// A kernel's left operand of a row-major matrix of f32, `rows` rows of `cols` columns with stride `ld`. What has to be
/// copied is in `memory`.
pub(crate) trait Operand: Kernel {
    /// The matrix's rows become those of C.
    fn along_rows<'a>(
        memory: &'a mut Lines<Pair>,
        data: &'a [f32],
        ld: usize,
        rows: usize,
        cols: usize,
    ) -> Left<'a, Self::Unit>;

    /// The matrix's columns become the rows of C.
    fn along_columns<'a>(
        memory: &'a mut Lines<Pair>,
        data: &'a [f32],
        ld: usize,
        rows: usize,
        cols: usize,
    ) -> Left<'a, Self::Unit>;
}

impl Operand for f32 {
    fn along_rows<'a>(_: &'a mut Lines<Pair>, data: &'a [f32], ld: usize, _: usize, _: usize) -> Left<'a, f32> {
        Left { data, row: ld, step: 1 }
    }

    fn along_columns<'a>(_: &'a mut Lines<Pair>, data: &'a [f32], ld: usize, _: usize, _: usize) -> Left<'a, f32> {
        Left { data, row: 1, step: ld }
    }
}

/// Rows as they are, neighbours within a row as pairs; and columns where they are, side by side, neighbours within a column
/// as pairs.
impl Operand for Pair {
    fn along_rows<'a>(m: &'a mut Lines<Pair>, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        let row = uneven(cols.div_ceil(2));
        let pairs = m.room(rows * row);
        dispatch(
            #[inline(always)]
            || {
                for (out, x) in pairs.chunks_mut(row.max(1)).zip(data.chunks(ld)) {
                    pair_neighbours(&x[..cols], &mut out[..cols.div_ceil(2)]);
                }
            },
        );
        Left { data: m.get(), row, step: 1 }
    }

    fn along_columns<'a>(
        m: &'a mut Lines<Pair>,
        data: &'a [f32],
        ld: usize,
        rows: usize,
        cols: usize,
    ) -> Left<'a, Pair> {
        let step = uneven(cols);
        let pairs = m.room(rows.div_ceil(2) * step);
        dispatch(
            #[inline(always)]
            || {
                for (r, out) in pairs.chunks_mut(step.max(1)).enumerate() {
                    pair_rows(&mut out[..cols], data, ld, 2 * r, rows);
                }
            },
        );
        Left { data: m.get(), row: 1, step }
    }
}

/// Units of a square.
const SQUARE: usize = LANES * LANES;

/// Terms of a square's row.
const TERMS: usize = 2 * LANES;

/// Rows in squares, each of a square's a run of sixteen pairs; and columns turned into rows, in squares of sixteen columns
/// by sixteen pairs.
impl Operand for Amx {
    fn along_rows<'a>(m: &'a mut Lines<Pair>, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        let row = units(cols);
        let pairs = m.room(rows.next_multiple_of(LANES) * row);
        let whole = cols - cols % TERMS;
        dispatch(
            #[inline(always)]
            || {
                for (i, x) in data.chunks(ld).take(rows).enumerate() {
                    let squares = &mut pairs[i / LANES * LANES * row..][..LANES * row];
                    let out = &mut squares[i % LANES * LANES..];
                    pair_runs(&x[..whole], out, SQUARE);
                    if whole < cols {
                        let end = &mut out[whole / 2 * LANES..][..LANES];
                        end.fill(Pair::default());
                        pair_neighbours(&x[whole..cols], end);
                    }
                }
            },
        );
        Left { data: m.get(), row, step: LANES }
    }

    fn along_columns<'a>(
        m: &'a mut Lines<Pair>,
        data: &'a [f32],
        ld: usize,
        rows: usize,
        cols: usize,
    ) -> Left<'a, Pair> {
        let row = units(rows);
        let pairs = m.room(cols.next_multiple_of(LANES) * row);
        dispatch(
            #[inline(always)]
            || {
                for (i, out) in pairs.chunks_mut((LANES * row).max(1)).take(cols.div_ceil(LANES)).enumerate() {
                    let (start, wide) = (i * LANES, (cols - i * LANES).min(LANES));
                    let squares = out.as_chunks_mut::<LANES>().0.as_chunks_mut::<LANES>().0;
                    for (square, first) in squares.iter_mut().zip((0..rows).step_by(TERMS)) {
                        for soon in first + TERMS..first + 2 * TERMS {
                            prefetch(data.as_ptr().wrapping_add(soon * ld + start), LANES);
                        }
                        if wide == LANES && first + TERMS <= rows {
                            turn_pairs(square, &data[first * ld + start..], ld);
                            continue;
                        }
                        *square = [[Pair::default(); LANES]; LANES];
                        for (r, side) in (first..rows).step_by(2).zip(square.iter_mut()) {
                            pair_rows(&mut side[..wide], &data[start..], ld, r, rows);
                        }
                        Pair::turn(square);
                    }
                }
            },
        );
        Left { data: m.get(), row, step: LANES }
    }
}

/// Pairs of so many terms, in whole squares.
fn units(terms: usize) -> usize {
    terms.div_ceil(2).next_multiple_of(LANES)
}

/// A stride of so many units that does not send all rows to the same cache sets, as multiples of 4 KiB would.
fn uneven(units: usize) -> usize {
    if units.is_multiple_of(1024) { units + LANES } else { units }
}
