//! [`Rows`]: the numbers of a table, row by row.

use std::ops::Range;

use pleiad_model::init::{BLOCK, Init};
use pulp::Arch;
use rayon::prelude::*;

use super::TouchedRows;
use super::number::Number;
use super::rounding::StepBits;
use crate::kernels::prefetch;
use crate::optim::StepRule;
use crate::storage::Storage;

/// Touched rows per unit of parallel work: enough to outweigh handing it over, few enough to spread a batch.
const ROWS_PER_TASK: usize = 512;

/// How many rows ahead of the one in work memory is asked for. A row of a large table is a cache miss per line, and
/// arithmetic alone leaves too few of them in flight: asking ahead halves the time of an update.
const AHEAD: usize = 12;

/// Rows of which a mean is taken at the most: more say no more, and would take a look at all of a large table.
const AVERAGED: usize = 1 << 20;

/// Rows `[w | state 0 | state 1]`, one after the other.
#[derive(Debug)]
pub(super) struct Rows<N> {
    values: Storage<N>,
    dim: usize,
    stride: usize,
}

impl<N: Number> Rows<N> {
    /// `values` holds rows of `dim` weights with `slots` state values each, and nothing else.
    pub(super) fn new(values: Storage<N>, dim: usize, slots: usize) -> Self {
        Self { values, dim, stride: dim * (1 + slots) }
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    fn count(&self) -> usize {
        self.values.len() / self.stride
    }

    /// Bytes of all rows.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.values)
    }

    /// Weights of row `id`.
    #[inline(always)]
    pub(super) fn weights_of(&self, id: u64) -> &[N] {
        &self.values[id as usize * self.stride..][..self.dim]
    }

    /// Asks for the weights of row `id` without waiting for them, whether or not there is such a row.
    #[inline(always)]
    pub(super) fn ask_for(&self, id: u64) {
        prefetch(self.values.as_ptr().wrapping_add((id as usize).wrapping_mul(self.stride)), self.dim);
    }

    /// Asks for all of row `id`, as [`Rows::ask_for`] does for its weights.
    #[inline(always)]
    pub(super) fn ask_for_all(&self, id: usize) {
        prefetch(self.values.as_ptr().wrapping_add(id.wrapping_mul(self.stride)), self.stride);
    }

    /// See [`super::Table::init`].
    pub(super) fn init(&mut self, init: Init, tensor: &str, seed: u64, state: f32) {
        // The stream comes in blocks that do not care for rows. A group of rows that holds whole blocks can be drawn
        // by itself, whichever thread does it.
        let (dim, stride) = (self.dim, self.stride);
        let group = BLOCK / gcd(BLOCK, dim);
        let state = N::nearest(state);
        self.values.par_chunks_mut(group.saturating_mul(stride)).enumerate().for_each(|(index, rows)| {
            let mut skip = index * group * dim;
            let mut left = rows.len() / stride * dim;
            let mut block = vec![0.0; BLOCK.min(left)];
            let mut used = block.len();
            for row in rows.chunks_exact_mut(stride) {
                let (mut weights, states) = row.split_at_mut(dim);
                states.fill(state);
                while !weights.is_empty() {
                    if used == block.len() {
                        block.truncate(left);
                        init.fill(seed, tensor, skip, &mut block);
                        skip += block.len();
                        left -= block.len();
                        used = 0;
                    }
                    let (now, later) = weights.split_at_mut(weights.len().min(block.len() - used));
                    now.iter_mut().zip(&block[used..]).for_each(|(w, &x)| *w = N::nearest(x));
                    used += now.len();
                    weights = later;
                }
            }
        });
    }

    /// Sets every state value.
    pub(super) fn fill_state(&mut self, value: f32) {
        let (dim, value) = (self.dim, N::nearest(value));
        self.values.par_chunks_mut(self.stride).for_each(|row| row[dim..].fill(value));
    }

    /// Appends elements `range`, counted over the rows' `[rows, dim]`, of part `part` to `out`: the weights (0), or a
    /// state (from 1).
    ///
    /// # Panics
    /// If there are fewer elements.
    pub(super) fn read(&self, part: usize, range: Range<usize>, out: &mut Vec<f32>) {
        let (dim, stride) = (self.dim, self.stride);
        // What comes after it is likely to be read next: a file begins before it is asked.
        let soon = range.end..(self.count() * dim).min(range.end.saturating_add(range.len()));
        self.values.expect(soon.start / dim * stride..soon.end.div_ceil(dim) * stride);
        out.reserve(range.len());
        let (mut row, mut column, mut left) = (range.start / dim, range.start % dim, range.len());
        while left > 0 {
            let now = left.min(dim - column);
            let from = &self.values[row * stride + part * dim + column..][..now];
            out.extend(from.iter().map(|number| number.value()));
            (row, column, left) = (row + 1, 0, left - now);
        }
    }

    /// Replaces part `part` from element `at` on, counted over the rows' `[rows, dim]`.
    ///
    /// # Panics
    /// If there are fewer elements behind `at` than `values`.
    pub(super) fn write(&mut self, part: usize, at: usize, mut values: &[f32]) {
        let (dim, stride) = (self.dim, self.stride);
        let (mut row, mut column) = (at / dim, at % dim);
        while !values.is_empty() {
            let (now, later) = values.split_at(values.len().min(dim - column));
            let to = &mut self.values[row * stride + part * dim + column..][..now.len()];
            to.iter_mut().zip(now).for_each(|(number, &x)| *number = N::nearest(x));
            (row, column, values) = (row + 1, 0, later);
        }
    }

    /// Whether row 0 holds what is nearest to these weights.
    pub(super) fn first_is(&self, weights: &[f32]) -> bool {
        self.weights_of(0).iter().zip(weights).all(|(own, &x)| own.value() == N::nearest(x).value())
    }

    /// Whether row 0 is [`Rows::mean_of_others`], be it rounded to bf16.
    pub(super) fn first_is_mean(&self) -> bool {
        let is_near = |(own, mean): (&N, &f32)| (own.value() - mean).abs() <= mean.abs() / 256.0 + f32::MIN_POSITIVE;
        self.mean_of_others().is_some_and(|mean| self.weights_of(0).iter().zip(&mean).all(is_near))
    }

    /// The mean of all rows but row 0, or of [`AVERAGED`] of them from all over; `None` where there is no other.
    pub(super) fn mean_of_others(&self) -> Option<Vec<f32>> {
        let others = self.count().checked_sub(1).filter(|&others| others > 0)?;
        let mut sums = vec![0f64; self.dim];
        let step = others.div_ceil(AVERAGED);
        for row in (1..=others).step_by(step) {
            sums.iter_mut().zip(self.weights_of(row as u64)).for_each(|(sum, w)| *sum += f64::from(w.value()));
        }
        let taken = others.div_ceil(step) as f64;
        Some(sums.into_iter().map(|sum| (sum / taken) as f32).collect())
    }

    /// Whether a state value of row `row` is no finite number.
    pub(super) fn is_stuck(&self, row: usize) -> bool {
        let row = &self.values[row * self.stride..][..self.stride];
        row[self.dim..].iter().any(|state| !state.value().is_finite())
    }

    /// Moves the touched rows, which were gathered for a table of as many rows of this width.
    pub(super) fn update(&mut self, touched: &TouchedRows, rule: &StepRule, scale: f32, bits: StepBits) {
        let (dim, stride) = (self.dim, self.stride);
        assert_eq!(touched.table_rows(), self.count());
        let base = Base(self.values.as_mut_ptr());
        let apply = |rows: &[usize], grads: &[f32]| {
            let mut scratch = vec![0.0; stride];
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (i, (&row, grad)) in rows.iter().zip(grads.chunks_exact(dim)).enumerate() {
                        if let Some(&soon) = rows.get(i + AHEAD) {
                            prefetch(base.0.wrapping_add(soon * stride), stride);
                        }
                        let bits = bits.row(row);
                        // SAFETY: `TouchedRows` holds distinct rows, all below `table_rows()`, which equals
                        // `self.count()`: the slice lies inside of `values` and no other one made here overlaps it,
                        // on this thread or another. `&mut self` keeps everyone else out.
                        let row = unsafe { base.row(row, stride) };
                        N::step(row, grad, rule, scale, &mut scratch, bits);
                    }
                },
            );
        };
        let (rows, grads) = (touched.rows(), touched.grads());
        if rows.len() <= ROWS_PER_TASK {
            return apply(rows, grads);
        }
        rows.par_chunks(ROWS_PER_TASK)
            .zip(grads.par_chunks(ROWS_PER_TASK * dim))
            .for_each(|(rows, grads)| apply(rows, grads));
    }
}

/// Start of a table's values, shared by the threads that update disjoint rows of it.
struct Base<N>(*mut N);

impl<N> Clone for Base<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Base<N> {}

// SAFETY: only `row` reads the pointer, whose contract keeps threads on disjoint rows; numbers may be sent.
unsafe impl<N: Number> Send for Base<N> {}
// SAFETY: as above.
unsafe impl<N: Number> Sync for Base<N> {}

impl<N> Base<N> {
    /// # Safety
    /// Elements `row * stride .. (row + 1) * stride` lie inside of one live allocation and nobody else refers to
    /// them for as long as the slice lives.
    #[inline(always)]
    unsafe fn row<'a>(self, row: usize, stride: usize) -> &'a mut [N] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(row * stride), stride) }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
