//! The right operand packed for the inner loops, columns in strips.

use std::ops::Range;

use rayon::prelude::*;

use super::bf16::{pair_neighbours, pair_rows};
use super::{Kernel, LANES, PANEL, Pair, Unit};
use crate::kernels::{Lines, MatRef, dispatch, prefetch};

/// Blocks of 16 terms that packing asks for ahead.
const AHEAD: usize = 4;

/// A right operand: `depth` units by `cols` columns, in panels of [`PANEL`] columns. Element (r, j) of a panel of width
/// w stands at `r * w + j`; the last panel is as wide as it must be, in whole registers, and padded with zeros. So is the
/// depth, to a multiple of [`Kernel::UNITS`].
#[derive(Debug, Default)]
pub(crate) struct Panels<U> {
    data: Lines<U>,
    depth: usize,
    cols: usize,
}

impl<U: Unit> Panels<U> {
    /// Units of the reduction, with those that pad it.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns.
    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    /// Units `range` of panel `p`.
    pub(super) fn panel(&self, p: usize, range: Range<usize>) -> &[U] {
        let width = (self.cols - p * PANEL).min(PANEL).next_multiple_of(LANES);
        &self.data.get()[p * PANEL * self.depth..][range.start * width..range.end * width]
    }

    /// Packs `source`, terms of the sum by columns, for K, in the memory that is there. `parallel`: over the threads of the
    /// pool.
    pub(crate) fn pack<K: Kernel<Unit = U>>(&mut self, source: MatRef<'_>, parallel: bool) {
        let units = source.rows().div_ceil(U::TERMS);
        (self.depth, self.cols) = (units.next_multiple_of(K::UNITS), source.cols());
        let full = PANEL * self.depth;
        let data = self.data.room(self.depth * self.cols.next_multiple_of(LANES));
        if full == 0 {
            return;
        }
        let one = |(p, panel): (usize, &mut [U])| {
            let start = p * PANEL;
            let part = source.columns(start..source.cols().min(start + PANEL));
            let (panel, padding) = panel.split_at_mut(units * part.cols().next_multiple_of(LANES));
            dispatch(
                #[inline(always)]
                || U::pack_panel(panel, part),
            );
            padding.fill(U::default());
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
    fn pack_panel(panel: &mut [Self], s: MatRef<'_>) {
        if s.col_stride() != 1 {
            // Of a known length but for the last ones: a call for each would cost more than what it copies.
            return turned(panel, s, |column, out| match column.first_chunk() {
                Some(column) => *out = *column,
                None => out[..column.len()].copy_from_slice(column),
            });
        }
        if s.cols() == PANEL {
            // Of a known length: three registers, and no call for each row.
            for (row, x) in panel.as_chunks_mut::<PANEL>().0.iter_mut().zip(s.each_row()) {
                prefetch(x.as_ptr().wrapping_add(2 * AHEAD * s.row_stride()), PANEL);
                row.copy_from_slice(&x[..PANEL]);
            }
            return;
        }
        for (row, x) in panel.chunks_exact_mut(s.cols().next_multiple_of(LANES)).zip(s.each_row()) {
            let (row, padding) = row.split_at_mut(x.len());
            row.copy_from_slice(x);
            padding.fill(0.0);
        }
    }
}

impl Unit for Pair {
    const TERMS: usize = 2;

    #[inline(always)]
    fn pack_panel(panel: &mut [Self], s: MatRef<'_>) {
        if s.col_stride() != 1 {
            return turned(panel, s, |column, out| pair_neighbours(column, out));
        }
        for (r, row) in panel.chunks_exact_mut(s.cols().next_multiple_of(LANES)).enumerate() {
            for soon in [2 * (r + AHEAD), 2 * (r + AHEAD) + 1] {
                prefetch(s.start().wrapping_add(soon * s.row_stride()), PANEL);
            }
            let (row, padding) = row.split_at_mut(s.cols());
            pair_rows(row, s, 2 * r);
            padding.fill(Self::default());
        }
    }
}

/// Fills a panel whose columns lie in runs: in blocks of 16 units of 16 columns, which are laid side by side and then
/// turned. `units` makes the units of a run.
#[inline(always)]
fn turned<U: Unit>(panel: &mut [U], s: MatRef<'_>, units: impl Fn(&[f32], &mut [U; LANES])) {
    let (columns, width) = (s.transposed(), s.cols().next_multiple_of(LANES));
    for (block, rows) in panel.chunks_mut(LANES * width).enumerate() {
        let first = block * LANES * U::TERMS;
        let terms = first..s.rows().min(first + LANES * U::TERMS);
        let deep = rows.len() / width;
        for start in (0..width).step_by(LANES) {
            let mut side = [[U::default(); LANES]; LANES];
            for (j, side) in (start..s.cols()).zip(&mut side) {
                let run = &columns.row(j)[terms.clone()];
                prefetch(run.as_ptr().wrapping_add(AHEAD * LANES * U::TERMS), LANES * U::TERMS);
                units(run, side);
            }
            U::turn(&mut side);
            for (row, turned) in rows.chunks_exact_mut(width).zip(&side[..deep]) {
                row[start..start + LANES].copy_from_slice(turned);
            }
        }
    }
}
