//! [`TouchedRows`]: the distinct rows of a table that a batch reads, with the sum of their gradients.

use pleiad_data::{Ids, Pooling};
use pulp::Arch;

use super::vector;
use crate::optim::square_sum;

/// One embedding of a batch: the ids that were looked up and the gradient of what they gave.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// The ids of all B batch rows.
    pub ids: &'a Ids,
    /// How several ids became one vector.
    pub pooling: Option<Pooling>,
    /// Whose gradients `grad` has.
    pub of: GradientOf,
    /// Row-major gradient; that of row i stands at `grad[i * ld + col ..][.. dim]`.
    pub grad: &'a [f32],
    /// Leading dimension of `grad`.
    pub ld: usize,
    /// Column of the vector's first element.
    pub col: usize,
}

/// What the rows of a [`Use`]'s gradient belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GradientOf {
    /// The vectors that the rows of the batch read.
    BatchRows,
    /// The vectors of all ids, one by one: row i of the gradient is that of the i-th id of the batch.
    Values,
    /// The rows of the table, each the sum over all ids that name it, with zeros for those that none names.
    TableRows,
}

/// The distinct rows of one table that a batch touches, in order of their first appearance, and their gradients.
///
/// Gradients of a row that appears several times are summed in the order of uses and positions, so that the result
/// depends on the batch alone. The scratch space is kept from batch to batch and grows with batches, not with the
/// table.
#[derive(Debug, Default)]
pub struct TouchedRows {
    table_rows: usize,
    dim: usize,
    /// Distinct, all below `table_rows`: what the update of disjoint rows from several threads rests on.
    rows: Vec<usize>,
    /// `[rows, dim]`.
    grads: Vec<f32>,
    /// Per id of the batch, its row's position in `rows`.
    at: Vec<u32>,
    /// Where a row stands in `rows`, or [`VACANT`]: by row in a small table, else by hash.
    places: Vec<u32>,
}

const VACANT: u32 = u32::MAX;

/// Rows that are reported together as they are found, so that they are prefetched together (as in
/// lookups).
const FOUND: usize = 16;

impl TouchedRows {
    /// Nothing touched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Collects the rows of a batch that `uses` read from a table of `table_rows` rows of width `dim`, forgetting
    /// those of the batch before.
    ///
    /// A row's gradient is the sum of the gradients of all vectors that it is part of; under mean pooling each divided
    /// by the number of ids in it. An id that appears twice in a batch row counts twice.
    ///
    /// # Panics
    /// If an id is not below `table_rows` (see [`super::Table::check_ids`]), a gradient is too short, or there are
    /// 2^32 ids or more.
    pub fn gather(&mut self, table_rows: usize, dim: usize, uses: &[Use<'_>]) {
        self.gather_and(table_rows, dim, uses, |_| {});
    }

    /// [`TouchedRows::gather`], which reports rows as they are found, [`FOUND`] at once, except for the last
    /// ones.
    pub(super) fn gather_and(&mut self, table_rows: usize, dim: usize, uses: &[Use<'_>], found: impl Fn(&[usize])) {
        let positions: usize = uses.iter().map(|u| u.ids.table_rows().len()).sum();
        assert!(positions < VACANT as usize, "{positions} ids in one batch");
        self.table_rows = table_rows;
        self.dim = dim;
        self.places.clear();
        Arch::new().dispatch(
            #[inline(always)]
            || {
                // Clearing must cost no more than the batch: a place per row only if the table is no larger than that.
                if table_rows <= 4 * positions {
                    self.places.resize(table_rows, VACANT);
                    self.find(uses, Direct, found);
                } else {
                    let bits = (4 * positions).next_power_of_two().trailing_zeros().max(1);
                    self.places.resize(1 << bits, VACANT);
                    self.find(uses, Hashed { shift: 64 - bits }, found);
                }
                self.grads.clear();
                self.grads.resize(self.rows.len() * dim, 0.0);
                sum(&self.at, &self.rows, dim, uses, &mut self.grads);
            },
        );
    }

    /// Sums other gradients of the very ids that [`TouchedRows::gather`] was last called with, such as those of another
    /// task, into `grads`: `[U, dim]`, in the order of [`TouchedRows::rows`].
    pub(crate) fn sum_again(&self, uses: &[Use<'_>], grads: &mut Vec<f32>) {
        grads.clear();
        grads.resize(self.rows.len() * self.dim, 0.0);
        Arch::new().dispatch(
            #[inline(always)]
            || sum(&self.at, &self.rows, self.dim, uses, grads),
        );
    }

    /// Fills `rows` with the distinct rows and `at` with the position of each id among them.
    #[inline(always)]
    fn find(&mut self, uses: &[Use<'_>], index: impl Index, found: impl Fn(&[usize])) {
        self.rows.clear();
        self.at.clear();
        for &id in uses.iter().flat_map(|u| u.ids.table_rows()) {
            let row = id as usize;
            assert!(row < self.table_rows, "row {id} of a table of {}", self.table_rows);
            let place = index.place(&mut self.places, &self.rows, row);
            if *place == VACANT {
                *place = self.rows.len() as u32;
                self.rows.push(row);
                if self.rows.len().is_multiple_of(FOUND) {
                    found(&self.rows[self.rows.len() - FOUND..]);
                }
            }
            self.at.push(*place);
        }
    }

    /// Rows of the table that was gathered for.
    #[must_use]
    pub fn table_rows(&self) -> usize {
        self.table_rows
    }

    /// Width of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The U distinct rows, in order of their first appearance.
    #[must_use]
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Their gradients, `[U, dim]`.
    #[must_use]
    pub fn grads(&self) -> &[f32] {
        &self.grads
    }

    /// Their gradients, to be changed.
    pub(crate) fn grads_mut(&mut self) -> &mut [f32] {
        &mut self.grads
    }

    /// Sum of the squares of all gradients, for the norm of the whole gradient.
    #[must_use]
    pub fn square_sum(&self) -> f64 {
        square_sum(&self.grads)
    }
}

/// Adds the gradient of every id to that of its row, which is the one in `rows` that `at` says, and in `grads`.
#[inline(always)]
fn sum(mut at: &[u32], rows: &[usize], dim: usize, uses: &[Use<'_>], grads: &mut [f32]) {
    for u in uses {
        let (own, rest) = at.split_at(u.ids.table_rows().len());
        at = rest;
        if u.of == GradientOf::TableRows {
            for (&row, sum) in rows.iter().zip(grads.chunks_exact_mut(dim)) {
                vector::add(sum, &u.grad[row * u.ld + u.col..][..dim]);
            }
            continue;
        }
        match u.ids {
            Ids::Multiple { .. } if u.of == GradientOf::Values => {
                for (i, &at) in own.iter().enumerate() {
                    let grad = &u.grad[i * u.ld + u.col..][..dim];
                    vector::add(&mut grads[at as usize * dim..][..dim], grad);
                }
            }
            Ids::Single(_) => {
                for (i, &at) in own.iter().enumerate() {
                    let grad = &u.grad[i * u.ld + u.col..][..dim];
                    vector::add(&mut grads[at as usize * dim..][..dim], grad);
                }
            }
            Ids::Multiple { offsets, .. } => {
                for (i, range) in offsets.windows(2).enumerate() {
                    let own = &own[range[0]..range[1]];
                    let mean = u.pooling == Some(Pooling::Mean);
                    let share = if mean { 1.0 / own.len() as f32 } else { 1.0 };
                    for &at in own {
                        let grad = &u.grad[i * u.ld + u.col..][..dim];
                        vector::add_scaled(&mut grads[at as usize * dim..][..dim], share, grad);
                    }
                }
            }
        }
    }
}

/// Where to find out whether a row was seen before.
trait Index: Copy {
    /// The place of `row`: what it holds is the row's position in `rows`, or [`VACANT`].
    fn place<'a>(self, places: &'a mut [u32], rows: &[usize], row: usize) -> &'a mut u32;
}

/// A place per row of the table.
#[derive(Clone, Copy)]
struct Direct;

impl Index for Direct {
    #[inline(always)]
    fn place<'a>(self, places: &'a mut [u32], _: &[usize], row: usize) -> &'a mut u32 {
        &mut places[row]
    }
}

/// Open addressing in a power of two of places, at least three quarters of them vacant.
#[derive(Clone, Copy)]
struct Hashed {
    shift: u32,
}

impl Index for Hashed {
    #[inline(always)]
    fn place<'a>(self, places: &'a mut [u32], rows: &[usize], row: usize) -> &'a mut u32 {
        // Fibonacci hashing: the upper bits of a product with 2^64 / golden ratio spread runs and strides alike.
        let mut at = ((row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize;
        let mask = places.len() - 1;
        while places[at] != VACANT && rows[places[at] as usize] != row {
            at = (at + 1) & mask;
        }
        &mut places[at]
    }
}
