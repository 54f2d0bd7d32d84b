//! The left operand: in f32 it is read in place, in bf16 it is copied.

use super::panels::{pair_neighbours, pair_rows, pair_runs, turn_pairs};
use super::pass::{self, Rows, Stripe};
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

/// A kernel whose left operand is a rounded copy, which may be put together piece by piece: until each piece of the whole
/// has been put in, it means nothing.
pub(crate) trait Rounding: Kernel<Unit = Pair> {
    /// Puts a piece into the operand whose rows are those of C.
    fn put_rows(memory: &mut Rounded, whole: Shape, piece: Piece<'_>);

    /// The operand whose rows are those of C.
    fn rows_of(memory: &Rounded, whole: Shape) -> Left<'_, Pair>;

    /// Puts a piece into the operand whose columns become the rows of C.
    fn put_columns(memory: &mut Rounded, whole: Shape, piece: Piece<'_>);

    /// The operand whose columns become the rows of C.
    fn columns_of(memory: &Rounded, whole: Shape) -> Left<'_, Pair>;

    /// Goes over a stripe and puts it into both operands, the one whose rows are those of C where there is one, all at once;
    /// if the processor can, or nothing is done.
    fn pass(stripe: Stripe<'_>, columns: &mut Rounded, rows: Option<&mut Rounded>, whole: Shape) -> bool;
}

/// Rows and columns of a matrix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

/// A row-major part of a matrix whose first element is (`row`, `col`) of the whole: multiples of [`STRIPE`] both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) ld: usize,
    pub(crate) shape: Shape,
    pub(crate) row: usize,
    pub(crate) col: usize,
}

/// Rows, and columns, that a piece begins at a multiple of: squares hold as many.
pub(crate) const STRIPE: usize = 2 * LANES;

impl<'a> Piece<'a> {
    /// All of a matrix.
    fn whole(data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Self {
        Self { data, ld, shape: Shape { rows, cols }, row: 0, col: 0 }
    }
}

impl Operand for f32 {
    fn along_rows<'a>(_: &'a mut Rounded, data: &'a [f32], ld: usize, _: usize, _: usize) -> Left<'a, f32> {
        Left { data, row: ld, step: 1 }
    }

    fn along_columns<'a>(_: &'a mut Rounded, data: &'a [f32], ld: usize, _: usize, _: usize) -> Left<'a, f32> {
        Left { data, row: 1, step: ld }
    }
}

impl<K: Rounding> Operand for K {
    fn along_rows<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        Self::put_rows(m, Shape { rows, cols }, Piece::whole(data, ld, rows, cols));
        Self::rows_of(m, Shape { rows, cols })
    }

    fn along_columns<'a>(m: &'a mut Rounded, data: &'a [f32], ld: usize, rows: usize, cols: usize) -> Left<'a, Pair> {
        Self::put_columns(m, Shape { rows, cols }, Piece::whole(data, ld, rows, cols));
        Self::columns_of(m, Shape { rows, cols })
    }
}

/// Rows as they are, neighbours within a row as pairs; and columns where they are, side by side, neighbours within a column
/// as pairs.
impl Rounding for Pair {
    fn put_rows(memory: &mut Rounded, whole: Shape, piece: Piece<'_>) {
        let row = uneven(whole.cols.div_ceil(2));
        let (memory, cols) = (memory.room(whole.rows * row), piece.shape.cols);
        dispatch(
            #[inline(always)]
            || {
                let rows = memory.chunks_mut(row.max(1)).skip(piece.row).take(piece.shape.rows);
                for (out, x) in rows.zip(piece.data.chunks(piece.ld)) {
                    pair_neighbours(&x[..cols], &mut out[piece.col / 2..][..cols.div_ceil(2)]);
                }
            },
        );
    }

    fn rows_of(memory: &Rounded, whole: Shape) -> Left<'_, Pair> {
        Left { data: memory.data(), row: uneven(whole.cols.div_ceil(2)), step: 1 }
    }

    fn put_columns(memory: &mut Rounded, whole: Shape, piece: Piece<'_>) {
        let step = uneven(whole.cols);
        let (memory, Shape { rows, cols }) = (memory.room(whole.rows.div_ceil(2) * step), piece.shape);
        dispatch(
            #[inline(always)]
            || {
                let pairs = memory.chunks_mut(step.max(1)).skip(piece.row / 2).take(rows.div_ceil(2));
                for (r, out) in pairs.enumerate() {
                    pair_rows(&mut out[piece.col..][..cols], piece.data, piece.ld, 2 * r, rows);
                }
            },
        );
    }

    fn columns_of(memory: &Rounded, whole: Shape) -> Left<'_, Pair> {
        Left { data: memory.data(), row: 1, step: uneven(whole.cols) }
    }

    fn pass(stripe: Stripe<'_>, columns: &mut Rounded, rows: Option<&mut Rounded>, whole: Shape) -> bool {
        let (step, row) = (uneven(whole.cols), uneven(whole.cols.div_ceil(2)));
        let columns = &mut columns.room(whole.rows.div_ceil(2) * step)[stripe.row / 2 * step + stripe.col..];
        let rows = rows.map(|rows| {
            let data = &mut rows.room(whole.rows * row)[stripe.row * row + stripe.col / 2..];
            Rows { data, stride: row, below: LANES * row }
        });
        pass::run::<false>(stripe, columns, step, rows)
    }
}

/// Units of a square.
pub(super) const SQUARE: usize = LANES * LANES;

/// Rows in squares, each of a square's a run of sixteen pairs; and columns turned into rows, in squares of sixteen columns
/// by sixteen pairs.
impl Rounding for Amx {
    fn put_rows(memory: &mut Rounded, whole: Shape, piece: Piece<'_>) {
        let (row, cols) = (units(whole.cols), piece.shape.cols);
        let memory = memory.room(whole.rows.next_multiple_of(LANES) * row);
        let whole = cols - cols % STRIPE;
        dispatch(
            #[inline(always)]
            || {
                for (i, x) in (piece.row..).zip(piece.data.chunks(piece.ld).take(piece.shape.rows)) {
                    let squares = &mut memory[i / LANES * LANES * row..][..LANES * row];
                    let out = &mut squares[i % LANES * LANES + piece.col / 2 * LANES..];
                    pair_runs(&x[..whole], out, SQUARE);
                    if whole < cols {
                        let end = &mut out[whole / 2 * LANES..][..LANES];
                        end.fill(Pair::default());
                        pair_neighbours(&x[whole..cols], end);
                    }
                }
            },
        );
    }

    fn rows_of(memory: &Rounded, whole: Shape) -> Left<'_, Pair> {
        Left { data: memory.data(), row: units(whole.cols), step: LANES }
    }

    fn put_columns(memory: &mut Rounded, whole: Shape, piece: Piece<'_>) {
        let row = units(whole.rows);
        let memory = memory.room(whole.cols.next_multiple_of(LANES) * row);
        let (Piece { data, ld, .. }, Shape { rows, cols }) = (piece, piece.shape);
        dispatch(
            #[inline(always)]
            || {
                let turned = memory.chunks_mut((LANES * row).max(1)).skip(piece.col / LANES).take(cols.div_ceil(LANES));
                for (i, out) in turned.enumerate() {
                    let (start, wide) = (i * LANES, (cols - i * LANES).min(LANES));
                    let squares = out[piece.row / 2 * LANES..].as_chunks_mut::<LANES>().0.as_chunks_mut::<LANES>().0;
                    for (square, first) in squares.iter_mut().zip((0..rows).step_by(STRIPE)) {
                        for soon in first + STRIPE..first + 2 * STRIPE {
                            prefetch(data.as_ptr().wrapping_add(soon * ld + start), LANES);
                        }
                        if wide == LANES && first + STRIPE <= rows {
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
    }

    fn columns_of(memory: &Rounded, whole: Shape) -> Left<'_, Pair> {
        Left { data: memory.data(), row: units(whole.rows), step: LANES }
    }

    fn pass(stripe: Stripe<'_>, columns: &mut Rounded, rows: Option<&mut Rounded>, whole: Shape) -> bool {
        let (column, row) = (LANES * units(whole.rows), units(whole.cols));
        let columns = columns.room(whole.cols.next_multiple_of(LANES) * units(whole.rows));
        let columns = &mut columns[stripe.col / LANES * column + stripe.row / 2 * LANES..];
        let rows = rows.map(|rows| {
            let data = rows.room(whole.rows.next_multiple_of(LANES) * row);
            let data = &mut data[stripe.row * row + stripe.col / 2 * LANES..];
            Rows { data, stride: LANES, below: LANES * row }
        });
        pass::run::<true>(stripe, columns, column, rows)
    }
}

/// Pairs of so many terms, in whole squares.
fn units(terms: usize) -> usize {
    terms.div_ceil(2).next_multiple_of(LANES)
}

/// Memory of a left operand in bf16.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounded {
    data: Vec<Pair>,
    /// First pair in use, at the start of a cache line: a square's row then is one.
    start: usize,
    /// Pairs in use.
    len: usize,
}

impl Rounded {
    /// Room for so many pairs. What is there stays, if there was room for as many before.
    fn room(&mut self, pairs: usize) -> &mut [Pair] {
        self.data.resize(self.data.len().max(pairs + LANES), Pair::default());
        self.start = self.data.as_ptr().align_offset(LINE).min(LANES);
        self.len = pairs;
        &mut self.data[self.start..][..pairs]
    }

    fn data(&self) -> &[Pair] {
        &self.data[self.start..][..self.len]
    }
}

/// A stride of so many units that does not send all rows to the same cache sets, as multiples of 4 KiB would.
fn uneven(units: usize) -> usize {
    if units.is_multiple_of(1024) { units + LANES } else { units }
}
