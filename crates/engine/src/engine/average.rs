//! The running average of the weights. It predicts better than the weights of any one step where steps are noisy.
//!
//! After step t, with the weights w_t and decay d,
//!
//! ```text
//! a_t = a_(t-1) + (1 - d) / (1 - d^t) (w_t - a_(t-1))
//! ```
//!
//! which is the mean of w_1 to w_t with weights d^(t-1) to 1, so the start of training has no part in it (Polyak and
//! Juditsky 1992 with a decay; the correction is Adam's).
//!
//! Dense parameters are averaged, and tables of up to [`MOST`] numbers. Of a larger table a step touches a few rows: to
//! average all of them would cost more than the step, and they are as the last step left them.

use super::Engine;
use crate::error::{Error, Result};
use crate::memory::check_memory_to_average;
use crate::sparse::Table;
use crate::storage::Storage;

/// Numbers of a table that is averaged, at the most.
const MOST: usize = 1 << 16;

/// What the average is not made of, or the average: see `shown`.
#[derive(Debug)]
pub(super) struct Average {
    decay: f64,
    /// Whether the engine's weights are the average now. Then these are the weights that the last step left.
    shown: bool,
    pub(super) dense: Storage<f32>,
    /// By table; `None` of one that is not averaged.
    pub(super) tables: Vec<Option<Vec<f32>>>,
}

impl Average {
    /// What the difference to the weights of step `step`, from 1, is multiplied with.
    pub(super) fn rate(&self, step: u64) -> f32 {
        ((1.0 - self.decay) / (1.0 - self.decay.powf(step.max(1) as f64))) as f32
    }
}

/// One step of an average.
pub(super) fn blend(average: &mut [f32], weights: &[f32], rate: f32) {
    average.iter_mut().zip(weights).for_each(|(average, weight)| *average += rate * (weight - *average));
}

/// [`blend`] of a table's weights.
pub(super) fn blend_table(average: &mut [f32], table: &Table, rate: f32) {
    let mut weights = Vec::with_capacity(average.len());
    table.read_part(0, 0..average.len(), &mut weights);
    blend(average, &weights, rate);
}

impl Engine {
    /// Averages the weights of every step from now on.
    ///
    /// What is predicted, saved and read is the average after [`Engine::show_average`]; the next step goes on from the weights
    /// that the last one left. [`Engine::state`] then holds those, as `<tensor>.last`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] unless `decay` lies between 0 and 1, [`Error::ModelTooLarge`] where there is no memory for it.
    pub fn average(&mut self, decay: f64) -> Result<()> {
        if !(decay > 0.0 && decay < 1.0) {
            return Err(Error::option("decay", decay, "a number above 0 and below 1"));
        }
        check_memory_to_average(&self.graph)?;
        let mut dense = Storage::zeros(self.parameters.dense.len());
        dense.copy_from_slice(&self.parameters.dense);
        let of = |table: &Table| (table.rows().saturating_mul(table.dim()) <= MOST).then(|| table.weights());
        let tables = self.parameters.tables.iter().map(of).collect();
        self.average = Some(Average { decay, shown: true, dense, tables });
        Ok(())
    }

    /// Makes the average the engine's weights, until the next step; does nothing without an average.
    pub fn show_average(&mut self) {
        if self.average.as_ref().is_some_and(|average| !average.shown) {
            self.exchange();
        }
    }

    /// Makes what the last step left the engine's weights.
    pub(super) fn hide_average(&mut self) {
        if self.average.as_ref().is_some_and(|average| average.shown) {
            self.exchange();
        }
    }

    fn exchange(&mut self) {
        let Some(average) = &mut self.average else { return };
        average.shown = !average.shown;
        let (weights, _) = self.parameters.dense.open();
        weights.swap_with_slice(&mut average.dense);
        for (table, other) in self.parameters.tables.iter_mut().zip(&mut average.tables) {
            if let Some(other) = other {
                let own = table.weights();
                table.write_part(0, 0, other);
                *other = own;
            }
        }
    }
}
