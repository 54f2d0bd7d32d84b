//! [`Importance`]: what each task loses when a feature's values are shuffled among the rows (Breiman 2001).
//!
//! Where features tell much the same, shuffling one of them costs little, since the others still tell it: the numbers
//! say what this model leans on, not what a model without the feature would lose.

use pleiad_data::{Batch, Labels, TaskKind, TaskSpec};
use pleiad_engine::Predictor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::shuffle::{shuffle, shuffled, stream};
use crate::by_task::ByTask;
use crate::error::{Error, Result};
use crate::fit::Interrupt;
use crate::metrics::{Auc, Metric, MetricKind, Mse, gain};

/// Permutation importance of every feature for every task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importance {
    /// Times that each feature is shuffled.
    pub repeats: usize,
    /// Seed of sample and shuffles.
    pub seed: u64,
    /// By task.
    pub tasks: ByTask<TaskImportance>,
}

/// What one task loses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskImportance {
    /// The metric that losses are measured by: the main one of the task's kind.
    pub metric: MetricKind,
    /// Rows sampled, all from the task's own sample space.
    pub rows: u64,
    /// The metric on the sample as it is; `None` where it is not defined, as an AUC of rows of one class.
    pub baseline: Option<f64>,
    /// Every feature, in the order of the configuration.
    pub features: Vec<FeatureImportance>,
}

/// What shuffling one feature costs a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureImportance {
    /// The feature.
    pub feature: String,
    /// How much worse the metric gets, mean over the repeats, in its own unit; positive if the model leans on the
    /// feature. `None` where the metric is not defined.
    pub loss: Option<f64>,
    /// Sample standard deviation over the repeats; `None` for one.
    pub sd: Option<f64>,
}

/// How much of it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportanceOptions {
    /// Rows sampled from each task's sample space, at most.
    pub rows: usize,
    /// Times that each feature is shuffled.
    pub repeats: usize,
    /// Rows predicted in all, at most; where features are many, fewer are sampled, though never below
    /// [`ImportanceOptions::LEAST`].
    pub predictions: usize,
    /// Seed of sample and shuffles.
    pub seed: u64,
}

impl ImportanceOptions {
    /// Rows below which a sample would say nothing.
    pub const LEAST: usize = 500;

    fn rows_for(&self, shuffles: usize) -> usize {
        (self.predictions / shuffles.max(1)).max(Self::LEAST).min(self.rows)
    }
}

impl Default for ImportanceOptions {
    fn default() -> Self {
        // A second or two of two cores for 39 features and 243,000 operations a row, as in the census example.
        Self { rows: 10_000, repeats: 3, predictions: 500_000, seed: 0 }
    }
}

/// Tasks with one sample space, which are measured on the same rows.
struct Space {
    /// Positions of the tasks.
    tasks: Vec<usize>,
    /// Rows of the space.
    rows: Vec<usize>,
}

fn spaces(rows: &Batch) -> Vec<Space> {
    let mut spaces: Vec<Space> = Vec::new();
    for (task, labels) in rows.labels.iter().enumerate() {
        match spaces.iter_mut().find(|space| rows.labels[space.tasks[0]].present == labels.present) {
            Some(space) => space.tasks.push(task),
            None => {
                let present = labels.present.iter().enumerate().filter(|(_, present)| **present);
                spaces.push(Space { tasks: vec![task], rows: present.map(|(row, _)| row).collect() });
            }
        }
    }
    spaces
}

/// Shuffles every feature of `rows` in turn.
///
/// A feature is shuffled among the rows of a task's own sample space, so that its values stay those that the task meets.
/// A list of values moves as a whole. The result depends on rows, model and options alone.
///
/// # Errors
/// [`Error::Interrupted`], and those of [`Predictor::predict`].
pub(crate) fn importance(
    predictor: &mut Predictor,
    rows: &Batch,
    tasks: &[TaskSpec],
    options: &ImportanceOptions,
    interrupt: &Interrupt,
) -> Result<Importance> {
    let inputs = predictor.graph().layout.inputs.clone();
    let spaces = spaces(rows);
    let count = options.rows_for(spaces.len() * inputs.len() * options.repeats);
    let mut found: Vec<Option<TaskImportance>> = vec![None; tasks.len()];
    for (at, space) in spaces.iter().enumerate() {
        let mut sample = Batch::empty(&predictor.graph().layout, tasks.len());
        sample.gather_from(rows, &chosen(&space.rows, count, options.seed, at as u64));
        let of_space: Vec<&TaskSpec> = space.tasks.iter().map(|&task| &tasks[task]).collect();
        let baseline = metrics(predictor, &sample, &space.tasks, &of_space)?;
        let mut losses: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); inputs.len()]; of_space.len()];
        // Where no metric is defined there is nothing to shuffle for.
        let repeats = if baseline.iter().any(Option::is_some) { options.repeats } else { 0 };
        for (feature, input) in inputs.iter().enumerate() {
            for repeat in 0..repeats {
                if let Some(signal) = interrupt.raised() {
                    let what = format!("stopped while features were shuffled, at {:?}", input.name());
                    return Err(Error::Interrupted { signal, what });
                }
                let order = shuffled(sample.rows, options.seed, feature as u64, repeat as u64);
                let kept = shuffle(&mut sample, input, &order);
                let shuffled = metrics(predictor, &sample, &space.tasks, &of_space)?;
                kept.put_back(&mut sample, input);
                for (task, losses) in losses.iter_mut().enumerate() {
                    if let (Some(before), Some(after)) = (baseline[task], shuffled[task]) {
                        losses[feature].push(gain(main_metric(of_space[task]), before, after));
                    }
                }
            }
        }
        for (((&task, spec), baseline), losses) in space.tasks.iter().zip(&of_space).zip(baseline).zip(losses) {
            let features = inputs.iter().zip(losses).map(|(input, losses)| {
                let (loss, sd) = mean_and_sd(&losses);
                FeatureImportance { feature: input.name().to_owned(), loss, sd }
            });
            found[task] = Some(TaskImportance {
                metric: main_metric(spec),
                rows: sample.rows as u64,
                baseline,
                features: features.collect(),
            });
        }
    }
    let named = tasks.iter().zip(found).filter_map(|(task, found)| Some((task.name.as_str(), found?)));
    Ok(Importance { repeats: options.repeats, seed: options.seed, tasks: named.collect() })
}

fn main_metric(task: &TaskSpec) -> MetricKind {
    MetricKind::of(task.kind)[0]
}

/// The main metric of each task of a sample space.
fn metrics(
    predictor: &mut Predictor,
    sample: &Batch,
    positions: &[usize],
    tasks: &[&TaskSpec],
) -> Result<Vec<Option<f64>>> {
    let predictions = predictor.predict(sample)?;
    let metric = |(&at, task): (&usize, &&TaskSpec)| {
        let (predictions, labels) = (&predictions.tasks[at], &sample.labels[at]);
        match task.kind {
            TaskKind::Binary => value::<Auc>(predictions, labels),
            TaskKind::Regression => value::<Mse>(predictions, labels),
        }
    };
    Ok(positions.par_iter().zip(tasks).map(metric).collect())
}

/// A metric by itself: the others of a task would cost as much again.
fn value<M: Metric>(predictions: &[f32], labels: &Labels) -> Option<f64> {
    let mut state = M::default();
    let rows = predictions.iter().zip(&labels.values).zip(&labels.present);
    rows.filter(|(_, present)| **present).for_each(|((p, y), _)| state.add(*p, *y));
    state.compute()
}

/// `count` of `rows`, in order; all of them if there are no more.
fn chosen(rows: &[usize], count: usize, seed: u64, space: u64) -> Vec<usize> {
    if rows.len() <= count {
        return rows.to_vec();
    }
    let mut rng = stream(seed, "sample", space, 0);
    let mut chosen = rand::seq::index::sample(&mut rng, rows.len(), count).into_vec();
    chosen.sort_unstable();
    chosen.iter().map(|&at| rows[at]).collect()
}

fn mean_and_sd(values: &[f64]) -> (Option<f64>, Option<f64>) {
    match crate::statistics::Spread::of(values) {
        Some(spread) => (Some(spread.mean), spread.sd),
        None => (None, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Ids, Input, InputLayout, Pooling};
    use pleiad_model::{Graph, ModelConfig, Weights};

    use super::*;

    const ROWS: usize = 2000;

    /// A number that is no use, one that is, and a list; the first task can be told from the second number, the second
    /// task has no rows of class 1, the third is measured where the list has two values.
    fn rows() -> Batch {
        let numeric: Vec<f32> = (0..ROWS)
            .flat_map(|i| [(i * 7919 % 100) as f32 / 50.0 - 1.0, (i * 104_729 % 101) as f32 / 50.0 - 1.0])
            .collect();
        let lists: Vec<Vec<u64>> =
            (0..ROWS).map(|i| if i % 3 == 0 { vec![1, 2] } else { vec![(i % 2) as u64] }).collect();
        let mut offsets = vec![0];
        lists.iter().for_each(|list| offsets.push(offsets.last().unwrap() + list.len()));
        let labels = |value: &dyn Fn(usize) -> f32, present: &dyn Fn(usize) -> bool| Labels {
            values: (0..ROWS).map(|i| if present(i) { value(i) } else { 0.0 }).collect(),
            present: (0..ROWS).map(present).collect(),
        };
        let useful = |i: usize| f32::from(numeric[2 * i + 1] > 0.0);
        Batch {
            rows: ROWS,
            labels: vec![labels(&useful, &|_| true), labels(&|_| 0.0, &|_| true), labels(&useful, &|i| i % 3 == 0)],
            categorical: vec![Ids::Multiple { offsets, rows: lists.concat() }],
            numeric,
        }
    }

    fn tasks() -> Vec<TaskSpec> {
        ["first", "second", "third"].map(|name| TaskSpec { name: name.into(), kind: TaskKind::Binary }).to_vec()
    }

    /// Every task predicts the second number plus the pooled list's.
    fn predictor() -> Predictor {
        let list = Input::Categorical {
            name: "list".into(),
            slot: 0,
            table: "list".into(),
            rows: 3,
            dim: 1,
            pooling: Some(Pooling::Sum),
        };
        let number = |name: &str, column: usize| Input::Numeric { name: name.into(), column };
        let layout = InputLayout { inputs: vec![number("idle", 0), number("useful", 1), list] };
        let model: ModelConfig =
            toml::from_str("kind = 'hard-sharing'\nbottom = [1]\nactivation = 'identity'").unwrap();
        let graph: Graph = model.build(&layout, &tasks()).unwrap();
        let mut weights = Weights::default();
        for param in &graph.params {
            let data = match param.name.as_str() {
                "bottom.0.weight" => vec![0.0, 1.0, 0.1],
                name if name.ends_with("weight") => vec![1.0; param.len()],
                _ => vec![0.0; param.len()],
            };
            weights.insert(&param.name, param.shape.clone(), data);
        }
        weights.insert("embeddings.list.weight", vec![3, 1], vec![-1.0, 1.0, 0.5]);
        Predictor::new(graph, &weights).unwrap()
    }

    fn of(options: &ImportanceOptions) -> Importance {
        importance(&mut predictor(), &rows(), &tasks(), options, &Interrupt::default()).unwrap()
    }

    fn loss(importance: &Importance, task: &str, feature: &str) -> Option<f64> {
        importance.tasks.get(task).unwrap().features.iter().find(|f| f.feature == feature).unwrap().loss
    }

    #[test]
    fn what_the_model_leans_on_costs_and_what_it_ignores_does_not() {
        let found = of(&ImportanceOptions::default());
        assert_eq!(loss(&found, "first", "idle"), Some(0.0));
        assert!(loss(&found, "first", "useful").unwrap() > 0.3, "{found:?}");
        let first = found.tasks.get("first").unwrap();
        assert_eq!((first.rows, first.metric), (ROWS as u64, MetricKind::Auc));
        assert!(first.baseline.unwrap() > 0.95 && first.features[1].sd.unwrap() > 0.0);
    }

    #[test]
    fn a_task_is_measured_on_its_own_sample_space() {
        let found = of(&ImportanceOptions::default());
        assert_eq!(found.tasks.get("third").unwrap().rows, ROWS.div_ceil(3) as u64);
        // There every list is the same, so that shuffling lists changes nothing.
        assert_eq!(loss(&found, "third", "list"), Some(0.0));
        assert_ne!(loss(&found, "first", "list"), Some(0.0));
    }

    #[test]
    fn where_the_metric_is_not_defined_there_is_no_loss() {
        let found = of(&ImportanceOptions::default());
        let second = found.tasks.get("second").unwrap();
        assert_eq!((second.baseline, second.features[1].loss, second.features[1].sd), (None, None, None));
    }

    #[test]
    fn samples_are_bounded_and_depend_on_the_seed_alone() {
        let options = ImportanceOptions { rows: 700, seed: 3, ..ImportanceOptions::default() };
        assert_eq!(of(&options).tasks.get("first").unwrap().rows, 700);
        assert_eq!(of(&options), of(&options));
        assert_ne!(of(&options).tasks, of(&ImportanceOptions { seed: 4, ..options }).tasks);
        // Two spaces, three features, two repeats: 12 shuffles.
        let options = ImportanceOptions { repeats: 2, predictions: 12 * 600, ..options };
        assert_eq!(of(&options).tasks.get("first").unwrap().rows, 600);
    }

    #[test]
    fn it_can_be_interrupted() {
        let interrupt = Interrupt::default();
        interrupt.flag().store(2, std::sync::atomic::Ordering::Relaxed);
        let error =
            importance(&mut predictor(), &rows(), &tasks(), &ImportanceOptions::default(), &interrupt).unwrap_err();
        assert!(matches!(error, Error::Interrupted { signal: 2, .. }), "{error}");
    }
}
