//! [`Model`]: a saved model, opened, checked against its golden rows, and put to use.

mod artifact;
mod import;
mod inspect;
mod measure;
mod predict;
mod source;

use std::path::Path;

pub(crate) use artifact::{ToSave, note_training_counts, refit, training_counts};
pub use import::{ImportOptions, ImportReport, import};
pub use inspect::{Inspection, ModuleSize, Utilisation};
use pleiad_data::{EncodedStream, Encoder, FeatureCount, Skipped};
use pleiad_engine::{Predictor, check_memory_to_predict};
use pleiad_model::artifact::Artifact;
use pleiad_model::{Graph, ModelConfig};
pub use source::Source;

use crate::alarm::Alarm;
use crate::alarm::features::{Context, Part, features};
use crate::by_task::ByTask;
use crate::counts::by_feature;
use crate::error::Result;

/// A saved model, ready to predict.
#[derive(Debug)]
pub struct Model {
    kind: String,
    /// Tasks whose events can only follow one another, where this version knows the structure.
    funnel: Vec<String>,
    encoder: Encoder,
    predictor: Predictor,
    /// Values of each feature in the rows that it was trained on, where they are known.
    training_counts: Option<Vec<FeatureCount>>,
}

impl Model {
    /// Opens an artifact and lets it predict its golden rows.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another version, if the model does not fit in memory, or does not give what it
    /// gave when it was saved.
    pub fn open(path: &Path) -> Result<Self> {
        let fits = |graph: &Graph| check_memory_to_predict(graph).map_err(|error| error.to_string());
        let artifact = Artifact::open_if(path, &fits)?;
        let kind = artifact.kind().to_owned();
        let model = serde_json::from_value::<ModelConfig>(artifact.model.clone());
        let funnel = model.map_or_else(|_| Vec::new(), |model| model.funnel().to_vec());
        let Artifact { graph, encoder, weights, golden, provenance, .. } = artifact;
        let training_counts = training_counts(&provenance, &encoder);
        let mut predictor = Predictor::from_weights(graph, weights)?;
        let predictions = predictor.predict(&golden.batch)?;
        golden.check(predictor.graph(), &predictions.tasks)?;
        Ok(Self { kind, funnel, encoder, predictor, training_counts })
    }
}

/// What reading a file's rows gave beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Rows that were left out as bad.
    pub skipped: Skipped,
    /// Values of every feature.
    pub features: ByTask<FeatureCount>,
    /// What is wrong with them.
    pub alarms: Vec<Alarm>,
}

impl Read {
    /// Of a stream that was read to its end by a model that was trained on rows with `base`.
    fn of(stream: &EncodedStream<'_>, encoder: &Encoder, base: Option<&[FeatureCount]>) -> Self {
        let counts = stream.counts();
        Self {
            skipped: stream.skipped().clone(),
            features: by_feature(encoder, counts),
            alarms: features(encoder, base, &[Part { name: "these rows", counts }], Context::Serving),
        }
    }
}

fn no_rows(source: &Source, skipped: &Skipped) -> crate::Error {
    let reason = match skipped.examples.first() {
        None => "there are none at all".to_owned(),
        Some(bad) => format!("all {} were skipped as bad, the first: {bad}", skipped.rows),
    };
    let paths = source.files.iter().map(|file| file.path.clone()).collect();
    crate::Error::Data(pleiad_data::Error::NoRows { split: "data", paths, reason })
}
