//! Dropout of whole fields: gradients against differences of the loss with the same fields dropped, folded tables against
//! tables that are not, and what must not depend on it.

#![allow(clippy::unwrap_used)]

use crate::distance::distance;
use crate::fixture::{self, adam, batch, configurations, engine, graph, options, tasks};
use pleiad_data::{Input, InputLayout};
use pleiad_engine::{Engine, EngineOptions};
use pleiad_model::{Graph, ModelConfig, Weights};
use serde_json::{Value, json};

const TASKS: [f32; 3] = [1.0, 2.0, 0.5];

/// The loss, in which the fields of step 0 are dropped, at weights moved by `by` times `direction`.
fn loss(engine: &mut Engine, weights: &Weights, tensor: &str, direction: &[f32], by: f32) -> f64 {
    let mut moved = weights.clone();
    let data = &mut moved.tensors.get_mut(tensor).unwrap().data;
    data.iter_mut().zip(direction).for_each(|(w, d)| *w += by * d);
    engine.load(&moved).unwrap();
    let losses = engine.gradients(&batch(300, 4), &TASKS).unwrap().0.losses;
    losses.iter().zip(TASKS).map(|(loss, w)| loss * f64::from(w)).sum()
}

#[test]
fn gradients_are_those_of_what_was_kept() {
    for (kind, configuration) in configurations() {
        let mut engine = engine(&graph(&configuration));
        let weights = engine.weights();
        let (_, plain) = engine.gradients(&batch(300, 4), &TASKS).unwrap();
        engine.drop_fields(0.3).unwrap();
        let (_, gradients) = engine.gradients(&batch(300, 4), &TASKS).unwrap();
        assert!(distance(&plain, &gradients) > 0.05, "{kind}: nothing was dropped");
        let largest = |g: &Weights| g.tensors.values().flat_map(|t| &t.data).fold(0.0f32, |m, g| m.max(g.abs()));
        let bound = 1e-2 * f64::from(largest(&gradients));
        for (name, tensor) in gradients.tensors.iter().filter(|(_, t)| t.data.iter().any(|&g| g != 0.0)) {
            // Along the gradient itself, in which all of the tensor has a part.
            let length = tensor.data.iter().map(|g| g * g).sum::<f32>().sqrt();
            let direction: Vec<f32> = tensor.data.iter().map(|g| g / length).collect();
            let mut at = |by| loss(&mut engine, &weights, name, &direction, by);
            let slope = (at(4e-3) - at(-4e-3)) / 8e-3;
            assert!((slope - f64::from(length)).abs() < bound, "{kind}, {name}: {slope} is not {length}");
        }
    }
}

/// Folds, and the same with tables of more rows than anybody reads, which are not folded.
#[test]
fn a_fold_drops_what_its_layer_does() {
    let build = |configuration: &Value, more: u64| -> Graph {
        let numeric = |name: &str, column| Input::Numeric { name: name.into(), column };
        let categorical = |name: &str, slot, rows: u64| {
            let (name, table) = (name.into(), name.into());
            Input::Categorical { name, slot, table, rows: rows + more, dim: 5, pooling: None }
        };
        let mut seen = fixture::layout().inputs.remove(2);
        if let Input::Categorical { rows, .. } = &mut seen {
            *rows += more;
        }
        let mut item = categorical("item", 2, 9);
        if let Input::Categorical { table, .. } = &mut item {
            *table = "item5".into();
        }
        let tags = fixture::layout().inputs.remove(5);
        let inputs = vec![numeric("a", 0), categorical("user", 0, 7), seen, numeric("b", 1), item, tags];
        let Value::Object(table) = configuration.clone() else { panic!("a table") };
        ModelConfig::from_table(table).unwrap().build(&InputLayout::new(inputs), &tasks()).unwrap()
    };
    let sgd = serde_json::from_value(json!({ "kind": "sgd", "learning_rate": 0.05 })).unwrap();
    for (kind, configuration) in configurations() {
        let options = EngineOptions { ..options(sgd) };
        let (small, large) = (build(&configuration, 0), build(&configuration, 300));
        let weights = engine(&small).weights();
        let mut padded = Weights::default();
        for (name, tensor) in &weights.tensors {
            let table = large.tables.iter().find(|table| table.tensor() == *name);
            let shape = table.map_or_else(|| tensor.shape.clone(), |table| table.shape());
            let mut data = tensor.data.clone();
            data.resize(shape.iter().product(), 0.0);
            padded.insert(name.clone(), shape, data);
        }
        let [mut folded, mut plain] = [(&small, &weights), (&large, &padded)].map(|(graph, weights)| {
            let mut engine = Engine::new(graph, &options).unwrap();
            engine.load(weights).unwrap();
            engine.drop_fields(0.4).unwrap();
            engine
        });
        for rows in [1, 200, 2000] {
            let rows = batch(rows, 3);
            let (a, of_fold) = folded.gradients(&rows, &TASKS).unwrap();
            let (b, of_layer) = plain.gradients(&rows, &TASKS).unwrap();
            assert!(a.losses.iter().zip(&b.losses).all(|(a, b)| (a - b).abs() < 1e-5), "{kind}");
            let apart = distance(&of_fold, &of_layer);
            assert!(apart < 2e-6, "{kind}, {} rows: {apart}", rows.rows);
            let (_, _, by_task) = folded.gradients_by_task(&rows, &TASKS, &|_| vec![1.0; 3]).unwrap();
            let apart = distance(&of_fold, &by_task);
            assert!(apart < 2e-6, "{kind}, {} rows, task by task: {apart}", rows.rows);
        }
        for step in 0..4 {
            folded.step(&batch(700, step), &TASKS, 1.0).unwrap();
            plain.step(&batch(700, step), &TASKS, 1.0).unwrap();
        }
        let apart = distance(&folded.weights(), &plain.weights());
        assert!(apart < 1e-6, "{kind}: {apart}");
    }
}

#[test]
fn fields_are_dropped_in_training_alone_and_by_no_thread() {
    let graph = graph(&configurations()[0].1);
    let trained = |threads: usize, rate: f32| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut engine = Engine::new(&graph, &options(adam())).unwrap();
            engine.init(2);
            engine.drop_fields(rate).unwrap();
            let before = engine.predict(&batch(600, 9)).unwrap();
            (0..5).for_each(|step| drop(engine.step(&batch(600, step), &TASKS, 1.0).unwrap()));
            (before, engine.weights())
        })
    };
    assert_eq!(trained(1, 0.25), trained(3, 0.25));
    assert_eq!(trained(1, 0.25).0, trained(1, 0.0).0);
    assert_ne!(trained(1, 0.25).1, trained(1, 0.0).1);
    let mut engine = engine(&graph);
    for rate in [-0.1, 1.0, f32::NAN] {
        let error = engine.drop_fields(rate).unwrap_err().to_string();
        assert!(error.contains("field_dropout"), "{error}");
    }
}
