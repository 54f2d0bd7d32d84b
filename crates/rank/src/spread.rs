//! [`PredictionSpread`]: how the predictions of a task lie, and how far other predictions lie from that.

use pleiad_data::Encoder;
use pleiad_model::artifact::Provenance;
use serde::{Deserialize, Serialize};

use crate::by_task::ByTask;
use crate::error::{Error, Result};

/// Bins of a task, where it has rows and different predictions enough.
const BINS: usize = 20;

/// Rows of a bin at the least: fewer say little of a share.
const ROWS_A_BIN: usize = 25;

/// The most bins that are read from a model.
pub const MOST_BINS: usize = 64;

/// A share of no rows counts as this one in [`PredictionSpread::stability_index`], which is a logarithm.
const LEAST_SHARE: f64 = 1e-4;

/// Where a model's provenance has it.
const KEY: &str = "training_predictions";

/// How the predictions of one task lie over some rows: shares of bins between quantiles, and their mean. A task predicts
/// probabilities, or values of a regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionSpread {
    /// Rows that were predicted.
    pub rows: u64,
    /// The mean of the predictions.
    pub mean: f64,
    /// The B - 1 edges between bins, ascending. A bin holds predictions above its lower edge, and not above its upper one.
    pub edges: Vec<f32>,
    /// By bin `[B]`, the share of the rows.
    pub shares: Vec<f64>,
}

impl PredictionSpread {
    /// That of finite predictions: 20 bins of about as many rows each, and fewer where there are few rows or many equal
    /// predictions. `None` of no rows.
    #[must_use]
    pub fn of(predictions: &[f32]) -> Option<Self> {
        let mut sorted = predictions.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let (rows, last) = (sorted.len(), *sorted.last()?);
        let bins = (rows / ROWS_A_BIN).clamp(1, BINS);
        let mut edges: Vec<f32> = (1..bins).map(|bin| sorted[bin * rows / bins - 1]).collect();
        edges.dedup();
        // Nothing lies above the greatest prediction.
        edges.retain(|&edge| edge < last);
        let mean = sorted.iter().map(|&p| f64::from(p)).sum::<f64>() / rows as f64;
        let mut spread = Self { rows: rows as u64, mean, shares: vec![0.0; edges.len() + 1], edges };
        for &prediction in &sorted {
            let bin = spread.bin(prediction);
            spread.shares[bin] += 1.0;
        }
        spread.shares.iter_mut().for_each(|share| *share /= rows as f64);
        Some(spread)
    }

    /// The bin of a prediction.
    #[must_use]
    pub fn bin(&self, prediction: f32) -> usize {
        self.edges.partition_point(|&edge| edge < prediction)
    }

    /// The population stability index of predictions that were counted by bin: `sum_b (q_b - p_b) ln(q_b / p_b)`, with p_b
    /// the share of bin b here and q_b there, each 0.0001 at the least. 0 where all shares are equal. `None` of no predictions.
    #[must_use]
    pub fn stability_index(&self, counts: &[u64]) -> Option<f64> {
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return None;
        }
        let terms = self.shares.iter().zip(counts).map(|(&share, &count)| {
            let [p, q] = [share, count as f64 / all as f64].map(|share| share.max(LEAST_SHARE));
            (q - p) * (q / p).ln()
        });
        Some(terms.sum())
    }

    /// Whether it is one that [`PredictionSpread::of`] could give.
    fn is_sound(&self) -> bool {
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        self.shares.len() == self.edges.len() + 1
            && self.shares.len() <= MOST_BINS
            && self.mean.is_finite()
            && self.edges.iter().all(|edge| edge.is_finite())
            && self.edges.windows(2).all(|pair| pair[0] < pair[1])
            && self.shares.iter().all(is_share)
            && (self.shares.iter().sum::<f64>() - 1.0).abs() < 1e-6
    }
}

/// Saves with a model how the predictions `[T][n]` of its tasks lie. A server compares later predictions with that.
///
/// # Errors
/// None for finite predictions.
pub fn note_predictions(provenance: &mut Provenance, encoder: &Encoder, predictions: &[Vec<f32>]) -> Result<()> {
    let spreads = encoder.tasks().iter().zip(predictions);
    let spreads = spreads.map(|(task, own)| Some((task.name.clone(), PredictionSpread::of(own)?)));
    let Some(spreads) = spreads.collect::<Option<ByTask<PredictionSpread>>>() else { return Ok(()) };
    let spreads = serde_json::to_value(spreads).map_err(|error| Error::Encode { reason: error.to_string() })?;
    provenance.other.insert(KEY.to_owned(), spreads);
    Ok(())
}

/// What [`note_predictions`] saved, in the order of the tasks; `None` if the model has none, or something else in its place.
#[must_use]
pub fn noted_predictions(provenance: &Provenance, encoder: &Encoder) -> Option<Vec<PredictionSpread>> {
    let noted: ByTask<PredictionSpread> = serde_json::from_value(provenance.other.get(KEY)?.clone()).ok()?;
    let of_task = |name: &str| noted.get(name).filter(|spread| spread.is_sound()).cloned();
    encoder.tasks().iter().map(|task| of_task(&task.name)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn counts(spread: &PredictionSpread, predictions: &[f32]) -> Vec<u64> {
        let mut counts = vec![0; spread.shares.len()];
        predictions.iter().for_each(|&p| counts[spread.bin(p)] += 1);
        counts
    }

    #[test]
    fn bins_have_equal_shares_and_equal_rows_have_no_drift() {
        let uniform: Vec<f32> = (0..2000).map(|row| (row as f32 + 0.5) / 2000.0).collect();
        let spread = PredictionSpread::of(&uniform).unwrap();
        assert_eq!((spread.rows, spread.edges.len(), &spread.shares), (2000, 19, &vec![0.05; 20]));
        assert!((spread.mean - 0.5).abs() < 1e-6 && spread.is_sound());
        assert!(spread.stability_index(&counts(&spread, &uniform)).unwrap().abs() < 1e-12);
        assert_eq!(spread.stability_index(&[0; 20]), None);
    }

    #[test]
    fn a_shift_has_the_index_that_it_is_computed_to_have() {
        let uniform: Vec<f32> = (0..2000).map(|row| (row as f32 + 0.5) / 2000.0).collect();
        let spread = PredictionSpread::of(&uniform).unwrap();
        // The lower half is gone, and the upper half has twice as many: ten bins of 0.05 become 0, ten become 0.1.
        let upper: Vec<f32> = uniform.iter().map(|p| 0.5 + p / 2.0).collect();
        let gone = (1e-4 - 0.05) * (1e-4f64 / 0.05).ln();
        let more = (0.1 - 0.05) * 2f64.ln();
        let found = spread.stability_index(&counts(&spread, &upper)).unwrap();
        assert!((found - 10.0 * (gone + more)).abs() < 1e-9, "{found}");
        // One row in ten of the lowest bin moved to the highest one: 0.05 * 0.9 and 0.05 * 1.1.
        let mut few = vec![1000; 20];
        (few[0], few[19]) = (900, 1100);
        let found = spread.stability_index(&few).unwrap();
        assert!((found - (-0.005 * 0.9f64.ln() + 0.005 * 1.1f64.ln())).abs() < 1e-12, "{found}");
    }

    #[test]
    fn few_rows_and_equal_predictions_have_fewer_bins() {
        let bins = |predictions: &[f32]| PredictionSpread::of(predictions).map(|spread| spread.shares);
        assert_eq!(bins(&[]), None);
        assert_eq!(bins(&[0.5; 3]), Some(vec![1.0]));
        assert_eq!(bins(&[0.25; 1000]), Some(vec![1.0]));
        let two: Vec<f32> = (0..1000).map(|row| if row < 900 { 0.1 } else { 0.9 }).collect();
        assert_eq!(bins(&two), Some(vec![0.9, 0.1]));
        assert_eq!(bins(&(0..120).map(|row| row as f32).collect::<Vec<_>>()).unwrap().len(), 4);
    }

    #[test]
    fn what_no_training_wrote_is_not_taken() {
        let sound = PredictionSpread { rows: 4, mean: 0.5, edges: vec![0.1, 0.5], shares: vec![0.25, 0.25, 0.5] };
        assert!(sound.is_sound());
        for hostile in [
            PredictionSpread { edges: vec![0.5, 0.1], ..sound.clone() },
            PredictionSpread { edges: vec![0.5], ..sound.clone() },
            PredictionSpread { edges: vec![0.1, f32::NAN], ..sound.clone() },
            PredictionSpread { shares: vec![-1.0, 1.0, 1.0], ..sound.clone() },
            PredictionSpread { shares: vec![0.5, 0.5, 0.5], ..sound.clone() },
            PredictionSpread { mean: f64::INFINITY, ..sound.clone() },
            PredictionSpread { edges: (0..64).map(|e| e as f32).collect(), shares: vec![1.0 / 65.0; 65], ..sound },
        ] {
            assert!(!hostile.is_sound(), "{hostile:?}");
        }
    }
}
