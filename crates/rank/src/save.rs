//! [`ToSave`]: a model on its way to disk. Golden rows are predicted here, since that takes an engine.

use std::path::Path;

use pleiad_data::{Encoder, FeatureCount, RawRows};
use pleiad_engine::Predictor;
use pleiad_model::ModelConfig;
use pleiad_model::artifact::{Golden, Provenance, Unsaved};

use crate::by_task::ByTask;
use crate::config::RankConfig;
use crate::counts::{by_feature, in_order};
use crate::error::{Error, Result};
use crate::finite::check_finite;

/// A model that is to be saved.
pub struct ToSave<'a> {
    /// What was configured.
    pub model: &'a ModelConfig,
    /// Schema and fitted encoders.
    pub encoder: &'a Encoder,
    /// Graph and weights.
    pub predictor: &'a Predictor,
    /// The golden rows, as they were read; at least one.
    pub raw: &'a RawRows,
    /// Where the model comes from.
    pub provenance: Provenance,
    /// How its predictions become a score, where it is known.
    pub rank: Option<&'a RankConfig>,
}

impl ToSave<'_> {
    /// Writes the artifact, whole or not at all. Gives the number of golden rows.
    ///
    /// # Errors
    /// [`Error::NonFinitePrediction`] for a model whose weights are no numbers, and those of [`pleiad_model::artifact::Artifact::save`].
    pub fn save(self, path: &Path) -> Result<usize> {
        let Self { model, encoder, predictor, raw, provenance, rank } = self;
        let golden = golden(encoder, predictor, raw)?;
        let encode = |e: serde_json::Error| Error::Encode { reason: e.to_string() };
        let model = serde_json::to_value(model).map_err(encode)?;
        let rank = rank.map(serde_json::to_value).transpose().map_err(encode)?;
        let (graph, weights) = (predictor.graph(), &predictor.weights_view());
        Unsaved {
            model: &model,
            graph,
            encoder,
            provenance: &provenance,
            rank: rank.as_ref(),
            weights,
            golden: &golden,
        }
        .save(path)?;
        Ok(golden.batch.rows)
    }
}

/// Some training rows, with what the model predicts for them.
fn golden(encoder: &Encoder, predictor: &Predictor, raw: &RawRows) -> Result<Golden> {
    let batch = encoder.encode_raw(raw)?;
    let predictions = predictor.predict(&batch)?;
    check_finite(&predictions, encoder.tasks(), 0)?;
    Ok(Golden { raw: raw.clone(), batch, predictions: predictions.tasks })
}

/// Where a model's provenance has the values of each feature in its training rows.
const TRAINING_VALUES: &str = "training_values";

/// Saves with a model the counts of each feature's values in the training rows. Checks of later rows compare with these.
///
/// # Errors
/// None for counts.
pub fn note_training_counts(provenance: &mut Provenance, encoder: &Encoder, counts: &[FeatureCount]) -> Result<()> {
    let counts = serde_json::to_value(by_feature(encoder, counts));
    let counts = counts.map_err(|error| Error::Encode { reason: error.to_string() })?;
    provenance.other.insert(TRAINING_VALUES.to_owned(), counts);
    Ok(())
}

/// What [`note_training_counts`] saved; `None` if the model has no such counts, or something else in their place.
pub fn training_counts(provenance: &Provenance, encoder: &Encoder) -> Option<Vec<FeatureCount>> {
    let noted: ByTask<FeatureCount> = serde_json::from_value(provenance.other.get(TRAINING_VALUES)?.clone()).ok()?;
    in_order(encoder, &noted)
}
