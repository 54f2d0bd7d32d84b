//! The left operand: as it lies in memory in f32, copied in bf16.

use super::panels::{pair_neighbours, pair_rows, pair_runs, turn_pairs};
use super::{Amx, Kernel, LANES, LINE, Pair, Unit};
use crate::kernels::dispatch;
use crate::sparse::prefetch;

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
        m.along_rows(data, ld, rows, cols)
    }

    fn along_columns<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        m.along_columns(data, ld, rows, cols)
    }
}

impl Operand for Amx {
    fn along_rows<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        m.squares_of_rows(data, ld, rows, cols)
    }

    fn along_columns<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        m.squares_of_columns(data, ld, rows, cols)
    }
}

/// Units of a square.
const SQUARE: usize = LANES * LANES;

/// Memory of a left operand in bf16.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounded {
    data: Vec<Pair>,
}

impl Rounded {
    /// Rows as they are: neighbours within a row become pairs.
    fn along_rows(&mut self, data: &[f32], ld: usize, rows: usize, cols: usize) -> Left<'_, Pair> {
        let pairs = cols.div_ceil(2);
        let row = uneven(pairs);
        let memory = self.room(rows * row);
        dispatch(
            #[inline(always)]
            || {
                for (out, x) in memory.chunks_mut(row.max(1)).zip(data.chunks(ld)) {
                    pair_neighbours(&x[..cols], &mut out[..pairs]);
                }
            },
        );
        Left { data: memory, row, step: 1 }
    }

    /// Columns where they are, side by side: neighbours within a column become pairs.
    fn along_columns(&mut self, data: &[f32], ld: usize, rows: usize, cols: usize) -> Left<'_, Pair> {
        let step = uneven(cols);
        let memory = self.room(rows.div_ceil(2) * step);
        dispatch(
            #[inline(always)]
            || {
                for (r, out) in memory.chunks_mut(step.max(1)).enumerate() {
                    pair_rows(&mut out[..cols], data, ld, 2 * r, rows);
                }
            },
        );
        Left { data: memory, row: 1, step }
    }

    /// Rows in squares: each of a square's is a run of sixteen pairs.
    fn squares_of_rows(&mut self, data: &[f32], ld: usize, rows: usize, cols: usize) -> Left<'_, Pair> {
        let row = cols.div_ceil(2).next_multiple_of(LANES);
        let memory = self.room(rows.next_multiple_of(LANES) * row);
        let whole = cols - cols % (2 * LANES);
        dispatch(
            #[inline(always)]
            || {
                for (i, x) in data.chunks(ld).take(rows).enumerate() {
                    let out = &mut memory[i / LANES * LANES * row..][..LANES * row][i % LANES * LANES..];
                    pair_runs(&x[..whole], out, SQUARE);
                    if whole < cols {
                        let end = &mut out[whole / 2 * LANES..][..LANES];
                        end.fill(Pair::default());
                        pair_neighbours(&x[whole..cols], end);
                    }
                }
            },
        );
        Left { data: memory, row, step: LANES }
    }

    /// Columns turned into rows, in squares of sixteen columns by sixteen pairs.
    fn squares_of_columns(&mut self, data: &[f32], ld: usize, rows: usize, cols: usize) -> Left<'_, Pair> {
        let row = rows.div_ceil(2).next_multiple_of(LANES);
        let memory = self.room(cols.next_multiple_of(LANES) * row);
        dispatch(
            #[inline(always)]
            || {
                for (i, out) in memory.chunks_mut((LANES * row).max(1)).enumerate() {
                    let (start, wide) = (i * LANES, (cols - i * LANES).min(LANES));
                    let squares = out.as_chunks_mut::<LANES>().0.as_chunks_mut::<LANES>().0;
                    for (square, first) in squares.iter_mut().zip((0..).step_by(2 * LANES)) {
                        for soon in first + 2 * LANES..first + 4 * LANES {
                            prefetch(data.as_ptr().wrapping_add(soon * ld + start), LANES);
                        }
                        if wide == LANES && first + 2 * LANES <= rows {
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
        Left { data: memory, row, step: LANES }
    }

    /// Room for so many pairs, from the start of a cache line on: a square's row then is one.
    fn room(&mut self, pairs: usize) -> &mut [Pair] {
        self.data.resize(self.data.len().max(pairs + LANES), Pair::default());
        let start = self.data.as_ptr().align_offset(LINE).min(LANES);
        &mut self.data[start..][..pairs]
    }
}

/// A stride of so many units that does not send all rows to the same cache sets, as multiples of 4 KiB would.
fn uneven(units: usize) -> usize {
    if units.is_multiple_of(1024) { units + LANES } else { units }
}
