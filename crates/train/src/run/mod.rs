//! [`train`]: from a configuration to a run's folder.
//!
//! ```text
//! RUN/model/          the artifact, once training is done
//! RUN/metrics.json    the report, once training is done
//! RUN/checkpoints/    where an interrupted run goes on
//! ```
//!
//! Each of them is whole or not there; RUN itself appears with the first of them, so that a run that cannot start
//! leaves nothing behind.

mod data;
mod folder;
mod report;
mod trained;

use std::path::Path;

use pleiad_model::artifact::{Artifact, Provenance, check_weights};
use serde_json::json;

pub use data::RunData;
pub use report::RunReport;
pub use trained::{Start, Trained, train_model};

use self::folder::RunFolder;
use crate::checkpoint::{CheckpointStore, Identity};
use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::fit::{Event, Interrupt, Observer};
use crate::model::{ToSave, refit};

/// What to train and where to write it.
#[derive(Debug, Clone, Copy)]
pub struct TrainOptions<'a> {
    /// The configuration.
    pub config: &'a ConfigFile,
    /// One of `[[compare.model]]`; `[model]` if `None`.
    pub model: Option<&'a str>,
    /// The run's folder.
    pub out: &'a Path,
    /// An artifact whose weights and encoders to start from.
    pub init: Option<&'a Path>,
    /// Whether to go on from the folder's last checkpoint.
    pub resume: bool,
}

/// How a run ended in order.
#[derive(Debug)]
pub enum TrainOutcome {
    /// The model is trained and written.
    Finished(Box<RunReport>),
    /// It had been before.
    AlreadyDone(Box<RunReport>),
}

/// Trains a model and writes its run.
///
/// # Errors
/// Any [`Error`]; [`Error::Interrupted`] when told to stop, with a checkpoint to resume from.
pub fn train(options: &TrainOptions<'_>, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<TrainOutcome> {
    let file = options.config;
    let model = file.model(options.model)?;
    let identity = Identity::of(file, model, options.init)?;
    let folder = RunFolder::new(options.out);
    if !options.resume {
        folder.require_absent()?;
    } else if let Some(report) = folder.report()? {
        identity.check_hash(&report.config_hash, options.out)?;
        return Ok(TrainOutcome::AlreadyDone(Box::new(report)));
    }
    folder.require_writable()?;
    let mut store = CheckpointStore::new(folder.checkpoints());
    let checkpoint = if options.resume { store.latest()? } else { None };
    if let Some(checkpoint) = &checkpoint {
        identity.check(checkpoint.identity(), options.out)?;
    } else if options.resume {
        folder.require_no_model()?;
        observer.event(&Event::Warning("there is no checkpoint to resume from; training starts from the beginning"));
    }

    let (encoder, weights) = match options.init {
        Some(path) => {
            let Artifact { encoder, weights, .. } = Artifact::open(path)?;
            (Some(refit(&encoder, file, path)?), Some(weights))
        }
        None => (None, None),
    };
    let data = RunData::load(file, encoder, interrupt, observer)?;
    let encoder = &data.splits.encoder;
    let graph = model.build(encoder.layout(), data.tasks()).map_err(|error| file.model_error(options.model, error))?;
    let summary = graph.summary();
    observer.event(&Event::Built { summary: &summary });

    let fingerprint = data.fingerprint()?;
    let start = match checkpoint {
        Some(checkpoint) => {
            checkpoint.check_data(&fingerprint, options.out)?;
            Start::Resumed(Box::new(checkpoint.read()?))
        }
        None => {
            if let (Some(path), Some(weights)) = (options.init, &weights) {
                let other = |e| file.error(format!("--init {}: not weights of this [model]: {e}", path.display()));
                check_weights(weights, &graph).map_err(other)?;
            }
            Start::Fresh(weights)
        }
    };
    store.begin(identity.clone(), fingerprint)?;
    let trained = train_model(&file.config, &graph, &data, start, &mut store, interrupt, observer);
    let trained = trained.map_err(|error| match error {
        Error::Interrupted { signal, what } => {
            Error::Interrupted { signal, what: format!("{what}; go on with the same command and --resume") }
        }
        error => error,
    })?;

    let report = trained.report(model.kind(), &identity, &file.config, &summary, &data);
    let saved = ToSave {
        model,
        graph: &graph,
        encoder,
        weights: trained.fitted.weights,
        rows: data.splits.train.as_batch(),
        provenance: provenance(&report)?,
    };
    saved.save(&folder.model())?;
    // Last, since its presence says that the run is complete.
    folder.write_report(&report)?;
    Ok(TrainOutcome::Finished(Box::new(report)))
}

/// Where a model comes from; goes into its artifact.
fn provenance(report: &RunReport) -> Result<Provenance> {
    let encode = |e: serde_json::Error| Error::Encode { reason: e.to_string() };
    let metrics = json!({
        "valid": serde_json::to_value(&report.valid).map_err(encode)?,
        "test": serde_json::to_value(&report.test).map_err(encode)?,
    });
    let mut provenance = Provenance {
        seed: Some(report.seed),
        config_hash: Some(report.config_hash.clone()),
        training_rows: Some(report.rows.train.rows),
        metrics,
        ..Provenance::now()
    };
    provenance.other.insert("best_epoch".to_owned(), report.best_epoch.into());
    provenance.other.insert("steps".to_owned(), report.steps.into());
    Ok(provenance)
}
