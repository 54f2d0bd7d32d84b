//! [`Table`]: an embedding with its optimizer state, in any number format.

use std::fmt;
use std::ops::Range;

use pleiad_model::graph::TableSpec;
use pleiad_model::init::Init;

use super::bf16::Bf16;
use super::number::Number;
use super::rounding::{self, StepBits};
use super::rows::Rows;
use super::{TableOptions, TablePrecision, TouchedRows, Use};
use crate::optim::{MAX_SLOTS, StepRule};
use crate::storage::Storage;
use crate::{Error, Result};

/// Weights that [`Table::take_weights`] takes as they are, from 64 MiB on. Smaller ones are better off where rows begin
/// at cache lines.
const TAKEN: usize = 1 << 24;

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
    /// What its random bits are drawn by.
    key: u64,
    pub(super) store: Store,
}

/// The rows, by what they are made of.
pub(super) enum Store {
    F32(Rows<f32>),
    Bf16(Rows<Bf16>),
}

/// Does the same to the rows, in any number format.
macro_rules! on_rows {
    ($store:expr, $rows:ident => $what:expr) => {
        match $store {
            Store::F32($rows) => $what,
            Store::Bf16($rows) => $what,
        }
    };
}
pub(super) use on_rows;

impl Table {
    /// A table of zeros with `slots` state values per weight ([`StepRule::slots`]; 0 to predict only). `seed` decides how
    /// a table of [`TablePrecision::Bf16`] rounds.
    ///
    /// # Errors
    /// [`Error::TableTooLarge`] where there is no memory for it, [`Error::TableFile`] where there is no room in the
    /// folder, [`Error::InvalidOption`] for vectors of width 0.
    ///
    /// # Panics
    /// If `slots` is above [`MAX_SLOTS`].
    pub fn new(spec: &TableSpec, slots: usize, options: &TableOptions, seed: u64) -> Result<Self> {
        assert!(slots <= MAX_SLOTS, "no optimizer keeps {slots} values per weight");
        if spec.dim == 0 {
            return Err(Error::option("embedding", spec.dim, "a width of 1 or above"));
        }
        let tensor = spec.tensor();
        let too_large = || Error::TableTooLarge { table: spec.name.clone(), rows: spec.rows, dim: spec.dim, slots };
        let rows = usize::try_from(spec.rows).map_err(|_| too_large())?;
        let store = match options.precision {
            TablePrecision::F32 => Store::F32(allocate(spec, slots, options)?),
            TablePrecision::Bf16 => Store::Bf16(allocate(spec, slots, options)?),
        };
        let key = rounding::key(seed, &tensor);
        Ok(Self { name: spec.name.clone(), tensor, init: spec.init, rows, dim: spec.dim, slots, key, store })
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

    /// Draws all weights anew from the stream of the tensor's name under `seed`, and sets all state to `state`
    /// ([`crate::optim::OptimizerConfig::initial_state`]).
    pub fn init(&mut self, seed: u64, state: f32) {
        on_rows!(&mut self.store, rows => rows.init(self.init, &self.tensor, seed, state));
    }

    /// Sets all state to `state`.
    pub fn fill_state(&mut self, state: f32) {
        on_rows!(&mut self.store, rows => rows.fill_state(state));
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
        let mut out = Vec::new();
        self.read_part(part, 0..self.rows * self.dim, &mut out);
        out
    }

    fn load_part(&mut self, part: usize, values: &[f32]) -> Result<()> {
        if values.len() != self.rows * self.dim {
            return Err(Error::Shape {
                tensor: self.tensor.clone(),
                found: vec![values.len()],
                expected: vec![self.rows, self.dim],
            });
        }
        self.write_part(part, 0, values);
        Ok(())
    }

    /// [`Table::load_weights`] of values that the caller no longer needs. A large table without optimizer state takes
    /// over their memory.
    pub(crate) fn take_weights(&mut self, values: Vec<f32>) -> Result<()> {
        match &mut self.store {
            Store::F32(rows) if self.slots == 0 && values.len() == self.rows * self.dim && values.len() >= TAKEN => {
                *rows = Rows::new(Storage::given(values), self.dim, 0);
                Ok(())
            }
            _ => self.load_weights(&values),
        }
    }

    /// Appends elements `range` of the weights (part 0) or of a state (from part 1) to `out`.
    ///
    /// # Panics
    /// If there are fewer elements.
    pub(crate) fn read_part(&self, part: usize, range: Range<usize>, out: &mut Vec<f32>) {
        on_rows!(&self.store, rows => rows.read(part, range, out));
    }

    /// Replaces a part from element `at` of its `[rows, dim]` on.
    ///
    /// # Panics
    /// If there are fewer elements than that.
    pub(crate) fn write_part(&mut self, part: usize, at: usize, values: &[f32]) {
        on_rows!(&mut self.store, rows => rows.write(part, at, values));
    }

    /// [`TouchedRows::gather`] for [`Table::update`] right after it: rows that will be updated are asked for as they are
    /// found, and come from memory while the rest is found and summed.
    pub(crate) fn gather(&self, touched: &mut TouchedRows, uses: &[Use<'_>]) {
        on_rows!(&self.store, rows => {
            let ask = |found: &[usize]| found.iter().for_each(|&row| rows.ask_for_all(row));
            touched.gather_and(self.rows, self.dim, uses, ask);
        });
    }

    /// Row 0; nothing of a table without rows.
    pub(crate) fn first_row(&self) -> Vec<f32> {
        let mut row = Vec::new();
        self.read_part(0, 0..self.dim.min(self.rows * self.dim), &mut row);
        row
    }

    /// Whether row 0 is as it was drawn with `seed`, or the mean of the others.
    pub(crate) fn first_row_is_untrained(&self, seed: u64) -> bool {
        if self.rows == 0 {
            return false;
        }
        let mut drawn = vec![0.0; self.dim];
        self.init.fill(seed, &self.tensor, 0, &mut drawn);
        on_rows!(&self.store, rows => rows.first_is(&drawn) || rows.first_is_mean())
    }

    /// Gives row 0 the mean of the others, where there are any.
    pub(crate) fn fill_first_row(&mut self) {
        on_rows!(&mut self.store, rows => {
            if let Some(mean) = rows.mean_of_others() {
                rows.write(0, 0, &mean);
            }
        });
    }

    /// How many of the touched rows have optimizer state that is no finite number.
    pub(crate) fn stuck_rows(&self, touched: &TouchedRows) -> u64 {
        if touched.table_rows() != self.rows || self.slots == 0 {
            return 0;
        }
        on_rows!(&self.store, rows => touched.rows().iter().filter(|&&row| rows.is_stuck(row)).count() as u64)
    }

    /// Moves the touched rows by `rule`, their gradients multiplied by `scale` first, and leaves the others as they
    /// are. [`crate::sparse`] explains lazy updates. `step` tells apart the random bits by which a table of
    /// [`TablePrecision::Bf16`] rounds.
    ///
    /// # Panics
    /// If the rows were gathered for a table of another shape, or `rule` keeps another number of state values.
    pub fn update(&mut self, touched: &TouchedRows, rule: &StepRule, scale: f32, step: u64) {
        assert_eq!(rule.slots(), self.slots, "table `{}`", self.name);
        assert_eq!((touched.table_rows(), touched.dim()), (self.rows, self.dim), "table `{}`", self.name);
        let bits = StepBits::new(self.key, step);
        on_rows!(&mut self.store, rows => rows.update(touched, rule, scale, bits));
    }
}

/// Zeroed rows for `spec`.
fn allocate<N: Number>(spec: &TableSpec, slots: usize, options: &TableOptions) -> Result<Rows<N>> {
    let too_large = || Error::TableTooLarge { table: spec.name.clone(), rows: spec.rows, dim: spec.dim, slots };
    let rows = usize::try_from(spec.rows).map_err(|_| too_large())?;
    let len = spec.dim.checked_mul(1 + slots).and_then(|stride| stride.checked_mul(rows)).ok_or_else(too_large)?;
    let values = match &options.folder {
        None => Storage::zeroed(len).ok_or_else(too_large)?,
        Some(folder) => Storage::in_file(len, folder).map_err(|source| Error::TableFile {
            table: spec.name.clone(),
            folder: folder.clone(),
            bytes: len as u64 * size_of::<N>() as u64,
            source,
        })?,
    };
    Ok(Rows::new(values, spec.dim, slots))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn table(rows: u64, dim: usize, slots: usize) -> Table {
        let spec = TableSpec { name: "t".to_owned(), rows, dim, init: Init::Normal { std: 0.5 } };
        Table::new(&spec, slots, &TableOptions::default(), 1).unwrap()
    }

    /// The whole stream of the name, for any width of a row and any number of threads.
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

    /// Any cut of a part, within rows and across them.
    #[test]
    fn parts_go_in_and_out_piece_by_piece() {
        let values: Vec<f32> = (0..7 * 5).map(|i| i as f32).collect();
        for part in 0..3 {
            for size in 1..values.len() + 1 {
                let mut table = table(7, 5, 2);
                let mut read = Vec::new();
                for (i, piece) in values.chunks(size).enumerate() {
                    table.write_part(part, i * size, piece);
                    table.read_part(part, i * size..i * size + piece.len(), &mut read);
                }
                assert_eq!(read, values);
                for other in 0..3 {
                    assert_eq!(table.part(other) == values, other == part);
                }
            }
        }
    }

    #[test]
    fn weights_are_taken_over_where_that_saves_a_copy() {
        for (rows, slots, taken) in [(TAKEN / 16, 0, true), (1000, 0, false), (TAKEN / 16, 1, false)] {
            let mut table = table(rows as u64, 16, slots);
            let values: Vec<f32> = (0..rows * 16).map(|i| i as f32).collect();
            let (at, last) = (values.as_ptr(), values[rows * 16 - 1]);
            table.take_weights(values).unwrap();
            let Store::F32(own) = &table.store else { panic!("not of f32") };
            assert_eq!(own.weights_of(0).as_ptr() == at, taken);
            assert_eq!(own.weights_of(rows as u64 - 1)[15], last);
            assert!(table.take_weights(vec![0.0; 3]).is_err());
        }
    }

    #[test]
    fn impossible_sizes_are_errors() {
        for rows in [u64::MAX, u64::MAX / 64, 1 << 60] {
            let spec = TableSpec { name: "huge".to_owned(), rows, dim: 16, init: Init::Zeros };
            let message = Table::new(&spec, 2, &TableOptions::default(), 1).unwrap_err().to_string();
            assert!(message.contains("`huge`") && message.contains(&rows.to_string()), "{message}");
        }
        let spec = TableSpec { name: "flat".to_owned(), rows: 3, dim: 0, init: Init::Zeros };
        assert!(Table::new(&spec, 0, &TableOptions::default(), 1).is_err());
    }
}
