//! Left operands of bf16: those of f32 are read in place, these are copied ([`super::Kernel::left`]).

use super::bf16::{pair_neighbours, pair_rows, pair_runs, turn_pairs};
use super::{LANES, Pair, Unit};
use crate::kernels::{Lines, MatRef, dispatch, prefetch};

/// `x` in pairs: rows as they are, neighbours within a row as pairs; or columns where they are, side by side, neighbours
/// within a column as pairs.
pub(super) fn pairs<'a>(memory: &'a mut Lines<Pair>, x: MatRef<'_>) -> MatRef<'a, Pair> {
    let (rows, terms) = (x.rows(), x.cols());
    let units = terms.div_ceil(2);
    if x.col_stride() == 1 {
        let ld = uneven(units);
        let pairs = memory.room(rows * ld);
        dispatch(
            #[inline(always)]
            || {
                for (out, x) in pairs.chunks_mut(ld.max(1)).zip(x.each_row()) {
                    pair_neighbours(x, &mut out[..units]);
                }
            },
        );
        return MatRef::new(memory.get(), rows, units, ld);
    }
    let ld = uneven(rows);
    let pairs = memory.room(units * ld);
    dispatch(
        #[inline(always)]
        || {
            for (r, out) in pairs.chunks_mut(ld.max(1)).enumerate() {
                pair_rows(&mut out[..rows], x.transposed(), 2 * r);
            }
        },
    );
    MatRef::new(memory.get(), units, rows, ld).transposed()
}

/// Units of a square.
const SQUARE: usize = LANES * LANES;

/// Terms of a square's row.
const TERMS: usize = 2 * LANES;

/// `x` in squares of 16 rows of 16 pairs, one after another along the reduction, then down the rows.
pub(super) fn squares<'a>(memory: &'a mut Lines<Pair>, x: MatRef<'_>) -> MatRef<'a, Pair> {
    let bands = x.rows().div_ceil(LANES);
    let band = LANES * x.cols().div_ceil(2).next_multiple_of(LANES);
    let pairs = memory.room(bands * band);
    dispatch(
        #[inline(always)]
        || match x.col_stride() {
            1 => rows_in_squares(pairs, band, x),
            _ => columns_in_squares(pairs, band, x.transposed()),
        },
    );
    MatRef::new(memory.get(), bands, band, band)
}

/// Each row of a square is a run of sixteen pairs.
#[inline(always)]
fn rows_in_squares(pairs: &mut [Pair], band: usize, x: MatRef<'_>) {
    let whole = x.cols() - x.cols() % TERMS;
    for (i, x) in x.each_row().enumerate() {
        let squares = &mut pairs[i / LANES * band..][..band];
        let out = &mut squares[i % LANES * LANES..];
        pair_runs(&x[..whole], out, SQUARE);
        if whole < x.len() {
            let end = &mut out[whole / 2 * LANES..][..LANES];
            end.fill(Pair::default());
            pair_neighbours(&x[whole..], end);
        }
    }
}

/// Sixteen columns by sixteen pairs, turned into rows.
#[inline(always)]
fn columns_in_squares(pairs: &mut [Pair], band: usize, x: MatRef<'_>) {
    for (i, out) in pairs.chunks_mut(band.max(1)).enumerate() {
        let columns = x.columns(i * LANES..x.cols().min((i + 1) * LANES));
        let squares = out.as_chunks_mut::<LANES>().0.as_chunks_mut::<LANES>().0;
        for (square, first) in squares.iter_mut().zip((0..x.rows()).step_by(TERMS)) {
            for soon in first + TERMS..first + 2 * TERMS {
                prefetch(columns.start().wrapping_add(soon * x.row_stride()), LANES);
            }
            let side = columns.part(first..x.rows().min(first + TERMS), 0..columns.cols());
            if side.cols() == LANES && side.rows() == TERMS {
                turn_pairs(square, side);
                continue;
            }
            *square = [[Pair::default(); LANES]; LANES];
            for (r, out) in (0..side.rows()).step_by(2).zip(square.iter_mut()) {
                pair_rows(&mut out[..side.cols()], side, r);
            }
            Pair::turn(square);
        }
    }
}

/// A stride of so many units that does not send all rows to the same cache sets, as multiples of 4 KiB would.
fn uneven(units: usize) -> usize {
    if units.is_multiple_of(1024) { units + LANES } else { units }
}
