//! Parameters with a learning rate of their own: a factor c is the same as to train that parameter at c times the rate.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use crate::fixture::{batch, configurations, graph, options};
use pleiad_engine::optim::{OptimizerConfig, StepRule};
use pleiad_engine::{Engine, EngineOptions};
use pleiad_model::objective::conflict::Gram;
use pleiad_model::{Graph, Weights};
use serde_json::{Value, json};

const WEIGHTS: [f32; 3] = [1.0, 0.5, 2.0];

/// Every optimizer, with both forms of weight decay.
fn optimizers(rate: f64) -> Vec<Value> {
    vec![
        json!({ "kind": "sgd", "learning_rate": rate, "weight_decay": 0.1 }),
        json!({ "kind": "sgd", "learning_rate": rate, "weight_decay": 0.1, "decoupled": true }),
        json!({ "kind": "sgd", "learning_rate": rate, "momentum": 0.9 }),
        json!({ "kind": "sgd", "learning_rate": rate, "momentum": 0.9, "nesterov": true }),
        json!({ "kind": "adam", "learning_rate": rate }),
        json!({ "kind": "adam", "learning_rate": rate, "weight_decay": 0.1 }),
        json!({ "kind": "adamw", "learning_rate": rate, "weight_decay": 0.1 }),
        json!({ "kind": "adagrad", "learning_rate": rate, "initial_accumulator": 0.1 }),
        json!({ "kind": "adagrad", "learning_rate": rate, "weight_decay": 0.1, "decoupled": true }),
    ]
}

fn optimizer(value: &Value) -> OptimizerConfig {
    serde_json::from_value(value.clone()).unwrap()
}

/// PLE whose parameters have every factor, powers of two so that no product is rounded: gates that lie in one matrix with
/// experts, a layer over small tables whose columns lie apart, biases, towers.
fn uneven() -> Graph {
    let mut graph = graph(&configurations()[0].1);
    for (at, param) in graph.params.iter_mut().enumerate() {
        param.rate = if param.name.contains(".gate.") { 0.25 } else { [1.0, 0.5, 1.0, 4.0, 2.0][at % 5] };
    }
    graph
}

/// A parameter alone: its weights, and the state of its optimizer.
struct Alone {
    weights: Vec<f32>,
    state: [Vec<f32>; 2],
}

/// Every dense parameter, moved by itself at `rate` of `table` times its factor by the gradients that the engine finds.
fn replay(
    table: fn(f64) -> Vec<Value>,
    which: usize,
    graph: &Graph,
    start: &Weights,
) -> HashMap<String, (OptimizerConfig, Alone)> {
    let alone = graph.params.iter().map(|param| {
        let config = optimizer(&table(0.01 * param.rate)[which]);
        let weights = start.tensors[&param.name].data.clone();
        let state = [(); 2].map(|()| vec![config.initial_state(); weights.len()]);
        (param.name.clone(), (config, Alone { weights, state }))
    });
    alone.collect()
}

fn step_alone(all: &mut HashMap<String, (OptimizerConfig, Alone)>, gradients: &Weights, step: u64, schedule: f64) {
    for (name, (config, Alone { weights, state: [first, second] })) in all {
        let rule = StepRule::new(config, step, schedule);
        rule.update(weights, &gradients.tensors[name].data, [first, second], 1.0);
    }
}

fn check(graph: &Graph, start: &dyn Fn() -> Engine, which: usize, by_task: bool) {
    let mut engine = start();
    let combine = |gram: &Gram| vec![1.0; gram.tasks()];
    let mut alone = replay(optimizers, which, graph, &engine.weights());
    for step in 1..5 {
        // More than a shard, so that there are lanes to be summed.
        let batch = batch(600, step);
        // Warm-up: the schedule's factor and the parameter's are multiplied.
        let schedule = step as f64 / 4.0;
        let gradients = if by_task {
            let gradients = engine.gradients_by_task(&batch, &WEIGHTS, &combine).unwrap().2;
            engine.step_by_task(&batch, &WEIGHTS, &combine, schedule).unwrap();
            gradients
        } else {
            let gradients = engine.gradients(&batch, &WEIGHTS).unwrap().1;
            engine.step(&batch, &WEIGHTS, schedule).unwrap();
            gradients
        };
        step_alone(&mut alone, &gradients, step, schedule);
        let weights = engine.weights();
        for param in &graph.params {
            let (config, alone) = &alone[&param.name];
            assert_eq!(weights.tensors[&param.name].data, alone.weights, "{config:?}, step {step}: {}", param.name);
        }
    }
}

fn start(graph: &Graph, which: usize) -> Engine {
    let mut engine = Engine::new(graph, &options(optimizer(&optimizers(0.01)[which]))).unwrap();
    engine.init(5);
    engine
}

#[test]
fn a_factor_is_the_rate_of_its_parameter_by_every_optimizer() {
    let graph = uneven();
    for which in 0..optimizers(0.01).len() {
        check(&graph, &|| start(&graph, which), which, false);
    }
}

#[test]
fn so_it_is_with_a_gradient_per_task() {
    let graph = uneven();
    check(&graph, &|| start(&graph, 4), 4, true);
}

/// The norm that is bounded is that of the gradient, whatever the rates.
#[test]
fn clipping_does_not_know_of_factors() {
    let graph = uneven();
    let mut equal = graph.clone();
    equal.params.iter_mut().for_each(|param| param.rate = 1.0);
    let moved = |graph: &Graph, clip_norm: Option<f32>| {
        let optimizer = optimizer(&json!({ "kind": "sgd", "learning_rate": 1.0 }));
        let mut engine = Engine::new(graph, &EngineOptions { clip_norm, ..options(optimizer) }).unwrap();
        engine.init(5);
        engine.step(&batch(600, 3), &WEIGHTS, 1.0).unwrap();
        engine.weights()
    };
    let (own, common, whole) = (moved(&graph, Some(0.01)), moved(&equal, Some(0.01)), moved(&equal, None));
    let (mut compared, mut clipped) = (0, 0);
    for param in graph.params.iter().filter(|param| param.rate == 1.0) {
        assert_eq!(own.tensors[&param.name], common.tensors[&param.name], "{}", param.name);
        compared += 1;
        clipped += usize::from(common.tensors[&param.name] != whole.tensors[&param.name]);
    }
    assert!(compared > 5 && clipped > 5, "{compared} {clipped}");
}

/// Steps from a state that was saved are those that follow without a pause.
#[test]
fn a_saved_state_goes_on_to_the_same_bits() {
    let graph = uneven();
    let mut whole = start(&graph, 6);
    let steps = |engine: &mut Engine, steps: std::ops::Range<u64>| {
        steps.for_each(|step| drop(engine.step(&batch(600, step), &WEIGHTS, 1.0).unwrap()));
    };
    steps(&mut whole, 0..3);
    let mut resumed = start(&graph, 6);
    resumed.load(&whole.weights()).unwrap();
    resumed.load_state(&whole.state()).unwrap();
    resumed.set_step_count(whole.step_count());
    steps(&mut whole, 3..6);
    steps(&mut resumed, 3..6);
    assert_eq!(whole.weights(), resumed.weights());
}

/// Gates that start at zero weigh all experts alike, and learn.
#[test]
fn gates_at_zero_learn() {
    let Value::Object(mut keys) = configurations()[0].1.clone() else { panic!("a table") };
    keys.remove("gate_start");
    let graph = graph(&Value::Object(keys));
    let mut engine = start(&graph, 4);
    let gates = |engine: &Engine| -> Vec<(String, Vec<f32>)> {
        let tensors = engine.weights().tensors.into_iter();
        tensors.filter(|(name, _)| name.contains(".gate.")).map(|(name, tensor)| (name, tensor.data)).collect()
    };
    assert_eq!(gates(&engine).len(), 11);
    assert!(gates(&engine).iter().all(|(_, weights)| weights.iter().all(|&w| w == 0.0)));
    for step in 0..5 {
        engine.step(&batch(200, step), &WEIGHTS, 1.0).unwrap();
    }
    for (name, weights) in gates(&engine) {
        assert!(weights.windows(2).any(|w| w[0] != w[1]), "{name} never trains");
    }
}
