//! [`train_model`]: one model on rows that are loaded.

use pleiad_data::Batch;
use pleiad_engine::{Engine, Predictor};
use pleiad_model::artifact::check_weights;
use pleiad_model::graph::Summary;
use pleiad_model::{Graph, Weights};

use super::data::RunData;
use super::report::RunReport;
use crate::Interrupt;
use crate::alarm::Alarm;
use crate::alarm::outputs::OutputWatch;
use crate::checkpoint::{Checkpointed, Identity};
use crate::config::{Config, TrainConfig};
use crate::counts::ParameterCount;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, evaluate};
use crate::fit::{Event, FitProblem, Fitted, Keeper, Observer, Outcome, fit};
use crate::rows::Rows;

/// Training rows that are predicted where there are no others to see what comes out. As many show that a task predicts one
/// number for all, and take less than a hundredth of an epoch of any log that is worth training on.
const LOOKED_AT: usize = 1 << 12;

/// Where training starts.
#[derive(Debug)]
pub enum Start {
    /// From weights drawn with the seed, replaced by these where given.
    Fresh(Option<Weights>),
    /// From a checkpoint.
    Resumed(Box<Checkpointed>),
}

/// A trained and measured model.
#[derive(Debug)]
pub struct Trained {
    /// How training went.
    pub fitted: Fitted,
    /// The model, with the kept weights.
    pub predictor: Predictor,
    /// The kept weights on the validation rows.
    pub valid: Option<Evaluation>,
    /// The kept weights on the test rows.
    pub test: Option<Evaluation>,
    /// What is wrong with the predictions; each was given as a warning.
    pub alarms: Vec<Alarm>,
}

/// Trains one model and measures it on validation and test rows.
///
/// # Errors
/// As [`fit`]; [`Error::Interrupted`] after the keeper has saved the state.
pub fn train_model(
    config: &Config,
    graph: &Graph,
    data: &RunData,
    start: Start,
    keeper: &mut dyn Keeper,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let train = &config.train;
    let mut engine = Engine::new(graph, &train.engine_options())?;
    engine.drop_fields(train.field_dropout as f32)?;
    let state = match start {
        Start::Fresh(weights) => {
            engine.init(train.seed);
            if let Some(weights) = weights {
                check_weights(&weights, graph)?;
                engine.load(&weights)?;
            }
            begin_average(&mut engine, train)?;
            None
        }
        Start::Resumed(checkpoint) => {
            begin_average(&mut engine, train)?;
            checkpoint.restore(&mut engine)?;
            Some(checkpoint.state)
        }
    };
    let splits = &data.splits;
    let measures = config.measures();
    let problem = FitProblem {
        config: train,
        tasks: &config.tasks,
        train: (&splits.train).into(),
        valid: splits.valid.as_ref().map(Into::into),
        measures: &measures,
    };
    let fitted = match fit(&problem, &mut engine, state, keeper, interrupt, observer)? {
        Outcome::Finished(fitted) => fitted,
        Outcome::Interrupted { steps, signal } => {
            return Err(Error::Interrupted { signal, what: format!("stopped after {steps} steps") });
        }
    };
    let mut alarms = Vec::new();
    let mut measure = |name: &str, rows: Rows<'_>| -> Result<Evaluation> {
        let mut watch = OutputWatch::new(data.tasks());
        let predict = |batch: &Batch| {
            let predictions = engine.predict(batch)?;
            watch.add(&predictions, batch);
            Ok(predictions)
        };
        let evaluation = evaluate(predict, rows, data.tasks(), &measures, train.evaluation_batch_size)?;
        // Those of the rows that were measured last are those that the model is judged by.
        alarms = watch.alarms(name, &evaluation);
        Ok(evaluation)
    };
    let valid = splits.valid.as_ref().map(|rows| measure("validation", rows.into())).transpose()?;
    let test = splits.test.as_ref().map(|rows| measure("test", rows.into())).transpose()?;
    alarms.iter().for_each(|alarm| observer.event(&Event::Warning(&alarm.text)));
    Ok(Trained { fitted, predictor: engine.into_predictor()?, valid, test, alarms })
}

/// Looks at what comes out for some training rows, where there are neither validation nor test rows that were measured.
///
/// # Errors
/// Those of reading rows from disk and of predicting.
pub(super) fn look_at_training_rows(
    trained: &mut Trained,
    config: &Config,
    data: &RunData,
    observer: &mut dyn Observer,
) -> Result<()> {
    if trained.valid.is_some() || trained.test.is_some() {
        return Ok(());
    }
    let rows = data.splits.train.spread(LOOKED_AT)?;
    let mut watch = OutputWatch::new(data.tasks());
    let predict = |batch: &Batch| {
        let predictions = trained.predictor.predict(batch)?;
        watch.add(&predictions, batch);
        Ok(predictions)
    };
    let size = config.train.evaluation_batch_size;
    let evaluation = evaluate(predict, Rows::from(rows.as_ref()), data.tasks(), &config.measures(), size)?;
    trained.alarms = watch.alarms("training", &evaluation);
    trained.alarms.iter().for_each(|alarm| observer.event(&Event::Warning(&alarm.text)));
    Ok(())
}

/// Before the first step, and before a checkpoint is read, which holds the average and the weights beside it.
fn begin_average(engine: &mut Engine, train: &TrainConfig) -> Result<()> {
    Ok(train.average.map_or(Ok(()), |average| engine.average(average.decay))?)
}

impl Trained {
    pub(super) fn report(
        &self,
        kind: &str,
        identity: &Identity,
        config: &Config,
        summary: &Summary,
        data: &RunData,
    ) -> RunReport {
        let not_selected = self.fitted.not_selected.clone();
        RunReport {
            version: 1,
            kind: kind.to_owned(),
            parameters: ParameterCount::from(summary),
            config_hash: identity.hash(),
            data_fingerprint: String::new(),
            flops_per_row: summary.flops_per_row,
            // Known when they are written.
            model_xxh64: String::new(),
            explain_xxh64: None,
            seed: config.train.seed,
            rows: data.rows.clone(),
            data: Some(data.summary()),
            skipped_rows: data.splits.skipped.rows,
            steps: self.fitted.steps,
            stop: self.fitted.stop,
            selected_by: not_selected.is_none().then(|| config.train.selection().to_string()),
            not_selected,
            best_epoch: self.fitted.best_epoch,
            best_epochs: self.fitted.best_epochs.clone(),
            seconds: self.fitted.seconds,
            unmoved: self.fitted.unmoved,
            history: self.fitted.history.clone(),
            valid: self.valid.clone(),
            test: self.test.clone(),
            alarms: self.fitted.alarms.iter().chain(&self.alarms).cloned().collect(),
        }
    }
}
