//! Small tables, which are folded into the layer above them, against the same tables with more rows than anybody reads,
//! which are not: predictions, gradients and steps are the same up to the order of sums.

#![allow(clippy::unwrap_used)]

use crate::distance::distance;
use crate::fixture::{self, adam, batch, configurations, options, tasks};
use pleiad_data::{Input, InputLayout, Pooling};
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::{Graph, ModelConfig, TensorSink, Weights};
use serde_json::Value;

/// As wide as a fold wants it; `item` is read twice, and one of them pools it.
fn graph(configuration: &Value, more_rows: u64) -> Graph {
    let numeric = |name: &str, column| Input::Numeric { name: name.into(), column };
    let categorical = |name: &str, slot, table: &str, rows: u64, dim, pooling| Input::Categorical {
        name: name.into(),
        slot,
        table: table.into(),
        rows: rows + more_rows,
        dim,
        pooling,
    };
    let inputs = vec![
        numeric("a", 0),
        categorical("user", 0, "user", 7, 5, None),
        categorical("seen", 1, "item", 9, 4, Some(Pooling::Mean)),
        numeric("b", 1),
        categorical("item", 2, "item", 9, 4, None),
        categorical("tags", 3, "tags", 5, 17, Some(Pooling::Sum)),
    ];
    let Value::Object(table) = configuration.clone() else { panic!("a table") };
    ModelConfig::from_table(table).unwrap().build(&InputLayout::new(inputs), &tasks()).unwrap()
}

/// The same weights for tables of more rows, the others zero.
fn padded(weights: &Weights, graph: &Graph) -> Weights {
    let mut padded = Weights::default();
    for (name, tensor) in &weights.tensors {
        let table = graph.tables.iter().find(|table| table.tensor() == *name);
        let shape = table.map_or_else(|| tensor.shape.clone(), |table| table.shape());
        let mut data = tensor.data.clone();
        data.resize(shape.iter().product(), 0.0);
        padded.insert(name.clone(), shape, data);
    }
    padded
}

/// Both ways of the same model: folded, and not.
fn both(configuration: &Value, options: &EngineOptions) -> [Engine; 2] {
    let (small, large) = (graph(configuration, 0), graph(configuration, 300));
    let weights = fixture::engine(&small).weights();
    let mut folded = Engine::new(&small, options).unwrap();
    folded.load(&weights).unwrap();
    let mut plain = Engine::new(&large, options).unwrap();
    plain.load(&padded(&weights, &large)).unwrap();
    [folded, plain]
}

fn close(a: &[Vec<f32>], b: &[Vec<f32>]) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-5)
}

#[test]
fn a_fold_predicts_and_learns_what_its_layer_does() {
    for kernels in [Kernels::Fastest, Kernels::Plain] {
        for (kind, configuration) in configurations() {
            let options = EngineOptions { kernels, ..options(adam()) };
            let [mut folded, mut plain] = both(&configuration, &options);
            // One row, a shard, and several lanes of several shards.
            for rows in [1, 200, 5000] {
                let batch = batch(rows, 3);
                let (a, b) = (folded.predict(&batch).unwrap(), plain.predict(&batch).unwrap());
                assert!(close(&a.tasks, &b.tasks), "{kind}, {rows} rows");
                let (a, gradients) = folded.gradients(&batch, &[1.0, 2.0, 0.5]).unwrap();
                let (b, others) = plain.gradients(&batch, &[1.0, 2.0, 0.5]).unwrap();
                assert_eq!(a.rows, b.rows);
                assert!(a.losses.iter().zip(&b.losses).all(|(a, b)| (a - b).abs() < 1e-5), "{kind}, {rows} rows");
                let distance = distance(&gradients, &others);
                assert!(distance < 2e-6, "{kind}, {rows} rows: {distance}");
                assert!(distance > 0.0 || rows == 1, "{kind}: sums in the same order, so nothing was folded");
            }
        }
    }
}

#[test]
fn a_fold_follows_its_table_from_step_to_step() {
    // Plain descent: Adam would make a step of the rounding of a gradient that is nearly zero.
    let sgd = serde_json::from_value(serde_json::json!({ "kind": "sgd", "learning_rate": 0.05 })).unwrap();
    for clip_norm in [None, Some(0.3)] {
        for (kind, configuration) in configurations() {
            let [mut folded, mut plain] = both(&configuration, &EngineOptions { clip_norm, ..options(sgd) });
            for step in 0..5 {
                folded.step(&batch(700, step), &[1.0, 2.0, 0.5], 1.0).unwrap();
                plain.step(&batch(700, step), &[1.0, 2.0, 0.5], 1.0).unwrap();
            }
            let distance = distance(&folded.weights(), &plain.weights());
            assert!(distance < 1e-6, "{kind}: {distance}");
        }
    }
}

#[test]
fn each_task_goes_back_through_a_fold_by_itself() {
    for (kind, configuration) in configurations() {
        let [mut folded, mut plain] = both(&configuration, &options(adam()));
        let combine = |gram: &pleiad_model::objective::conflict::Gram| vec![0.5; gram.tasks()];
        let batch = batch(700, 3);
        let (_, a_gram, a) = folded.gradients_by_task(&batch, &[1.0, 2.0, 0.5], &combine).unwrap();
        let (_, b_gram, b) = plain.gradients_by_task(&batch, &[1.0, 2.0, 0.5], &combine).unwrap();
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let (a, b) = (a_gram.get(i, j), b_gram.get(i, j));
            assert!((a - b).abs() <= 1e-5 * (a_gram.get(i, i) * a_gram.get(j, j)).sqrt() + 1e-12, "{kind}: {a} {b}");
        }
        let distance = distance(&a, &b);
        assert!(distance < 2e-6, "{kind}: {distance}");
    }
}

/// Rounding the operands of a step's products leaves those of a fold alone.
#[test]
fn bf16_with_a_fold_is_as_near_to_f32_as_without() {
    for (kind, configuration) in configurations() {
        let bf16 = EngineOptions { precision: Precision::Bf16, ..options(adam()) };
        let [mut exact, _] = both(&configuration, &options(adam()));
        let [mut folded, mut plain] = both(&configuration, &bf16);
        let batch = batch(700, 3);
        let gradients = |engine: &mut Engine| engine.gradients(&batch, &[1.0, 2.0, 0.5]).unwrap().1;
        let exact = gradients(&mut exact);
        let (folded, plain) = (distance(&exact, &gradients(&mut folded)), distance(&exact, &gradients(&mut plain)));
        assert!(folded > 1e-5 && folded < 1.5 * plain, "{kind}: {folded} folded, {plain} not");
    }
}

/// A table that is replaced alone is multiplied anew.
#[test]
fn a_fold_follows_a_table_that_is_replaced() {
    let (_, configuration) = &configurations()[0];
    let [mut engine, _] = both(configuration, &options(adam()));
    let batch = batch(50, 3);
    let before = engine.predict(&batch).unwrap();
    engine.weights_sink().write("embeddings.user.weight", 0, &[1.5; 7 * 5]);
    let after = engine.predict(&batch).unwrap();
    let weights = engine.weights();
    let mut other = Engine::new(engine.graph(), &options(adam())).unwrap();
    other.load(&weights).unwrap();
    assert!(before != after && after == other.predict(&batch).unwrap());
}
