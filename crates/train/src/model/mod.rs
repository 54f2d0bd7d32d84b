//! [`Model`]: a saved model, opened, checked against its golden rows, and put to use.

mod artifact;
mod import;
mod inspect;
mod measure;
mod predict;
mod source;

use std::path::Path;

pub(crate) use artifact::{ToSave, refit};
pub use import::{ImportOptions, ImportReport, import};
pub use inspect::{Inspection, ModuleSize, Utilisation};
use pleiad_data::{Encoder, Skipped};
use pleiad_engine::Predictor;
use pleiad_model::artifact::Artifact;
pub use source::Source;

use crate::error::Result;

/// A saved model, ready to predict.
#[derive(Debug)]
pub struct Model {
    kind: String,
    encoder: Encoder,
    predictor: Predictor,
}

impl Model {
    /// Opens an artifact and lets it predict its golden rows.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another version, or the model does not give what it gave when it was
    /// saved.
    pub fn open(path: &Path) -> Result<Self> {
        let artifact = Artifact::open(path)?;
        let kind = artifact.kind().to_owned();
        let Artifact { graph, encoder, weights, golden, .. } = artifact;
        let mut predictor = Predictor::from_weights(graph, weights)?;
        let predictions = predictor.predict(&golden.batch)?;
        golden.check(predictor.graph(), &predictions.tasks)?;
        Ok(Self { kind, encoder, predictor })
    }
}

fn no_rows(skipped: &Skipped) -> crate::Error {
    let reason = match skipped.rows {
        0 => "the files have no rows".to_owned(),
        rows => format!("all {rows} rows were skipped as bad"),
    };
    crate::Error::Data(pleiad_data::Error::NoRows { split: "data", reason })
}
