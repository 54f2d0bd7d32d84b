//! Inverted dropout of whole fields. In each row, all input columns of one feature are either kept and divided by
//! `1 - rate`, or all set to zero:
//!
//! ```text
//! x_f <- m_f x_f / (1 - p),   m_f = 0 with probability p, else 1, drawn for each row and feature f
//! ```
//!
//! The mean of a layer's input is the same with and without dropout. Like [`Mask`], this mask is a hash and not
//! stored.

use std::collections::HashMap;

use pleiad_data::{Input, InputLayout};

use super::Columns;
use super::dropout::Mask;

/// Stands in a mask's key where dropout within the graph has its node.
const NODE: usize = usize::MAX;

/// Which columns of the input belong to which feature: inputs of one name are one feature.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    rate: f32,
    /// By numeric column.
    columns: Vec<u32>,
    /// By categorical slot.
    slots: Vec<u32>,
}

impl Fields {
    /// The fields of a layout, each dropped with probability `rate`, below 1.
    pub(crate) fn of(layout: &InputLayout, rate: f32) -> Self {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let (mut columns, mut slots) = (Vec::new(), Vec::new());
        for input in &layout.inputs {
            let next = numbers.len() as u32;
            let (of, at) = match input {
                Input::Numeric { column, .. } | Input::Periodic { column, .. } => (&mut columns, *column),
                Input::Categorical { slot, .. } => (&mut slots, *slot),
            };
            of.resize(of.len().max(at + 1), 0);
            of[at] = *numbers.entry(input.name()).or_insert(next);
        }
        Self { rate, columns, slots }
    }

    /// What is kept is multiplied by it.
    pub(crate) fn scale(&self) -> f32 {
        1.0 / (1.0 - self.rate)
    }

    /// What one step drops.
    pub(crate) fn drawn(&self, seed: u64, step: u64) -> Drawn<'_> {
        Drawn { fields: self, mask: Mask::new(seed, step, NODE, self.rate) }
    }
}

/// The fields that one step drops.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawn<'f> {
    fields: &'f Fields,
    mask: Mask,
}

impl Drawn<'_> {
    /// Whether the feature in a categorical slot is kept in a row of the batch.
    pub(crate) fn keeps_slot(self, slot: usize, row: usize) -> bool {
        self.mask.keeps(row, self.fields.slots[slot])
    }

    /// Masks what a feature in a categorical slot gave, or its gradient; row i of the slice is row `first_row + i`.
    pub(crate) fn mask_slot(self, slot: usize, y: &mut [f32], at: Columns, first_row: usize, rows: usize) {
        self.mask_field(self.fields.slots[slot], y, at, first_row, rows);
    }

    /// Masks numeric columns from `first` on.
    pub(crate) fn mask_columns(self, first: usize, y: &mut [f32], at: Columns, first_row: usize, rows: usize) {
        for j in 0..at.width {
            let one = Columns { col: at.col + j, width: 1, ..at };
            self.mask_field(self.fields.columns[first + j], y, one, first_row, rows);
        }
    }

    /// Masks what was made of a numeric column, or its gradient.
    pub(crate) fn mask_column(self, column: usize, y: &mut [f32], at: Columns, first_row: usize, rows: usize) {
        self.mask_field(self.fields.columns[column], y, at, first_row, rows);
    }

    fn mask_field(self, field: u32, y: &mut [f32], at: Columns, first_row: usize, rows: usize) {
        let scale = self.fields.scale();
        for (i, y) in at.rows_mut(y, rows).enumerate() {
            if self.mask.keeps(first_row + i, field) {
                y.iter_mut().for_each(|y| *y *= scale);
            } else {
                y.fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> InputLayout {
        let numeric = |name: &str, column| Input::Numeric { name: name.into(), column };
        let (name, table) = ("c".into(), "c".into());
        InputLayout::new(vec![
            numeric("a", 0),
            numeric("b.pieces", 1),
            numeric("b.pieces", 2),
            Input::Categorical { name, slot: 0, table, rows: 9, dim: 2, pooling: None },
        ])
    }

    #[test]
    fn columns_of_a_feature_fall_together_and_features_alone() {
        let fields = Fields::of(&layout(), 0.25);
        let drawn = fields.drawn(7, 3);
        let rows = 4000;
        let at = Columns { ld: 5, col: 0, width: 3 };
        let mut y = vec![1.0; rows * 5];
        drawn.mask_columns(0, &mut y, at, 0, rows);
        drawn.mask_slot(0, &mut y, Columns { col: 3, width: 2, ..at }, 0, rows);
        let share = |of: &dyn Fn(&[f32]) -> bool| y.chunks(5).filter(|row| of(row)).count() as f64 / rows as f64;
        for column in [0, 1, 3] {
            let dropped = share(&|row| row[column] == 0.0);
            assert!((dropped - 0.25).abs() < 0.03, "column {column}: {dropped}");
        }
        assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / 0.75));
        assert!(y.chunks(5).all(|row| row[1] == row[2] && row[3] == row[4]));
        let both = share(&|row| row[0] == 0.0 && row[3] == 0.0);
        assert!((both - 0.0625).abs() < 0.02, "{both}");
        assert!((0..rows).all(|row| drawn.keeps_slot(0, row) == (y[row * 5 + 3] != 0.0)));
    }

    #[test]
    fn does_not_depend_on_the_cut_into_shards() {
        let fields = Fields::of(&layout(), 0.5);
        let at = Columns { ld: 3, col: 0, width: 3 };
        let masked = |step, first_row, rows: usize| {
            let mut y = vec![1.0; rows * 3];
            fields.drawn(1, step).mask_columns(0, &mut y, at, first_row, rows);
            y
        };
        assert_eq!(masked(5, 0, 100)[120..], masked(5, 40, 60));
        assert_ne!(masked(5, 0, 100), masked(6, 0, 100));
    }
}
