//! [`Table`]: the rows of an embedding with their optimizer state, and their update.

use std::fmt;

use pleiad_model::graph::TableSpec;
use pleiad_model::init::{BLOCK, Init};
use pulp::Arch;
use rayon::prelude::*;

use super::storage::Storage;
use super::{TouchedRows, vector};
use crate::optim::{MAX_SLOTS, StepRule};
use crate::{Error, Result};

/// Touched rows per unit of parallel work: enough to outweigh handing it over, few enough to spread a batch.
const ROWS_PER_TASK: usize = 512;

/// How many rows ahead of the one in work memory is asked for. A row of a large table is a cache miss per line, and
/// arithmetic alone leaves too few of them in flight: asking ahead halves the time of an update.
const AHEAD: usize = 12;

/// An embedding table `[rows, dim]`.
///
/// A row's weights and its optimizer state stand side by side, `[w | state 0 | state 1]`, so that an update reads and
/// writes one stretch of memory. The table takes `rows * dim * (1 + slots)` numbers and nothing per batch.
pub struct Table {
    name: String,
    tensor: String,
    init: Init,
    rows: usize,
    dim: usize,
    slots: usize,
    values: Storage,
}

impl Table {
    /// A table of zeros with `slots` state values per weight ([`StepRule::slots`]; 0 to predict only).
    ///
    /// # Errors
    /// [`Error::TableTooLarge`] where there is no memory for it, [`Error::InvalidOption`] for vectors of width 0.
    ///
    /// # Panics
    /// If `slots` is above [`MAX_SLOTS`].
    pub fn new(spec: &TableSpec, slots: usize) -> Result<Self> {
        assert!(slots <= MAX_SLOTS, "no optimizer keeps {slots} values per weight");
        if spec.dim == 0 {
            return Err(Error::option("embedding", spec.dim, "a width of 1 or above"));
        }
        let too_large = || Error::TableTooLarge { table: spec.name.clone(), rows: spec.rows, dim: spec.dim, slots };
        let rows = usize::try_from(spec.rows).map_err(|_| too_large())?;
        let len = spec.dim.checked_mul(1 + slots).and_then(|stride| stride.checked_mul(rows)).ok_or_else(too_large)?;
        let values = Storage::zeroed(len).ok_or_else(too_large)?;
        Ok(Self { name: spec.name.clone(), tensor: spec.tensor(), init: spec.init, rows, dim: spec.dim, slots, values })
    }

    /// Name of the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of the tensor of its weights.
    #[must_use]
    pub fn tensor(&self) -> &str {
        &self.tensor
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Width of a row's vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// State values per weight.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    fn stride(&self) -> usize {
        self.dim * (1 + self.slots)
    }

    /// Weights of row `id`.
    #[inline(always)]
    pub(super) fn weights_of(&self, id: u64) -> &[f32] {
        &self.values[id as usize * self.stride()..][..self.dim]
    }

    /// Draws all weights anew from the stream of the tensor's name under `seed`, and sets all state to `state`
    /// ([`crate::optim::OptimizerConfig::initial_state`]).
    pub fn init(&mut self, seed: u64, state: f32) {
        // The stream comes in blocks that do not care for rows. A group of rows that holds whole blocks can be drawn
        // by itself, whichever thread does it.
        let (dim, stride) = (self.dim, self.stride());
        let group = BLOCK / gcd(BLOCK, dim);
        let (init, tensor) = (self.init, &self.tensor);
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
                    now.copy_from_slice(&block[used..][..now.len()]);
                    used += now.len();
                    weights = later;
                }
            }
        });
    }

    /// All weights, `[rows, dim]`.
    #[must_use]
    pub fn weights(&self) -> Vec<f32> {
        self.part(0)
    }

    /// State `slot` of all weights, `[rows, dim]`.
    ///
    /// # Panics
    /// If there is no such slot.
    #[must_use]
    pub fn state(&self, slot: usize) -> Vec<f32> {
        assert!(slot < self.slots);
        self.part(1 + slot)
    }

    /// Replaces all weights by `values`, `[rows, dim]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of values is another.
    pub fn load_weights(&mut self, values: &[f32]) -> Result<()> {
        self.load_part(0, values)
    }

    /// Replaces state `slot` of all weights by `values`, `[rows, dim]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of values is another.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn load_state(&mut self, slot: usize, values: &[f32]) -> Result<()> {
        assert!(slot < self.slots);
        self.load_part(1 + slot, values)
    }

    fn part(&self, part: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.rows * self.dim);
        for row in self.values.chunks_exact(self.stride()) {
            out.extend_from_slice(&row[part * self.dim..][..self.dim]);
        }
        out
    }

    fn load_part(&mut self, part: usize, values: &[f32]) -> Result<()> {
        let (dim, stride) = (self.dim, self.stride());
        if values.len() != self.rows * dim {
            return Err(Error::Shape {
                tensor: self.tensor.clone(),
                found: vec![values.len()],
                expected: vec![self.rows, dim],
            });
        }
        for (row, values) in self.values.chunks_exact_mut(stride).zip(values.chunks_exact(dim)) {
            row[part * dim..][..dim].copy_from_slice(values);
        }
        Ok(())
    }

    /// Moves the touched rows by `rule`, their gradients multiplied by `scale` first, and leaves the others as they
    /// are. What lazy updates mean is told at [`crate::sparse`].
    ///
    /// # Panics
    /// If the rows were gathered for a table of another shape, or `rule` keeps another number of state values.
    pub fn update(&mut self, touched: &TouchedRows, rule: &StepRule, scale: f32) {
        assert_eq!(rule.slots(), self.slots, "table `{}`", self.name);
        assert_eq!((touched.table_rows(), touched.dim()), (self.rows, self.dim), "table `{}`", self.name);
        let (dim, stride) = (self.dim, self.stride());
        let base = Base(self.values.as_mut_ptr());
        let apply = |rows: &[usize], grads: &[f32]| {
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (i, (&row, grad)) in rows.iter().zip(grads.chunks_exact(dim)).enumerate() {
                        if let Some(&soon) = rows.get(i + AHEAD) {
                            vector::prefetch(base.0.wrapping_add(soon * stride), stride);
                        }
                        // SAFETY: `TouchedRows` holds distinct rows, all below `table_rows()`, which equals
                        // `self.rows`: the slice lies inside of `values` and no other one made here overlaps it,
                        // on this thread or another. `&mut self` keeps everyone else out.
                        let row = unsafe { base.row(row, stride) };
                        let (weights, state) = row.split_at_mut(dim);
                        let (first, second) = state.split_at_mut(state.len().min(dim));
                        rule.update_inline(weights, grad, [first, second], scale);
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

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.name)
            .field("rows", &self.rows)
            .field("dim", &self.dim)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// Start of a table's values, shared by the threads that update disjoint rows of it.
#[derive(Clone, Copy)]
struct Base(*mut f32);

// SAFETY: only `row` reads the pointer, whose contract keeps threads on disjoint rows.
unsafe impl Send for Base {}
// SAFETY: as above.
unsafe impl Sync for Base {}

impl Base {
    /// # Safety
    /// Elements `row * stride .. (row + 1) * stride` lie inside of one live allocation and nobody else refers to
    /// them for as long as the slice lives.
    #[inline(always)]
    unsafe fn row<'a>(self, row: usize, stride: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(row * stride), stride) }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn table(rows: u64, dim: usize, slots: usize) -> Table {
        let spec = TableSpec { name: "t".to_owned(), rows, dim, init: Init::Normal { std: 0.5 } };
        Table::new(&spec, slots).unwrap()
    }

    /// The stream of the name, whole, whatever the width of a row and the number of threads.
    #[test]
    fn starts_are_the_stream_of_the_name() {
        for (rows, dim) in [(5, 3), (9000, 16), (1, 1), (70_000, 3), (3, 70_000), (0, 4)] {
            let mut wanted = vec![0.0; rows * dim];
            Init::Normal { std: 0.5 }.fill(7, "embeddings.t.weight", 0, &mut wanted);
            for threads in [1, 3] {
                let mut table = table(rows as u64, dim, 2);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| table.init(7, 0.25));
                assert!(table.weights() == wanted, "{rows} rows of {dim} on {threads} threads");
                assert!(table.state(0).iter().chain(&table.state(1)).all(|&s| s == 0.25));
            }
        }
    }

    #[test]
    fn weights_and_state_go_in_and_out() {
        let mut table = table(3, 2, 2);
        table.load_weights(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        table.load_state(0, &[10.0; 6]).unwrap();
        table.load_state(1, &[-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(table.weights(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(table.state(0), [10.0; 6]);
        assert_eq!(table.state(1), [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
        let message = table.load_weights(&[1.0]).unwrap_err().to_string();
        assert!(message.contains("embeddings.t.weight") && message.contains("[3, 2]"), "{message}");
    }

    #[test]
    fn impossible_sizes_are_errors() {
        for rows in [u64::MAX, u64::MAX / 64, 1 << 60] {
            let spec = TableSpec { name: "huge".to_owned(), rows, dim: 16, init: Init::Zeros };
            let message = Table::new(&spec, 2).unwrap_err().to_string();
            assert!(message.contains("`huge`") && message.contains(&rows.to_string()), "{message}");
        }
        let spec = TableSpec { name: "flat".to_owned(), rows: 3, dim: 0, init: Init::Zeros };
        assert!(Table::new(&spec, 0).is_err());
    }
}
