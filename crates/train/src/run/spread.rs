//! How the predictions of a trained model lie, which goes with it into its artifact.

use pleiad_engine::Predictor;
use pleiad_model::artifact::Provenance;
use pleiad_rank::note_predictions;

use super::data::RunSplits;
use crate::error::Result;
use crate::rows::Rows;

/// Rows that are predicted, at most: each of 20 bins has 800 of them, and they take less than a step of a large log.
const ROWS: usize = 1 << 14;

/// Notes how predictions lie over validation rows, else over training rows, of at most `batch_size` rows at a time.
///
/// # Errors
/// Those of reading rows from disk and of predicting.
pub(crate) fn note_spread(
    provenance: &mut Provenance,
    predictor: &Predictor,
    splits: &RunSplits,
    batch_size: usize,
) -> Result<()> {
    let rows = splits.valid.as_ref().unwrap_or(&splits.train).spread(ROWS)?;
    let mut predictions = vec![Vec::new(); splits.encoder.tasks().len()];
    Rows::from(rows.as_ref()).each(batch_size, &mut |batch| {
        let of_batch = predictor.predict(batch)?.tasks;
        predictions.iter_mut().zip(of_batch).for_each(|(all, own)| all.extend(own));
        Ok(())
    })?;
    // Golden rows say what is wrong with a model that predicts no numbers.
    if predictions.iter().flatten().all(|prediction| prediction.is_finite()) {
        note_predictions(provenance, &splits.encoder, &predictions)?;
    }
    Ok(())
}
