#![allow(clippy::unwrap_used)]

mod joint;
mod stream;

use std::collections::BTreeSet;

use pleiad_data::{Input, InputLayout, Labels};
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{EngineOptions, Kernels, Precision};
use pleiad_model::{Graph, ModelConfig, Weights};
use serde_json::json;

use super::*;
use crate::ErrorKind;
use crate::config::{AverageConfig, EarlyStopping, Selection};
use crate::metrics::Measures;

fn task(name: &str, kind: &str) -> TaskConfig {
    serde_json::from_value(json!({ "name": name, "kind": kind, "label": { "column": name } })).unwrap()
}

fn tasks() -> Vec<TaskConfig> {
    vec![task("click", "binary"), task("time", "regression")]
}

/// Rows of four numbers; `click` depends on the first two with much noise, `time` on the third and is known of clicks.
fn rows(count: usize, seed: u32) -> Batch {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let mut batch = Batch { rows: count, labels: vec![Labels::default(); 2], ..Batch::default() };
    for _ in 0..count {
        let x = [draw(), draw(), draw(), draw()];
        batch.numeric.extend(x);
        let click = x[0] - x[1] + 2.0 * draw() > 0.0;
        batch.labels[0].values.push(f32::from(u8::from(click)));
        batch.labels[0].present.push(true);
        batch.labels[1].values.push(if click { x[2] + 0.5 * draw() } else { 0.0 });
        batch.labels[1].present.push(click);
    }
    batch
}

fn graph() -> Graph {
    let layout = InputLayout::new((0..4).map(|column| Input::Numeric { name: format!("x{column}"), column }).collect());
    let model = json!({ "kind": "hard-sharing", "bottom": [32], "tower": [8], "dropout": 0.1 });
    let model: ModelConfig = serde_json::from_value(model).unwrap();
    model.build(&layout, &tasks().iter().map(TaskConfig::spec).collect::<Vec<_>>()).unwrap()
}

fn config(epochs: u64, learning_rate: f64) -> TrainConfig {
    serde_json::from_value(json!({
        "epochs": epochs,
        "batch_size": 16,
        "optimizer": { "kind": "adam", "learning_rate": learning_rate },
        "seed": 3,
    }))
    .unwrap()
}

/// A network for each task.
fn apart() -> Graph {
    let model = json!({ "kind": "single-task", "bottom": [8], "tower": [4] });
    let model: ModelConfig = serde_json::from_value(model).unwrap();
    model.build(&graph().layout, &tasks().iter().map(TaskConfig::spec).collect::<Vec<_>>()).unwrap()
}

fn engine(config: &TrainConfig) -> Engine {
    let options = EngineOptions {
        optimizer: config.optimizer,
        embedding_optimizer: *config.embedding_optimizer(),
        clip_norm: None,
        precision: Precision::F32,
        kernels: Kernels::Fastest,
        tables: TableOptions::default(),
        seed: config.seed,
    };
    let graph = if config.best_epoch == Some(BestEpoch::PerTask) { apart() } else { graph() };
    let mut engine = Engine::new(&graph, &options).unwrap();
    engine.init(config.seed);
    engine.drop_fields(config.field_dropout as f32).unwrap();
    config.average.iter().for_each(|average| engine.average(average.decay).unwrap());
    engine
}

/// Everything that a run on disk keeps, in memory.
#[derive(Default)]
struct Everything {
    last: Option<(FitState, Weights, Weights)>,
    best: MemoryKeeper,
    saves: usize,
}

impl Keeper for Everything {
    fn save(&mut self, state: &FitState, engine: &Engine, best: Best<'_>) -> Result<()> {
        self.saves += 1;
        // Through JSON, as on disk.
        let state = serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap();
        self.last = Some((state, engine.weights(), engine.state()));
        self.best.save(self.last.as_ref().map(|(state, ..)| state).unwrap(), engine, best)
    }

    fn restore_best(&mut self, engine: &mut Engine, own: &[BTreeSet<String>]) -> Result<()> {
        self.best.restore_best(engine, own)
    }
}

/// Raises the interrupt after a number of steps.
struct StopAfter {
    steps: usize,
    interrupt: Interrupt,
}

impl Observer for StopAfter {
    fn event(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Step { .. }) {
            self.steps -= 1;
            if self.steps == 0 {
                self.interrupt.flag().store(15, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }
}

fn finished(outcome: Outcome) -> Fitted {
    match outcome {
        Outcome::Finished(fitted) => fitted,
        Outcome::Interrupted { .. } => panic!("interrupted"),
    }
}

/// A finished training, and the weights that it kept.
#[derive(Debug)]
struct Kept {
    fitted: Fitted,
    weights: Weights,
}

impl std::ops::Deref for Kept {
    type Target = Fitted;

    fn deref(&self) -> &Fitted {
        &self.fitted
    }
}

fn train(config: &TrainConfig, train: &Batch, valid: Option<&Batch>) -> Result<Kept> {
    let tasks = tasks();
    let problem = FitProblem {
        config,
        tasks: &tasks,
        train: train.into(),
        valid: valid.map(Into::into),
        measures: &Measures::default(),
    };
    let mut keeper = MemoryKeeper::default();
    let mut engine = engine(config);
    let fitted = fit(&problem, &mut engine, None, &mut keeper, &Interrupt::default(), &mut Silent).map(finished)?;
    Ok(Kept { fitted, weights: engine.weights() })
}

fn score_of(config: &TrainConfig, weights: &Weights, rows: &Batch) -> f64 {
    let mut engine = engine(config);
    engine.load(weights).unwrap();
    let specs: Vec<TaskSpec> = tasks().iter().map(TaskConfig::spec).collect();
    evaluate(|batch| engine.predict(batch), rows, &specs, &Measures::default(), 50)
        .unwrap()
        .score(&Selection::Mean)
        .unwrap()
}

/// Small training rows, large steps: validation gets worse long before the last epoch.
#[test]
fn the_best_weights_are_kept_though_early_stopping_never_fires() {
    let (few, valid) = (rows(40, 1), rows(300, 2));
    let config = config(40, 0.03);
    let fitted = train(&config, &few, Some(&valid)).unwrap();
    let scores: Vec<f64> = fitted.history.iter().map(|record| record.score.unwrap()).collect();
    let best = scores.iter().copied().fold(f64::MIN, f64::max);
    assert_eq!((fitted.stop, scores.len()), (StopReason::Epochs, 40));
    assert!(best > scores[39] + 0.01, "the last epoch is the best, so that this test could not tell: {scores:?}");
    assert_eq!(scores[fitted.best_epoch as usize - 1], best);
    assert_eq!(score_of(&config, &fitted.weights, &valid), best);
}

#[test]
fn early_stopping_ends_after_patience_and_keeps_the_best() {
    let (few, valid) = (rows(40, 1), rows(300, 2));
    let mut config = config(40, 0.03);
    config.early_stopping = Some(EarlyStopping { patience: 3, metric: Selection::Mean, min_delta: 0.0 });
    let fitted = train(&config, &few, Some(&valid)).unwrap();
    assert_eq!(fitted.stop, StopReason::EarlyStopping);
    assert_eq!(fitted.history.len() as u64, fitted.best_epoch + 3);
    let best = fitted.history[fitted.best_epoch as usize - 1].score.unwrap();
    assert_eq!(score_of(&config, &fitted.weights, &valid), best);
}

#[test]
fn without_validation_rows_the_last_epoch_is_kept() {
    let config = config(3, 0.01);
    let tasks = tasks();
    let train = rows(64, 1);
    let problem = FitProblem {
        config: &config,
        tasks: &tasks,
        train: (&train).into(),
        valid: None,
        measures: &Measures::default(),
    };
    let mut engine = engine(&config);
    let mut keeper = Everything::default();
    let fitted =
        fit(&problem, &mut engine, None, &mut keeper, &Interrupt::default(), &mut Silent).map(finished).unwrap();
    assert_eq!((fitted.best_epoch, fitted.steps), (3, 12));
    let (state, weights, _) = keeper.last.unwrap();
    assert_eq!((state.epoch, weights), (3, engine.weights()));
    assert!(fitted.history.iter().all(|record| record.valid.is_none() && record.score.is_none()));
}

#[test]
fn a_resumed_training_gives_the_bits_of_one_that_never_stopped() {
    resumes(&config(4, 0.02));
}

#[test]
fn so_does_one_that_averages() {
    let config = TrainConfig { average: Some(AverageConfig { decay: 0.9 }), ..config(4, 0.02) };
    resumes(&config);
}

#[test]
fn so_does_one_that_drops_fields() {
    resumes(&TrainConfig { field_dropout: 0.2, ..config(4, 0.02) });
}

#[test]
fn so_does_one_in_which_each_task_keeps_its_own_epoch() {
    let stopping = EarlyStopping { patience: 2, metric: Selection::Mean, min_delta: 0.0 };
    for early_stopping in [None, Some(stopping)] {
        resumes(&TrainConfig { best_epoch: Some(BestEpoch::PerTask), early_stopping, ..config(4, 0.05) });
    }
}

/// Each task has what a training of it alone by its own metric would keep, and training ends when none has gained for long.
#[test]
fn each_task_keeps_its_own_best_epoch() {
    let (few, valid) = (rows(40, 1), rows(300, 2));
    let mut config = TrainConfig { best_epoch: Some(BestEpoch::PerTask), ..config(40, 0.03) };
    for patience in [None, Some(3)] {
        let stopping = |patience| EarlyStopping { patience, metric: Selection::Mean, min_delta: 0.0 };
        config.early_stopping = patience.map(stopping);
        let kept = train(&config, &few, Some(&valid)).unwrap();
        let mut engine = engine(&config);
        engine.load(&kept.weights).unwrap();
        let specs: Vec<TaskSpec> = tasks().iter().map(TaskConfig::spec).collect();
        let of_kept = evaluate(|batch| engine.predict(batch), &valid, &specs, &Measures::default(), 50).unwrap();
        let own = |evaluation: &Evaluation| evaluation.own_scores(&Selection::Mean, f64::NAN);
        let by_epoch: Vec<Vec<f64>> = kept.history.iter().map(|record| own(record.valid.as_ref().unwrap())).collect();
        let epochs: Vec<u64> = kept.best_epochs.iter().map(|(_, epoch)| *epoch).collect();
        for (task, score) in own(&of_kept).into_iter().enumerate() {
            let best = by_epoch.iter().map(|own| own[task]).fold(f64::MIN, f64::max);
            let first = by_epoch.iter().position(|own| own[task] == best).unwrap();
            assert_eq!((score, epochs[task]), (best, first as u64 + 1), "task {task}");
        }
        assert_ne!(epochs[0], epochs[1], "one epoch is the best of both, so that this test could not tell");
        let last = epochs.iter().copied().max().unwrap();
        assert_eq!(kept.best_epoch, last);
        let expected =
            if patience.is_some() { (StopReason::EarlyStopping, last + 3) } else { (StopReason::Epochs, 40) };
        assert_eq!((kept.stop, kept.history.len() as u64), expected);
    }
}

#[test]
fn tasks_that_share_weights_keep_one_epoch() {
    let (few, valid) = (rows(40, 1), rows(300, 2));
    let config = TrainConfig { best_epoch: Some(BestEpoch::PerTask), ..config(2, 0.03) };
    let tasks = tasks();
    let problem = FitProblem {
        config: &config,
        tasks: &tasks,
        train: (&few).into(),
        valid: Some((&valid).into()),
        measures: &Measures::default(),
    };
    let mut engine = engine(&TrainConfig { best_epoch: None, ..config.clone() });
    let mut keeper = MemoryKeeper::default();
    let error = fit(&problem, &mut engine, None, &mut keeper, &Interrupt::default(), &mut Silent).unwrap_err();
    assert!(matches!(error, Error::SharedWeights { .. }) && error.kind() == ErrorKind::Config, "{error}");
}

/// What is measured and kept is the average: on few rows in large steps it is better than the weights of any step.
#[test]
fn an_average_is_what_is_measured_and_kept() {
    let (few, valid) = (rows(100, 1), rows(300, 2));
    let plain = config(6, 0.05);
    let averaged = TrainConfig { average: Some(AverageConfig { decay: 0.95 }), ..plain.clone() };
    let (plain, kept) = (train(&plain, &few, None).unwrap(), train(&averaged, &few, Some(&valid)).unwrap());
    assert_ne!(plain.weights, kept.weights);
    let score = kept.history[kept.best_epoch as usize - 1].score;
    assert_eq!(Some(score_of(&averaged, &kept.weights, &valid)), score);
    // The same steps, whatever is averaged beside them.
    let losses = |kept: &Kept| kept.history.iter().map(|record| record.loss).collect::<Vec<_>>();
    assert_eq!(losses(&plain), losses(&kept));
}

fn resumes(config: &TrainConfig) {
    let (train_rows, valid) = (rows(100, 1), rows(80, 2));
    let whole = train(config, &train_rows, Some(&valid)).unwrap();
    // Seven steps an epoch: before the first, within epochs, at the end of one, in the last one.
    for stop_after in [1, 5, 7, 12, 14, 27] {
        let tasks = tasks();
        let problem = FitProblem {
            config,
            tasks: &tasks,
            train: (&train_rows).into(),
            valid: Some((&valid).into()),
            measures: &Measures::default(),
        };
        let mut keeper = Everything::default();
        let interrupt = Interrupt::default();
        let mut observer = StopAfter { steps: stop_after, interrupt: interrupt.clone() };
        let outcome = fit(&problem, &mut engine(config), None, &mut keeper, &interrupt, &mut observer).unwrap();
        let Outcome::Interrupted { steps, signal } = outcome else { panic!("not interrupted after {stop_after}") };
        assert_eq!((steps, signal), (stop_after as u64, 15));

        let (state, weights, optimizer) = keeper.last.take().unwrap();
        let mut engine = engine(config);
        engine.load(&weights).unwrap();
        engine.load_state(&optimizer).unwrap();
        engine.set_step_count(state.step);
        let interrupt = Interrupt::default();
        let resumed =
            fit(&problem, &mut engine, Some(state), &mut keeper, &interrupt, &mut Silent).map(finished).unwrap();
        assert_eq!(engine.weights(), whole.weights, "stopped after {stop_after}");
        assert_eq!((resumed.best_epoch, resumed.steps), (whole.best_epoch, whole.steps));
        for (a, b) in resumed.history.iter().zip(&whole.history) {
            assert_eq!((a.loss, &a.task_losses, &a.valid), (b.loss, &b.task_losses, &b.valid), "{stop_after}");
        }
    }
}

#[test]
fn checkpoints_come_as_often_as_asked_for() {
    let train_rows = rows(100, 1);
    let mut config = config(4, 0.02);
    let saves = |config: &TrainConfig| {
        let tasks = tasks();
        let problem = FitProblem {
            config,
            tasks: &tasks,
            train: (&train_rows).into(),
            valid: None,
            measures: &Measures::default(),
        };
        let mut keeper = Everything::default();
        fit(&problem, &mut engine(config), None, &mut keeper, &Interrupt::default(), &mut Silent).unwrap();
        keeper.saves
    };
    assert_eq!(saves(&config), 4);
    config.checkpoint.every_epochs = 3;
    assert_eq!(saves(&config), 2, "the third and the last epoch");
    config.checkpoint.every_steps = Some(5);
    // Steps 5, 10, 15, 20, 25 of 28, none of which ends an epoch.
    assert_eq!(saves(&config), 7);
}

#[test]
fn a_loss_that_is_no_number_stops_with_step_task_and_cause() {
    let error = train(&config(3, 1e38), &rows(64, 1), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Run);
    let message = error.to_string();
    assert!(message.contains("step 2 (epoch 1)") && message.contains("likely cause: the learning rate"), "{message}");
    assert!(message.contains("\"click\"") || message.contains("\"time\""), "{message}");
}

/// One step an epoch, so that the first sign of the damage is in the validation predictions.
#[test]
fn a_validation_prediction_that_is_no_number_stops_too() {
    let mut config = config(1, 1e38);
    config.batch_size = 64;
    let message = train(&config, &rows(64, 1), Some(&rows(64, 2))).unwrap_err().to_string();
    assert!(message.contains("step 1 (epoch 1): a validation prediction of task"), "{message}");
}

#[test]
fn training_runs_on_the_union_of_the_sample_spaces() {
    let mut train_rows = rows(64, 1);
    for row in 0..32 {
        train_rows.labels.iter_mut().for_each(|labels| labels.present[row] = false);
    }
    let fitted = train(&config(1, 0.01), &train_rows, None).unwrap();
    assert_eq!(fitted.steps, 2, "32 rows in steps of 16");
    train_rows.labels.iter_mut().for_each(|labels| labels.present.fill(false));
    assert!(matches!(train(&config(1, 0.01), &train_rows, None), Err(Error::NoTrainingRows { rows: 64 })));
}

/// A task that validation rows say nothing of.
#[test]
fn an_undefined_metric_is_an_error_where_early_stopping_needs_it() {
    let (train_rows, mut valid) = (rows(64, 1), rows(64, 2));
    valid.labels.iter_mut().for_each(|labels| labels.present.fill(false));
    let mut config = config(2, 0.01);
    let fitted = train(&config, &train_rows, Some(&valid)).unwrap();
    assert_eq!(fitted.best_epoch, 2, "the last");
    config.early_stopping = Some(EarlyStopping { patience: 3, metric: Selection::Mean, min_delta: 0.0 });
    let error = train(&config, &train_rows, Some(&valid)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("no row is in the sample space of task \"click\""), "{error}");
}

/// Keeps what it is warned of.
#[derive(Default)]
struct Warned(Vec<String>);

impl Observer for Warned {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.push((*text).to_owned());
        }
    }
}

#[test]
fn labels_of_one_class_are_told() {
    let warnings = |rows: &Batch| {
        let (config, tasks, mut warned) = (config(1, 1e-3), tasks(), Warned::default());
        let problem = FitProblem {
            config: &config,
            tasks: &tasks,
            train: rows.into(),
            valid: None,
            measures: &Measures::default(),
        };
        let mut keeper = MemoryKeeper::default();
        fit(&problem, &mut engine(&config), None, &mut keeper, &Interrupt::default(), &mut warned).unwrap();
        warned.0
    };
    let mut rows = rows(40, 1);
    assert_eq!(warnings(&rows), Vec::<String>::new());
    rows.labels[0].values.fill(1.0);
    assert_eq!(warnings(&rows), ["every training label of task \"click\" is 1: there is nothing to tell apart"]);
}
