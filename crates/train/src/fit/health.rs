//! Whether an epoch's steps have moved the weights, and what is likely to be wrong where they have not.

use pleiad_data::{Batch, TaskSpec};
use pleiad_engine::optim::OptimizerConfig;

use super::diagnose::Rates;
use super::movement::{Moved, Movement};
use super::{Event, FitState, Trainer, diagnose};
use crate::alarm::{Alarm, AlarmKind};
use crate::error::{Error, Result, because};

/// Tables that a warning names.
const NAMED: usize = 10;

impl Trainer<'_> {
    /// Sees to it that the epoch's steps have moved the weights: a loss that is a number does not say so.
    pub(super) fn look_at_weights(&mut self) -> Result<()> {
        let (step, epoch) = (self.state.step, self.state.epoch + 1);
        let stuck = self.engine.stuck();
        let movement = self.movement.take();
        let moved = movement.as_ref().map(|movement| movement.end(self.engine));
        self.state.unmoved = moved.as_ref().is_some_and(Moved::is_nothing);
        if self.state.unmoved {
            // Later epochs may move them.
            self.movement = movement;
        } else if std::mem::take(&mut self.resumed_within) {
            // The next epoch is the first whole one.
            self.movement = Some(Movement::begin(self.engine));
        }
        let found = if !stuck.is_none() {
            let cause = self.likely_cause(&self.batch, 1.0);
            if 2 * stuck.dense > stuck.of {
                return Err(Error::Overflow { step, epoch, weights: stuck.dense, of: stuck.of, cause });
            }
            let text = format!(
                "by step {step} (epoch {epoch}) squared gradients of {} of {} dense weights and of {} table rows of the last \
                 batch had overflowed to infinity, so that no step moves these any more{}",
                stuck.dense,
                stuck.of,
                stuck.table_rows,
                because(cause.as_deref())
            );
            vec![Alarm::new(AlarmKind::Overflow, stuck.dense as f64 / stuck.of.max(1) as f64, 0, text)]
        } else {
            moved.map_or_else(Vec::new, |moved| self.still(&moved))
        };
        let known: Vec<AlarmKind> = self.alarms.iter().map(|alarm| alarm.kind).collect();
        for alarm in found.into_iter().filter(|alarm| !known.contains(&alarm.kind)) {
            self.observer.event(&Event::Warning(&alarm.text));
            self.alarms.push(alarm);
        }
        Ok(())
    }

    /// The weights that did not move in the last epoch, without those of a rate or weight of 0, for which a warning was given.
    fn still(&self, moved: &Moved) -> Vec<Alarm> {
        let (steps, epoch, rows) = (self.steps_per_epoch, self.state.epoch + 1, self.rows as u64);
        let config = self.problem.config;
        let told = || self.alarms.iter().filter(|alarm| alarm.kind == AlarmKind::NothingToLearn);
        let is_told = |task: &str| told().any(|alarm| alarm.task.as_deref() == Some(task));
        if !moved.dense {
            let what = match moved.tables.contains(&Some(true)) {
                true => "no weight has moved but those of embedding tables",
                false => "no weight has moved",
            };
            let text = format!(
                "{what} in the {steps} steps of epoch {epoch}: the learning rate or the tasks' weights are too small for single \
                 precision, or every unit is dead; check [train] optimizer.learning_rate and `weight`, and scale the features"
            );
            let alarm = Alarm::new(AlarmKind::StillWeights, 0.0, rows, text);
            return if told().next().is_some() { Vec::new() } else { vec![alarm] };
        }
        let mut alarms = Vec::new();
        let counts = if moved.tasks.contains(&Some(false)) { self.problem.train.label_counts() } else { Vec::new() };
        for ((spec, labels), own) in self.specs.iter().zip(counts).zip(&moved.tasks) {
            let name = &spec.name;
            if *own != Some(false) || is_told(name) {
                continue;
            }
            let why = match labels.rows {
                0 => "no training row has a label of it in its sample space; check `label` and `where`".to_owned(),
                rows => format!(
                    "{rows} training rows have a label of it; its weight or the learning rate is too small for single precision, \
                     or every unit of its tower is dead; check its `weight` and [train] optimizer.learning_rate"
                ),
            };
            let text = format!(
                "task {name:?}: none of the weights that are its own, those of its tower, has moved in the {steps} steps of epoch \
                 {epoch}: {why}"
            );
            alarms.push(Alarm::new(AlarmKind::StillWeights, 0.0, labels.rows, text).of_task(name));
        }
        let still = moved.tables.iter().zip(&self.engine.graph().tables).filter(|(moved, _)| **moved == Some(false));
        let mut names: Vec<String> = still.map(|(_, table)| format!("{:?}", table.name)).collect();
        let rate = config.embedding_optimizer().learning_rate();
        if !names.is_empty() && rate as f32 != 0.0 {
            let (count, all) = (names.len(), moved.tables.len());
            if count > NAMED {
                names.truncate(NAMED);
                names.push(format!("{} more", count - NAMED));
            }
            let key = if config.embedding_optimizer.is_some() { "embedding_optimizer" } else { "optimizer" };
            let text = format!(
                "{count} of {all} embedding tables have not moved in the {steps} steps of epoch {epoch}, in the rows that were \
                 looked at: {}; the rate {rate} is too small for single precision, or every unit that reads them is dead; check \
                 [train] {key}.learning_rate",
                names.join(", ")
            );
            alarms.push(Alarm::new(AlarmKind::StillWeights, count as f64 / all as f64, rows, text));
        }
        alarms
    }

    /// What is out of the ordinary in `batch` and in the settings of the step at hand, whose learning rates are multiplied with
    /// `factor`.
    pub(super) fn likely_cause(&self, batch: &Batch, factor: f64) -> Option<String> {
        let FitState { step, epoch, .. } = self.state;
        let weights = self.problem.tasks.iter().map(|task| task.weight.at(step, epoch));
        let tasks: Vec<(&TaskSpec, f64)> = self.specs.iter().zip(weights).collect();
        let config = self.problem.config;
        let of = |key, optimizer: &OptimizerConfig| Rates {
            key,
            learning_rate: optimizer.learning_rate() * factor,
            weight_decay: optimizer.weight_decay(),
        };
        let dense = of("optimizer", &config.optimizer);
        let tables = config.embedding_optimizer.as_ref().map(|optimizer| of("embedding_optimizer", optimizer));
        let rates: Vec<Rates> = std::iter::once(dense).chain(tables).collect();
        diagnose::likely_cause(batch, &self.engine.graph().layout, &tasks, &rates)
    }
}
