//! [`train`]: from a configuration to a run's folder.
//!
//! ```text
//! RUN/model/          the artifact, once training is done
//! RUN/explain.json    what gates and features do in it
//! RUN/report.html     all of it to look at
//! RUN/tensorboard/    its curves for TensorBoard
//! RUN/metrics.json    the run in numbers; the last to be written
//! RUN/checkpoints/    where an interrupted run goes on
//! ```
//!
//! Each of them is whole or not there. RUN is locked before anything in it is read (`RUN/pleiad.lock`, removed when the
//! run ends). RUN is removed if none of these is written, so that a run that cannot start leaves nothing behind.

mod data;
mod folder;
mod guarded;
mod job;
pub(crate) mod report;
mod spread;
mod tensorboard;
mod trained;

use std::path::Path;
use std::sync::Arc;

use pleiad_data::MemoryRows;
use pleiad_model::artifact::Artifact;
use pleiad_rank::training_counts;

pub use data::{Base, RunData};
pub use report::RunReport;
pub use trained::{Start, Trained, train_model};

pub(crate) use self::folder::{REMOVE_IT, RunFolder, read_sealed, write_atomically, write_sealed};
pub(crate) use self::job::{Job, Trainee};
pub(crate) use self::spread::note_spread;
use crate::Interrupt;
use crate::checkpoint::{CheckpointStore, Identity};
use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::fit::{Event, Observer};
use crate::pages::Pages;

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
    /// The rows, where a program hands them over.
    pub rows: Option<&'a MemoryRows>,
    /// Who draws `report.html`; there is none if `None`.
    pub pages: Option<&'a dyn Pages>,
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
/// Any [`Error`]; [`Interrupted`](crate::Error::Interrupted) after a signal, with a checkpoint to resume
/// from.
pub fn train(options: &TrainOptions<'_>, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<TrainOutcome> {
    let file = options.config;
    let model = file.model(options.model)?;
    file.check_joint_loss(options.model)?;
    file.check_memory(options.model)?;
    let best_epoch = file.best_epoch(options.model)?;
    let joint_loss = file.joint_loss(options.model);
    let config = file.for_model(options.model, joint_loss, best_epoch, file.config.train.seed);
    let identity = Identity::of(&config, model, options.init)?;
    let folder = RunFolder::new(options.out);
    // Before anything is looked at: what is seen then stays so until the end.
    let lock = match folder.lock("pleiad train") {
        // Nothing is to be written into a run that is complete.
        Err(error @ Error::Unwritable { .. }) if options.resume => {
            return done_before(&folder, &identity, observer)?
                .map_or(Err(error), |report| Ok(TrainOutcome::AlreadyDone(report)));
        }
        lock => Arc::new(lock?),
    };
    let folder = folder.held_by(&lock);
    if let Some(text) = lock.warning() {
        observer.event(&Event::Warning(&text));
    }
    if !options.resume {
        folder.require_absent()?;
    }
    folder.sweep();
    if options.resume
        && let Some(report) = done_before(&folder, &identity, observer)?
    {
        return Ok(TrainOutcome::AlreadyDone(report));
    }
    folder.require_writable()?;
    file.make_table_folder()?;
    let mut store = CheckpointStore::new(folder.checkpoints());
    let checkpoint = if options.resume { store.latest(observer)? } else { None };
    if let Some(checkpoint) = &checkpoint {
        identity.check(checkpoint.identity(), options.out)?;
    } else if options.resume {
        folder.require_no_model()?;
        observer.event(&Event::Warning("there is no checkpoint to resume from; training starts from the beginning"));
    }

    let (base, weights) = match options.init {
        Some(path) => {
            let saved = Artifact::open(path)?;
            let encoder = file.refit(saved.encoder.clone(), path)?;
            let graph = model.build(encoder.layout(), encoder.tasks());
            let graph = graph.map_err(|error| file.model_error(options.model, error))?;
            file.check_init(options.model, model, &graph, &saved, path)?;
            let counts = training_counts(&saved.provenance, &saved.encoder);
            (Some(Base { encoder, counts }), Some(saved.weights))
        }
        None => (None, None),
    };
    let data = RunData::load(file, options.rows, base, interrupt, observer)?;
    let encoder = &data.splits.encoder;
    let graph = model.build(encoder.layout(), data.tasks()).map_err(|error| file.model_error(options.model, error))?;
    file.check_memory_of(options.model, &graph, data.rows.train.rows)?;
    observer.event(&Event::Built { summary: &graph.summary() });
    let trainee = Trainee { file, config: &config, model, graph: &graph, data: &data, pages: options.pages };
    let job = Job { trainee, identity, folder: &folder, store, checkpoint, init: weights };
    let report = job.run("go on with the same command and --resume", interrupt, observer)?;
    Ok(TrainOutcome::Finished(Box::new(report)))
}

/// The report of a run that is complete, if it is, after the alarms that it ended with.
fn done_before(folder: &RunFolder, identity: &Identity, observer: &mut dyn Observer) -> Result<Option<Box<RunReport>>> {
    let Some(report) = folder.report()? else { return Ok(None) };
    identity.check_hash(&report.config_hash, folder.path())?;
    let explanation = folder.explanation()?;
    let alarms = explanation.iter().flat_map(|explanation| &explanation.alarms);
    report.alarms.iter().chain(alarms).for_each(|alarm| observer.event(&Event::Warning(&alarm.text)));
    Ok(Some(Box::new(report)))
}
