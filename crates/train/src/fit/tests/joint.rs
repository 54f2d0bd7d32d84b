//! The joint loss's methods in the loop.

use super::*;
use crate::config::{JointLossConfig, check_joint_loss};

fn joint(value: serde_json::Value) -> JointLossConfig {
    serde_json::from_value(value).unwrap()
}

/// Every weighting, every way to combine gradients, and some of both.
fn methods() -> Vec<JointLossConfig> {
    vec![
        joint(json!({ "weighting": "uncertainty" })),
        joint(json!({ "weighting": { "kind": "uncertainty", "learning_rate": 0.1 } })),
        joint(json!({ "weighting": "dwa" })),
        joint(json!({ "weighting": "gradnorm" })),
        joint(json!({ "gradient": "pcgrad" })),
        joint(json!({ "gradient": "cagrad" })),
        joint(json!({ "weighting": "gradnorm", "gradient": "pcgrad" })),
        joint(
            json!({ "weighting": { "kind": "dwa", "temperature": 0.5 }, "gradient": { "kind": "cagrad", "c": 0.8 } }),
        ),
    ]
}

fn with(joint_loss: JointLossConfig) -> TrainConfig {
    TrainConfig { joint_loss, ..config(4, 0.02) }
}

#[test]
fn a_resumed_training_gives_the_bits_of_one_that_never_stopped_with_every_method() {
    let (train_rows, valid) = (rows(100, 1), rows(80, 2));
    let plain = train(&config(4, 0.02), &train_rows, Some(&valid)).unwrap();
    for method in methods() {
        let config = with(method);
        let whole = train(&config, &train_rows, Some(&valid)).unwrap();
        assert_ne!(whole.weights, plain.weights, "{method:?} makes no difference");
        // Within the first epoch, at the end of the second, within the last.
        for stop_after in [3, 14, 24] {
            let tasks = tasks();
            let problem = FitProblem {
                config: &config,
                tasks: &tasks,
                train: (&train_rows).into(),
                valid: Some((&valid).into()),
                measures: &Measures::default(),
            };
            let mut keeper = Everything::default();
            let interrupt = Interrupt::default();
            let mut observer = StopAfter { steps: stop_after, interrupt: interrupt.clone() };
            fit(&problem, &mut engine(&config), None, &mut keeper, &interrupt, &mut observer).unwrap();
            let (state, weights, optimizer) = keeper.last.take().unwrap();
            let mut engine = engine(&config);
            engine.load(&weights).unwrap();
            engine.load_state(&optimizer).unwrap();
            engine.set_step_count(state.step);
            let resumed =
                fit(&problem, &mut engine, Some(state), &mut keeper, &Interrupt::default(), &mut Silent).map(finished);
            let resumed = resumed.unwrap();
            assert_eq!(engine.weights(), whole.weights, "{method:?}, stopped after {stop_after}");
            for (a, b) in resumed.history.iter().zip(&whole.history) {
                assert_eq!((a.loss, &a.task_losses, &a.task_weights), (b.loss, &b.task_losses, &b.task_weights));
            }
        }
    }
}

fn weights_of(config: &TrainConfig, tasks: &[TaskConfig]) -> Vec<Vec<f64>> {
    let train_rows = rows(100, 1);
    let problem =
        FitProblem { config, tasks, train: (&train_rows).into(), valid: None, measures: &Measures::default() };
    let mut keeper = MemoryKeeper::default();
    let fitted =
        fit(&problem, &mut engine(config), None, &mut keeper, &Interrupt::default(), &mut Silent).map(finished);
    let weights = |record: &EpochRecord| record.task_weights.iter().map(|(_, weight)| *weight).collect();
    fitted.unwrap().history.iter().map(weights).collect()
}

#[test]
fn the_weights_of_an_epoch_are_told() {
    let static_weights = weights_of(&config(3, 0.02), &tasks());
    assert_eq!(static_weights, vec![vec![1.0, 1.0]; 3]);

    let dwa = weights_of(&with(joint(json!({ "weighting": "dwa" }))), &tasks());
    assert_eq!(dwa[..2], static_weights[..2]);
    assert!(dwa[2] != [1.0, 1.0] && (dwa[2].iter().sum::<f64>() - 2.0).abs() < 1e-6, "{dwa:?}");

    let grad_norm = weights_of(&with(joint(json!({ "weighting": "gradnorm" }))), &tasks());
    assert!(grad_norm.iter().all(|w| (w[0] + w[1] - 2.0).abs() < 1e-6 && w[0] != w[1]), "{grad_norm:?}");

    // The regression's squared error is far below 1, the click's entropy near log 2: both sigmas fall or rise from 1.
    let uncertainty = weights_of(&with(joint(json!({ "weighting": "uncertainty" }))), &tasks());
    assert!(uncertainty.windows(2).all(|w| w[1][1] > w[0][1]) && uncertainty[0][1] > 0.5, "{uncertainty:?}");
}

/// What `[[task]]` says is on top of what a method finds.
#[test]
fn the_tasks_own_weights_multiply_those_of_the_method() {
    let mut weighed = tasks();
    weighed[1].weight = serde_json::from_value(json!(3.0)).unwrap();
    assert_eq!(weights_of(&config(1, 0.02), &weighed), [[1.0, 3.0]]);
    let method = with(joint(json!({ "weighting": "dwa" })));
    assert_eq!(weights_of(&method, &weighed)[0], [1.0, 3.0]);
    let method = with(joint(json!({ "weighting": { "kind": "uncertainty", "learning_rate": 1e-9 } })));
    let found = weights_of(&method, &weighed)[0].clone();
    assert!((found[0] - 1.0).abs() < 1e-6 && (found[1] - 1.5).abs() < 1e-6, "{found:?}");
}

#[test]
fn states_and_records_that_are_older_than_the_weights_can_be_read() {
    let state = FitState::new(&config(1, 0.1), 2);
    let mut json = serde_json::to_value(&state).unwrap();
    json.as_object_mut().unwrap().remove("weighting").unwrap();
    json["sums"].as_object_mut().unwrap().remove("weights").unwrap();
    let read: FitState = serde_json::from_value(json).unwrap();
    assert_eq!(read.weighting, state.weighting);

    let fitted = train(&config(1, 0.01), &rows(64, 1), None).unwrap();
    let mut json = serde_json::to_value(&fitted.history[0]).unwrap();
    json.as_object_mut().unwrap().remove("task_weights").unwrap();
    assert!(serde_json::from_value::<EpochRecord>(json).unwrap().task_weights.is_empty());
}

#[test]
fn methods_on_shared_parameters_need_some() {
    let specs: Vec<TaskSpec> = tasks().iter().map(TaskConfig::spec).collect();
    let build = |model: serde_json::Value, tasks: &[TaskSpec]| {
        let model: ModelConfig = serde_json::from_value(model).unwrap();
        model.build(&graph().layout, tasks).unwrap()
    };
    let apart = build(json!({ "kind": "single-task", "bottom": [4], "tower": [4] }), &specs);
    let one = build(json!({ "kind": "hard-sharing", "bottom": [4], "tower": [4] }), &specs[..1]);
    for method in methods() {
        check_joint_loss(&method, &graph()).unwrap();
        check_joint_loss(&method.without_shared_parts(), &apart).unwrap();
        if method.by_task() {
            let message = check_joint_loss(&method, &apart).unwrap_err().to_string();
            assert!(message.contains("no parameter is reached by more than one task"), "{message}");
            let message = check_joint_loss(&method, &one).unwrap_err().to_string();
            assert!(message.contains("there is one task"), "{message}");
        } else {
            check_joint_loss(&method, &apart).unwrap();
        }
    }
}
