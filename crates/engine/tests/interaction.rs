//! Every structure over every kind of crosses, held to what it is held to without: predictions and gradients equal the f64
//! oracle and its finite differences, every parameter learns, any number of threads gives the same bits, bf16 stays near
//! f32, a save and a load keep the bits.

#![allow(clippy::unwrap_used)]

use crate::distance::distance;
use crate::fixture::{self, adam, batch, configurations, engine, graph_over, options, tasks};
use crate::reference;
use pleiad_data::{Input, TaskKind};
use pleiad_engine::{Engine, Kernels, Precision, Predictor};
use pleiad_model::Graph;
use serde_json::{Value, json};

/// Every configuration with every kind of crosses, over embeddings of one width.
fn graphs() -> Vec<(String, Graph)> {
    let mut layout = fixture::layout();
    for input in &mut layout.inputs {
        if let Input::Categorical { dim, .. } = input {
            *dim = 3;
        }
    }
    let crosses =
        [json!({ "kind": "fm" }), json!({ "kind": "cross" }), json!({ "kind": "cross", "layers": 1, "rank": 4 })];
    let with = |(kind, mut configuration): (&str, Value), interaction: &Value| {
        configuration["interaction"] = interaction.clone();
        (format!("{kind} over {interaction}"), graph_over(&layout, &configuration))
    };
    let all = configurations().into_iter();
    all.flat_map(|of| crosses.iter().map(move |crosses| (of.clone(), crosses))).map(|(of, c)| with(of, c)).collect()
}

#[test]
fn predictions_equal_the_oracle() {
    for (name, graph) in graphs() {
        let mut engine = engine(&graph);
        for rows in [1, 300] {
            let batch = batch(rows, 3);
            let found = engine.predict(&batch).unwrap();
            let numbers = reference::numbers(&graph, &engine.weights(), &batch);
            for ((found, numbers), task) in found.tasks.iter().zip(&numbers).zip(tasks()) {
                for (&p, &z) in found.iter().zip(numbers) {
                    let exact = if task.kind == TaskKind::Binary { 1.0 / (1.0 + (-z).exp()) } else { z };
                    let error = (f64::from(p) - exact).abs();
                    assert!(error < 2e-6 * exact.abs().max(1.0), "{name}, {rows} rows: {p} {exact}");
                }
            }
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let task_weights = [1.0, 0.5, 2.0];
    for (name, graph) in graphs() {
        let mut engine = engine(&graph);
        let batch = batch(40, 9);
        let weights = engine.weights();
        let (_, gradients) = engine.gradients(&batch, &task_weights).unwrap();
        // What lies above the input is held to the oracle without crosses.
        let below = |tensor: &str| tensor.starts_with("embeddings.") || tensor.starts_with("interaction.");
        for (tensor, found) in gradients.tensors.iter().filter(|(tensor, _)| below(tensor)) {
            let largest = found.data.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            for at in (0..found.data.len()).step_by(1 + found.data.len() / 6) {
                let exact = reference::derivative(&graph, &weights, &batch, &task_weights, tensor, at);
                let error = (f64::from(found.data[at]) - exact).abs();
                let bound = 2e-5 * f64::from(largest).max(1e-2);
                assert!(error < bound, "{name}: {tensor}[{at}] is {}, not {exact}", found.data[at]);
            }
        }
    }
}

#[test]
fn every_parameter_learns_and_a_save_and_a_load_keep_the_bits() {
    for (name, graph) in graphs() {
        let mut first = engine(&graph);
        let before = first.weights();
        for step in 0..3 {
            first.step(&batch(200, step), &[1.0; 3], 1.0).unwrap();
        }
        for (tensor, values) in first.weights().tensors {
            assert_ne!(before.tensors[&tensor], values, "{name}: {tensor} never trains");
        }
        let json = serde_json::to_string(&graph).unwrap();
        let graph: Graph = serde_json::from_str(&json).unwrap();
        let predictor = Predictor::new(graph, &first.weights()).unwrap();
        let rows = batch(300, 1);
        assert_eq!(first.predict(&rows).unwrap(), predictor.predict(&rows).unwrap(), "{name}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let train = |graph: &Graph, precision: Precision, threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let mut engine =
                Engine::new(graph, &pleiad_engine::EngineOptions { precision, ..options(adam()) }).unwrap();
            engine.init(5);
            for step in 0..3 {
                engine.step(&batch(1500, step), &[1.0, 2.0, 0.5], 1.0).unwrap();
            }
            (engine.weights(), engine.state(), engine.predict(&batch(700, 99)).unwrap())
        })
    };
    for (name, graph) in graphs() {
        for precision in [Precision::F32, Precision::Bf16] {
            let one = train(&graph, precision, 1);
            assert!(one == train(&graph, precision, 3), "{name} in {} differs on 3 threads", precision.name());
        }
    }
}

#[test]
fn kernels_agree_up_to_rounding_and_bf16_stays_near_f32() {
    for (name, graph) in graphs() {
        let gradient = |precision, kernels| {
            let options = pleiad_engine::EngineOptions { precision, kernels, ..options(adam()) };
            let mut engine = Engine::new(&graph, &options).unwrap();
            engine.load(&fixture::engine(&graph).weights()).unwrap();
            engine.gradients(&batch(300, 2), &[1.0, 2.0, 0.5]).unwrap().1
        };
        let exact = gradient(Precision::F32, Kernels::Plain);
        let tiles = distance(&exact, &gradient(Precision::F32, Kernels::Fastest));
        assert!(tiles < 1e-6, "{name}: {tiles}");
        let emulated = gradient(Precision::Bf16, Kernels::Plain);
        let rounded = distance(&exact, &emulated);
        assert!((1e-4..3e-2).contains(&rounded), "{name}: {rounded}");
        let hardware = distance(&emulated, &gradient(Precision::Bf16, Kernels::Fastest));
        assert!(hardware < 3e-3, "{name}: {hardware}");
    }
}
