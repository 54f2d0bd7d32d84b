//! Reading a table: the forward pass of an embedding.

use std::ops::Range;

use pleiad_data::{Ids, Pooling};
use pulp::Arch;

use super::number::Number;
use super::rows::Rows;
use super::table::{Store, on_rows};
use super::{Table, vector};
use crate::{Error, Result};

/// How many ids ahead of those in work memory is asked for, all at once: a request whose page is not known yet holds up
/// what comes after it, but not other requests. (One by one they had half as many samples again in w3.)
const AHEAD: usize = 16;

/// Bytes of a table that is not asked for ahead: the nearest cache holds it, or will soon.
const NEAR: usize = 1 << 14;

impl Table {
    /// Whether every id names a row of this table. Done once per batch, before any [`Table::lookup`].
    ///
    /// # Errors
    /// [`Error::IdOutOfRange`] names the first id that does not, with its batch row.
    pub fn check_ids(&self, ids: &Ids) -> Result<()> {
        let bound = self.rows() as u64;
        // One comparison per id without a branch; the culprit is looked for only where there is one.
        let all = ids.table_rows();
        let highest = Arch::new().dispatch(
            #[inline(always)]
            || all.iter().fold(0, |max, &id| max.max(id)),
        );
        if highest < bound || all.is_empty() {
            return Ok(());
        }
        for row in 0..ids.len() {
            if let Some(&id) = all[ids.range(row)].iter().find(|&&id| id >= bound) {
                return Err(Error::IdOutOfRange { table: self.name().to_owned(), id, row, rows: self.rows() });
            }
        }
        Ok(())
    }

    /// Writes the vectors of batch rows `rows`, pooled where a row has several ids, into a row-major matrix: that of
    /// batch row `rows.start + i` to `out[i * ld + col ..][.. dim]`.
    ///
    /// A row without ids gives zeros, a sum runs in the order of the ids. Without pooling several ids are summed.
    ///
    /// # Panics
    /// If `out` is too short, `col + dim` exceeds `ld`, or an id was not checked by [`Table::check_ids`].
    pub fn lookup(
        &self,
        ids: &Ids,
        rows: Range<usize>,
        pooling: Option<Pooling>,
        out: &mut [f32],
        ld: usize,
        col: usize,
    ) {
        if rows.is_empty() {
            return;
        }
        on_rows!(&self.store, table => table.lookup(ids, rows, pooling, out, ld, col));
    }
}

impl Table {
    /// Writes the vector of each of `ids`, as [`Table::lookup`] does of one id a row.
    ///
    /// # Panics
    /// As there.
    pub fn lookup_each(&self, ids: &[u64], out: &mut [f32], ld: usize, col: usize) {
        if ids.is_empty() {
            return;
        }
        on_rows!(&self.store, table => table.lookup_each(ids, out, ld, col));
    }
}

impl<N: Number> Rows<N> {
    fn lookup_each(&self, ids: &[u64], out: &mut [f32], ld: usize, col: usize) {
        Arch::new().dispatch(
            #[inline(always)]
            || self.single(ids, out, ld, col),
        );
    }

    fn lookup(&self, ids: &Ids, rows: Range<usize>, pooling: Option<Pooling>, out: &mut [f32], ld: usize, col: usize) {
        Arch::new().dispatch(
            #[inline(always)]
            || match ids {
                Ids::Single(ids) => self.single(&ids[rows], out, ld, col),
                Ids::Multiple { offsets, rows: ids } => {
                    self.multiple(&offsets[rows.start..=rows.end], ids, pooling == Some(Pooling::Mean), out, ld, col);
                }
            },
        );
    }

    #[inline(always)]
    fn single(&self, ids: &[u64], out: &mut [f32], ld: usize, col: usize) {
        let end = col + self.dim();
        assert!(end <= ld && out.len() >= (ids.len() - 1) * ld + end, "room for every vector");
        match self.dim() {
            4 => self.each(ids, out, ld, col, vector::copy_all::<4, N>),
            8 => self.each(ids, out, ld, col, vector::copy_all::<8, N>),
            16 => self.each(ids, out, ld, col, vector::copy_all::<16, N>),
            32 => self.each(ids, out, ld, col, vector::copy_all::<32, N>),
            _ => self.each(ids, out, ld, col, vector::copy),
        }
    }

    /// [`Rows::single`] by `copy`. What ids name is asked for ahead, unless it is in cache anyway.
    #[inline(always)]
    fn each(&self, ids: &[u64], out: &mut [f32], ld: usize, col: usize, copy: impl Fn(&mut [f32], &[N])) {
        let write = |ids: &[u64], out: &mut [f32]| {
            for (&id, out) in ids.iter().zip(out.chunks_mut(ld)) {
                copy(&mut out[col..col + self.dim()], self.weights_of(id));
            }
        };
        if self.bytes() <= NEAR {
            return write(ids, out);
        }
        let mut soon = ids.chunks(AHEAD);
        soon.next().unwrap_or_default().iter().for_each(|&id| self.ask_for(id));
        for (now, out) in ids.chunks(AHEAD).zip(out.chunks_mut(AHEAD * ld)) {
            soon.next().unwrap_or_default().iter().for_each(|&id| self.ask_for(id));
            write(now, out);
        }
    }

    #[inline(always)]
    fn multiple(&self, offsets: &[usize], ids: &[u64], mean: bool, out: &mut [f32], ld: usize, col: usize) {
        let to = col..col + self.dim();
        assert!(to.end <= ld && out.len() >= (offsets.len() - 2) * ld + to.end, "room for every vector");
        for (range, out) in offsets.windows(2).zip(out.chunks_mut(ld)) {
            // As many ids as this row has, a few rows' worth ahead.
            let soon = range[0] + AHEAD..range[1] + AHEAD;
            ids.get(soon.start.min(ids.len())..soon.end.min(ids.len()))
                .unwrap_or_default()
                .iter()
                .for_each(|&id| self.ask_for(id));
            let out = &mut out[to.clone()];
            let Some((&first, rest)) = ids[range[0]..range[1]].split_first() else {
                out.fill(0.0);
                continue;
            };
            vector::copy(out, self.weights_of(first));
            for &id in rest {
                vector::add(out, self.weights_of(id));
            }
            if mean && !rest.is_empty() {
                let share = 1.0 / (rest.len() + 1) as f32;
                out.iter_mut().for_each(|x| *x *= share);
            }
        }
    }
}
