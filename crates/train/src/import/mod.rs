//! [`import`]: weights that were trained elsewhere become a model.
//!
//! They have this project's names, or those of a [`Package`]. Of a package's, [`state`] takes tensors out of the `state_dict`, one
//! file per package ([`rechub`], [`deepctr`], [`mtreclib`], [`blog`]) knows their names and makes a [`net`] of them, and
//! [`carry`] brings it over: its inputs into the order of the configuration, its tables beside it.

mod blog;
mod carry;
mod deepctr;
mod layers;
mod mtreclib;
mod net;
mod package;
mod rechub;
mod state;

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
use crate::run::{RunData, RunFolder, note_spread};
pub use package::Package;

/// What to import.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// The configuration; encoders are fitted on its training rows.
    pub config: &'a ConfigFile,
    /// One of `[[compare.model]]`; `[model]` if `None`.
    pub model: Option<&'a str>,
    /// A safetensors file: with the contract's tensor names, or those of `package`.
    pub weights: &'a Path,
    /// Whose `state_dict` the weights are; `None` for the contract's names.
    pub package: Option<Package>,
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
    /// Keys of `[model]`, read off the shapes of the tensors, where there was no `[model]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<serde_json::Value>,
    /// What was left out of the weights, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Writes an artifact with imported weights.
///
/// # Errors
/// Those of loading the rows; [`Error::NotCarried`], [`Error::ForeignModel`] and [`Error::ForeignFeature`] for weights of a package
/// that have no form here, or not that of the configuration; [`Error::Model`] if a tensor is missing, unknown, or of another shape, and
/// [`Error::Exists`]; [`Error::Held`] and [`Error::Unwritable`] if it cannot be written where it is to be.
pub fn import(options: &ImportOptions<'_>, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<ImportReport> {
    let file = options.config;
    let configured = match (options.package, options.model, &file.config.model) {
        (Some(_), None, None) => None,
        _ => Some(file.model(options.model)?),
    };
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
    let (model, weights, found, notes) = match options.package {
        None => {
            let model = file.model(options.model)?.clone();
            let graph = model.build(encoder.layout(), data.tasks()).map_err(|e| file.model_error(options.model, e))?;
            (model, read_weights(options.weights, &graph)?, None, Vec::new())
        }
        Some(package) => {
            let carried = carry::carry(package, options.weights, file, encoder.layout(), data.tasks(), configured)?;
            let found = configured.is_none().then_some(carried.keys);
            (carried.model, carried.weights, found, carried.notes)
        }
    };
    let graph = model.build(encoder.layout(), data.tasks()).map_err(|e| file.model_error(options.model, e))?;
    let model = &model;
    let (tensors, parameters) = (weights.tensors.len(), weights.elements() as u64);
    let mut provenance =
        Provenance { config_hash: Some(Identity::of(&file.config, model, None)?.hash()), ..Provenance::now() };
    let predictor = Predictor::from_weights(graph, weights)?;
    let source = options.weights.file_name().map(|name| name.to_string_lossy().into_owned());
    provenance.other.insert("imported_from".to_owned(), source.into());
    if let Some(package) = options.package {
        provenance.other.insert("imported_package".to_owned(), package.name().into());
    }
    note_training_counts(&mut provenance, encoder, &data.splits.counts[0])?;
    note_spread(&mut provenance, &predictor, &data.splits, file.config.train.evaluation_batch_size)?;
    let saved = ToSave {
        model,
        encoder,
        predictor: &predictor,
        raw: &data.splits.raw,
        provenance,
        rank: file.config.rank.as_ref(),
    };
    Ok(ImportReport { tensors, parameters, golden_rows: saved.save(options.out)?, model: found, notes })
}
