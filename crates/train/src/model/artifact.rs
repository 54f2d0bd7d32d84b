//! Between a run and the artifact on disk: golden rows are predicted here, since that takes an engine.

use std::path::Path;

use pleiad_data::{Encoder, FeatureCount, RawRows};
use pleiad_engine::Predictor;
use pleiad_model::ModelConfig;
use pleiad_model::artifact::{Golden, Provenance, Unsaved};

use crate::by_task::ByTask;
use crate::config::ConfigFile;
use crate::counts::{by_feature, in_order};
use crate::error::{Error, Result};

/// A model that is to be saved.
pub(crate) struct ToSave<'a> {
    pub(crate) model: &'a ModelConfig,
    pub(crate) encoder: &'a Encoder,
    /// Graph and weights.
    pub(crate) predictor: &'a mut Predictor,
    /// The golden rows, as they were read; at least one.
    pub(crate) raw: &'a RawRows,
    pub(crate) provenance: Provenance,
}

impl ToSave<'_> {
    /// Writes the artifact, whole or not at all. Gives the number of golden rows.
    ///
    /// # Errors
    /// [`Error::NonFinitePrediction`] for a model whose weights are no numbers, and those of [`Artifact::save`].
    pub(crate) fn save(self, path: &Path) -> Result<usize> {
        let Self { model, encoder, predictor, raw, provenance } = self;
        let golden = golden(encoder, predictor, raw)?;
        let model = serde_json::to_value(model).map_err(|e| Error::Encode { reason: e.to_string() })?;
        let (graph, weights) = (predictor.graph(), &predictor.weights_view());
        Unsaved { model: &model, graph, encoder, provenance: &provenance, weights, golden: &golden }.save(path)?;
        Ok(golden.batch.rows)
    }
}

/// Some training rows, with what the model predicts for them.
fn golden(encoder: &Encoder, predictor: &mut Predictor, raw: &RawRows) -> Result<Golden> {
    let batch = encoder.encode_raw(raw)?;
    let predictions = predictor.predict(&batch)?;
    crate::evaluate::check_finite(&predictions, encoder.tasks(), 0)?;
    Ok(Golden { raw: raw.clone(), batch, predictions: predictions.tasks })
}

/// Where a model's provenance has the values of each feature in its training rows.
const TRAINING_VALUES: &str = "training_values";

/// Notes the values of each feature in the training rows with a model: whoever meets other rows can tell by them whether
/// these are as unknown to the model as those were.
///
/// # Errors
/// None for counts.
pub(crate) fn note_training_counts(
    provenance: &mut Provenance,
    encoder: &Encoder,
    counts: &[FeatureCount],
) -> Result<()> {
    let counts = serde_json::to_value(by_feature(encoder, counts));
    let counts = counts.map_err(|error| Error::Encode { reason: error.to_string() })?;
    provenance.other.insert(TRAINING_VALUES.to_owned(), counts);
    Ok(())
}

/// What [`note_training_counts`] noted; None where nobody did, or something else is there.
pub(crate) fn training_counts(provenance: &Provenance, encoder: &Encoder) -> Option<Vec<FeatureCount>> {
    let noted: ByTask<FeatureCount> = serde_json::from_value(provenance.other.get(TRAINING_VALUES)?.clone()).ok()?;
    in_order(encoder, &noted)
}

/// The encoder of a saved model under the schema of a configuration: what was fitted stays, and tasks, labels and the
/// form of CSV files are the configuration's.
///
/// # Errors
/// [`Error::Config`] if the configuration has other features.
pub(crate) fn refit(saved: &Encoder, file: &ConfigFile, path: &Path) -> Result<Encoder> {
    if saved.schema().features != file.schema.features {
        return Err(file.other_features(&saved.schema().features, path));
    }
    let encode = |e: serde_json::Error| Error::Encode { reason: e.to_string() };
    let mut document = serde_json::to_value(saved).map_err(encode)?;
    document["schema"] = serde_json::to_value(&file.schema).map_err(encode)?;
    serde_json::from_value(document).map_err(encode)
}
