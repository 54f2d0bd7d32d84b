//! Every structure, exported without encoders and run by a runtime in Rust: it predicts what Pleiad does.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../engine/tests/fixture/mod.rs"]
mod fixture;

use std::path::Path;

use pleiad_data::{Batch, Encoder, Ids, Input, InputLayout, TaskSpec};
use pleiad_model::graph::{Activation, GraphBuilder};
use pleiad_model::{Graph, TensorSource, Weights};
use pleiad_onnx::{Function, Inputs, MOST_BYTES, Options, Score, TaskFactor, Transform, export};
use rten::{Model, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};
use serde_json::json;

/// Of predictions, relative to those above 1.
const TOLERANCE: f32 = 1e-5;

fn options() -> Options {
    Options { inputs: Inputs::Ids, most_bytes: MOST_BYTES }
}

fn write(graph: &Graph, encoder: &Encoder, weights: &dyn TensorSource, path: &Path) {
    let model = pleiad_onnx::NetworkModel { kind: "test", graph, encoder, weights, score: None };
    let exported = export(&model, &options(), path).unwrap();
    assert_eq!(exported.bytes, path.metadata().unwrap().len());
    assert_eq!(exported.data, None);
}

/// The inputs by their names, as `docs/onnx.md` says.
fn inputs(layout: &InputLayout, batch: &Batch) -> Vec<(String, ValueOrView<'static>)> {
    let width = layout.numeric_width();
    let column = |at: usize| (0..batch.rows).map(move |row| batch.numeric[row * width + at]);
    let integers = |values: &mut dyn Iterator<Item = u64>| -> ValueOrView<'static> {
        let values: Vec<i32> = values.map(|value| value as i32).collect();
        NdTensor::from_data([values.len()], values).into()
    };
    let mut inputs: Vec<(String, ValueOrView<'static>)> = Vec::new();
    let is_piece = |a: &Input, b: &Input| a.numeric_column().is_some() && a.name() == b.name();
    for run in layout.inputs.chunk_by(is_piece) {
        let name = run[0].name();
        if let Input::Categorical { slot, .. } = &run[0] {
            match &batch.categorical[*slot] {
                Ids::Single(rows) => inputs.push((format!("{name}.row"), integers(&mut rows.iter().copied()))),
                Ids::Multiple { offsets, rows } => {
                    inputs.push((format!("{name}.rows"), integers(&mut rows.iter().copied())));
                    let lengths = offsets.windows(2).map(|ends| (ends[1] - ends[0]) as u64);
                    inputs.push((format!("{name}.lengths"), integers(&mut lengths.into_iter())));
                }
            }
            continue;
        }
        let columns: Vec<usize> = run.iter().filter_map(Input::numeric_column).collect();
        if let [only] = columns[..] {
            inputs.push((name.to_owned(), NdTensor::from_data([batch.rows], column(only).collect::<Vec<_>>()).into()));
        } else {
            let rows = (0..batch.rows).flat_map(|row| columns.iter().map(move |at| batch.numeric[row * width + at]));
            let shape = [batch.rows, columns.len()];
            inputs.push((name.to_owned(), NdTensor::from_data(shape, rows.collect::<Vec<_>>()).into()));
        }
    }
    inputs
}

/// The largest difference between what the file predicts and what Pleiad does.
fn difference(graph: &Graph, tasks: &[TaskSpec], weights: &Weights, batches: &[Batch]) -> f32 {
    differs(graph, tasks, [weights, weights], batches)
}

/// The same of a file with some weights and a Pleiad with others.
fn differs(graph: &Graph, tasks: &[TaskSpec], [written, weights]: [&Weights; 2], batches: &[Batch]) -> f32 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    write(graph, &common::encoder(&graph.layout, tasks), written, &path);
    let runtime = Model::load_file(&path).unwrap();
    let predictor = pleiad_engine::Predictor::new(graph.clone(), weights).unwrap();
    let outputs: Vec<_> = tasks.iter().map(|task| runtime.node_id(&task.name).unwrap()).collect();
    let mut worst = 0.0f32;
    for batch in batches {
        let inputs = inputs(&graph.layout, batch).into_iter();
        let inputs: Vec<_> = inputs.map(|(name, value)| (runtime.node_id(&name).unwrap(), value)).collect();
        let found = runtime.run(inputs, &outputs, None).unwrap();
        let expected = predictor.predict(batch).unwrap();
        for (found, expected) in found.into_iter().zip(&expected.tasks) {
            let found: Tensor<f32> = found.try_into().unwrap();
            assert_eq!(found.shape(), [batch.rows]);
            for (found, expected) in found.iter().zip(expected) {
                let difference = (found - expected).abs() / expected.abs().max(1.0);
                worst = if difference.is_nan() { f32::INFINITY } else { worst.max(difference) };
            }
        }
    }
    worst
}

#[test]
fn a_runtime_in_rust_predicts_what_pleiad_does() {
    for (kind, configuration) in fixture::configurations() {
        let graph = fixture::graph(&configuration);
        let weights = fixture::engine(&graph).weights();
        let batches = [fixture::batch(1, 3), fixture::batch(300, 4)];
        let found = difference(&graph, &fixture::tasks(), &weights, &batches);
        assert!(found < TOLERANCE, "{kind}: {found:e}");
    }
}

#[test]
fn crosses_waves_and_pieces() {
    let layout = common::layout_of_all();
    for interaction in [
        json!({ "kind": "none" }),
        json!({ "kind": "fm" }),
        json!({ "kind": "cross", "layers": 2 }),
        json!({ "kind": "cross", "layers": 2, "rank": 3 }),
    ] {
        let configuration = json!({ "kind": "cgc", "task_experts": 1, "shared_experts": 2, "widths": [6], "tower": [3],
                                    "activation": "sigmoid", "interaction": interaction });
        let graph = fixture::graph_over(&layout, &configuration);
        let weights = fixture::engine(&graph).weights();
        let batches = [common::batch(&layout, 1, 5), common::batch(&layout, 200, 6)];
        let found = difference(&graph, &common::tasks(), &weights, &batches);
        assert!(found < TOLERANCE, "{interaction}: {found:e}");
    }
}

/// Attention over a list, with and without requests: what a row of the batch or a request has, events gather.
#[test]
fn events_of_lists() {
    for per_request in [&[][..], &["a", "seen", "tags"]] {
        let per_request = per_request.iter().map(|name| (*name).to_owned()).collect();
        let mut graph = Graph::new(InputLayout { per_request, ..fixture::layout() });
        let mut g = GraphBuilder::new(&mut graph);
        let (x, item) = (g.input("").unwrap(), g.embedding("", "item").unwrap());
        let [seen] = g.events("", &["seen"]).unwrap()[..] else { panic!() };
        let crossed = g.pairs("crossed", &[seen, item]).unwrap();
        let pair = g.concat("pair", &[seen, item, crossed, x]).unwrap();
        let hidden = g.linear(pair, "hidden", 3, Activation::Tanh).unwrap();
        let score = g.linear(hidden, "score", 1, Activation::Identity).unwrap();
        let attended = g.segment_softmax_sum("attended", score, hidden).unwrap();
        let [tags] = g.events("", &["tags"]).unwrap()[..] else { panic!() };
        let (sum, mean) = (g.segment_sum("sum", tags).unwrap(), g.segment_mean("mean", hidden).unwrap());
        let all = g.concat("all", &[x, attended, sum, mean]).unwrap();
        for task in fixture::tasks() {
            let y = g.linear(all, &task.name, 1, Activation::Identity).unwrap();
            g.output(&task, y).unwrap();
        }
        let weights = fixture::engine(&graph).weights();
        let batches = [fixture::batch(1, 3), fixture::batch(300, 4)];
        let found = difference(&graph, &fixture::tasks(), &weights, &batches);
        assert!(found < TOLERANCE, "{found:e}");
    }
}

/// The comparison can fail: a model whose weights are others is seen.
#[test]
fn another_weight_is_seen() {
    let (_, configuration) = fixture::configurations().remove(0);
    let graph = fixture::graph(&configuration);
    let weights = fixture::engine(&graph).weights();
    for name in ["embeddings.seen.weight", "embeddings.item.weight", "towers.click.0.weight"] {
        let Some(tensor) = weights.get(name) else { continue };
        let mut other = weights.clone();
        other.insert(name, tensor.shape.clone(), tensor.data.iter().map(|value| value + 0.1).collect());
        let found = differs(&graph, &fixture::tasks(), [&weights, &other], &[fixture::batch(50, 7)]);
        assert!(found > 100.0 * TOLERANCE, "{name}: {found:e}");
    }
}

/// What p_k of a task is raised to.
const FLOOR: f64 = 0.225;

/// The most that `click` counts as: above some rows and below others.
const CAP: f64 = 0.475;

/// Equation 1 over exported predictions, with a factor of a column that is no input otherwise.
#[test]
fn the_score_is_the_product_of_powers() {
    let (_, configuration) = fixture::configurations().remove(2);
    let graph = fixture::graph(&configuration);
    let weights = fixture::engine(&graph).weights();
    let batch = fixture::batch(40, 9);
    // Small ones, too, of which `1 + x` in f32 keeps few digits.
    let raw: Vec<f32> = (0..40).map(|i| if i % 2 == 0 { i as f32 / 4.0 } else { i as f32 * 1e-6 }).collect();
    let factor = |task: &str, given: &[&str], power| {
        let given = given.iter().map(|&task| task.to_owned()).collect();
        TaskFactor { task: task.to_owned(), given, power, floor: None, cap: None }
    };
    type Of = fn(f64) -> f64;
    let functions: [(Function, Of); 3] = [
        (Function::Log1p, |x| x.ln_1p()),
        (Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (Function::Identity, |x| x),
    ];
    for ((function, f), sum) in functions.into_iter().flat_map(|function| [(function, false), (function, true)]) {
        let raised = TaskFactor { floor: Some(FLOOR), ..factor("share", &["click"], 0.5) };
        let lowered = TaskFactor { cap: Some(CAP), ..factor("click", &[], 1.0) };
        let factors = vec![lowered, raised];
        let transform = Transform { column: "a".to_owned(), function, power: 2.0 };
        let score = Score { factors, sum, transform: Some(transform) };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let encoder = common::encoder(&graph.layout, &fixture::tasks());
        let model = pleiad_onnx::NetworkModel {
            kind: "test",
            graph: &graph,
            encoder: &encoder,
            weights: &weights,
            score: Some(&score),
        };
        let exported = export(&model, &options(), &path).unwrap();
        assert_eq!(exported.outputs.last().unwrap().name, "score");
        let runtime = Model::load_file(&path).unwrap();
        let mut inputs = inputs(&graph.layout, &batch);
        inputs.push(("a.raw".to_owned(), NdTensor::from_data([40], raw.clone()).into()));
        let inputs: Vec<_> = inputs.into_iter().map(|(name, value)| (runtime.node_id(&name).unwrap(), value)).collect();
        let outputs = ["click", "share", "score"].map(|name| runtime.node_id(name).unwrap());
        let found = runtime.run(inputs, &outputs, None).unwrap();
        let columns: Vec<Tensor<f32>> = found.into_iter().map(|value| value.try_into().unwrap()).collect();
        let column = |at: usize| columns[at].iter().map(|&value| f64::from(value));
        let (mut below, mut above) = (0, 0);
        for (((click, share), score), x) in column(0).zip(column(1)).zip(column(2)).zip(&raw) {
            let joint = share * click;
            below += usize::from(joint < FLOOR);
            above += usize::from(click > CAP);
            let (click, share) = (click.min(CAP), joint.max(FLOOR));
            let tasks = if sum { click + 0.5 * share } else { click * share.sqrt() };
            let expected = tasks * f(f64::from(*x)).powi(2);
            assert!((score - expected).abs() <= 1e-5 * expected.max(1e-12), "{function:?}: {score} {expected}");
        }
        assert!(0 < below && below < 40, "the floor counts for some rows alone: {below}");
        assert!(0 < above && above < 40, "the cap counts for some rows alone: {above}");
    }
    let unknown = Score { factors: vec![factor("clicks", &[], 1.0)], sum: false, transform: None };
    let encoder = common::encoder(&graph.layout, &fixture::tasks());
    let model = pleiad_onnx::NetworkModel {
        kind: "test",
        graph: &graph,
        encoder: &encoder,
        weights: &weights,
        score: Some(&unknown),
    };
    let folder = tempfile::tempdir().unwrap();
    let error = export(&model, &options(), &folder.path().join("model.onnx")).unwrap_err();
    assert_eq!(error.to_string(), "[rank] of the model names the task \"clicks\", which the model does not have");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
