//! [`OutputWatch`]: predictions of a trained model that are one number for all rows, or worse than that.

use pleiad_data::{Batch, TaskSpec};
use pleiad_engine::Predictions;

use super::{Alarm, AlarmKind};
use crate::evaluate::Evaluation;
use crate::metrics::TaskMetrics;

/// Rows of a task's sample space below which nothing is said of it.
const FEW: u64 = 20;

/// A standard deviation of predictions below this share of that of the labels is none.
const STILL: f64 = 1e-3;

/// R2 of a task below which there is a warning: its squared error is twice that of the mean label.
const WORST_R2: f64 = -1.0;

/// There is a warning if the log loss is above so many times that of the share of positives, predicted for every row,
const WORST_LOG_LOSS: f64 = 2.0;

/// and also above this: a model that has not learned much yet predicts about 0.5, which costs 0.69, however rare positives
/// are.
const UNLEARNED_LOG_LOSS: f64 = 1.0;

/// Predictions and labels of every task over the rows of its sample space.
#[derive(Debug)]
pub(crate) struct OutputWatch<'a> {
    tasks: &'a [TaskSpec],
    /// By task, those of the predictions and those of the labels.
    seen: Vec<[Seen; 2]>,
}

/// Count, extremes, and sums of the distance from the first, so that nearly equal numbers lose no digits.
#[derive(Debug, Clone, Copy)]
struct Seen {
    rows: u64,
    first: f64,
    least: f64,
    most: f64,
    sum: f64,
    squares: f64,
}

impl Seen {
    const NONE: Self =
        Self { rows: 0, first: 0.0, least: f64::INFINITY, most: f64::NEG_INFINITY, sum: 0.0, squares: 0.0 };

    fn add(&mut self, value: f32) {
        let value = f64::from(value);
        if self.rows == 0 {
            self.first = value;
        }
        self.rows += 1;
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        let apart = value - self.first;
        self.sum += apart;
        self.squares += apart * apart;
    }

    fn mean(&self) -> f64 {
        self.first + self.sum / self.rows.max(1) as f64
    }

    fn sd(&self) -> f64 {
        let rows = self.rows.max(1) as f64;
        (self.squares / rows - (self.sum / rows).powi(2)).max(0.0).sqrt()
    }
}

impl<'a> OutputWatch<'a> {
    pub(crate) fn new(tasks: &'a [TaskSpec]) -> Self {
        Self { tasks, seen: vec![[Seen::NONE; 2]; tasks.len()] }
    }

    /// Adds the rows of a batch.
    pub(crate) fn add(&mut self, predictions: &Predictions, batch: &Batch) {
        for (([of_predictions, of_labels], predictions), labels) in
            self.seen.iter_mut().zip(&predictions.tasks).zip(&batch.labels)
        {
            let rows = predictions.iter().zip(&labels.values).zip(&labels.present);
            for ((&prediction, &label), _) in rows.filter(|(_, present)| **present) {
                of_predictions.add(prediction);
                of_labels.add(label);
            }
        }
    }

    /// What is wrong with the predictions for these rows, `name` being `test` or the like; one alarm a task at most.
    pub(crate) fn alarms(&self, name: &str, evaluation: &Evaluation) -> Vec<Alarm> {
        let of = |(task, [predictions, labels]): (&TaskSpec, &[Seen; 2])| {
            if labels.rows < FEW || labels.least >= labels.most {
                return None;
            }
            let metrics = evaluation.tasks.get(&task.name)?;
            let alarm = constant(task, name, predictions, labels).or_else(|| worse(&task.name, name, metrics, labels));
            alarm.map(|alarm| alarm.of_task(&task.name))
        };
        self.tasks.iter().zip(&self.seen).filter_map(of).collect()
    }
}

fn constant(task: &TaskSpec, name: &str, predictions: &Seen, labels: &Seen) -> Option<Alarm> {
    let (sd, of_labels) = (predictions.sd(), labels.sd());
    // Probabilities of all rows are as much smaller than those of a sample.
    let share = task.objective.negatives.unwrap_or(1.0);
    let task = &task.name;
    (sd < STILL * share * of_labels).then(|| {
        let text = format!(
            "task {task:?} predicts nearly one number for all {} {name} rows, {:.4} with a standard deviation of {sd:.1e} (its \
             labels have {of_labels:.1e}): it has learned nothing that tells rows apart; scale large numeric features \
             (transform = [\"standardize\"]), lower the learning rate, or train for more epochs",
            predictions.rows,
            predictions.mean()
        );
        Alarm::new(AlarmKind::ConstantPrediction, sd, predictions.rows, text)
    })
}

fn worse(task: &str, name: &str, metrics: &TaskMetrics, labels: &Seen) -> Option<Alarm> {
    let advice =
        "scale numeric features and the label to the order of 1, lower the learning rate, or train for more epochs";
    let rows = labels.rows;
    match metrics {
        TaskMetrics::Regression(metrics) => {
            let r2 = metrics.r2.filter(|r2| *r2 < WORST_R2)?;
            let text = format!(
                "task {task:?} has R2 {} on {rows} {name} rows, far below 0: the mean label, {:.4}, would be a better \
                 prediction for every row; {advice}",
                short(r2),
                labels.mean()
            );
            Some(Alarm::new(AlarmKind::WorseThanConstant, r2, rows, text))
        }
        TaskMetrics::Binary(metrics) => {
            let share = labels.mean();
            let of_share = -share * share.ln() - (1.0 - share) * (1.0 - share).ln();
            let worst = UNLEARNED_LOG_LOSS.max(WORST_LOG_LOSS * of_share);
            let log_loss = metrics.log_loss.filter(|log_loss| *log_loss > worst)?;
            let text = format!(
                "task {task:?} has a log loss of {} on {rows} {name} rows: the share of positives, {share:.4}, predicted for \
                 every row would have {of_share:.4}; {advice}",
                short(log_loss)
            );
            Some(Alarm::new(AlarmKind::WorseThanConstant, log_loss, rows, text))
        }
    }
}

/// Few digits, however large.
fn short(value: f64) -> String {
    if value.abs() >= 1e4 { format!("{value:.1e}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use pleiad_data::{Labels, TaskKind};

    use super::*;
    use crate::evaluate::evaluate;

    fn found(kind: TaskKind, predict: fn(usize) -> f32, label: fn(usize) -> f32) -> Vec<(AlarmKind, String)> {
        let tasks = [TaskSpec::new("watch", kind)];
        let labels = Labels {
            values: (0..100).map(label).collect(),
            present: (0..100).map(|i| i % 10 > 0).collect(),
            weights: Vec::new(),
        };
        let rows = Batch { rows: 100, labels: vec![labels], ..Batch::default() };
        let mut watch = OutputWatch::new(&tasks);
        let predict = |batch: &Batch| {
            let predictions = Predictions { tasks: vec![(0..batch.rows).map(predict).collect()] };
            watch.add(&predictions, batch);
            Ok(predictions)
        };
        let Ok(evaluation) = evaluate(predict, &rows, &tasks, &crate::metrics::Measures::default(), 1000) else {
            return Vec::new();
        };
        watch.alarms("test", &evaluation).into_iter().map(|alarm| (alarm.kind, alarm.text)).collect()
    }

    #[test]
    fn one_number_for_all_rows_is_told() {
        for (kind, predict) in [
            (TaskKind::Regression, (|_| 5e7) as fn(usize) -> f32),
            (TaskKind::Binary, |_| 0.5),
            (TaskKind::Binary, |i| 0.5 + i as f32 * 1e-6),
        ] {
            let alarms = found(kind, predict, |i| (i % 2) as f32);
            assert_eq!(alarms.len(), 1, "{alarms:?}");
            assert_eq!(alarms[0].0, AlarmKind::ConstantPrediction);
            assert!(alarms[0].1.contains("\"watch\"") && alarms[0].1.contains("90 test rows"), "{}", alarms[0].1);
        }
    }

    #[test]
    fn worse_than_a_constant_is_told() {
        let alarms = found(TaskKind::Regression, |i| 1e6 * i as f32, |i| i as f32);
        assert!(alarms.len() == 1 && alarms[0].0 == AlarmKind::WorseThanConstant, "{alarms:?}");
        assert!(alarms[0].1.contains("R2 -") && alarms[0].1.contains("far below 0"), "{}", alarms[0].1);
        let alarms = found(TaskKind::Binary, |i| [0.999, 0.001][i % 2], |i| (i % 3 % 2) as f32);
        assert!(alarms.len() == 1 && alarms[0].1.contains("log loss"), "{alarms:?}");
    }

    #[test]
    fn little_is_learned_is_no_alarm_and_neither_are_labels_that_are_all_alike() {
        assert_eq!(found(TaskKind::Binary, |i| 0.49 + 0.02 * (i % 3) as f32, |i| (i % 2) as f32), []);
        assert_eq!(found(TaskKind::Regression, |i| (i % 3) as f32, |i| (3 * (i % 2)) as f32), []);
        assert_eq!(found(TaskKind::Binary, |_| 0.5, |_| 1.0), []);
    }
}
