//! Settings with which nothing is learned: rates and weights of 0, weights that grow without end, a warm-up that never ends.

use pleiad_data::schema::{TaskConfig, TaskWeight};

use super::{Alarm, AlarmKind};
use crate::config::TrainConfig;

/// How long a training is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) steps_per_epoch: u64,
    pub(crate) steps: u64,
    /// Whether there are embedding tables.
    pub(crate) has_tables: bool,
}

/// What is wrong with the settings of a training of this length.
pub(crate) fn settings(config: &TrainConfig, tasks: &[TaskConfig], length: Length) -> Vec<Alarm> {
    let mut alarms = rates(config, length);
    alarms.extend(tasks.iter().filter_map(|task| weight(task, length)));
    alarms.extend(warmup(config, length));
    alarms
}

/// A number as a step uses it.
fn vanishes(value: f64) -> bool {
    value as f32 == 0.0
}

fn rates(config: &TrainConfig, length: Length) -> Vec<Alarm> {
    let alarm = |key: &str, rate: f64, what: &str| {
        let text = format!("[train] {key} is {rate}: {what} stay as they start; a usual rate is 1e-3");
        Alarm::new(AlarmKind::NothingToLearn, rate, 0, text)
    };
    let (dense, tables) = (config.optimizer.learning_rate(), config.embedding_optimizer().learning_rate());
    match (vanishes(dense), length.has_tables && vanishes(tables), config.embedding_optimizer.is_some()) {
        (true, true, false) => vec![alarm("optimizer.learning_rate", dense, "all weights")],
        (dense_stands, tables_stand, _) => {
            let dense = dense_stands.then(|| alarm("optimizer.learning_rate", dense, "all weights outside of tables"));
            let tables =
                tables_stand.then(|| alarm("embedding_optimizer.learning_rate", tables, "the embedding tables"));
            dense.into_iter().chain(tables).collect()
        }
    }
}

fn weight(task: &TaskConfig, length: Length) -> Option<Alarm> {
    let name = &task.name;
    let at = |step: u64| task.weight.at(step, step / length.steps_per_epoch.max(1));
    let last = length.steps.saturating_sub(1);
    let (first, end) = (at(0), at(last));
    let key = match task.weight {
        TaskWeight::Constant(_) => "weight",
        TaskWeight::Changing(_) => "weight.initial",
    };
    let found = if vanishes(first) {
        let text = format!("task {name:?}: {key} is {first}, so that nothing is learned of it");
        Alarm::new(AlarmKind::NothingToLearn, first, 0, text)
    } else if vanishes(end) {
        let text = format!(
            "task {name:?}: its weight falls from {first} to {end:e} by the last of {} steps, so that nothing is learned of \
             it in the end; raise weight.ratio, or count epochs with every = \"epoch\"",
            length.steps
        );
        Alarm::new(AlarmKind::NothingToLearn, end, 0, text)
    } else if end > f64::from(f32::MAX) {
        let text = format!(
            "task {name:?}: its weight grows from {first} to more than single precision holds by the last of {} steps; \
             lower weight.ratio, or count epochs with every = \"epoch\"",
            length.steps
        );
        Alarm::new(AlarmKind::HugeWeight, end, 0, text)
    } else {
        return None;
    };
    Some(found.of_task(name))
}

fn warmup(config: &TrainConfig, length: Length) -> Option<Alarm> {
    let warmup = config.schedule.warmup_steps();
    (warmup > length.steps).then(|| {
        let text = format!(
            "[train] schedule.warmup_steps is {warmup}, and the training has {} steps: the learning rate reaches {} of the \
             configured one at most; lower warmup_steps, or train for more epochs",
            length.steps,
            super::percent(length.steps as f64 / warmup as f64)
        );
        Alarm::new(AlarmKind::LongWarmup, warmup as f64, 0, text)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(train: Value, weight: Value) -> Vec<String> {
        let config: TrainConfig = serde_json::from_value(train).unwrap();
        let task = json!({ "name": "buy", "kind": "binary", "label": { "column": "y" }, "weight": weight });
        let length = Length { steps_per_epoch: 10, steps: 100, has_tables: true };
        let alarms = settings(&config, &[serde_json::from_value(task).unwrap()], length);
        alarms.into_iter().map(|alarm| alarm.text).collect()
    }

    fn adam(rate: f64) -> Value {
        json!({ "kind": "adam", "learning_rate": rate })
    }

    #[test]
    fn usual_settings_raise_none() {
        assert_eq!(found(json!({}), json!(1.0)), [""; 0]);
        let cosine = json!({ "schedule": { "kind": "cosine", "warmup_steps": 100 } });
        assert_eq!(found(cosine, json!({ "initial": 2.0, "ratio": 0.9 })), [""; 0]);
        let frozen = json!({ "optimizer": adam(1e-3), "embedding_optimizer": adam(1e-30) });
        assert_eq!(found(frozen, json!(1e-30)), [""; 0]);
    }

    #[test]
    fn a_rate_of_zero_is_told_by_its_key() {
        let of = |train| found(train, json!(1.0)).join("\n");
        assert!(of(json!({ "optimizer": adam(0.0) })).starts_with("[train] optimizer.learning_rate is 0: all weights"));
        let tables = of(json!({ "embedding_optimizer": adam(0.0) }));
        assert!(tables.starts_with("[train] embedding_optimizer.learning_rate is 0"), "{tables}");
        let dense = of(json!({ "optimizer": adam(1e-60), "embedding_optimizer": adam(1e-3) }));
        assert!(dense.contains("optimizer.learning_rate") && dense.contains("outside of tables"), "{dense}");
    }

    #[test]
    fn weights_that_are_or_become_nothing_or_too_much_are_told() {
        let of = |weight| found(json!({}), weight).join("\n");
        assert_eq!(of(json!(0.0)), "task \"buy\": weight is 0, so that nothing is learned of it");
        assert!(of(json!({ "initial": 0.0, "ratio": 0.5 })).contains("weight.initial is 0"));
        assert!(of(json!({ "initial": 1.0, "ratio": 0.1 })).contains("falls from 1 to"));
        assert!(of(json!({ "initial": 1.0, "ratio": 10.0 })).contains("more than single precision holds"));
        assert_eq!(of(json!({ "initial": 1.0, "ratio": 0.1, "every": "epoch" })), "");
    }

    #[test]
    fn a_warm_up_that_outlasts_the_training_is_told() {
        let text = found(json!({ "schedule": { "kind": "constant", "warmup_steps": 400 } }), json!(1.0)).join("\n");
        assert!(
            text.contains("warmup_steps is 400") && text.contains("100 steps") && text.contains("25.0 %"),
            "{text}"
        );
    }
}
