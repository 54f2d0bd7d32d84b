//! [`Batch`]: encoded rows, the only form in which rows reach a model.
//!
//! Readers and encoders (`read`, `encode`) end here; the engine begins here. This file does not depend on
//! files, strings or configuration.

use rayon::prelude::*;
use xxhash_rust::xxh64::Xxh64;

use crate::layout::{Input, InputLayout};

/// Encoded rows, column by column: what a model reads and, if present, what it should have predicted.
///
/// The [`InputLayout`] that the batch was encoded for gives the meaning of each column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Number of rows, B.
    pub rows: usize,
    /// Numeric inputs, row-major `[B, N]`; N is [`InputLayout::numeric_width`].
    pub numeric: Vec<f32>,
    /// One entry per categorical input, in slot order.
    pub categorical: Vec<Ids>,
    /// One entry per task, in configuration order; empty where rows carry no labels (prediction).
    pub labels: Vec<Labels>,
    /// The group of each row, `[B]`, as [`crate::schema::Groups`] has it: a hash, 0 for a row without one. Empty where no
    /// group is asked for, in rows that are trained on, and where rows carry no labels. No model reads it.
    pub groups: Vec<u64>,
}

/// Table rows of one categorical input.
#[derive(Debug, Clone, PartialEq)]
pub enum Ids {
    /// Exactly one table row per batch row, `[B]`.
    Single(Vec<u64>),
    /// Any number of table rows per batch row: those of batch row `i` are `rows[offsets[i]..offsets[i + 1]]`.
    Multiple {
        /// `[B + 1]`, ascending, from 0 to `rows.len()`.
        offsets: Vec<usize>,
        /// Table rows of all batch rows, one after the other.
        rows: Vec<u64>,
    },
}

impl Ids {
    /// An empty column of the kind that `input` asks for.
    #[must_use]
    pub fn empty(multiple: bool) -> Self {
        if multiple { Self::Multiple { offsets: vec![0], rows: Vec::new() } } else { Self::Single(Vec::new()) }
    }

    /// Table rows of all batch rows, one after the other.
    #[must_use]
    pub fn table_rows(&self) -> &[u64] {
        match self {
            Self::Single(rows) | Self::Multiple { rows, .. } => rows,
        }
    }

    /// Number of batch rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Single(rows) => rows.len(),
            Self::Multiple { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Whether there is no batch row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Range in [`Ids::table_rows`] of batch row `i`.
    #[must_use]
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        match self {
            Self::Single(_) => i..i + 1,
            Self::Multiple { offsets, .. } => offsets[i]..offsets[i + 1],
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Single(rows) => rows.clear(),
            Self::Multiple { offsets, rows } => {
                offsets.clear();
                offsets.push(0);
                rows.clear();
            }
        }
    }

    fn append(&mut self, from: &Self) {
        match (self, from) {
            (Self::Single(into), Self::Single(rows)) => into.extend_from_slice(rows),
            (Self::Multiple { offsets, rows: into }, Self::Multiple { offsets: more, rows }) => {
                let base = into.len();
                offsets.extend(more[1..].iter().map(|offset| base + offset));
                into.extend_from_slice(rows);
            }
            _ => unreachable!("both batches were made for one layout"),
        }
    }

    pub(crate) fn gather_from(&mut self, from: &Self, index: &[usize]) {
        match (self, from) {
            (Self::Single(into), Self::Single(rows)) => into.extend(index.iter().map(|&i| rows[i])),
            (Self::Multiple { offsets, rows }, Self::Multiple { .. }) => {
                for &i in index {
                    rows.extend_from_slice(&from.table_rows()[from.range(i)]);
                    offsets.push(rows.len());
                }
            }
            _ => unreachable!("both batches were made for one layout"),
        }
    }
}

/// Labels of one task. A row outside of the task's sample space has `present == false` and a value of 0, and adds
/// nothing to loss, gradient or metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// `[B]`; 0 or 1 for a binary task.
    pub values: Vec<f32>,
    /// `[B]`; whether the row lies in the task's sample space and its label is known.
    pub present: Vec<bool>,
    /// `[B]`; what each row counts in loss and metrics: above 0 where it is present, else 0. Empty where all rows of the
    /// sample space count alike.
    pub weights: Vec<f32>,
}

impl Labels {
    /// Number of rows in the sample space, `sum_i d_i`.
    #[must_use]
    pub fn count(&self) -> usize {
        self.present.iter().filter(|&&d| d).count()
    }

    fn gather_from(&mut self, from: &Self, index: &[usize]) {
        self.values.extend(index.iter().map(|&i| from.values[i]));
        self.present.extend(index.iter().map(|&i| from.present[i]));
        self.gather_weights_from(from, index);
    }

    pub(crate) fn gather_weights_from(&mut self, from: &Self, index: &[usize]) {
        if !from.weights.is_empty() {
            self.weights.extend(index.iter().map(|&i| from.weights[i]));
        }
    }

    /// What row `row` counts.
    ///
    /// # Panics
    /// If rows have weights, and there is no such row.
    #[must_use]
    pub fn weight(&self, row: usize) -> f32 {
        if self.weights.is_empty() { 1.0 } else { self.weights[row] }
    }

    /// Sum of the weights of the rows in the sample space; their number where they have none.
    #[must_use]
    pub fn total_weight(&self) -> f64 {
        if self.weights.is_empty() {
            return self.count() as f64;
        }
        self.weights.iter().zip(&self.present).filter(|(_, d)| **d).map(|(&weight, _)| f64::from(weight)).sum()
    }

    fn append(&mut self, from: &Self) {
        self.values.extend_from_slice(&from.values);
        self.present.extend_from_slice(&from.present);
        self.weights.extend_from_slice(&from.weights);
    }
}

impl Batch {
    /// An empty batch with the columns of `layout`, ready for [`Batch::gather_from`] or an encoder.
    #[must_use]
    pub fn empty(layout: &InputLayout, tasks: usize) -> Self {
        let categorical = layout
            .inputs
            .iter()
            .filter_map(|input| match input {
                Input::Numeric { .. } | Input::Periodic { .. } => None,
                Input::Categorical { pooling, .. } => Some(Ids::empty(pooling.is_some())),
            })
            .collect();
        Self { rows: 0, numeric: Vec::new(), categorical, labels: vec![Labels::default(); tasks], groups: Vec::new() }
    }

    /// Width N of the numeric part.
    #[must_use]
    pub fn numeric_width(&self) -> usize {
        self.numeric.len().checked_div(self.rows).unwrap_or(0)
    }

    /// Removes all rows, keeping columns and allocations.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.numeric.clear();
        self.categorical.iter_mut().for_each(Ids::clear);
        for labels in &mut self.labels {
            labels.values.clear();
            labels.present.clear();
            labels.weights.clear();
        }
        self.groups.clear();
    }

    /// Replaces this batch's rows by rows `index` of `from`, in that order. Both must have been made for one layout.
    ///
    /// # Panics
    /// If an index is out of range or the layouts differ: both are mistakes of the caller, not of data.
    pub fn gather_from(&mut self, from: &Self, index: &[usize]) {
        self.clear();
        self.extend_from(from, index);
    }

    /// Appends rows `index` of `from`, in that order. Both must have been made for one layout.
    ///
    /// # Panics
    /// If an index is out of range or the layouts differ: both are mistakes of the caller, not of data.
    pub fn extend_from(&mut self, from: &Self, index: &[usize]) {
        self.rows += index.len();
        self.append_numbers(from, index);
        for (into, ids) in self.categorical.iter_mut().zip(&from.categorical) {
            into.gather_from(ids, index);
        }
        for (into, labels) in self.labels.iter_mut().zip(&from.labels) {
            into.gather_from(labels, index);
        }
        if !from.groups.is_empty() {
            self.groups.extend(index.iter().map(|&i| from.groups[i]));
        }
    }

    /// Rows `index` of this batch, with all numbers and the categorical inputs of `slots`; the others are empty, and so are
    /// labels and groups.
    ///
    /// # Panics
    /// If there is no such row or slot.
    #[must_use]
    pub fn rows_of_columns(&self, index: &[usize], slots: &[usize]) -> Self {
        let empty = |ids: &Ids| Ids::empty(matches!(ids, Ids::Multiple { .. }));
        let categorical = self.categorical.iter().map(empty).collect();
        let mut rows = Self { rows: index.len(), categorical, ..Self::default() };
        rows.append_numbers(self, index);
        for &slot in slots {
            rows.categorical[slot].gather_from(&self.categorical[slot], index);
        }
        rows
    }

    /// Appends the numbers of rows `index` of `from`.
    pub(crate) fn append_numbers(&mut self, from: &Self, index: &[usize]) {
        let width = from.numeric_width();
        self.numeric.reserve(index.len() * width);
        for &i in index {
            self.numeric.extend_from_slice(&from.numeric[i * width..(i + 1) * width]);
        }
    }

    /// Whether row `row` has a label of any task: it lies in the union of the sample spaces, on which training runs.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn is_labelled(&self, row: usize) -> bool {
        self.labels.iter().any(|labels| labels.present[row])
    }

    /// XXH64 (seed 0) of everything in the batch: it distinguishes two logs of equally many rows.
    #[must_use]
    pub fn xxh64(&self) -> u64 {
        let mut hash = Xxh64::new(0);
        hash_numbers(&mut hash, &[self.rows as u64], |rows| rows);
        hash_numbers(&mut hash, &self.numeric, |v| u64::from(v.to_bits()));
        for ids in &self.categorical {
            if let Ids::Multiple { offsets, .. } = ids {
                hash_numbers(&mut hash, offsets, |o| o as u64);
            }
            hash_numbers(&mut hash, ids.table_rows(), |row| row);
        }
        for labels in &self.labels {
            // Whole runs of both, side by side.
            let runs = labels.values.chunks(HASHED).zip(labels.present.chunks(HASHED));
            for (values, present) in runs {
                let mut both = [0; HASHED];
                let label = |(v, d): (&f32, &bool)| u64::from(v.to_bits()) << 1 | u64::from(*d);
                both.iter_mut().zip(values.iter().zip(present).map(label)).for_each(|(both, label)| *both = label);
                hash_numbers(&mut hash, &both[..values.len()], |label| label);
            }
            // Nothing where there are none: rows of older versions keep their hash.
            hash_numbers(&mut hash, &labels.weights, |weight| u64::from(weight.to_bits()));
        }
        // Nothing where there are none: rows of older versions keep their hash.
        hash_numbers(&mut hash, &self.groups, |group| group);
        hash.digest()
    }

    /// Appends all rows of `from`. Both must have been made for one layout.
    ///
    /// # Panics
    /// If the layouts differ.
    pub fn append(&mut self, from: &Self) {
        self.rows += from.rows;
        self.numeric.extend_from_slice(&from.numeric);
        self.categorical.iter_mut().zip(&from.categorical).for_each(|(into, ids)| into.append(ids));
        self.labels.iter_mut().zip(&from.labels).for_each(|(into, labels)| into.append(labels));
        self.groups.extend_from_slice(&from.groups);
    }

    /// Appends all rows of `parts`, one part after the other, column by column on all threads.
    ///
    /// # Panics
    /// If the layouts differ.
    pub fn append_all(&mut self, parts: &[Self]) {
        self.rows += parts.iter().map(|part| part.rows).sum::<usize>();
        let Self { numeric, categorical, labels, groups, .. } = self;
        let numbers = || {
            parts.iter().for_each(|part| numeric.extend_from_slice(&part.numeric));
            parts.iter().for_each(|part| groups.extend_from_slice(&part.groups));
        };
        let ids = || {
            categorical.par_iter_mut().enumerate().for_each(|(slot, into)| {
                parts.iter().for_each(|part| into.append(&part.categorical[slot]));
            });
        };
        let of_tasks = || {
            labels.par_iter_mut().enumerate().for_each(|(task, into)| {
                parts.iter().for_each(|part| into.append(&part.labels[task]));
            });
        };
        rayon::join(numbers, || rayon::join(ids, of_tasks));
    }

    /// Makes room for `rows` rows in all where their size is known.
    pub(crate) fn reserve_rows(&mut self, rows: usize) {
        let more = rows.saturating_sub(self.rows);
        self.numeric.reserve(more * self.numeric_width());
        for ids in &mut self.categorical {
            match ids {
                Ids::Single(rows) => rows.reserve(more),
                Ids::Multiple { offsets, .. } => offsets.reserve(more),
            }
        }
        for labels in &mut self.labels {
            labels.values.reserve(more);
            labels.present.reserve(more);
            if !labels.weights.is_empty() {
                labels.weights.reserve(more);
            }
        }
        if !self.groups.is_empty() {
            self.groups.reserve(more);
        }
    }
}

/// Numbers that are handed to a hash at once.
const HASHED: usize = 1 << 9;

/// Hashes numbers as 64 bits each, in little endian.
fn hash_numbers<T: Copy>(hash: &mut Xxh64, numbers: &[T], of: impl Fn(T) -> u64) {
    let mut bytes = [0; 8 * HASHED];
    for numbers in numbers.chunks(HASHED) {
        let (words, _) = bytes.as_chunks_mut::<8>();
        words.iter_mut().zip(numbers).for_each(|(word, &number)| *word = of(number).to_le_bytes());
        hash.update(&bytes[..8 * numbers.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Batch {
        Batch {
            rows: 3,
            numeric: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            categorical: vec![
                Ids::Single(vec![7, 8, 9]),
                Ids::Multiple { offsets: vec![0, 2, 2, 3], rows: vec![1, 2, 3] },
            ],
            labels: vec![Labels { values: vec![0.0, 1.0, 0.0], present: vec![true, true, false], weights: Vec::new() }],
            groups: vec![],
        }
    }

    #[test]
    fn gather_picks_rows_in_order() {
        let from = Batch { groups: vec![11, 0, 13], ..small() };
        let mut into = from.clone();
        into.gather_from(&from, &[2, 0]);
        assert_eq!(into.rows, 2);
        assert_eq!(into.numeric, [5.0, 6.0, 1.0, 2.0]);
        assert_eq!(into.categorical[0], Ids::Single(vec![9, 7]));
        assert_eq!(into.categorical[1], Ids::Multiple { offsets: vec![0, 1, 3], rows: vec![3, 1, 2] });
        assert_eq!(into.labels[0], Labels { values: vec![0.0, 0.0], present: vec![false, true], weights: Vec::new() });
        assert_eq!(into.groups, [13, 11]);
        assert_eq!(from.slice(1..3).groups, [0, 13]);
    }

    #[test]
    fn rows_that_are_added_follow_those_that_are_there() {
        let from = small();
        let (mut at_once, mut in_parts) = (from.clone(), from.clone());
        at_once.gather_from(&from, &[2, 0, 0, 1]);
        in_parts.gather_from(&from, &[2]);
        in_parts.extend_from(&from, &[0, 0, 1]);
        assert_eq!(at_once, in_parts);
    }

    #[test]
    fn weights_go_with_their_rows() {
        let mut from = small();
        from.labels[0].weights = vec![0.5, 2.0, 0.0];
        let mut into = from.clone();
        into.gather_from(&from, &[2, 0, 1]);
        into.append(&from.slice(1..3));
        into.append_all(&[from.slice(0..1), from.slice(0..0)]);
        assert_eq!(into.labels[0].weights, [0.0, 0.5, 2.0, 2.0, 0.0, 0.5]);
        assert_eq!((from.labels[0].total_weight(), from.labels[0].weight(1)), (2.5, 2.0));
        assert_eq!((small().labels[0].total_weight(), small().labels[0].weight(1)), (2.0, 1.0));
        assert_ne!(from.xxh64(), small().xxh64());
        into.clear();
        assert!(into.labels[0].weights.is_empty());
    }

    #[test]
    fn the_hash_sees_every_part() {
        type Change = fn(&mut Batch);
        let changes: [Change; 6] = [
            |b| b.numeric[3] += 1.0,
            |b| b.categorical[0] = Ids::Single(vec![7, 8, 10]),
            |b| b.categorical[1] = Ids::Multiple { offsets: vec![0, 1, 2, 3], rows: vec![1, 2, 3] },
            |b| b.labels[0].values[1] = 0.0,
            |b| b.labels[0].present[2] = true,
            |b| b.groups = vec![1, 2, 3],
        ];
        assert_eq!(small().xxh64(), small().xxh64());
        // Checkpoints hold it: it stays what the first version made of these rows.
        assert_eq!(small().xxh64(), 0x5b69_7cbd_b937_d748);
        let n = 70_001;
        let labels = Labels {
            values: (0..n).map(|i| i as f32).collect(),
            present: (0..n).map(|i| i % 3 == 0).collect(),
            weights: Vec::new(),
        };
        let large = Batch {
            rows: n,
            numeric: (0..2 * n).map(|i| i as f32 * 0.5).collect(),
            categorical: vec![Ids::Single((0..n as u64).map(|i| i * i).collect())],
            labels: vec![labels],
            ..Batch::default()
        };
        assert_eq!(large.xxh64(), 0x6898_590a_2742_d567);
        for (i, change) in changes.into_iter().enumerate() {
            let mut changed = small();
            change(&mut changed);
            assert_ne!(changed.xxh64(), small().xxh64(), "change {i}");
        }
    }

    #[test]
    fn append_equals_gather_of_all_rows() {
        let from = Batch { groups: vec![11, 0, 13], ..small() };
        let mut twice = from.clone();
        twice.append(&from);
        let mut gathered = from.clone();
        gathered.gather_from(&from, &[0, 1, 2, 0, 1, 2]);
        assert_eq!(twice, gathered);
        let mut at_once = from.clone();
        at_once.append_all(std::slice::from_ref(&from));
        assert_eq!(at_once, gathered);
    }
}
