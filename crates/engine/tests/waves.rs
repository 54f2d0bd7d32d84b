//! Numbers embedded by learned waves, against PyTorch (`tools/golden/waves.py`), and from step to step.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::fixture::{self, adam, options};
use pleiad_data::{Batch, Input, InputLayout, Labels, TaskKind, TaskSpec};
use pleiad_engine::Engine;
use pleiad_model::graph::{GraphBuilder, Op};
use pleiad_model::init::Init;
use pleiad_model::{Graph, ModelConfig, Weights};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    x: Vec<f32>,
    y: Vec<f32>,
    weights: BTreeMap<String, Tensor>,
    loss: f64,
    predicted: Vec<f64>,
    gradients: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

fn waves(name: &str, column: usize, frequencies: usize, sigma: f32, dim: usize) -> Input {
    Input::Periodic { name: name.into(), column, frequencies, sigma, dim }
}

fn rows(x: &[f32], y: &[f32]) -> Batch {
    let labels = Labels { values: y.to_vec(), present: vec![true; y.len()], weights: Vec::new() };
    Batch { rows: y.len(), numeric: x.to_vec(), labels: vec![labels], ..Batch::default() }
}

#[test]
fn predictions_and_gradients_are_pytorchs() {
    let golden: Golden = serde_json::from_str(include_str!("golden/waves.json")).unwrap();
    assert_eq!(golden.cases.len(), 3);
    for (at, case) in golden.cases.iter().enumerate() {
        let mut graph = Graph::new(InputLayout::new(vec![waves("x", 0, 5, 0.1, 7)]));
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        let y = g.affine(x, "out", 1, true, Init::Zeros).unwrap();
        g.output(&TaskSpec::new("y", TaskKind::Regression), y).unwrap();
        let mut engine = Engine::new(&graph, &options(adam())).unwrap();
        let mut weights = Weights::default();
        for (name, tensor) in &case.weights {
            weights.insert(name.clone(), tensor.shape.clone(), tensor.data.clone());
        }
        engine.load(&weights).unwrap();
        let rows = rows(&case.x, &case.y);
        for (found, exact) in engine.predict(&rows).unwrap().tasks[0].iter().zip(&case.predicted) {
            assert!((f64::from(*found) - exact).abs() < 1e-5, "case {at}: {found}, PyTorch {exact}");
        }
        let (stats, gradients) = engine.gradients(&rows, &[1.0]).unwrap();
        assert!((stats.losses[0] - case.loss).abs() < 1e-5, "case {at}: {}", stats.losses[0]);
        for (name, exact) in &case.gradients {
            let found = &gradients.get(name).unwrap().data;
            let largest = exact.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            assert!(largest > 1e-2, "case {at}: {name} has no gradient to speak of");
            for (found, exact) in found.iter().zip(exact) {
                assert!((f64::from(*found) - exact).abs() < 1e-5 * largest, "case {at}, {name}: {found}, {exact}");
            }
        }
    }
}

fn graph(configuration: &Value) -> Graph {
    let numeric = |name: &str, column| Input::Numeric { name: name.into(), column };
    let (name, table) = ("user".into(), "user".into());
    let user = Input::Categorical { name, slot: 0, table, rows: 7, dim: 5, pooling: None };
    let inputs = vec![
        numeric("a", 0),
        waves("a.periodic", 1, 4, 0.3, 3),
        user,
        numeric("b", 2),
        numeric("c", 3),
        waves("c.periodic", 4, 2, 0.3, 6),
    ];
    let Value::Object(table) = configuration.clone() else { panic!("a table") };
    ModelConfig::from_table(table).unwrap().build(&InputLayout::new(inputs), &fixture::tasks()).unwrap()
}

fn batch(count: usize, seed: u64) -> Batch {
    let mut rows = fixture::batch(count, seed);
    rows.categorical.truncate(1);
    let numeric =
        rows.numeric.chunks_exact(2).flat_map(|row| [row[0], row[0], row[1], row[0] * row[1], row[0] * row[1]]);
    rows.numeric = numeric.collect();
    rows
}

/// In every structure: all that is learned is learned, the same by any number of threads, task by task, and where fields are
/// dropped; and each network of its own has waves of its own.
#[test]
fn waves_learn_in_every_structure() {
    for (kind, configuration) in fixture::configurations() {
        let graph = graph(&configuration);
        let names: Vec<&str> =
            graph.params.iter().map(|p| p.name.as_str()).filter(|n| n.starts_with("numbers.")).collect();
        let of_tasks = if kind == "single-task" { 3 } else { 1 };
        assert_eq!(names.len(), 6 * of_tasks, "{kind}: {names:?}");
        for dropped in [0.0, 0.3] {
            let trained = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let mut engine = Engine::new(&graph, &options(adam())).unwrap();
                    engine.init(3);
                    engine.drop_fields(dropped).unwrap();
                    (0..4).for_each(|step| drop(engine.step(&batch(600, step), &[1.0, 2.0, 0.5], 1.0).unwrap()));
                    engine
                })
            };
            let (mut one, mut three) = (trained(1), trained(3));
            assert_eq!(one.weights(), three.weights(), "{kind}");
            let mut start = Engine::new(&graph, &options(adam())).unwrap();
            start.init(3);
            let (start, end) = (start.weights(), one.weights());
            for name in &names {
                assert_ne!(start.get(name), end.get(name), "{kind}: {name} stands still");
            }
            let (_, whole) = one.gradients(&batch(600, 9), &[1.0, 2.0, 0.5]).unwrap();
            let (_, _, parts) = three.gradients_by_task(&batch(600, 9), &[1.0, 2.0, 0.5], &|_| vec![1.0; 3]).unwrap();
            for name in &names {
                let (a, b) = (&whole.get(name).unwrap().data, &parts.get(name).unwrap().data);
                let largest = a.iter().fold(1e-4f32, |m, g| m.max(g.abs()));
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-5 * largest), "{kind}: {name}");
            }
        }
    }
}

/// What is dropped of a wave is its embedding, not the number that goes in: sine and cosine of 0 are no absence.
#[test]
fn a_dropped_wave_is_zero() {
    let mut graph = Graph::new(InputLayout::new(vec![waves("x", 0, 5, 0.1, 7)]));
    let mut g = GraphBuilder::new(&mut graph);
    let x = g.input("").unwrap();
    assert!(matches!(graph.node(x).op, Op::Periodic { column: 0, .. }));
    let mut g = GraphBuilder::new(&mut graph);
    let y = g.affine(x, "out", 1, false, Init::Normal { std: 1.0 }).unwrap();
    g.output(&TaskSpec::new("y", TaskKind::Regression), y).unwrap();
    let mut engine = Engine::new(&graph, &options(adam())).unwrap();
    engine.init(1);
    let kept = engine_loss(&mut engine, 0.7);
    assert!(kept > 1e-3, "{kept}");
    // Of one row in a step, all or nothing: the loss is that of y / (1 - p), or of 0.
    let found: Vec<f64> = (0..40)
        .map(|step| {
            engine.set_step_count(step);
            engine.drop_fields(0.5).unwrap();
            engine_loss(&mut engine, 0.7)
        })
        .collect();
    assert!(found.contains(&0.0) && found.iter().any(|&l| l > 0.0));
    assert!(found.iter().all(|&l| l == 0.0 || (l - 4.0 * kept).abs() < 1e-5 * kept), "{found:?}, {kept}");
}

fn engine_loss(engine: &mut Engine, x: f32) -> f64 {
    engine.gradients(&rows(&[x], &[0.0]), &[1.0]).unwrap().0.losses[0]
}
