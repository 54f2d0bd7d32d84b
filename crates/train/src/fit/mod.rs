//! [`fit`]: the training loop.
//!
//! It reads encoded rows, moves the weights of an engine and keeps the best ones. It uses no file and no terminal:
//! checkpoints go to a [`Keeper`], events to an [`Observer`], and an [`Interrupt`] ends it between two steps. All that it
//! must remember between two steps is in [`FitState`], so that a run that is stopped and resumed gives the same bits as
//! one that never stopped.

mod before;
mod best;
mod diagnose;
mod first_rows;
mod gather;
mod health;
mod history;
mod input;
mod joint;
mod movement;
mod observer;
mod order;
mod state;
mod stopping;
#[cfg(test)]
mod tests;
mod windows;

use std::time::{Duration, Instant};

pub(crate) use best::shared_tensor;
pub use history::EpochRecord;
pub use observer::{Event, Observer, Silent};
use pleiad_data::schema::TaskConfig;
use pleiad_data::{Batch, RequestColumns, TaskKind, TaskSpec};
use pleiad_engine::Engine;
pub use state::{Best, FitState, Keeper, MemoryKeeper, StopReason};

use self::before::{cannot_compare_epochs, warn_of_one_class};
use self::best::own_tensors;
use self::history::LossSums;
use self::input::{Batches, EpochRows};
use self::joint::take_step;
use self::movement::Movement;
use crate::ByTask;
use crate::Interrupt;
use crate::alarm::Alarm;
use crate::alarm::settings::{Length, settings};
use crate::config::{BestEpoch, TrainConfig};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, evaluate};
use crate::metrics::Measures;
use crate::rows::Rows;

/// What a model is trained on and how.
#[derive(Debug, Clone, Copy)]
pub struct FitProblem<'a> {
    /// `[train]`.
    pub config: &'a TrainConfig,
    /// The tasks, in the order of the labels.
    pub tasks: &'a [TaskConfig],
    /// The rows to learn from.
    pub train: Rows<'a>,
    /// The rows by which the best epoch is chosen.
    pub valid: Option<Rows<'a>>,
    /// What they are measured by.
    pub measures: &'a Measures,
}

/// How training ended.
#[derive(Debug)]
pub enum Outcome {
    /// It ran to its end.
    Finished(Fitted),
    /// It was stopped; the keeper has its state.
    Interrupted {
        /// Steps done.
        steps: u64,
        /// The number in the [`Interrupt`].
        signal: usize,
    },
}

/// A finished training; the engine holds the kept weights.
#[derive(Debug)]
pub struct Fitted {
    /// The epoch that the kept weights are of, from 1: the best one, or the last where there are no validation rows.
    pub best_epoch: u64,
    /// By task, the epoch that its weights are of, where each keeps its own; `best_epoch` is the last of them then.
    pub best_epochs: ByTask<u64>,
    /// Why training ended.
    pub stop: StopReason,
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// Training steps.
    pub steps: u64,
    /// Seconds of training, over all of its parts if it was resumed.
    pub seconds: f64,
    /// Why the last epoch was kept and not the best one, in words that follow `as`; None where the best was kept.
    pub not_selected: Option<String>,
    /// Whether no step has moved any weight that was looked at: the model is as it was drawn.
    pub unmoved: bool,
    /// What is wrong with settings and steps; each was given as a warning.
    pub alarms: Vec<Alarm>,
}

/// Trains `engine`, which holds the weights to start from (or, after a resume, those of `state`), and those of the best
/// epoch in the end.
///
/// # Errors
/// [`Error::NoTrainingRows`], [`Error::NoSelection`], [`Error::NonFinite`], and those of engine and keeper.
pub fn fit(
    problem: &FitProblem<'_>,
    engine: &mut Engine,
    state: Option<FitState>,
    keeper: &mut dyn Keeper,
    interrupt: &Interrupt,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let state = state.unwrap_or_else(|| FitState::new(problem.config, problem.tasks.len()));
    Trainer::new(problem, engine, state, keeper, interrupt, observer)?.run()
}

struct Trainer<'a> {
    problem: &'a FitProblem<'a>,
    specs: Vec<TaskSpec>,
    kinds: Vec<TaskKind>,
    engine: &'a mut Engine,
    keeper: &'a mut dyn Keeper,
    interrupt: &'a Interrupt,
    observer: &'a mut dyn Observer,
    state: FitState,
    input: EpochRows<'a>,
    /// Rows in the sample space of any task: the union that training runs on.
    rows: usize,
    steps_per_epoch: u64,
    /// Why epochs cannot be compared, if they cannot.
    no_score: Option<String>,
    /// The weights before the first epoch of this process, until an epoch has moved any.
    movement: Option<Movement>,
    /// Whether the epoch at hand had begun before this process did.
    resumed_within: bool,
    alarms: Vec<Alarm>,
    batch: Batch,
    /// When this process started, and the seconds that earlier ones took.
    started: Instant,
    seconds_before: f64,
    last_save: Instant,
}

/// Whether the loop goes on.
enum Flow {
    Next,
    Interrupted(usize),
}

impl<'a> Trainer<'a> {
    fn new(
        problem: &'a FitProblem<'a>,
        engine: &'a mut Engine,
        state: FitState,
        keeper: &'a mut dyn Keeper,
        interrupt: &'a Interrupt,
        observer: &'a mut dyn Observer,
    ) -> Result<Self> {
        let input = EpochRows::new(problem.train, &RequestColumns::of(&engine.graph().layout));
        let rows = input.rows();
        if rows == 0 {
            return Err(Error::NoTrainingRows { rows: problem.train.count() as usize });
        }
        if problem.config.best_epoch == Some(BestEpoch::PerTask)
            && let Some(tensor) = shared_tensor(engine.graph())
        {
            return Err(Error::SharedWeights { tensor });
        }
        warn_of_one_class(problem, observer);
        let batch = input.empty()?;
        let now = Instant::now();
        let specs: Vec<TaskSpec> = problem.tasks.iter().map(TaskConfig::spec).collect();
        let steps_per_epoch = rows.div_ceil(problem.config.batch_size) as u64;
        let length = Length {
            steps_per_epoch,
            steps: steps_per_epoch.saturating_mul(problem.config.epochs),
            has_tables: !engine.graph().tables.is_empty(),
        };
        let mut state = state;
        if state.step == 0 {
            state.first_rows.begin(engine, problem.config.seed);
        }
        let alarms = settings(problem.config, problem.tasks, length);
        alarms.iter().for_each(|alarm| observer.event(&Event::Warning(&alarm.text)));
        Ok(Self {
            no_score: cannot_compare_epochs(problem, &specs, observer)?,
            resumed_within: state.step_in_epoch != 0,
            movement: (state.step_in_epoch == 0).then(|| Movement::begin(engine)),
            alarms,
            kinds: specs.iter().map(|task| task.kind).collect(),
            specs,
            steps_per_epoch,
            seconds_before: state.seconds,
            problem,
            engine,
            keeper,
            interrupt,
            observer,
            state,
            input,
            rows,
            batch,
            started: now,
            last_save: now,
        })
    }

    fn run(mut self) -> Result<Outcome> {
        let epochs = self.problem.config.epochs;
        let rows = self.rows as u64;
        let of_epoch = self.state.step_in_epoch.saturating_mul(self.problem.config.batch_size as u64).min(rows);
        self.observer.event(&Event::Start { epochs, rows, done: self.state.epoch * rows + of_epoch });
        let stop = loop {
            if self.state.epoch == epochs {
                break StopReason::Epochs;
            }
            if let Some(stop) = self.state.stop {
                break stop;
            }
            if let Flow::Interrupted(signal) = self.epoch()? {
                self.save(Best::No)?;
                return Ok(Outcome::Interrupted { steps: self.state.step, signal });
            }
        };
        let best_epochs = self.state.best_epochs();
        let best_epoch = best_epochs.iter().copied().max().or(self.state.stopping.best_epoch());
        if best_epochs.iter().copied().chain(best_epoch).any(|epoch| epoch != self.state.epoch) {
            let own = if best_epochs.is_empty() { Vec::new() } else { own_tensors(self.engine.graph()) };
            self.keeper.restore_best(self.engine, &own)?;
        }
        let names = self.specs.iter().map(|task| task.name.as_str());
        Ok(Outcome::Finished(Fitted {
            best_epoch: best_epoch.unwrap_or(self.state.epoch),
            best_epochs: names.zip(best_epochs).collect(),
            stop,
            steps: self.state.step,
            seconds: self.seconds(),
            unmoved: self.state.unmoved,
            history: self.state.history,
            not_selected: self.no_score,
            alarms: self.alarms,
        }))
    }

    /// The epoch at hand, from the step that the state is at.
    fn epoch(&mut self) -> Result<Flow> {
        let begin = Instant::now();
        let FitState { epoch, step_in_epoch, .. } = self.state;
        let mut batches = self.input.begin(self.problem.config, epoch, step_in_epoch)?;
        self.steps(&mut batches, begin)
    }

    fn steps(&mut self, batches: &mut Batches<'_>, begin: Instant) -> Result<Flow> {
        let config = self.problem.config;
        let mut waited = Duration::ZERO;
        let mut rows_read = 0;
        while self.state.step_in_epoch < self.steps_per_epoch {
            if let Some(signal) = self.interrupt.raised() {
                return Ok(Flow::Interrupted(signal));
            }
            let from = self.state.step_in_epoch as usize * config.batch_size;
            let to = self.rows.min(from.saturating_add(config.batch_size));
            let wait = Instant::now();
            batches.next(&mut self.batch)?;
            waited += wait.elapsed();
            debug_assert_eq!(self.batch.rows, to - from);
            self.step(|| batches.ahead())?;
            rows_read += to - from;
            self.observer.event(&Event::Step { epoch: self.state.epoch + 1, rows: to as u64 });
            if self.due() && self.state.step_in_epoch < self.steps_per_epoch {
                self.save(Best::No)?;
            }
        }
        let seconds = begin.elapsed().max(Duration::from_micros(1)).as_secs_f64();
        self.finish_epoch(rows_read as f64 / seconds, waited.as_secs_f64() / seconds)
    }

    fn step(&mut self, beside: impl FnOnce() + Send) -> Result<()> {
        let config = self.problem.config;
        let FitState { step, epoch, .. } = self.state;
        let own: Vec<f64> = self.problem.tasks.iter().map(|task| task.weight.at(step, epoch)).collect();
        let weights = self.state.weighting.weights(config, &self.kinds, own);
        let factor = self.factor(step);
        if let Some(movement) = &mut self.movement {
            movement.before_step(self.engine, &self.batch);
        }
        let taken = take_step(config, self.engine, &self.batch, &weights, step, factor, beside)?;
        let stats = &taken.stats;
        if let Some(task) = stats.losses.iter().position(|loss| !loss.is_finite()) {
            return Err(Error::NonFinite {
                step: step + 1,
                epoch: epoch + 1,
                task: self.specs[task].name.clone(),
                what: "the loss",
                value: stats.losses[task],
                cause: self.likely_cause(&self.batch, factor),
            });
        }
        self.state.sums.add(&stats.losses, &stats.row_weights, &weights);
        self.state.weighting.after_step(config, &self.kinds, &taken, factor);
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        Ok(())
    }

    /// Measures the epoch that has just read its last row and decides what becomes of its weights.
    fn finish_epoch(&mut self, rows_per_second: f64, input_wait: f64) -> Result<Flow> {
        let config = self.problem.config;
        let epoch = self.state.epoch + 1;
        self.look_at_weights()?;
        // Before they are judged: what is kept and saved is what was measured.
        self.state.first_rows.end_epoch(self.engine);
        if config.average.is_some() {
            self.engine.show_average();
            self.state.first_rows.fill(self.engine);
        }
        let valid = self.problem.valid.map(|valid| self.evaluate(valid)).transpose()?;
        let score = match &valid {
            Some(valid) if self.no_score.is_none() => Some(valid.score(&config.selection())?),
            _ => None,
        };
        let own = valid.as_ref().zip(score).filter(|_| self.by_task());
        let own = own.map(|(valid, score)| valid.own_scores(&config.selection(), score));
        let sums = std::mem::replace(&mut self.state.sums, LossSums::new(self.specs.len()));
        let task_losses = sums.tasks();
        self.state.weighting.end_epoch(&task_losses);
        let names = || self.specs.iter().map(|task| task.name.as_str());
        let record = EpochRecord {
            epoch,
            loss: sums.joint(),
            task_losses: names().zip(task_losses).collect(),
            task_weights: names().zip(sums.weights()).collect(),
            valid,
            score,
            learning_rate: config.optimizer.learning_rate() * self.factor(self.state.step.saturating_sub(1)),
            rows_per_second,
            input_wait,
        };
        let judged = score.map(|score| self.state.judge(config, epoch, score, own.as_deref()));
        if let Some((_, true)) = judged {
            self.state.stop = Some(StopReason::EarlyStopping);
        }
        let best = judged.as_ref().map_or(Best::No, |(judged, _)| judged.best());
        self.observer.event(&Event::Epoch { record: &record, best: best != Best::No });
        self.state.history.push(record);
        self.state.epoch = epoch;
        self.state.step_in_epoch = 0;
        let last = epoch == config.epochs || self.state.stop.is_some();
        if best != Best::No || last || epoch.is_multiple_of(config.checkpoint.every_epochs) {
            self.save(best)?;
        }
        Ok(Flow::Next)
    }

    fn evaluate(&mut self, rows: Rows<'_>) -> Result<Evaluation> {
        let engine = &mut *self.engine;
        let batch_size = self.problem.config.evaluation_batch_size;
        let mut culprit = None;
        let predict = |batch: &Batch| {
            let predictions = engine.predict(batch)?;
            if !predictions.tasks.iter().flatten().all(|value| value.is_finite()) {
                // Labels have no part in what is predicted.
                culprit = Some(Batch { labels: Vec::new(), ..batch.clone() });
            }
            Ok(predictions)
        };
        let evaluation = evaluate(predict, rows, &self.specs, self.problem.measures, batch_size);
        evaluation.map_err(|error| match error {
            Error::NonFinitePrediction { task, value, .. } => Error::NonFinite {
                step: self.state.step,
                epoch: self.state.epoch + 1,
                task,
                what: "a validation prediction",
                value: f64::from(value),
                cause: culprit.and_then(|batch| self.likely_cause(&batch, 1.0)),
            },
            error => error,
        })
    }

    fn factor(&self, step: u64) -> f64 {
        let total = self.steps_per_epoch * self.problem.config.epochs;
        self.problem.config.schedule.factor(step, self.steps_per_epoch, total)
    }

    /// Whether steps or minutes ask for a checkpoint.
    fn due(&self) -> bool {
        let checkpoint = &self.problem.config.checkpoint;
        checkpoint.every_steps.is_some_and(|n| self.state.step.is_multiple_of(n))
            || checkpoint.every_minutes.is_some_and(|m| self.last_save.elapsed().as_secs_f64() >= 60.0 * m)
    }

    /// Whether each task keeps the weights of its own best epoch.
    fn by_task(&self) -> bool {
        self.problem.config.best_epoch == Some(BestEpoch::PerTask)
    }

    fn save(&mut self, best: Best<'_>) -> Result<()> {
        self.state.seconds = self.seconds();
        // So that a checkpoint holds the weights that predict.
        self.engine.show_average();
        self.keeper.save(&self.state, self.engine, best)?;
        self.last_save = Instant::now();
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }
}
