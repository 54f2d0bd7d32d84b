//! Graphs written by hand, node by node, and held against the f64 oracle and its finite differences.

#![allow(dead_code, reason = "each test reads a part of it")]

use crate::reference;
use pleiad_data::schema::Objective;
use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, Pooling, TaskKind};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::Graph;
use pleiad_model::graph::{Activation, Node, NodeSpec, Op, Output, Param, ParamId, TableId, TableSpec};
use pleiad_model::init::Init;

/// Three numbers, a table of 5 x 3 and a pooled one of 4 x 2.
pub(crate) fn graph() -> Graph {
    let table = |name: &str, slot, rows, dim, pooling| Input::Categorical {
        name: name.into(),
        slot,
        table: name.into(),
        rows,
        dim,
        pooling,
    };
    let mut graph = Graph::new(InputLayout::new(vec![
        Input::Numeric { name: "a".into(), column: 0 },
        Input::Numeric { name: "b".into(), column: 1 },
        Input::Numeric { name: "c".into(), column: 2 },
        table("u", 0, 5, 3, None),
        table("v", 1, 4, 2, Some(Pooling::Mean)),
    ]));
    let init = Init::Normal { std: 0.7 };
    graph.tables = vec![
        TableSpec { name: "u".into(), rows: 5, dim: 3, init },
        TableSpec { name: "v".into(), rows: 4, dim: 2, init },
    ];
    graph
}

pub(crate) fn push(graph: &mut Graph, op: Op, inputs: &[Node], width: usize) -> Node {
    let scope = format!("n{}", graph.nodes.len());
    graph.nodes.push(NodeSpec { scope, op, inputs: inputs.to_vec(), width });
    Node(graph.nodes.len() - 1)
}

/// Of numeric column `column`, three waves and an embedding of four.
pub(crate) fn periodic(graph: &mut Graph, column: usize) -> Node {
    let first = graph.params.len();
    let init = Init::Normal { std: 0.7 };
    for (name, shape) in [("frequencies", vec![3]), ("weight", vec![4, 6]), ("bias", vec![4])] {
        graph.params.push(Param::new(format!("p{first}.{name}"), shape, init));
    }
    let [frequencies, weight, bias] = [0, 1, 2].map(|i| ParamId(first + i));
    push(graph, Op::Periodic { column, frequencies, weight, bias }, &[], 4)
}

pub(crate) fn numeric(graph: &mut Graph, first: usize, count: usize) -> Node {
    push(graph, Op::Numeric { first, count }, &[], count)
}

pub(crate) fn embeddings(graph: &mut Graph) -> (Node, Node) {
    let u = push(graph, Op::Embedding { table: TableId(0), slot: 0, pooling: None }, &[], 3);
    let pooling = Some(Pooling::Mean);
    (u, push(graph, Op::Embedding { table: TableId(1), slot: 1, pooling }, &[], 2))
}

pub(crate) fn concat(graph: &mut Graph, inputs: &[Node]) -> Node {
    let width = inputs.iter().map(|&n| graph.node(n).width).sum();
    push(graph, Op::Concat, inputs, width)
}

pub(crate) fn linear(graph: &mut Graph, x: Node, width: usize, bias: bool) -> Node {
    let name = format!("l{}", graph.params.len());
    let init = Init::Normal { std: 0.6 };
    let shape = vec![width, graph.node(x).width];
    graph.params.push(Param::new(format!("{name}.weight"), shape, init));
    let weight = ParamId(graph.params.len() - 1);
    let bias = bias.then(|| {
        graph.params.push(Param::new(format!("{name}.bias"), vec![width], init));
        ParamId(graph.params.len() - 1)
    });
    push(graph, Op::Linear { weight, bias }, &[x], width)
}

pub(crate) fn activation(graph: &mut Graph, x: Node, function: Activation) -> Node {
    let width = graph.node(x).width;
    push(graph, Op::Activation { function }, &[x], width)
}

pub(crate) fn output(graph: &mut Graph, node: Node, kind: TaskKind) {
    let task = format!("t{}", graph.outputs.len());
    graph.outputs.push(Output { task, kind, node, objective: Objective::default() });
}

pub(crate) fn batch(rows: usize, tasks: usize) -> Batch {
    let mut state = 0x2545_f491u32;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut unit = || next() as f32 / u32::MAX as f32;
    let numeric = (0..rows * 3).map(|_| 2.0 * unit() - 1.0).collect();
    let single = (0..rows).map(|_| (unit() * 4.99) as u64).collect();
    let (mut offsets, mut several) = (vec![0], Vec::new());
    for i in 0..rows {
        (0..i % 3).for_each(|_| several.push((unit() * 3.99) as u64));
        offsets.push(several.len());
    }
    let mut labels = |task: usize| Labels {
        values: (0..rows).map(|_| f32::from(u8::from(unit() < 0.4))).collect(),
        present: (0..rows).map(|i| !(i + task).is_multiple_of(3)).collect(),
        // Some tasks have weights.
        weights: if task % 3 == 1 { (0..rows).map(|i| (i % 5) as f32 * 0.75).collect() } else { Vec::new() },
    };
    Batch {
        rows,
        numeric,
        labels: (0..tasks).map(&mut labels).collect(),
        categorical: vec![Ids::Single(single), Ids::Multiple { offsets, rows: several }],
        groups: Vec::new(),
    }
}

pub(crate) fn engine(graph: &Graph) -> Engine {
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
    engine
}

pub(crate) fn sum(graph: &mut Graph, inputs: &[Node], scale: f32) -> Node {
    let width = graph.node(inputs[0]).width;
    push(graph, Op::Sum { scale }, inputs, width)
}

pub(crate) fn combination(graph: &mut Graph, inputs: &[Node]) -> Node {
    let name = format!("c{}.weight", graph.params.len());
    graph.params.push(Param::new(name, vec![inputs.len()], Init::Normal { std: 0.6 }));
    let weights = ParamId(graph.params.len() - 1);
    let width = graph.node(inputs[0]).width;
    push(graph, Op::Combination { weights }, inputs, width)
}

pub(crate) fn conjunction(graph: &mut Graph, first: Node, second: Node) -> Node {
    push(graph, Op::Conjunction, &[first, second], 1)
}

pub(crate) fn dot(graph: &mut Graph, a: Node, b: Node, scale: f32) -> Node {
    push(graph, Op::Dot { scale }, &[a, b], 1)
}

pub(crate) fn pairs(graph: &mut Graph, inputs: &[Node]) -> Node {
    let width = graph.node(inputs[0]).width;
    push(graph, Op::Pairs, inputs, width)
}

/// The linear layer of node `layer` on another input.
pub(crate) fn again(graph: &mut Graph, layer: Node, x: Node) -> Node {
    let (op, width) = (graph.node(layer).op.clone(), graph.node(layer).width);
    push(graph, op, &[x], width)
}

/// Which features rows of a request have in common: none, one of each kind, those that stand between others, all.
pub(crate) const PER_REQUEST: [&[&str]; 4] = [&[], &["a", "b", "u"], &["c", "v"], &["a", "b", "c", "u", "v"]];

/// The same rows, but for features of requests: runs of up to five rows have those of their first.
pub(crate) fn by_request(graph: &Graph, mut batch: Batch) -> Batch {
    let mut first = 0;
    for row in 0..batch.rows {
        if row - first > row % 5 {
            first = row;
        }
        for input in graph.layout.inputs.iter().filter(|input| graph.layout.is_per_request(input)) {
            match input {
                Input::Numeric { column, .. } | Input::Periodic { column, .. } => {
                    batch.numeric[row * 3 + column] = batch.numeric[first * 3 + column];
                }
                Input::Categorical { slot, .. } => {
                    batch.categorical[*slot] = match std::mem::replace(&mut batch.categorical[*slot], Ids::empty(false))
                    {
                        Ids::Single(mut ids) => {
                            ids[row] = ids[first];
                            Ids::Single(ids)
                        }
                        Ids::Multiple { offsets, rows } => {
                            let mut lists: Vec<_> = offsets.windows(2).map(|w| rows[w[0]..w[1]].to_vec()).collect();
                            lists[row] = lists[first].clone();
                            let mut offsets = vec![0];
                            lists.iter().for_each(|list| offsets.push(offsets[offsets.len() - 1] + list.len()));
                            Ids::Multiple { offsets, rows: lists.concat() }
                        }
                    };
                }
            }
        }
    }
    batch
}

/// Predictions and gradients against the oracle, which knows rows alone: for one shard, for several lanes, and for lanes of
/// several shards; with and without features of requests.
pub(crate) fn check(graph: &Graph) {
    for features in PER_REQUEST {
        let mut graph = graph.clone();
        graph.layout.per_request = features.iter().map(|name| (*name).to_owned()).collect();
        check_rows(&graph, if features.is_empty() { &[23, 600, 4400] } else { &[23, 600] });
    }
}

pub(crate) fn check_rows(graph: &Graph, rows: &[usize]) {
    let mut engine = engine(graph);
    for &rows in rows {
        check_batch(graph, &mut engine, &by_request(graph, batch(rows, graph.outputs.len())));
    }
}

pub(crate) fn check_batch(graph: &Graph, engine: &mut Engine, batch: &Batch) {
    let rows = batch.rows;
    let weights = engine.weights();
    let task_weights: Vec<f32> = (0..graph.outputs.len()).map(|t| 1.0 + t as f32).collect();
    let predicted = engine.predict(batch).unwrap();
    let numbers = reference::numbers(graph, &weights, batch);
    for ((found, exact), output) in predicted.tasks.iter().zip(&numbers).zip(&graph.outputs) {
        for (&found, &z) in found.iter().zip(exact) {
            let exact = reference::prediction(output, z);
            assert!((f64::from(found) - exact).abs() < 2e-6 * exact.abs().max(1.0), "{found} {exact}");
        }
    }
    let (stats, gradients) = engine.gradients(batch, &task_weights).unwrap();
    for (found, exact) in stats.losses.iter().zip(reference::loss(graph, &weights, batch, &task_weights).1) {
        assert!((found - exact).abs() < 1e-5 * exact.max(1.0), "{found} {exact}");
    }
    for (name, tensor) in &gradients.tensors {
        let largest = tensor.data.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        let stride = [1, 3, 11][rows.ilog10() as usize - 1];
        for at in (0..tensor.data.len()).step_by(stride) {
            let exact = reference::derivative(graph, &weights, batch, &task_weights, name, at);
            let error = (f64::from(tensor.data[at]) - exact).abs();
            let bound = 2e-5 * f64::from(largest).max(1e-2);
            assert!(error < bound, "{rows} rows, {name}[{at}]: {} is not {exact}", tensor.data[at]);
        }
    }
}

/// The loss of a model of one task that drops, against its own gradients.
pub(crate) fn moves_with_its_gradient(graph: &Graph, batch: &Batch) {
    let mut engine = engine(graph);
    let weights = engine.weights();
    // The mask depends on the step's number, which `gradients` does not advance: the engine's own loss can be moved.
    let (_, gradients) = engine.gradients(batch, &[1.0]).unwrap();
    for (name, tensor) in &gradients.tensors {
        for at in 0..tensor.data.len().min(6) {
            let mut loss_at = |by: f32| {
                let mut moved = weights.clone();
                moved.tensors.get_mut(name).unwrap().data[at] += by;
                engine.load(&moved).unwrap();
                engine.gradients(batch, &[1.0]).unwrap().0.losses[0]
            };
            let difference = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
            let error = (difference - f64::from(tensor.data[at])).abs();
            assert!(error < 2e-3, "{name}[{at}]: {} is not {difference}", tensor.data[at]);
        }
    }
}
