//! [`Importance`]: what each task loses when a feature's values are shuffled among the rows (Breiman 2001).
//!
//! If several features carry the same information, shuffling one of them costs little, since the model reads it from the
//! others. The numbers say which features this model uses, and not what a model without the feature would lose.

use std::ops::Range;

use pleiad_data::{Batch, Input, Labels, TaskKind, TaskSpec};
use pleiad_engine::{Predictions, Predictor};
use pleiad_model::Graph;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::effort::{Effort, ImportanceOptions};
use super::shuffle::{Stack, shuffled, stream};
use crate::ByTask;
use crate::Interrupt;
use crate::error::{Error, Result};
use crate::metrics::{Auc, Metric, MetricKind, Mse, WeightedAuc, gain};

/// Permutation importance of every feature for every task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importance {
    /// Times that each feature is shuffled.
    pub repeats: usize,
    /// Seed of sample and shuffles.
    pub seed: u64,
    /// How many of the features were shuffled; `None` in files of versions that shuffled all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeatureShare>,
    /// By task.
    pub tasks: ByTask<TaskImportance>,
}

/// How many features were shuffled. Where not all are, they are drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureShare {
    /// Features that were shuffled.
    pub shuffled: u64,
    /// Features that there are.
    pub of: u64,
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
    /// Every feature that was shuffled, in the order of the configuration.
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

/// Called with the progress of an explanation: rows predicted so far, and in all.
pub type Progress<'p> = dyn FnMut(u64, u64) + 'p;

/// Shuffles the features of `rows` in turn, or as many of them as the options allow, drawn at random.
///
/// A feature is shuffled among the rows of a task's own sample space, so that its values stay those that the task meets.
/// A list of values moves as a whole, and with it lists that are parts of the same events. The result depends on rows, model and options alone.
///
/// # Errors
/// [`Error::Interrupted`], and those of [`Predictor::predict`].
pub(crate) fn importance(
    predictor: &Predictor,
    rows: &Batch,
    tasks: &[TaskSpec],
    options: &ImportanceOptions,
    interrupt: &Interrupt,
    progress: &mut Progress<'_>,
) -> Result<Importance> {
    // Inputs of one name, as the pieces of a number, are one feature.
    let inputs = predictor.graph().layout.inputs.clone();
    let inputs: Vec<&[Input]> = inputs.chunk_by(|a, b| a.name() == b.name()).collect();
    let graph = predictor.graph();
    let moved: Vec<Vec<&Input>> = inputs.iter().map(|of| moved_with(graph, of)).collect();
    let spaces = spaces(rows);
    let available = spaces.iter().map(|space| space.rows.len()).max().unwrap_or(0);
    let cost = ImportanceOptions::cost(predictor.graph());
    let Effort { rows: count, repeats, features } = options.effort(inputs.len(), spaces.len(), available, cost);
    let all: Vec<usize> = (0..inputs.len()).collect();
    let features = chosen(&all, features, options.seed, "features", 0);
    let shuffles: Vec<(usize, usize)> =
        (0..features.len()).flat_map(|at| (0..repeats).map(move |repeat| (at, repeat))).collect();
    let of: usize = spaces.iter().map(|space| space.rows.len().min(count) * shuffles.len()).sum();
    let mut done = 0;
    let mut found: Vec<Option<TaskImportance>> = vec![None; tasks.len()];
    for (at, space) in spaces.iter().enumerate() {
        let mut sample = Batch::empty(&predictor.graph().layout, tasks.len());
        sample.gather_from(rows, &chosen(&space.rows, count, options.seed, "sample", at as u64));
        let of_space: Vec<&TaskSpec> = space.tasks.iter().map(|&task| &tasks[task]).collect();
        let predictions = predictor.predict(&sample)?;
        let baseline = metrics(&predictions, 0..sample.rows, &sample, &space.tasks, &of_space);
        let mut losses: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); features.len()]; of_space.len()];
        // Where no metric is defined there is nothing to shuffle for.
        let shuffles = if baseline.iter().any(Option::is_some) { &shuffles[..] } else { &[] };
        let mut stack = Stack::of(&sample, shuffles.len());
        for part in shuffles.chunks(stack.copies()) {
            if let Some(signal) = interrupt.raised() {
                let feature = part.first().map_or("", |&(feature, _)| inputs[features[feature]][0].name());
                let what = format!("stopped while features were shuffled, at {feature:?}");
                return Err(Error::Interrupted { signal, what });
            }
            for (copy, &(feature, repeat)) in part.iter().enumerate() {
                let feature = features[feature];
                let order = shuffled(sample.rows, options.seed, feature as u64, repeat as u64);
                moved[feature].iter().for_each(|input| stack.shuffle(copy, input, &order));
            }
            let predictions = predictor.predict(stack.batch())?;
            for (copy, &(feature, _)) in part.iter().enumerate() {
                moved[features[feature]].iter().for_each(|input| stack.put_back(copy, input));
                let copy = copy * sample.rows..(copy + 1) * sample.rows;
                let shuffled = metrics(&predictions, copy, &sample, &space.tasks, &of_space);
                for (task, losses) in losses.iter_mut().enumerate() {
                    if let (Some(before), Some(after)) = (baseline[task], shuffled[task]) {
                        losses[feature].push(gain(main_metric(of_space[task]), before, after));
                    }
                }
            }
            done += part.len() * sample.rows;
            progress(done as u64, of as u64);
        }
        for (((&task, spec), baseline), losses) in space.tasks.iter().zip(&of_space).zip(baseline).zip(losses) {
            let features = features.iter().zip(losses).map(|(&feature, losses)| {
                let (loss, sd) = mean_and_sd(&losses);
                FeatureImportance { feature: inputs[feature][0].name().to_owned(), loss, sd }
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
    let features = FeatureShare { shuffled: features.len() as u64, of: inputs.len() as u64 };
    Ok(Importance { repeats, seed: options.seed, features: Some(features), tasks: named.collect() })
}

/// The inputs that are shuffled with those of a feature: lists that are parts of the same events, of which one alone would have
/// other lengths than the rest.
fn moved_with<'g>(graph: &'g Graph, of: &'g [Input]) -> Vec<&'g Input> {
    let [Input::Categorical { slot, .. }] = of else { return of.iter().collect() };
    let slots = graph.same_events(*slot);
    let is_part = |input: &&Input| matches!(input, Input::Categorical { slot, .. } if slots.contains(slot));
    graph.layout.inputs.iter().filter(is_part).collect()
}

fn main_metric(task: &TaskSpec) -> MetricKind {
    MetricKind::of(task.kind)[0]
}

/// The main metric of each task of a sample space, of the predictions for one copy of the sample.
fn metrics(
    predictions: &Predictions,
    copy: Range<usize>,
    sample: &Batch,
    positions: &[usize],
    tasks: &[&TaskSpec],
) -> Vec<Option<f64>> {
    let metric = |(&at, task): (&usize, &&TaskSpec)| {
        let (predictions, labels) = (&predictions.tasks[at][copy.clone()], &sample.labels[at]);
        match task.kind {
            TaskKind::Binary if labels.weights.is_empty() => value::<Auc>(predictions, labels),
            TaskKind::Regression if labels.weights.is_empty() => value::<Mse>(predictions, labels),
            kind => weighted(kind, predictions, labels),
        }
    };
    positions.par_iter().zip(tasks).map(metric).collect()
}

/// A metric by itself: the others of a task would cost as much again.
fn value<M: Metric>(predictions: &[f32], labels: &Labels) -> Option<f64> {
    let mut state = M::default();
    let rows = predictions.iter().zip(&labels.values).zip(&labels.present);
    rows.filter(|(_, present)| **present).for_each(|((p, y), _)| state.add(*p, *y));
    state.compute()
}

/// The same of rows with weights.
fn weighted(kind: TaskKind, predictions: &[f32], labels: &Labels) -> Option<f64> {
    let rows = || (0..predictions.len()).filter(|&row| labels.present[row]);
    let weight = |row: usize| f64::from(labels.weight(row));
    match kind {
        TaskKind::Binary => {
            let mut auc = WeightedAuc::default();
            rows().for_each(|row| auc.add(predictions[row], labels.values[row], weight(row)));
            auc.compute()
        }
        TaskKind::Regression => {
            let error = |row: usize| f64::from(predictions[row]) - f64::from(labels.values[row]);
            let sum: f64 = rows().map(|row| weight(row) * error(row).powi(2)).sum();
            let total: f64 = rows().map(weight).sum();
            (total > 0.0 && sum.is_finite()).then(|| sum / total)
        }
    }
}

/// `count` of `rows`, in order; all of them if there are no more.
fn chosen(rows: &[usize], count: usize, seed: u64, purpose: &str, space: u64) -> Vec<usize> {
    if rows.len() <= count {
        return rows.to_vec();
    }
    let mut rng = stream(seed, purpose, space, 0);
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
    use pleiad_model::graph::GraphBuilder;
    use pleiad_model::{ModelConfig, Weights};

    use super::*;

    #[test]
    fn rows_of_one_weight_are_rows_without() {
        let predictions: Vec<f32> = (0..200).map(|i| (i * 37 % 100) as f32 / 100.0).collect();
        let plain = Labels {
            values: (0..200).map(|i| (i % 2) as f32).collect(),
            present: (0..200).map(|i| i % 5 > 0).collect(),
            weights: Vec::new(),
        };
        let all = Labels { weights: vec![3.0; 200], ..plain.clone() };
        let near = |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(weighted(TaskKind::Binary, &predictions, &all), value::<Auc>(&predictions, &plain)));
        assert!(near(weighted(TaskKind::Regression, &predictions, &all), value::<Mse>(&predictions, &plain)));
        // Those of weight 0 are as good as absent.
        let weights = plain.present.iter().map(|&present| f32::from(u8::from(present))).collect();
        let some = Labels { weights, present: vec![true; 200], ..plain.clone() };
        assert!(near(weighted(TaskKind::Binary, &predictions, &some), value::<Auc>(&predictions, &plain)));
        assert!(near(weighted(TaskKind::Regression, &predictions, &some), value::<Mse>(&predictions, &plain)));
    }

    const ROWS: usize = 2000;

    /// A number that is no use, one that is, and a list; the first task follows from the second number, the second
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
            weights: Vec::new(),
        };
        let useful = |i: usize| f32::from(numeric[2 * i + 1] > 0.0);
        Batch {
            rows: ROWS,
            labels: vec![labels(&useful, &|_| true), labels(&|_| 0.0, &|_| true), labels(&useful, &|i| i % 3 == 0)],
            categorical: vec![Ids::Multiple { offsets, rows: lists.concat() }],
            numeric,
            groups: Vec::new(),
        }
    }

    fn tasks() -> Vec<TaskSpec> {
        ["first", "second", "third"].map(|name| TaskSpec::new(name, TaskKind::Binary)).to_vec()
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
        let layout = InputLayout::new(vec![number("idle", 0), number("useful", 1), list]);
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
        importance(&predictor(), &rows(), &tasks(), options, &Interrupt::default(), &mut |_, _| ()).unwrap()
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
    fn lists_that_are_parts_of_the_same_events_move_together() {
        let list = |name: &str, slot| Input::Categorical {
            name: name.into(),
            slot,
            table: name.into(),
            rows: 3,
            dim: 1,
            pooling: Some(Pooling::Sum),
        };
        let mut graph = Graph::new(InputLayout::new(vec![list("list", 0), list("other", 1)]));
        let mut g = GraphBuilder::new(&mut graph);
        let events = g.events("", &["list", "other"]).unwrap();
        let product = g.pairs("product", &events).unwrap();
        let y = g.segment_sum("sum", product).unwrap();
        g.output(&tasks()[0], y).unwrap();
        let mut weights = Weights::default();
        for name in ["list", "other"] {
            weights.insert(format!("embeddings.{name}.weight"), vec![3, 1], vec![-1.0, 1.0, 0.5]);
        }
        let predictor = Predictor::new(graph, &weights).unwrap();
        let mut rows = rows();
        rows.numeric.clear();
        rows.labels.truncate(1);
        rows.categorical.push(rows.categorical[0].clone());
        let options =
            ImportanceOptions { rows: 500, repeats: 2, features: 1.0, predictions: 1 << 30, work: 1 << 40, seed: 4 };
        let found =
            importance(&predictor, &rows, &tasks()[..1], &options, &Interrupt::default(), &mut |_, _| ()).unwrap();
        assert!(loss(&found, "first", "list").is_some() && loss(&found, "first", "other").is_some());
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
    fn a_share_of_the_features_is_drawn_and_told_and_says_the_same() {
        let all = of(&ImportanceOptions::default());
        assert_eq!(all.features, Some(FeatureShare { shuffled: 3, of: 3 }));
        let some = of(&ImportanceOptions { features: 0.5, ..ImportanceOptions::default() });
        assert_eq!(some.features, Some(FeatureShare { shuffled: 2, of: 3 }));
        let (all, some) = (all.tasks.get("first").unwrap(), some.tasks.get("first").unwrap());
        assert_eq!(some.features.len(), 2);
        assert!(some.features.iter().all(|feature| all.features.contains(feature)), "{some:?}");
    }

    #[test]
    fn few_rows_go_through_the_model_together_and_give_what_they_give_alone() {
        let options = ImportanceOptions { rows: 50, ..ImportanceOptions::default() };
        let together = of(&options);
        let (predictor, tasks) = (predictor(), tasks());
        let mut sample = Batch::empty(&predictor.graph().layout, tasks.len());
        let all: Vec<usize> = (0..ROWS).collect();
        sample.gather_from(&rows(), &chosen(&all, 50, 0, "sample", 0));
        let auc = |batch: &Batch, predictor: &Predictor| {
            value::<Auc>(&predictor.predict(batch).unwrap().tasks[0], &batch.labels[0]).unwrap()
        };
        let baseline = auc(&sample, &predictor);
        let losses: Vec<f64> = (0..3)
            .map(|repeat| {
                let order = shuffled(50, 0, 1, repeat);
                let mut moved = sample.clone();
                for (row, &from) in order.iter().enumerate() {
                    moved.numeric[2 * row + 1] = sample.numeric[2 * from + 1];
                }
                baseline - auc(&moved, &predictor)
            })
            .collect();
        assert_eq!(together.tasks.get("first").unwrap().features[1].loss, mean_and_sd(&losses).0);
    }

    #[test]
    fn it_tells_how_far_it_is() {
        let mut told = Vec::new();
        let (options, interrupt) = (ImportanceOptions::default(), Interrupt::default());
        importance(&predictor(), &rows(), &tasks(), &options, &interrupt, &mut |done, of| told.push((done, of)))
            .unwrap();
        // Two spaces, three features, three repeats.
        let of = 9 * (ROWS + ROWS.div_ceil(3)) as u64;
        assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
        assert_eq!(told.last(), Some(&(of, of)));
    }

    #[test]
    fn it_can_be_interrupted() {
        let interrupt = Interrupt::default();
        interrupt.flag().store(2, std::sync::atomic::Ordering::Relaxed);
        let options = ImportanceOptions::default();
        let error = importance(&predictor(), &rows(), &tasks(), &options, &interrupt, &mut |_, _| ()).unwrap_err();
        assert!(matches!(error, Error::Interrupted { signal: 2, .. }), "{error}");
    }
}
