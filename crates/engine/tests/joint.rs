//! The joint loss: what is in it, and how the tasks' gradients become one.

#![allow(clippy::unwrap_used)]

use crate::reference;
use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskKind, TaskSpec};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::graph::{Activation, GraphBuilder, OrderPenalty, ParamId, TableId};
use pleiad_model::objective::conflict::{Gram, cagrad, pcgrad};
use pleiad_model::{Graph, ModelConfig, Weights};
use serde_json::{Value, json};

/// Two numbers and an embedding, one common layer, a layer and an output per task: a click, a purchase, a time.
fn funnel() -> Graph {
    let mut graph = Graph::new(InputLayout::new(vec![
        Input::Numeric { name: "a".into(), column: 0 },
        Input::Numeric { name: "b".into(), column: 1 },
        Input::Categorical { name: "u".into(), slot: 0, table: "u".into(), rows: 6, dim: 3, pooling: None },
    ]));
    let mut g = GraphBuilder::new(&mut graph);
    let x = g.input("").unwrap();
    let common = g.scope("bottom").linear(x, "0", 5, Activation::Tanh).unwrap();
    for (task, kind) in [("click", TaskKind::Binary), ("buy", TaskKind::Binary), ("time", TaskKind::Regression)] {
        let mut g = g.scope(format!("towers.{task}"));
        let hidden = g.linear(common, "0", 4, Activation::Tanh).unwrap();
        let y = g.linear(hidden, "1", 1, Activation::Identity).unwrap();
        g.output(&pleiad_data::TaskSpec::new(task, kind), y).unwrap();
    }
    graph
}

/// Rows from a fixed stream; a purchase is known of clicks alone, the time of every other row.
fn batch(rows: usize) -> Batch {
    let mut state = 0x2545_f491u32;
    let mut unit = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32
    };
    let mut batch = Batch { rows, labels: vec![Labels::default(); 3], ..Batch::default() };
    let mut ids = Vec::new();
    for row in 0..rows {
        batch.numeric.extend([2.0 * unit() - 1.0, 2.0 * unit() - 1.0]);
        ids.push((unit() * 5.99) as u64);
        let click = unit() < 0.6;
        for (labels, (value, present)) in batch.labels.iter_mut().zip([
            (f32::from(u8::from(click)), row % 7 != 0),
            (f32::from(u8::from(unit() < 0.5)), click),
            (unit(), row % 2 == 0),
        ]) {
            labels.values.push(if present { value } else { 0.0 });
            labels.present.push(present);
        }
    }
    batch.categorical.push(Ids::Single(ids));
    // One task has weights.
    batch.labels[2].weights = (0..rows).map(|row| 0.5 + (row % 4) as f32).collect();
    batch
}

fn engine(graph: &Graph) -> Engine {
    let optimizer = OptimizerConfig::default();
    let options = EngineOptions {
        optimizer,
        embedding_optimizer: optimizer,
        clip_norm: None,
        precision: Precision::F32,
        kernels: Kernels::Fastest,
        tables: TableOptions::default(),
        seed: 3,
    };
    let mut engine = Engine::new(graph, &options).unwrap();
    engine.init(17);
    // Away from the start, where both probabilities are nearly one half.
    let mut weights = engine.weights();
    weights.tensors.values_mut().flat_map(|t| &mut t.data).for_each(|w| *w *= 2.0);
    engine.load(&weights).unwrap();
    engine
}

#[test]
fn order_penalties_equal_the_oracle_and_its_finite_differences() {
    penalties_equal_the_oracle(funnel(), &|_, _| Vec::new());
}

/// The order is that of probabilities over all rows; rows count by their weights in the later task.
#[test]
fn order_penalties_of_sampled_and_weighted_rows_equal_the_oracle() {
    let mut graph = funnel();
    graph.outputs[0].objective.negatives = Some(0.3);
    graph.outputs[1].objective.negatives = Some(0.6);
    penalties_equal_the_oracle(graph, &|task, rows| match task {
        2 => Vec::new(),
        _ => (0..rows).map(|row| [0.5, 3.0, 1.25][(row + task) % 3]).collect(),
    });
}

fn penalties_equal_the_oracle(mut graph: Graph, weights_of: &dyn Fn(usize, usize) -> Vec<f32>) {
    let batch = |rows: usize| {
        let mut batch = batch(rows);
        batch.labels.iter_mut().enumerate().for_each(|(task, labels)| labels.weights = weights_of(task, rows));
        batch
    };
    let task_weights = [0.7, 1.5, 0.4];
    let mut engine = engine(&graph);
    let weights = engine.weights();
    let plain = engine.gradients(&batch(600), &task_weights).unwrap();
    graph.penalties = vec![
        OrderPenalty { earlier: 0, later: 1, weight: 0.6 },
        // The other way round, so that there is an excess on one side or the other in every row of both.
        OrderPenalty { earlier: 1, later: 0, weight: 0.3 },
    ];
    let mut engine = self::engine(&graph);
    // One shard, and several lanes.
    for rows in [23, 600] {
        let batch = batch(rows);
        let (stats, gradients) = engine.gradients(&batch, &task_weights).unwrap();
        let (_, losses) = reference::loss(&graph, &weights, &batch, &task_weights);
        for (found, exact) in stats.losses.iter().zip(&losses) {
            assert!((found - exact).abs() < 1e-5, "{found} {exact}");
        }
        for (name, tensor) in &gradients.tensors {
            let largest = tensor.data.iter().fold(0.0f32, |m, g| m.max(g.abs()));
            for at in 0..tensor.data.len() {
                let exact = reference::derivative(&graph, &weights, &batch, &task_weights, name, at);
                let found = f64::from(tensor.data[at]);
                let bound = 2e-5 * f64::from(largest).max(1e-2);
                assert!((found - exact).abs() < bound, "{rows} rows, {name}[{at}]: {found} is not {exact}");
            }
        }
        if rows == 600 {
            assert!((0..2).all(|k| stats.losses[k] > plain.0.losses[k] + 1e-3), "{stats:?} {:?}", plain.0);
            assert_eq!(stats.losses[2], plain.0.losses[2]);
        }
    }
}

/// Rows in one of the two spaces alone have no part; a batch without a row of both has no penalty, and no NaN.
#[test]
fn a_penalty_is_of_rows_in_both_spaces() {
    let mut graph = funnel();
    let mut rows = batch(40);
    let click = rows.labels[0].present.clone();
    rows.labels[1].present.iter_mut().zip(&click).for_each(|(buy, click)| *buy = !click);
    let plain = engine(&graph).gradients(&rows, &[1.0; 3]).unwrap();
    graph.penalties = vec![OrderPenalty { earlier: 0, later: 1, weight: 2.0 }];
    assert_eq!(engine(&graph).gradients(&rows, &[1.0; 3]).unwrap(), plain);
}

/// Finds which tasks share a parameter, without the engine: from its name's entry in the graph.
fn shared(graph: &Graph) -> Vec<String> {
    let reach = graph.reach();
    let params = graph.params.iter().enumerate().filter(|(i, _)| reach.shares_param(ParamId(*i)));
    let tables = graph.tables.iter().enumerate().filter(|(i, _)| reach.shares_table(TableId(*i)));
    params.map(|(_, p)| p.name.clone()).chain(tables.map(|(_, t)| t.tensor())).collect()
}

/// Task k's own gradient, by the plain path.
fn alone(engine: &mut Engine, batch: &Batch, k: usize) -> Weights {
    let mut only = [0.0; 3];
    only[k] = 1.0;
    engine.gradients(batch, &only).unwrap().1
}

fn dot(a: &Weights, b: &Weights, names: &[String]) -> f64 {
    let of = |name: &String| {
        let pairs = a.get(name).unwrap().data.iter().zip(&b.get(name).unwrap().data);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
    };
    names.iter().map(of).sum()
}

/// Graphs that share much, some, or little: PLE with two levels, hard sharing, and a funnel with a penalty.
fn graphs() -> Vec<Graph> {
    let layout = funnel().layout;
    let tasks: Vec<TaskSpec> = funnel().outputs.iter().map(|o| TaskSpec::new(&*o.task, o.kind)).collect();
    let build = |table: Value| {
        let Value::Object(table) = table else { panic!("a table") };
        ModelConfig::from_table(table).unwrap().build(&layout, &tasks).unwrap()
    };
    let level = json!({ "task_experts": 1, "shared_experts": 2, "widths": [5] });
    let mut penalized = funnel();
    penalized.penalties = vec![OrderPenalty { earlier: 0, later: 1, weight: 0.5 }];
    vec![
        funnel(),
        penalized,
        build(json!({ "kind": "ple", "levels": [level, level], "tower": [4], "activation": "tanh" })),
        build(json!({ "kind": "mmoe", "experts": 3, "widths": [5], "tower": [4], "activation": "silu" })),
    ]
}

type Method = fn(&Gram) -> Vec<f64>;

const METHODS: [(&str, Method); 4] = [
    ("sum", |gram| vec![1.0; gram.tasks()]),
    ("pcgrad", |gram| pcgrad(gram, 3, 5)),
    ("cagrad", |gram| cagrad(gram, 0.4)),
    ("any", |_| vec![0.3, -1.2, 2.0]),
];

/// The combined gradient against brute force: each task's gradient by the plain path, inner products over the tensors
/// that the graph shares in f64, the method, the sum. What one task alone reaches has its plain gradient.
#[test]
fn combined_gradients_equal_brute_force() {
    let task_weights = [0.7f32, 1.5, 0.4];
    for (g, graph) in graphs().iter().enumerate() {
        let shared = shared(graph);
        assert!(shared.iter().any(|name| name.starts_with("embeddings")), "{shared:?}");
        let mut engine = engine(graph);
        for rows in [23, 600] {
            let batch = batch(rows);
            let own: Vec<Weights> = (0..3).map(|k| alone(&mut engine, &batch, k)).collect();
            let (plain_stats, plain) = engine.gradients(&batch, &task_weights).unwrap();
            let raw = Gram::from_fn(3, |i, j| dot(&own[i], &own[j], &shared));
            for (name, method) in METHODS {
                let (stats, gram, found) = engine.gradients_by_task(&batch, &task_weights, &method).unwrap();
                assert_eq!(stats, plain_stats, "{name}");
                let scale = raw.norms().into_iter().fold(0.0, f64::max).powi(2);
                for (i, j) in [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)] {
                    assert!((gram.get(i, j) - raw.get(i, j)).abs() < 1e-5 * scale, "{name}: {gram:?} {raw:?}");
                }
                let coefficients = method(&gram.weighted(&task_weights));
                for (tensor, found) in &found.tensors {
                    let largest = plain.get(tensor).unwrap().data.iter().fold(0.0f32, |m, g| m.max(g.abs()));
                    for (at, &value) in found.data.iter().enumerate() {
                        let exact: f64 = (0..3)
                            .map(|k| {
                                let c = if shared.contains(tensor) { coefficients[k] } else { 1.0 };
                                c * f64::from(task_weights[k]) * f64::from(own[k].get(tensor).unwrap().data[at])
                            })
                            .sum();
                        let error = (f64::from(value) - exact).abs();
                        let bound = 1e-5 * f64::from(largest).max(1e-2);
                        assert!(error < bound, "graph {g}, {rows} rows, {name}, {tensor}[{at}]: {value} {exact}");
                    }
                    if !shared.contains(tensor) || name == "sum" {
                        let same = found.data.iter().zip(&plain.get(tensor).unwrap().data);
                        assert!(
                            same.clone().all(|(a, b)| (a - b).abs() <= 2e-6 * largest.max(1e-2)),
                            "{name}, {tensor}"
                        );
                    }
                }
            }
        }
    }
}

/// Steps follow the gradients of `gradients_by_task` and `gradients`, and the norm that is clipped is that of the
/// gradient gone down, tables among it.
#[test]
fn a_step_goes_down_its_gradient_clipped() {
    let graph = funnel();
    assert!(!graph.tables.is_empty());
    let sgd: OptimizerConfig = serde_json::from_value(json!({ "kind": "sgd", "learning_rate": 1.0 })).unwrap();
    let method = |gram: &Gram| cagrad(gram, 0.4);
    for (clip_norm, combined) in [None, Some(0.05f32)].into_iter().flat_map(|clip| [(clip, true), (clip, false)]) {
        let options = EngineOptions {
            optimizer: sgd,
            embedding_optimizer: sgd,
            clip_norm,
            precision: Precision::F32,
            kernels: Kernels::Fastest,
            tables: TableOptions::default(),
            seed: 3,
        };
        let mut engine = Engine::new(&graph, &options).unwrap();
        engine.init(17);
        let before = engine.weights();
        let (batch, weights) = (batch(300), [1.0; 3]);
        let gradient = match combined {
            true => engine.gradients_by_task(&batch, &weights, &method).unwrap().2,
            false => engine.gradients(&batch, &weights).unwrap().1,
        };
        let norm = gradient.tensors.values().flat_map(|t| &t.data).map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let scale = clip_norm.map_or(1.0, |most| f64::from(most) / norm);
        assert!(scale < 1.0 || clip_norm.is_none());
        if combined {
            engine.step_by_task(&batch, &weights, &method, 1.0).unwrap();
        } else {
            engine.step(&batch, &weights, 1.0).unwrap();
        }
        for (name, after) in engine.weights().tensors {
            let (before, gradient) = (before.get(&name).unwrap(), gradient.get(&name).unwrap());
            for ((a, b), g) in after.data.iter().zip(&before.data).zip(&gradient.data) {
                let moved = f64::from(b - a) - scale * f64::from(*g);
                assert!(moved.abs() < 1e-6, "{name}, combined: {combined}, clipped: {clip_norm:?}");
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for graph in graphs() {
        let train = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let mut engine = engine(&graph);
                let mut grams = Vec::new();
                for step in 0..3 {
                    let method = |gram: &Gram| pcgrad(gram, 1, step);
                    grams.push(engine.step_by_task(&batch(1500), &[1.0, 2.0, 0.5], &method, 1.0).unwrap());
                }
                (engine.weights(), engine.state(), grams)
            })
        };
        let one = train(1);
        for threads in [2, 4] {
            assert!(one == train(threads), "differs on {threads} threads");
        }
    }
}

/// Batches without a row of a task, with one row, with none; and sizes that change from step to step.
#[test]
fn tasks_and_batches_without_rows() {
    let graph = &graphs()[2];
    let mut engine = engine(graph);
    for (rows, k) in [(700, 1), (1, 0), (0, 0), (40, 2), (300, 1)] {
        let mut batch = batch(rows);
        batch.labels[k].present.fill(false);
        for (name, method) in METHODS {
            let (stats, gram, gradients) = engine.gradients_by_task(&batch, &[1.0; 3], &method).unwrap();
            assert_eq!((stats.rows[k], stats.losses[k], gram.get(k, k)), (0, 0.0, 0.0), "{name}");
            assert!(gradients.tensors.values().flat_map(|t| &t.data).all(|g| g.is_finite()), "{name}");
            engine.step_by_task(&batch, &[1.0; 3], &method, 1.0).unwrap();
        }
    }
    assert!(engine.weights().tensors.values().flat_map(|t| &t.data).all(|w| w.is_finite()));
    assert!(engine.step_by_task(&batch(10), &[1.0; 2], &|g: &Gram| vec![1.0; g.tasks()], 1.0).is_err());
}

/// Plain steps and steps by task may follow one another: neither leaves the other anything but weights and state.
#[test]
fn plain_steps_and_steps_by_task_mix() {
    let graph = &graphs()[2];
    let sum = |gram: &Gram| vec![1.0; gram.tasks()];
    let mut mixed = engine(graph);
    mixed.step_by_task(&batch(300), &[1.0; 3], &sum, 1.0).unwrap();
    let mut plain = Engine::new(
        graph,
        &EngineOptions {
            optimizer: OptimizerConfig::default(),
            embedding_optimizer: OptimizerConfig::default(),
            clip_norm: None,
            precision: Precision::F32,
            kernels: Kernels::Fastest,
            tables: TableOptions::default(),
            seed: 3,
        },
    )
    .unwrap();
    plain.load(&mixed.weights()).unwrap();
    plain.load_state(&mixed.state()).unwrap();
    plain.set_step_count(mixed.step_count());
    for rows in [300, 20] {
        mixed.step(&batch(rows), &[1.0; 3], 1.0).unwrap();
        plain.step(&batch(rows), &[1.0; 3], 1.0).unwrap();
        assert_eq!(mixed.weights(), plain.weights());
    }
}

#[test]
fn what_is_done_beside_a_step_is_done_once_and_changes_nothing() {
    let graph = &graphs()[2];
    for (threads, rows) in [(1, 300), (2, 1), (2, 1500), (3, 0)] {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let (mut alone, mut with) = (engine(graph), engine(graph));
            let mut done = 0;
            for _ in 0..3 {
                let stats = alone.step(&batch(rows), &[1.0; 3], 1.0).unwrap();
                assert_eq!(with.step_beside(&batch(rows), &[1.0; 3], 1.0, || done += 1).unwrap(), stats);
            }
            assert_eq!((done, alone.weights()), (3, with.weights()), "{rows} rows, {threads} threads");
            assert!(with.step_beside(&batch(rows), &[1.0; 2], 1.0, || done += 1).is_err());
            assert_eq!(done, 3, "a step that is refused has nothing beside it");
        });
    }
}
