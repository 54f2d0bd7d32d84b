//! Whether an epoch's steps have moved the weights, and what is likely to be wrong where they have not.

use pleiad_data::TaskSpec;

use super::{Event, State, Trainer, diagnose};
use crate::alarm::{Alarm, AlarmKind};
use crate::error::{Error, Result};

impl Trainer<'_> {
    /// Sees to it that the epoch's steps have moved the weights: a loss that is a number does not say so.
    pub(super) fn look_at_weights(&mut self) -> Result<()> {
        let (step, epoch) = (self.state.step, self.state.epoch + 1);
        let stuck = self.engine.stuck();
        let is_told = |kind| self.alarms.iter().any(|alarm: &Alarm| alarm.kind == kind);
        let found = if !stuck.is_none() {
            let cause = self.likely_cause(self.problem.config.optimizer.learning_rate());
            if 2 * stuck.dense > stuck.of {
                return Err(Error::Overflow { step, epoch, weights: stuck.dense, of: stuck.of, cause });
            }
            let text = format!(
                "by step {step} (epoch {epoch}) squared gradients of {} of {} dense weights and of {} table rows of the last \
                 batch had overflowed to infinity, so that no step moves these any more; likely cause: {cause}",
                stuck.dense, stuck.of, stuck.table_rows
            );
            Alarm::new(AlarmKind::Overflow, stuck.dense as f64 / stuck.of.max(1) as f64, 0, text)
        } else if self.before.as_ref().is_some_and(|before| !self.engine.has_moved(before)) {
            let text = format!(
                "no weight has moved in the {} steps of epoch {epoch}, but perhaps those of embedding tables: the learning \
                 rate or the tasks' weights are too small for single precision, or every unit is dead; check [train] \
                 optimizer.learning_rate and `weight`, and scale the features",
                self.steps_per_epoch
            );
            Alarm::new(AlarmKind::StillWeights, 0.0, self.rows as u64, text)
        } else {
            self.before = None;
            return Ok(());
        };
        self.before = None;
        // What is to be expected of a rate of 0 was told before.
        let follows = found.kind == AlarmKind::StillWeights && is_told(AlarmKind::NothingToLearn);
        if !follows && !is_told(found.kind) {
            self.observer.event(&Event::Warning(&found.text));
            self.alarms.push(found);
        }
        Ok(())
    }

    pub(super) fn likely_cause(&self, learning_rate: f64) -> String {
        let State { step, epoch, .. } = self.state;
        let weights = self.problem.tasks.iter().map(|task| task.weight.at(step, epoch));
        let tasks: Vec<(&TaskSpec, f64)> = self.specs.iter().zip(weights).collect();
        diagnose::likely_cause(&self.batch, &self.engine.graph().layout, &tasks, learning_rate)
    }
}
