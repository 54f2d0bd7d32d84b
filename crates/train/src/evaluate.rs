//! [`Evaluation`]: metrics of a model on rows, each task on its own sample space.

use pleiad_data::{Batch, TaskSpec};
use pleiad_engine::Predictions;
use pleiad_rank::check_finite;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ByTask;
use crate::config::Selection;
use crate::error::{Error, Result};
use crate::metrics::{Measures, MetricKind, TaskMetrics, TaskMetricsState};
use crate::rows::Rows;

/// What `pleiad evaluate --format json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Rows in all.
    pub rows: u64,
    /// By which metric a task is judged, where it is another than AUC or MSE (`[metrics] main`).
    #[serde(default, skip_serializing_if = "ByTask::is_empty")]
    pub main: ByTask<MetricKind>,
    /// Metrics of every task.
    pub tasks: ByTask<TaskMetrics>,
}

impl Evaluation {
    /// Every task with its metrics, the one that it is judged by first.
    pub fn named(&self) -> impl Iterator<Item = (&str, &TaskMetrics, Vec<(MetricKind, Option<f64>)>)> {
        self.tasks.iter().map(|(task, metrics)| {
            let mut named = named_metrics(metrics);
            if let Some(at) = self.main.get(task).and_then(|main| named.iter().position(|(metric, _)| metric == main)) {
                named[..=at].rotate_right(1);
            }
            (task, metrics, named)
        })
    }

    /// The metric by which epochs are compared, turned so that larger is better.
    ///
    /// # Errors
    /// [`Error::NoSelection`] if it is not defined on these rows.
    pub fn score(&self, selection: &Selection) -> Result<f64> {
        let undefined = |reason: String| {
            let metric = match selection {
                Selection::Mean => "the mean of AUC and R2 over tasks".to_owned(),
                Selection::Metric { .. } => selection.to_string(),
            };
            Error::NoSelection { metric, reason }
        };
        match selection {
            Selection::Metric { task, metric } => {
                let metrics = self.tasks.get(task).ok_or_else(|| undefined(format!("there is no task {task:?}")))?;
                metrics
                    .get(*metric)
                    .map(|value| metric.goodness(value))
                    .ok_or_else(|| undefined(why_undefined(task, metrics, Some(*metric))))
            }
            Selection::Mean => {
                let defined: Vec<f64> = self.tasks.iter().filter_map(|(_, metrics)| main_score(metrics)).collect();
                if defined.is_empty() {
                    let reasons = self.tasks.iter().map(|(task, metrics)| why_undefined(task, metrics, None));
                    return Err(undefined(reasons.collect::<Vec<_>>().join("; ")));
                }
                Ok(defined.iter().sum::<f64>() / defined.len() as f64)
            }
        }
    }

    /// By task, what its own epochs are compared by: AUC or R², or what `selection` says if it is one of the task's metrics.
    /// A task without any on these rows goes by `score`, what `selection` is of all of them.
    pub(crate) fn own_scores(&self, selection: &Selection, score: f64) -> Vec<f64> {
        let own = |(task, metrics): (&str, &TaskMetrics)| match selection {
            Selection::Metric { task: named, .. } if named == task => score,
            _ => main_score(metrics).unwrap_or(score),
        };
        self.tasks.iter().map(own).collect()
    }

    /// Tasks that have no part in [`Selection::Mean`], each with the reason.
    pub(crate) fn left_out_of_mean(&self) -> Vec<String> {
        let left_out = self.tasks.iter().filter(|(_, metrics)| main_score(metrics).is_none());
        left_out.map(|(task, metrics)| why_undefined(task, metrics, None)).collect()
    }
}

/// A task's part of [`Selection::Mean`]: AUC or R².
fn main_score(metrics: &TaskMetrics) -> Option<f64> {
    match metrics {
        TaskMetrics::Binary(metrics) => metrics.auc,
        TaskMetrics::Regression(metrics) => metrics.r2,
    }
}

/// Why a metric is not defined; without one, why AUC or R² is not.
fn why_undefined(task: &str, metrics: &TaskMetrics, metric: Option<MetricKind>) -> String {
    if metrics.rows() == 0 {
        return format!("no row is in the sample space of task {task:?}");
    }
    if let Some(metric) = metric.filter(|metric| metric.needs_groups()) {
        return format!("{} in the sample space of task {task:?}", why_no_group(metrics, metric));
    }
    match metrics {
        TaskMetrics::Binary(m) if m.positives == 0 || m.positives == m.rows => {
            let label = u8::from(m.positives > 0);
            format!("the label of task {task:?} is {label} in all {} rows of its sample space", m.rows)
        }
        TaskMetrics::Binary(_) => format!("task {task:?} has no such metric on these rows"),
        TaskMetrics::Regression(m) => {
            format!("the label of task {task:?} is the same in all {} rows of its sample space", m.rows)
        }
    }
}

/// Why a metric is defined in no group, as it reads before a sample space.
pub(crate) fn why_no_group(metrics: &TaskMetrics, metric: MetricKind) -> String {
    let groups = metrics.by_group().map_or(0, |groups| groups.groups);
    match metric {
        _ if groups == 0 => "no row has a group".to_owned(),
        MetricKind::Gauc => format!("none of {groups} groups has labels of both classes"),
        _ => format!("none of {groups} groups has a label above 0, or a label is below 0"),
    }
}

/// Collects predictions and labels batch by batch.
#[derive(Debug)]
pub(crate) struct Evaluator<'a> {
    tasks: &'a [TaskSpec],
    measures: &'a Measures,
    states: Vec<TaskMetricsState>,
    rows: u64,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(tasks: &'a [TaskSpec], measures: &'a Measures) -> Self {
        Self::with_states(tasks, measures, TaskMetricsState::new)
    }

    /// In memory that does not grow with the rows, but for metrics within groups: see [`crate::metrics::Auc::bounded`].
    pub(crate) fn bounded(tasks: &'a [TaskSpec], measures: &'a Measures) -> Self {
        Self::with_states(tasks, measures, TaskMetricsState::bounded)
    }

    fn with_states(
        tasks: &'a [TaskSpec],
        measures: &'a Measures,
        state: impl Fn(pleiad_data::TaskKind) -> TaskMetricsState,
    ) -> Self {
        let state = |task: &TaskSpec| match &measures.k {
            Some(k) => state(task.kind).with_negatives(task.objective.negatives).with_groups(k),
            None => state(task.kind).with_negatives(task.objective.negatives),
        };
        Self { tasks, measures, states: tasks.iter().map(state).collect(), rows: 0 }
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// [`Error::NonFinitePrediction`].
    pub(crate) fn add(&mut self, predictions: &Predictions, batch: &Batch) -> Result<()> {
        check_finite(predictions, self.tasks, self.rows)?;
        self.states
            .par_iter_mut()
            .zip(&predictions.tasks)
            .zip(&batch.labels)
            .for_each(|((state, predictions), labels)| state.update(predictions, labels, &batch.groups));
        self.rows += batch.rows as u64;
        Ok(())
    }

    pub(crate) fn finish(&self) -> Evaluation {
        let metrics: Vec<TaskMetrics> = self.states.par_iter().map(TaskMetricsState::compute).collect();
        let main = self.measures.main.clone();
        Evaluation {
            rows: self.rows,
            main,
            tasks: self.tasks.iter().map(|task| task.name.as_str()).zip(metrics).collect(),
        }
    }
}

/// Measures rows, at most `batch_size` at a time; in bounded memory where they are on disk (but for metrics within groups).
pub(crate) fn evaluate<'r>(
    mut predict: impl FnMut(&Batch) -> pleiad_engine::Result<Predictions>,
    rows: impl Into<Rows<'r>>,
    tasks: &[TaskSpec],
    measures: &Measures,
    batch_size: usize,
) -> Result<Evaluation> {
    let rows = rows.into();
    let mut evaluator = match rows {
        Rows::Memory(_) => Evaluator::new(tasks, measures),
        Rows::Stored { .. } => Evaluator::bounded(tasks, measures),
    };
    rows.each(batch_size, &mut |batch| evaluator.add(&predict(batch)?, batch))?;
    Ok(evaluator.finish())
}

/// Names of the metrics of a task, and their values.
#[must_use]
pub fn named_metrics(metrics: &TaskMetrics) -> Vec<(MetricKind, Option<f64>)> {
    metrics.metrics().into_iter().map(|metric| (metric, metrics.get(metric))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Labels, TaskKind};

    use super::*;

    fn task(name: &str, kind: TaskKind) -> TaskSpec {
        TaskSpec::new(name, kind)
    }

    fn labels(values: &[f32]) -> Labels {
        let present = values.iter().map(|v| !v.is_nan()).collect();
        Labels {
            values: values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect(),
            present,
            weights: Vec::new(),
        }
    }

    /// Predicts each row's numeric input for every task.
    fn measure(inputs: &[f32], tasks: &[TaskSpec], all: &[&[f32]], batch_size: usize) -> Result<Evaluation> {
        let rows = Batch {
            rows: inputs.len(),
            numeric: inputs.to_vec(),
            categorical: vec![],
            labels: all.iter().map(|values| labels(values)).collect(),
            groups: Vec::new(),
        };
        let predict = |batch: &Batch| Ok(Predictions { tasks: vec![batch.numeric.clone(); tasks.len()] });
        evaluate(predict, &rows, tasks, &Measures::default(), batch_size)
    }

    const N: f32 = f32::NAN;

    #[test]
    fn the_mean_is_over_auc_and_r2_of_the_tasks_that_have_them() {
        let tasks = [
            task("a", TaskKind::Binary),
            task("b", TaskKind::Regression),
            task("one class", TaskKind::Binary),
            task("no rows", TaskKind::Regression),
        ];
        let inputs = [0.1, 0.4, 0.3, 0.9];
        let all: [&[f32]; 4] = [&[0.0, 0.0, 1.0, 1.0], &[0.1, 0.4, 0.3, N], &[1.0, 1.0, 1.0, 1.0], &[N, N, N, N]];
        let whole = measure(&inputs, &tasks, &all, 4).unwrap();
        assert_eq!(whole, measure(&inputs, &tasks, &all, 1).unwrap());
        assert_eq!(whole.tasks.get("a").unwrap().get(MetricKind::Auc), Some(0.75));
        assert_eq!(whole.score(&Selection::Mean).unwrap(), (0.75 + 1.0) / 2.0);
        let left_out = whole.left_out_of_mean().join("\n");
        assert!(
            left_out.contains("\"one class\" is 1 in all 4 rows") && left_out.contains("\"no rows\""),
            "{left_out}"
        );
    }

    #[test]
    fn a_named_metric_is_turned_so_that_larger_is_better() {
        let tasks = [task("a", TaskKind::Regression)];
        let evaluation = measure(&[1.0, 2.0], &tasks, &[&[2.0, 2.0]], 2).unwrap();
        let score = |metric| evaluation.score(&Selection::Metric { task: "a".into(), metric });
        assert_eq!(score(MetricKind::Mse).unwrap(), -0.5);
        assert!(score(MetricKind::R2).unwrap_err().to_string().contains("the same in all 2 rows"));
        assert!(evaluation.score(&Selection::Mean).unwrap_err().to_string().contains("the same in all 2 rows"));
    }

    #[test]
    fn a_prediction_that_is_no_number_is_told_with_task_and_row() {
        let tasks = [task("a", TaskKind::Regression)];
        let error = measure(&[1.0, 2.0, f32::NAN], &tasks, &[&[0.0, 0.0, 0.0]], 2).unwrap_err().to_string();
        assert!(error.contains("\"a\"") && error.contains("row 3"), "{error}");
    }

    #[test]
    fn a_task_is_judged_by_its_main_metric() {
        let tasks = [task("a", TaskKind::Binary), task("b", TaskKind::Regression)];
        let labels = [labels(&[0.0, 1.0, 1.0, 1.0]), labels(&[1.0, 2.0, 3.0, N])];
        let inputs = vec![0.1, 0.4, 0.3, 0.9];
        let rows =
            Batch { rows: 4, numeric: inputs, categorical: vec![], labels: labels.to_vec(), groups: vec![5, 5, 6, 0] };
        let predict = |batch: &Batch| Ok(Predictions { tasks: vec![batch.numeric.clone(); 2] });
        let main = ByTask::from_iter([("a", MetricKind::Gauc)]);
        let measures = Measures { k: Some(vec![1]), main };
        let evaluation = evaluate(predict, &rows, &tasks, &measures, 3).unwrap();
        let first: Vec<MetricKind> = evaluation.named().map(|(_, _, named)| named[0].0).collect();
        assert_eq!(first, [MetricKind::Gauc, MetricKind::Mse]);
        let gauc = Selection::Metric { task: "a".into(), metric: MetricKind::Gauc };
        assert_eq!(evaluation.score(&gauc).unwrap(), 1.0);
        let json = serde_json::to_string(&evaluation).unwrap();
        assert!(json.starts_with(r#"{"rows":4,"main":{"a":"gauc"},"tasks""#), "{json}");
        assert_eq!(serde_json::from_str::<Evaluation>(&json).unwrap(), evaluation);
        let without = Batch { groups: vec![0; 4], ..rows };
        let evaluation = evaluate(predict, &without, &tasks, &measures, 3).unwrap();
        let error = evaluation.score(&gauc).unwrap_err().to_string();
        assert!(error.contains("no row has a group in the sample space of task \"a\""), "{error}");
    }
}
