//! [`Job`]: one model trained on rows that are loaded, and all that is written of it.

use std::time::{SystemTime, UNIX_EPOCH};

use pleiad_engine::Predictor;
use pleiad_model::artifact::Provenance;
use pleiad_model::{Graph, ModelConfig, Weights};
use pleiad_rank::{ToSave, note_training_counts};
use serde_json::json;

use super::data::{RunData, RunSplits};
use super::folder::RunFolder;
use super::guarded::Guarded;
use super::report::RunReport;
use super::spread::note_spread;
use super::tensorboard;
use super::trained::{Start, look_at_training_rows, train_model};
use crate::Interrupt;
use crate::alarm::Alarm;
use crate::alarm::labels::{broken_funnel, unlabelled_funnel};
use crate::checkpoint::{Checkpoint, CheckpointStore, Identity};
use crate::config::{Config, ConfigFile};
use crate::error::{Error, Result};
use crate::explain::{ExplainOptions, ExplainedOn, Explanation, ImportanceOptions, explain};
use crate::fit::{Event, Observer};
use crate::pages::{Pages, RunPage};
use crate::rows::RowSet;

/// Rows on disk of which a model is explained.
const EXPLAINED_ROWS: usize = 1 << 16;

/// Part of what training costs that explaining may cost, too, where that is more than seconds.
const EXPLAINING: u64 = 10;

/// A model, the rows to train it on, and how.
#[derive(Clone, Copy)]
pub(crate) struct Trainee<'a> {
    /// Where the configuration was read from, for messages.
    pub(crate) file: &'a ConfigFile,
    /// What holds for this run: the file's configuration, perhaps with another seed.
    pub(crate) config: &'a Config,
    pub(crate) model: &'a ModelConfig,
    pub(crate) graph: &'a Graph,
    pub(crate) data: &'a RunData,
    /// Who draws the report.
    pub(crate) pages: Option<&'a dyn Pages>,
}

/// A [`Trainee`] and its folder.
pub(crate) struct Job<'a> {
    pub(crate) trainee: Trainee<'a>,
    pub(crate) identity: Identity,
    pub(crate) folder: &'a RunFolder,
    pub(crate) store: CheckpointStore,
    /// Where to go on.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Weights to start from.
    pub(crate) init: Option<Weights>,
}

impl Job<'_> {
    /// Trains, measures and saves. `advice` says how to go on after an interrupt.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Interrupted`] after a signal, with a checkpoint to resume from.
    pub(crate) fn run(self, advice: &str, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<RunReport> {
        let Self { trainee, identity, folder, mut store, checkpoint, init } = self;
        let Trainee { file, config, model, graph, data, pages } = trainee;
        let mut alarms: Vec<Alarm> = unlabelled_funnel(model, &data.rows.train).into_iter().collect();
        let RunSplits { train, valid, test, .. } = &data.splits;
        for (name, rows) in
            [("training rows", Some(train)), ("validation rows", valid.as_ref()), ("test rows", test.as_ref())]
        {
            if let Some(rows) = rows {
                alarms.extend(broken_funnel(model, data.tasks(), name, rows)?);
            }
        }
        alarms.iter().for_each(|alarm| observer.event(&Event::Warning(&alarm.text)));
        if config.train.precision.is_emulated() {
            let text = "[train] precision = \"bf16\": this processor has no products of bf16 (AVX512-BF16), so rounded \
                        operands are multiplied in f32: the results are bf16's, and come no sooner than those of f32";
            observer.event(&Event::Warning(text));
        }
        let fingerprint = data.fingerprint()?.to_owned();
        let start = match checkpoint {
            Some(checkpoint) => {
                checkpoint.check_data(&fingerprint, folder.path())?;
                Start::Resumed(Box::new(checkpoint.into_inner()))
            }
            None => Start::Fresh(init),
        };
        store.begin(identity.clone(), fingerprint.clone())?;
        let advised = |error| match error {
            Error::Interrupted { signal, what } => Error::Interrupted { signal, what: format!("{what}; {advice}") },
            error => error,
        };
        let mut keeper = Guarded { store: &mut store, folder };
        let mut trained = train_model(config, graph, data, start, &mut keeper, interrupt, observer).map_err(advised)?;
        look_at_training_rows(&mut trained, config, data, observer)?;
        let mut report = trained.report(model.kind(), &identity, config, &graph.summary(), data);
        report.data_fingerprint = fingerprint;
        report.alarms = data.alarms.iter().cloned().chain(alarms).chain(report.alarms).collect();
        let mut provenance = provenance(&report)?;
        note_training_counts(&mut provenance, &data.splits.encoder, &data.splits.counts[0])?;
        note_spread(&mut provenance, &trained.predictor, &data.splits, config.train.evaluation_batch_size)?;
        let saved = ToSave {
            model,
            encoder: &data.splits.encoder,
            predictor: &trained.predictor,
            raw: &data.splits.raw,
            provenance: provenance.clone(),
            rank: config.rank.as_ref(),
        };
        folder.require_ours()?;
        // Before it is explained, so that the model is there if the explanation is stopped.
        saved.save(&folder.model())?;
        let explanation = explained(&trainee, &trained.predictor, interrupt, observer).map_err(advised)?;
        let alarms = explanation.iter().flat_map(|explanation| &explanation.alarms);
        alarms.for_each(|alarm| observer.event(&Event::Warning(&alarm.text)));
        folder.write_explanation(explanation.as_ref())?;
        let page = RunPage {
            report: &report,
            explanation: explanation.as_ref(),
            graph,
            config: file,
            provenance: &provenance,
        };
        if let Some(pages) = pages {
            folder.write_page(&pages.run(&page))?;
        }
        folder.write_events(&tensorboard::events(&report, now()))?;
        (report.model_xxh64, report.explain_xxh64) = folder.hashes()?;
        // Last, since its presence says that the run is complete.
        folder.write_report(&report)?;
        Ok(report)
    }
}

/// Explains a model on rows that had no part in any choice, or on the best that there are; or not, as `[train] explain`
/// says.
fn explained(
    trainee: &Trainee<'_>,
    predictor: &Predictor,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<Option<Explanation>> {
    let train = &trainee.config.train;
    let Some(share) = train.explain.share() else { return Ok(None) };
    let splits = &trainee.data.splits;
    let (on, rows) = match (&splits.test, &splits.valid) {
        (Some(rows), _) => (ExplainedOn::Test, rows),
        (None, Some(rows)) => (ExplainedOn::Valid, rows),
        (None, None) => (ExplainedOn::Train, &splits.train),
    };
    let there = rows.count();
    let wanted = (there as f64 * share.rows).ceil() as usize;
    let most = if matches!(rows, RowSet::Stored { .. }) { wanted.min(EXPLAINED_ROWS) } else { wanted };
    // What training cost may well be spent again in part: a pass over the rows and back is three predictions of each.
    let trained = trainee.data.rows.train.rows.saturating_mul(train.epochs).saturating_mul(3);
    let least = ImportanceOptions::default();
    let work = (trained / EXPLAINING).saturating_mul(ImportanceOptions::cost(trainee.graph)).max(least.work);
    let importance = ImportanceOptions { features: share.features, work, ..least };
    let options = ExplainOptions { batch_size: train.evaluation_batch_size, importance };
    let mut progress = |rows, of| observer.event(&Event::Explaining { rows, of });
    let (rows, tasks) = (rows.spread(most)?, trainee.data.tasks());
    let mut explanation = explain(predictor, &rows, on, tasks, &options, interrupt, &mut progress)?;
    explanation.of_rows = (explanation.rows < there).then_some(there);
    Ok(Some(explanation))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
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
    if !report.best_epochs.is_empty() {
        let epochs = serde_json::to_value(&report.best_epochs).map_err(encode)?;
        provenance.other.insert("best_epochs".to_owned(), epochs);
    }
    provenance.other.insert("steps".to_owned(), report.steps.into());
    Ok(provenance)
}
