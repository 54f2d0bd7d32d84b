//! [`compare`]: several models on the same rows over the same seeds. Did multi-task learning help every task?
//!
//! Rows are read and encoded once. Every model is trained with every seed, by the same rules as `train`; runs
//! that are in the folder already are not done again. `sizes` makes models equally large, `runs` completes one run,
//! `assemble` makes the `result` of all of them, with the words of `verdict` and `answer`, and `page` draws it.

mod answer;
mod assemble;
mod compared;
mod correction;
mod page;
pub(crate) mod result;
mod runs;
mod sizes;
mod task;
mod verdict;

use std::path::Path;
use std::sync::Arc;

use pleiad_data::MemoryRows;
use pleiad_model::{Graph, ModelConfig};

pub use answer::Answer;
pub use compared::{ComparedModel, SeedRun};
pub use correction::corrected;
pub use result::{Comparison, MeasuredOn};
pub use task::{AlsoMeasured, Missing, TaskComparison};
pub use verdict::{Verdict, VerdictKind};

use self::runs::SeedOutcome;
use self::sizes::{SizedModel, matched};
use crate::Interrupt;
use crate::checkpoint::Identity;
use crate::config::{CompareConfig, ConfigFile, JointLossConfig, MetricsConfig, check_joint_loss};
use crate::error::{Error, Result};
use crate::fit::Observer;
use crate::pages::Pages;
use crate::run::{RunData, RunFolder, Trainee, write_atomically};
pub use crate::statistics::{Interval, Side, Spread};

/// What to compare and where to write it.
#[derive(Debug, Clone, Copy)]
pub struct CompareOptions<'a> {
    /// The configuration, with its `[compare]`.
    pub config: &'a ConfigFile,
    /// The comparison's folder.
    pub out: &'a Path,
    /// The rows, where a program hands them over.
    pub rows: Option<&'a MemoryRows>,
    /// Who draws the reports, that of the comparison and of each run; there are none if `None`.
    pub pages: Option<&'a dyn Pages>,
}

/// What happens next; a new [`Observer`] is asked for with each.
#[derive(Debug, Clone, Copy)]
pub enum CompareStage<'a> {
    /// Rows are read.
    Load,
    /// A model is trained, or was before.
    Run {
        /// Its name.
        model: &'a str,
        /// The seed.
        seed: u64,
        /// Number of the run, from 1.
        number: usize,
        /// Number of runs.
        of: usize,
        /// Whether there is nothing left to do.
        known: bool,
    },
}

/// Trains every model of `[compare]` with every seed, and writes `compare.json`, `report.html` and the
/// runs.
///
/// Called again after an interruption, it goes on where it stopped.
///
/// # Errors
/// [`Error::Config`] for a configuration that compares nothing, [`Error::Exists`] for a folder of something else,
/// [`Error::Differs`] for one of another comparison; [`Error::Interrupted`] with all that is needed to go on; whatever
/// reading rows and writing files may give. A model that cannot be trained is no error but part of the result.
pub fn compare<'o>(
    options: CompareOptions<'_>,
    interrupt: &Interrupt,
    stage: &mut dyn FnMut(CompareStage<'_>) -> Box<dyn Observer + 'o>,
) -> Result<Comparison> {
    let CompareOptions { config: file, out, rows, pages } = options;
    let config = comparison_of(file)?;
    let measured_on = measured_on(file)?;
    for named in config.models.iter().filter(|named| named.joint_loss.is_some()) {
        file.check_joint_loss(Some(&named.name))?;
    }
    let best_epochs: Vec<_> =
        config.models.iter().map(|named| file.best_epoch(Some(&named.name))).collect::<Result<_>>()?;
    config.models.iter().try_for_each(|named| file.check_memory(Some(&named.name)))?;
    let names: Vec<&str> = config.models.iter().map(|m| m.name.as_str()).collect();
    let slugs = runs::slugs(&names);
    let folder = RunFolder::new(out);
    // Before anything is looked at: what is seen then stays so until the end.
    let lock = Arc::new(folder.lock("pleiad compare")?);
    let folder = folder.held_by(&lock);
    require_ours(&folder)?;
    runs::require_free(out, &slugs, &config.seeds)?;
    folder.sweep();
    folder.require_writable()?;
    file.make_table_folder()?;
    let mut observer = stage(CompareStage::Load);
    if let Some(text) = lock.warning() {
        observer.event(&crate::Event::Warning(&text));
    }
    let data = RunData::load(file, rows, None, interrupt, &mut *observer)?;
    drop(observer);

    let models = sized_models(file, config, &data)?;
    // Vocabularies are known now. What is too large for this machine is a mistake of the configuration, and no failure of a
    // model that others are compared with.
    for (name, SizedModel { graph, .. }) in names.iter().zip(&models) {
        file.check_memory_of(Some(name), graph, data.rows.train.rows)?;
    }
    let (losses, left_out) = joint_losses(file, config, &models);
    let mut runs: Vec<Vec<SeedOutcome>> = vec![Vec::new(); models.len()];
    let of = models.len() * config.seeds.len();
    let mut number = 0;
    // Seed by seed, so that a comparison that is cut short has compared something.
    for &seed in &config.seeds {
        for (m, SizedModel { model, graph, .. }) in models.iter().enumerate() {
            number += 1;
            let config = file.for_model(Some(names[m]), losses[m], best_epochs[m], seed);
            let identity = Identity::of(&config, model, None)?;
            let path = out.join(runs::folder_of(&slugs[m], seed));
            let known = runs::known(&path, &identity, data.fingerprint()?)?;
            let mut observer = stage(CompareStage::Run { model: names[m], seed, number, of, known: known.is_some() });
            let ran = match known {
                Some(ran) => ran,
                None => {
                    let trainee = Trainee { file, config: &config, model, graph, data: &data, pages };
                    runs::train(trainee, identity, &RunFolder::new(&path).held_by(&lock), interrupt, &mut *observer)?
                }
            };
            if let SeedOutcome::Failed(reason) = &ran {
                observer.event(&crate::Event::Warning(&format!("failed, and the comparison goes on: {reason}")));
            }
            runs[m].push(ran);
        }
    }

    let tasks = data.tasks();
    let flattered = (measured_on == MeasuredOn::Valid).then(|| {
        "there are no test rows: models are measured on the rows that chose their best epochs, which flatters all of them"
            .to_owned()
    });
    let notes = flattered.into_iter().chain(left_out).collect();
    let measures = file.config.measures();
    let parts = assemble::ComparisonParts {
        config,
        tasks,
        measures: &measures,
        all_metrics: file.config.metrics != MetricsConfig::default(),
        rows: &data.rows,
        measured_on,
        models: &models,
        slugs: &slugs,
        runs: &runs,
        notes,
    };
    let comparison = parts.assemble()?;
    let mut text = serde_json::to_vec_pretty(&comparison).map_err(|e| Error::Encode { reason: e.to_string() })?;
    text.push(b'\n');
    if let Some(pages) = pages {
        folder.write_page(&page::page(pages, file, out, &comparison, &models, &slugs, &runs)?)?;
    }
    write_atomically(&out.join("compare.json"), &text)?;
    Ok(comparison)
}

fn comparison_of(file: &ConfigFile) -> Result<&CompareConfig> {
    let advice = "there is no [compare]: name the models with [[compare.model]], the seeds, and the baseline that gains \
                  are measured against";
    file.config.compare.as_ref().ok_or_else(|| file.error(advice.to_owned()))
}

/// The joint loss of every model, and a note on those that share nothing: a method of `[train]` that has nothing to act
/// on there gives way to the plain sum, which is what it would compute.
fn joint_losses(
    file: &ConfigFile,
    config: &CompareConfig,
    models: &[SizedModel],
) -> (Vec<JointLossConfig>, Option<String>) {
    let mut losses = Vec::with_capacity(models.len());
    let mut without = Vec::new();
    for (named, sized) in config.models.iter().zip(models) {
        let asked = file.joint_loss(Some(&named.name));
        if check_joint_loss(&asked, &sized.graph).is_ok() {
            losses.push(asked);
        } else {
            losses.push(asked.without_shared_parts());
            without.push(named.name.as_str());
        }
    }
    let note = (!without.is_empty()).then(|| {
        format!(
            "{} shares nothing between tasks, so that the joint loss of [train] has nothing to act on: trained without it",
            without.join(", ")
        )
    });
    (losses, note)
}

/// The rows that models are measured on. A comparison needs rows on which no model was trained.
fn measured_on(file: &ConfigFile) -> Result<MeasuredOn> {
    let data = &file.config.data;
    if data.test.is_some() {
        Ok(MeasuredOn::Test)
    } else if data.valid.is_some() {
        Ok(MeasuredOn::Valid)
    } else {
        let advice = "[data] has neither `test` nor `valid`: a comparison needs rows that the models were not trained \
                      on, such as test = { fraction = 0.1 }";
        Err(file.error(advice.to_owned()))
    }
}

/// Refuses a folder that holds something, but no comparison.
fn require_ours(folder: &RunFolder) -> Result<()> {
    let out = folder.path();
    let begun = out.join("runs").is_dir() || out.join("compare.json").is_file();
    if begun { Ok(()) } else { folder.require_absent() }
}

/// Every model over the inputs of the data, as wide as it is to be.
fn sized_models(file: &ConfigFile, config: &CompareConfig, data: &RunData) -> Result<Vec<SizedModel>> {
    let layout = data.splits.encoder.layout();
    let build = |name: &str, model: &ModelConfig| -> Result<Graph> {
        model.build(layout, data.tasks()).map_err(|error| file.model_error(Some(name), error))
    };
    let target = config.models.iter().find(|m| m.name == config.baseline);
    let target = match (target, config.match_parameters) {
        (Some(baseline), true) => Some(build(&baseline.name, &baseline.model)?.summary().dense_parameters),
        _ => None,
    };
    let sized = |named: &crate::config::NamedModel| match target {
        Some(target) if named.name != config.baseline => {
            matched(&named.model, target, |model| build(&named.name, model))
        }
        _ => Ok(SizedModel { graph: build(&named.name, &named.model)?, model: named.model.clone(), factor: 1.0 }),
    };
    config.models.iter().map(sized).collect()
}
