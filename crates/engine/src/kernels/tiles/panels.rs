//! The right operand packed for the inner loops, columns in strips; and f32 rounded to pairs of bf16.

use std::ops::Range;

use rayon::prelude::*;

use super::{Kernel, LANES, PANEL, Pair, Unit, processor};
use crate::kernels::{Lines, dispatch, prefetch};

/// Blocks of 16 terms that packing asks for ahead.
const AHEAD: usize = 4;

/// A right operand: `depth` units by `cols` columns, in panels of [`PANEL`] columns. Element (r, j) of a panel of width
/// w stands at `r * w + j`; the last panel is as wide as it must be, in whole registers, and padded with zeros. So is the
/// depth, to a multiple of [`Kernel::UNITS`].
#[derive(Debug, Default)]
pub(crate) struct Panels<K: Kernel> {
    data: Lines<K::Unit>,
    depth: usize,
    cols: usize,
}

/// A matrix to be packed: element (r, j), term r of the sum and column j, at `r * row + j * col`. One stride is 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) terms: usize,
    pub(crate) cols: usize,
    pub(crate) row: usize,
    pub(crate) col: usize,
}

impl<K: Kernel> Panels<K> {
    /// Units of the reduction, with those that pad it.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Units `range` of panel `p`.
    pub(super) fn panel(&self, p: usize, range: Range<usize>) -> &[K::Unit] {
        let width = (self.cols - p * PANEL).min(PANEL).next_multiple_of(LANES);
        &self.data.get()[p * PANEL * self.depth..][range.start * width..range.end * width]
    }

    /// Packs `source`, in the memory that is there. `parallel`: over the threads of the pool.
    pub(crate) fn pack(&mut self, source: Source<'_>, parallel: bool) {
        assert!(source.row == 1 || source.col == 1, "a matrix to be packed has no unit stride");
        let units = source.terms.div_ceil(K::Unit::TERMS);
        self.depth = units.next_multiple_of(K::UNITS);
        self.cols = source.cols;
        let full = PANEL * self.depth;
        let len = self.depth * self.cols.next_multiple_of(LANES);
        let data = self.data.room(len);
        if full == 0 {
            return;
        }
        let one = |(p, panel): (usize, &mut [K::Unit])| {
            let start = p * PANEL;
            let cols = (source.cols - start).min(PANEL);
            let part = Source { data: &source.data[start * source.col..], cols, ..source };
            let (panel, padding) = panel.split_at_mut(units * cols.next_multiple_of(LANES));
            dispatch(
                #[inline(always)]
                || K::Unit::pack_panel(panel, part),
            );
            padding.fill(K::Unit::default());
        };
        if parallel {
            data.par_chunks_mut(full).enumerate().for_each(one);
        } else {
            data.chunks_mut(full).enumerate().for_each(one);
        }
    }
}

impl Unit for f32 {
    const TERMS: usize = 1;

    #[inline(always)]
    fn pack_panel(panel: &mut [Self], s: Source<'_>) {
        let width = s.cols.next_multiple_of(LANES);
        if s.col == 1 {
            if s.cols == PANEL {
                // Of a known length: three registers, and no call for each row.
                for (row, x) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(s.data.chunks(s.row)) {
                    prefetch(x.as_ptr().wrapping_add(2 * AHEAD * s.row), PANEL);
                    row.copy_from_slice(&x[..PANEL]);
                }
                return;
            }
            for (r, row) in panel.chunks_exact_mut(width).enumerate() {
                row[..s.cols].copy_from_slice(&s.data[r * s.row..][..s.cols]);
                row[s.cols..].fill(0.0);
            }
        } else {
            // Of a known length but for the last ones: a call for each would cost more than what it copies.
            turned(panel, s, |column, out| match column.first_chunk() {
                Some(column) => *out = *column,
                None => out[..column.len()].copy_from_slice(column),
            });
        }
    }
}

impl Unit for Pair {
    const TERMS: usize = 2;

    #[inline(always)]
    fn pack_panel(panel: &mut [Self], s: Source<'_>) {
        let width = s.cols.next_multiple_of(LANES);
        if s.col == 1 {
            for (r, row) in panel.chunks_exact_mut(width).enumerate() {
                for soon in [2 * (r + AHEAD), 2 * (r + AHEAD) + 1] {
                    prefetch(s.data.as_ptr().wrapping_add(soon * s.row), PANEL);
                }
                let (row, padding) = row.split_at_mut(s.cols);
                pair_rows(row, s.data, s.row, 2 * r, s.terms);
                padding.fill(Self::default());
            }
        } else {
            turned(panel, s, |column, out| pair_neighbours(column, out));
        }
    }
}

/// Fills a panel whose columns are runs of `s.data`: in blocks of 16 units of 16 columns, which are laid side by side
/// and then turned. `units` makes the units of a run.
#[inline(always)]
fn turned<U: Unit>(panel: &mut [U], s: Source<'_>, units: impl Fn(&[f32], &mut [U; LANES])) {
    let width = s.cols.next_multiple_of(LANES);
    for (block, rows) in panel.chunks_mut(LANES * width).enumerate() {
        let first = block * LANES * U::TERMS;
        let terms = (s.terms - first).min(LANES * U::TERMS);
        let deep = rows.len() / width;
        for start in (0..width).step_by(LANES) {
            let mut side = [[U::default(); LANES]; LANES];
            for (j, side) in (start..s.cols).zip(&mut side) {
                prefetch(s.data.as_ptr().wrapping_add(j * s.col + first + AHEAD * LANES * U::TERMS), LANES * U::TERMS);
                units(&s.data[j * s.col + first..][..terms], side);
            }
            U::turn(&mut side);
            for (row, turned) in rows.chunks_exact_mut(width).zip(&side[..deep]) {
                row[start..start + LANES].copy_from_slice(turned);
            }
        }
    }
}

impl Pair {
    /// Two numbers, rounded to the nearest bf16.
    #[inline(always)]
    fn of(earlier: f32, later: f32) -> Self {
        Self(rounded(earlier) | rounded(later) << 16)
    }
}

/// The bf16 that is nearest to x, ties to even; NaN stays NaN.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { bits >> 16 | 0x40 } else { nearest }
}

/// The bf16 nearest to x, as f32.
#[inline(always)]
pub(crate) fn round_to_bf16(x: f32) -> f32 {
    f32::from_bits(rounded(x) << 16)
}

/// Neighbours of a run as pairs; zero stands for the one that an odd run lacks.
#[inline(always)]
pub(super) fn pair_neighbours(run: &[f32], out: &mut [Pair]) {
    let done = processor::pair_runs(run, out, LANES);
    let (whole, rest) = run[done..].as_chunks::<2>();
    let out = &mut out[done / 2..];
    out.iter_mut().zip(whole).for_each(|(y, &[a, b])| *y = Pair::of(a, b));
    if let [last] = rest {
        out[whole.len()] = Pair::of(*last, 0.0);
    }
}

/// Neighbours of a run as pairs, of which every sixteen begin `stride` after those before. The run fills them.
#[inline(always)]
pub(super) fn pair_runs(run: &[f32], out: &mut [Pair], stride: usize) {
    let done = processor::pair_runs(run, out, stride);
    let out = out.chunks_mut(stride).skip(done / (2 * LANES));
    run[done..].chunks(2 * LANES).zip(out).for_each(|(run, out)| pair_neighbours(run, &mut out[..LANES]));
}

/// 32 rows of 16 columns of a matrix, whose neighbours within a column become pairs, turned over: a column each.
#[inline(always)]
pub(super) fn turn_pairs(square: &mut [[Pair; LANES]; LANES], data: &[f32], ld: usize) {
    if !processor::turn_pairs(square, data, ld) {
        for (r, side) in square.iter_mut().enumerate() {
            pair_rows(side, data, ld, 2 * r, 2 * LANES);
        }
        Pair::turn(square);
    }
}

/// Rows `first` and the next of a matrix of `rows` rows, column by column; zero stands for a row that is not there.
#[inline(always)]
pub(super) fn pair_rows(out: &mut [Pair], data: &[f32], ld: usize, first: usize, rows: usize) {
    let earlier = &data[first * ld..][..out.len()];
    if first + 1 < rows {
        let later = &data[(first + 1) * ld..][..out.len()];
        let done = processor::pair_rows(earlier, later, out);
        let rest = out.iter_mut().zip(earlier).zip(later).skip(done);
        rest.for_each(|((y, &a), &b)| *y = Pair::of(a, b));
    } else {
        out.iter_mut().zip(earlier).for_each(|(y, &a)| *y = Pair::of(a, 0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instruction_rounds_as_we_do() {
        // Every normal upper half, with lower halves around the tie.
        for lower in [0u32, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
            let upper = (0..=0xFFFFu32).filter(|upper| (0x80..0x7F80).contains(&(upper & 0x7FFF)));
            let values: Vec<f32> = upper.map(|upper| f32::from_bits(upper << 16 | lower)).collect();
            let (odd, even) = (&values[1..], &values[..values.len() - 1]);
            let (mut found, mut rows) = (vec![Pair::default(); values.len() / 2], vec![Pair::default(); odd.len()]);
            pair_neighbours(&values, &mut found);
            for (pair, x) in found.iter().zip(values.chunks(2)) {
                assert_eq!(*pair, Pair::of(x[0], x[1]));
            }
            let mut matrix = even.to_vec();
            matrix.extend_from_slice(odd);
            pair_rows(&mut rows, &matrix, odd.len(), 0, 2);
            for (pair, (&a, &b)) in rows.iter().zip(even.iter().zip(odd)) {
                assert_eq!(*pair, Pair::of(a, b));
            }
        }
        let mut found = [Pair::default(); 16];
        pair_neighbours(&[f32::NAN, f32::INFINITY].repeat(16), &mut found);
        assert!(found.iter().all(|p| f32::from_bits(p.0 << 16).is_nan() && p.0 >> 16 == 0x7F80));
    }

    #[test]
    fn rounding_goes_to_the_nearest_and_ties_to_even() {
        // bf16 has 8 bits of precision: neighbours of 1 are 1 - 2^-8 and 1 + 2^-7.
        let unit = 2f32.powi(-7);
        for (x, nearest) in [
            (1.0, 1.0),
            (1.0 + 0.4 * unit, 1.0),
            (1.0 + 0.5 * unit, 1.0),
            (1.0 + 0.6 * unit, 1.0 + unit),
            (1.0 + 1.5 * unit, 1.0 + 2.0 * unit),
            (-1.0 - 0.6 * unit, -1.0 - unit),
            (0.0, 0.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
        ] {
            assert_eq!(round_to_bf16(x), nearest, "{x}");
        }
        assert_eq!(round_to_bf16(-0.0).to_bits(), (-0.0f32).to_bits());
        // Of this one only lower bits say that it is no infinity.
        assert!(round_to_bf16(f32::from_bits(0x7F80_0001)).is_nan());
        assert!(round_to_bf16(f32::NAN).is_nan());
    }

    #[test]
    fn squares_are_turned_as_rows_are_paired() {
        let (ld, rows) = (19, 2 * LANES);
        let matrix: Vec<f32> = (0..rows * ld).map(|i| i as f32 / 7.0).collect();
        let mut square = [[Pair(7); LANES]; LANES];
        turn_pairs(&mut square, &matrix[2..], ld);
        for (i, row) in square.iter().enumerate() {
            for (r, &pair) in row.iter().enumerate() {
                let at = |row: usize| matrix[row * ld + 2 + i];
                assert_eq!(pair, Pair::of(at(2 * r), at(2 * r + 1)), "({i}, {r})");
            }
        }
        // One that ends with the last element, and the first that is too short.
        turn_pairs(&mut square, &matrix[..(rows - 1) * ld + LANES], ld);
        let short = &matrix[..(rows - 1) * ld + LANES - 1];
        assert!(std::panic::catch_unwind(move || turn_pairs(&mut square, short, ld)).is_err());
    }

    #[test]
    fn runs_are_paired_wherever_they_go() {
        for stride in [LANES, LANES + 3, 4 * LANES] {
            let run: Vec<f32> = (0..6 * LANES).map(|i| i as f32 / 3.0).collect();
            let mut out = vec![Pair(7); 3 * stride];
            pair_runs(&run, &mut out, stride);
            for (r, pair) in run.chunks(2).enumerate() {
                assert_eq!(out[r / LANES * stride + r % LANES], Pair::of(pair[0], pair[1]), "{stride}, {r}");
            }
            let between = out.chunks(stride).flat_map(|part| &part[LANES..]);
            assert!(between.copied().all(|pair| pair == Pair(7)));
        }
    }

    #[test]
    fn pairs_hold_the_earlier_term_below() {
        assert_eq!(Pair::of(1.0, -2.0), Pair(0xC000_3F80));
        let mut out = [Pair(7); 3];
        pair_neighbours(&[1.0, -2.0, 4.0], &mut out);
        assert_eq!(out, [Pair(0xC000_3F80), Pair(0x4080), Pair(7)]);
    }
}
