//! [`import`]: weights that were trained elsewhere become a model.

use std::fs::File;
use std::path::Path;

use pleiad_engine::Predictor;
use pleiad_model::artifact::{Provenance, read_weights};
use pleiad_rank::{ToSave, note_training_counts};
use serde::Serialize;

use crate::Interrupt;
use crate::checkpoint::Identity;
use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::fit::Observer;
use crate::run::{RunData, RunFolder};

/// What to import.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// The configuration; encoders are fitted on its training rows.
    pub config: &'a ConfigFile,
    /// One of `[[compare.model]]`; `[model]` if `None`.
    pub model: Option<&'a str>,
    /// A safetensors file with the contract's tensor names.
    pub weights: &'a Path,
    /// The artifact to write.
    pub out: &'a Path,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Tensors.
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: u64,
    /// Rows whose predictions are kept with the model.
    pub golden_rows: usize,
}

/// Writes an artifact with imported weights.
///
/// # Errors
/// Those of loading the rows, [`Error::Model`] if a tensor is missing, unknown, or of another shape, and
/// [`Error::Exists`]; [`Error::Held`] and [`Error::Unwritable`] if it cannot be written where it is to be.
pub fn import(options: &ImportOptions<'_>, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<ImportReport> {
    let file = options.config;
    let model = file.model(options.model)?;
    if options.out.exists() || options.out.is_symlink() {
        return Err(Error::Exists {
            path: options.out.to_path_buf(),
            what: "is there already",
            advice: "name another folder",
        });
    }
    // What can fail without the rows fails before they are read.
    let place = RunFolder::new(options.out);
    place.require_free_above()?;
    place.require_writable()?;
    let unreadable = |source| pleiad_model::Error::Io { path: options.weights.to_path_buf(), action: "read", source };
    File::open(options.weights).map_err(unreadable)?;
    let data = RunData::load(file, None, None, interrupt, observer)?;
    let encoder = &data.splits.encoder;
    let graph = model.build(encoder.layout(), data.tasks()).map_err(|e| file.model_error(options.model, e))?;
    let weights = read_weights(options.weights, &graph)?;
    let (tensors, parameters) = (weights.tensors.len(), weights.elements() as u64);
    let mut provenance =
        Provenance { config_hash: Some(Identity::of(&file.config, model, None)?.hash()), ..Provenance::now() };
    let predictor = Predictor::from_weights(graph, weights)?;
    let source = options.weights.file_name().map(|name| name.to_string_lossy().into_owned());
    provenance.other.insert("imported_from".to_owned(), source.into());
    note_training_counts(&mut provenance, encoder, &data.splits.counts[0])?;
    let saved = ToSave {
        model,
        encoder,
        predictor: &predictor,
        raw: &data.splits.raw,
        provenance,
        rank: file.config.rank.as_ref(),
    };
    Ok(ImportReport { tensors, parameters, golden_rows: saved.save(options.out)? })
}
