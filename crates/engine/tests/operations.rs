//! Every operation in every position that the plan treats differently: fused or not, in place or copied, read once or
//! twice. Structures of the registry use few of these; graphs here are written by hand to use them all, and held
//! against the f64 oracle and its finite differences.

#![allow(clippy::unwrap_used)]

mod reference;

use pleiad_data::schema::{FocalConfig, HuberConfig, LabelTransform, LossConfig, Objective};
use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, Pooling, TaskKind};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::Graph;
use pleiad_model::graph::{Activation, Node, NodeSpec, Op, Output, Param, ParamId, TableId, TableSpec};
use pleiad_model::init::Init;

/// Three numbers, a table of 5 x 3 and a pooled one of 4 x 2.
fn graph() -> Graph {
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

fn push(graph: &mut Graph, op: Op, inputs: &[Node], width: usize) -> Node {
    let scope = format!("n{}", graph.nodes.len());
    graph.nodes.push(NodeSpec { scope, op, inputs: inputs.to_vec(), width });
    Node(graph.nodes.len() - 1)
}

/// Of numeric column `column`, three waves and an embedding of four.
fn periodic(graph: &mut Graph, column: usize) -> Node {
    let first = graph.params.len();
    let init = Init::Normal { std: 0.7 };
    for (name, shape) in [("frequencies", vec![3]), ("weight", vec![4, 6]), ("bias", vec![4])] {
        graph.params.push(Param::new(format!("p{first}.{name}"), shape, init));
    }
    let [frequencies, weight, bias] = [0, 1, 2].map(|i| ParamId(first + i));
    push(graph, Op::Periodic { column, frequencies, weight, bias }, &[], 4)
}

fn numeric(graph: &mut Graph, first: usize, count: usize) -> Node {
    push(graph, Op::Numeric { first, count }, &[], count)
}

fn embeddings(graph: &mut Graph) -> (Node, Node) {
    let u = push(graph, Op::Embedding { table: TableId(0), slot: 0, pooling: None }, &[], 3);
    let pooling = Some(Pooling::Mean);
    (u, push(graph, Op::Embedding { table: TableId(1), slot: 1, pooling }, &[], 2))
}

fn concat(graph: &mut Graph, inputs: &[Node]) -> Node {
    let width = inputs.iter().map(|&n| graph.node(n).width).sum();
    push(graph, Op::Concat, inputs, width)
}

fn linear(graph: &mut Graph, x: Node, width: usize, bias: bool) -> Node {
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

fn activation(graph: &mut Graph, x: Node, function: Activation) -> Node {
    let width = graph.node(x).width;
    push(graph, Op::Activation { function }, &[x], width)
}

fn output(graph: &mut Graph, node: Node, kind: TaskKind) {
    let task = format!("t{}", graph.outputs.len());
    graph.outputs.push(Output { task, kind, node, objective: Objective::default() });
}

fn batch(rows: usize, tasks: usize) -> Batch {
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
    engine
}

fn sum(graph: &mut Graph, inputs: &[Node], scale: f32) -> Node {
    let width = graph.node(inputs[0]).width;
    push(graph, Op::Sum { scale }, inputs, width)
}

fn combination(graph: &mut Graph, inputs: &[Node]) -> Node {
    let name = format!("c{}.weight", graph.params.len());
    graph.params.push(Param::new(name, vec![inputs.len()], Init::Normal { std: 0.6 }));
    let weights = ParamId(graph.params.len() - 1);
    let width = graph.node(inputs[0]).width;
    push(graph, Op::Combination { weights }, inputs, width)
}

fn conjunction(graph: &mut Graph, first: Node, second: Node) -> Node {
    push(graph, Op::Conjunction, &[first, second], 1)
}

fn dot(graph: &mut Graph, a: Node, b: Node, scale: f32) -> Node {
    push(graph, Op::Dot { scale }, &[a, b], 1)
}

fn pairs(graph: &mut Graph, inputs: &[Node]) -> Node {
    let width = graph.node(inputs[0]).width;
    push(graph, Op::Pairs, inputs, width)
}

/// The linear layer of node `layer` on another input.
fn again(graph: &mut Graph, layer: Node, x: Node) -> Node {
    let (op, width) = (graph.node(layer).op.clone(), graph.node(layer).width);
    push(graph, op, &[x], width)
}

/// Which features rows of a request have in common: none, one of each kind, those that stand between others, all.
const PER_REQUEST: [&[&str]; 4] = [&[], &["a", "b", "u"], &["c", "v"], &["a", "b", "c", "u", "v"]];

/// The same rows, but for features of requests: runs of up to five rows have those of their first.
fn by_request(graph: &Graph, mut batch: Batch) -> Batch {
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

/// The values of `v`, one by one.
fn events(graph: &mut Graph) -> Node {
    push(graph, Op::Events { table: TableId(1), slot: 1, list: 1 }, &[], 2)
}

/// Weights of the events of each row by their scores, and what they make of `values`.
fn attention(graph: &mut Graph, scores: Node, values: Node) -> Node {
    let weights = push(graph, Op::SegmentSoftmax, &[scores], 1);
    let width = graph.node(values).width;
    push(graph, Op::SegmentMixture, &[weights, values], width)
}

/// Predictions and gradients against the oracle, which knows rows alone: for one shard, for several lanes, and for lanes of
/// several shards; with and without features of requests.
fn check(graph: &Graph) {
    for features in PER_REQUEST {
        let mut graph = graph.clone();
        graph.layout.per_request = features.iter().map(|name| (*name).to_owned()).collect();
        check_rows(&graph, if features.is_empty() { &[23, 600, 4400] } else { &[23, 600] });
    }
}

fn check_rows(graph: &Graph, rows: &[usize]) {
    let mut engine = engine(graph);
    for &rows in rows {
        check_batch(graph, &mut engine, &by_request(graph, batch(rows, graph.outputs.len())));
    }
}

fn check_batch(graph: &Graph, engine: &mut Engine, batch: &Batch) {
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

#[test]
fn a_linear_layer_over_numbers_alone() {
    let mut g = graph();
    let x = numeric(&mut g, 0, 3);
    let y = linear(&mut g, x, 1, true);
    output(&mut g, y, TaskKind::Regression);
    check(&g);
}

#[test]
fn numbers_between_embeddings() {
    let mut g = graph();
    let (a, (u, v), b) = (numeric(&mut g, 0, 1), embeddings(&mut g), numeric(&mut g, 1, 2));
    let x = concat(&mut g, &[a, u, b, v]);
    let hidden = linear(&mut g, x, 4, false);
    let hidden = activation(&mut g, hidden, Activation::Tanh);
    let y = linear(&mut g, hidden, 1, true);
    output(&mut g, y, TaskKind::Binary);
    check(&g);
}

#[test]
fn waves_beside_numbers_and_embeddings() {
    let mut g = graph();
    let (a, (u, v), p, b) = (numeric(&mut g, 0, 1), embeddings(&mut g), periodic(&mut g, 1), numeric(&mut g, 1, 2));
    let q = periodic(&mut g, 0);
    let x = concat(&mut g, &[a, u, p, b, v, q]);
    let hidden = linear(&mut g, x, 4, true);
    let hidden = activation(&mut g, hidden, Activation::Tanh);
    let y = linear(&mut g, hidden, 1, true);
    output(&mut g, y, TaskKind::Binary);
    check(&g);
}

#[test]
fn waves_that_are_read_twice_or_alone() {
    let mut g = graph();
    let (p, q, r) = (periodic(&mut g, 0), periodic(&mut g, 1), periodic(&mut g, 2));
    let both = concat(&mut g, &[p, q]);
    let hidden = linear(&mut g, both, 3, true);
    let twice = linear(&mut g, p, 3, false);
    let sum = sum(&mut g, &[hidden, twice], 0.5);
    let smooth = activation(&mut g, sum, Activation::Silu);
    let all = concat(&mut g, &[smooth, q]);
    let y = linear(&mut g, all, 1, true);
    output(&mut g, y, TaskKind::Regression);
    let alone = linear(&mut g, r, 1, false);
    output(&mut g, alone, TaskKind::Binary);
    check(&g);
}

#[test]
fn an_embedding_read_beside_its_concatenation() {
    let mut g = graph();
    let (u, v) = embeddings(&mut g);
    let x = concat(&mut g, &[u, v]);
    let from_all = linear(&mut g, x, 3, true);
    let from_one = linear(&mut g, u, 3, true);
    let raw = activation(&mut g, v, Activation::Sigmoid);
    let both = concat(&mut g, &[from_all, from_one, u, raw]);
    let y = linear(&mut g, both, 1, true);
    output(&mut g, y, TaskKind::Binary);
    check(&g);
}

#[test]
fn concatenations_of_concatenations_and_of_one_node_twice() {
    let mut g = graph();
    let (x, (u, v)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let inner = concat(&mut g, &[u, x]);
    let outer = concat(&mut g, &[v, inner, v]);
    let hidden = linear(&mut g, outer, 4, true);
    let twice = concat(&mut g, &[hidden, hidden, inner]);
    let smooth = activation(&mut g, twice, Activation::Silu);
    let y = linear(&mut g, smooth, 1, true);
    output(&mut g, y, TaskKind::Regression);
    check(&g);
}

#[test]
fn a_concatenation_of_a_node_and_its_activation() {
    let mut g = graph();
    let (u, v) = embeddings(&mut g);
    let both = concat(&mut g, &[u, v]);
    let smooth = activation(&mut g, u, Activation::Elu);
    let x = concat(&mut g, &[u, smooth, both]);
    let y = linear(&mut g, x, 1, false);
    output(&mut g, y, TaskKind::Regression);
    check(&g);
}

#[test]
fn an_activation_whose_input_has_other_readers() {
    for function in [Activation::Relu, Activation::Gelu, Activation::Tanh] {
        let mut g = graph();
        let (x, (u, _)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
        let x = concat(&mut g, &[x, u]);
        let z = linear(&mut g, x, 4, true);
        let f = activation(&mut g, z, function);
        let f = activation(&mut g, f, Activation::Silu);
        let both = concat(&mut g, &[z, f]);
        let y = linear(&mut g, both, 1, true);
        output(&mut g, y, TaskKind::Binary);
        check(&g);
    }
}

#[test]
fn a_gate_that_is_read_twice() {
    let mut g = graph();
    let (u, v) = embeddings(&mut g);
    let x = concat(&mut g, &[u, v]);
    let experts: Vec<Node> = (0..3).map(|e| linear(&mut g, x, 4, e != 1)).collect();
    let logits = linear(&mut g, x, 3, false);
    let gate = push(&mut g, Op::Softmax, &[logits], 3);
    let mixed = push(&mut g, Op::Mixture, &[gate, experts[0], experts[1], experts[2]], 4);
    let again = push(&mut g, Op::Mixture, &[gate, experts[2], mixed, experts[2]], 4);
    let both = concat(&mut g, &[again, gate]);
    let y = linear(&mut g, both, 1, true);
    output(&mut g, y, TaskKind::Binary);
    check(&g);
}

#[test]
fn a_gate_over_embeddings_and_over_logits_that_are_no_linear_layer() {
    let mut g = graph();
    let (u, v) = embeddings(&mut g);
    let w = linear(&mut g, v, 3, true);
    let gate = push(&mut g, Op::Softmax, &[v], 2);
    let mixed = push(&mut g, Op::Mixture, &[gate, u, w], 3);
    let y = linear(&mut g, mixed, 1, true);
    output(&mut g, y, TaskKind::Regression);
    check(&g);
}

#[test]
fn a_fused_gate_whose_experts_are_placed_in_a_concatenation() {
    let mut g = graph();
    let (u, v) = embeddings(&mut g);
    let w = linear(&mut g, v, 3, true);
    let smooth = activation(&mut g, u, Activation::Sigmoid);
    let logits = linear(&mut g, v, 3, true);
    let gate = push(&mut g, Op::Softmax, &[logits], 3);
    let mixed = push(&mut g, Op::Mixture, &[gate, smooth, w, u], 3);
    let all = concat(&mut g, &[smooth, mixed, u]);
    let y = linear(&mut g, all, 1, true);
    output(&mut g, y, TaskKind::Binary);
    check(&g);
}

#[test]
fn sums_of_parts_of_a_concatenation_and_of_one_node_twice() {
    let mut g = graph();
    let (x, (u, v)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let all = concat(&mut g, &[u, x, v]);
    let with_numbers = sum(&mut g, &[x, u], 1.0);
    let twice = sum(&mut g, &[u, u, with_numbers], 0.5);
    let a = linear(&mut g, all, 3, true);
    let b = linear(&mut g, all, 3, true);
    let b = activation(&mut g, b, Activation::Tanh);
    let mean = sum(&mut g, &[a, b, twice], 1.0 / 3.0);
    let both = concat(&mut g, &[mean, twice, mean]);
    let y = linear(&mut g, both, 1, true);
    output(&mut g, y, TaskKind::Binary);
    // A sum that is itself a prediction, and one of one input.
    let alone = sum(&mut g, &[y], -2.0);
    output(&mut g, alone, TaskKind::Regression);
    check(&g);
}

#[test]
fn combinations_of_layers_of_one_product_and_of_combinations() {
    let mut g = graph();
    let (x, (u, v)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let all = concat(&mut g, &[u, x, v]);
    let layers: Vec<Node> = [Activation::Relu, Activation::Silu, Activation::Identity]
        .map(|f| {
            let z = linear(&mut g, all, 20, true);
            activation(&mut g, z, f)
        })
        .to_vec();
    let first = combination(&mut g, &layers);
    let second = combination(&mut g, &[layers[2], first, layers[2], layers[0]]);
    let hidden = linear(&mut g, second, 4, true);
    let both = concat(&mut g, &[first, hidden, second]);
    let y = linear(&mut g, both, 1, true);
    output(&mut g, y, TaskKind::Binary);
    let z = linear(&mut g, first, 1, false);
    output(&mut g, z, TaskKind::Regression);
    check(&g);
}

#[test]
fn a_combination_of_numbers_alone_learns_its_weights() {
    let mut g = graph();
    let (a, b) = (numeric(&mut g, 0, 1), numeric(&mut g, 1, 1));
    let both = combination(&mut g, &[a, b, a]);
    output(&mut g, both, TaskKind::Regression);
    let (u, x) = (embeddings(&mut g).0, numeric(&mut g, 0, 3));
    let mixed = combination(&mut g, &[x, u]);
    let similar = dot(&mut g, mixed, x, 1.0);
    output(&mut g, similar, TaskKind::Binary);
    // Its gradient comes back through a layer, though no gradient goes on from it.
    let read = combination(&mut g, &[x, x]);
    let y = linear(&mut g, read, 1, true);
    output(&mut g, y, TaskKind::Regression);
    check(&g);
}

#[test]
fn conjunctions_along_a_funnel_whose_steps_are_predictions_too() {
    let mut g = graph();
    let (x, (u, v)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let x = concat(&mut g, &[u, v, x]);
    let logits: Vec<Node> = (0..3).map(|_| linear(&mut g, x, 1, true)).collect();
    let second = conjunction(&mut g, logits[0], logits[1]);
    let third = conjunction(&mut g, second, logits[2]);
    for node in [logits[0], second, third] {
        output(&mut g, node, TaskKind::Binary);
    }
    // The same event twice, in and beside a concatenation that other layers read.
    let square = conjunction(&mut g, logits[1], logits[1]);
    let around = concat(&mut g, &[square, third, x, square]);
    let y = linear(&mut g, around, 1, true);
    output(&mut g, y, TaskKind::Regression);
    check(&g);
}

#[test]
fn scalar_products_as_the_logits_of_a_gate() {
    let mut g = graph();
    let (x, (u, v)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let all = concat(&mut g, &[u, v, x]);
    let key = linear(&mut g, all, 3, true);
    let logits = [dot(&mut g, u, key, 0.6), dot(&mut g, x, key, 0.6), dot(&mut g, key, key, -0.3)];
    let whole = concat(&mut g, &logits);
    let gate = push(&mut g, Op::Softmax, &[whole], 3);
    let mixed = push(&mut g, Op::Mixture, &[gate, u, key, x], 3);
    let wide = linear(&mut g, mixed, 40, true);
    let other = linear(&mut g, all, 40, false);
    let similar = dot(&mut g, wide, other, 1.0);
    output(&mut g, similar, TaskKind::Binary);
    let own = dot(&mut g, u, u, 1.0);
    output(&mut g, own, TaskKind::Regression);
    check(&g);
}

#[test]
fn layers_applied_again_gather_the_gradients_of_every_use() {
    let mut g = graph();
    let (x, (u, v)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let all = concat(&mut g, &[u, v, x]);
    let inputs: Vec<Node> = (0..3)
        .map(|_| {
            let z = linear(&mut g, all, 4, true);
            activation(&mut g, z, Activation::Tanh)
        })
        .collect();
    let first = [true, false, true].map(|bias| linear(&mut g, inputs[0], 4, bias));
    let second = first.map(|layer| again(&mut g, layer, inputs[1]));
    // On numbers alone, and on what another use of the very same layers gave.
    let third = first.map(|layer| again(&mut g, layer, inputs[2]));
    let deep = sum(&mut g, &[second[2], third[1]], 1.0);
    let fourth = first.map(|layer| again(&mut g, layer, deep));
    let smooth = activation(&mut g, fourth[0], Activation::Sigmoid);
    let around = concat(&mut g, &[first[0], first[1], first[2], second[0], second[1], third[0], third[2], smooth]);
    let more = concat(&mut g, &[around, fourth[1], fourth[2]]);
    let y = linear(&mut g, more, 1, true);
    output(&mut g, y, TaskKind::Binary);
    check(&g);
}

#[test]
fn a_layer_applied_again_to_numbers_and_to_embeddings() {
    let mut g = graph();
    let (x, (u, _)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let by_embedding = linear(&mut g, u, 2, true);
    let by_numbers = again(&mut g, by_embedding, x);
    let both = concat(&mut g, &[by_numbers, by_embedding]);
    let y = linear(&mut g, both, 1, true);
    output(&mut g, y, TaskKind::Regression);
    let z = dot(&mut g, by_numbers, by_embedding, 1.0);
    output(&mut g, z, TaskKind::Binary);
    check(&g);
}

#[test]
fn a_prediction_that_another_task_reads() {
    let mut g = graph();
    let (x, (u, _)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let x = concat(&mut g, &[u, x]);
    let click = linear(&mut g, x, 1, true);
    output(&mut g, click, TaskKind::Binary);
    let probability = activation(&mut g, click, Activation::Sigmoid);
    let with = concat(&mut g, &[x, probability, click]);
    let buy = linear(&mut g, with, 1, true);
    output(&mut g, buy, TaskKind::Binary);
    check(&g);
}

#[test]
fn what_no_prediction_reads_is_kept_and_never_moves() {
    let mut g = graph();
    let x = numeric(&mut g, 0, 3);
    let y = linear(&mut g, x, 1, true);
    let _unread = linear(&mut g, x, 2, true);
    output(&mut g, y, TaskKind::Regression);
    let mut engine = engine(&g);
    let before = engine.weights();
    engine.step(&batch(50, 1), &[1.0], 1.0).unwrap();
    let after = engine.weights();
    assert_eq!(before.get("l2.weight"), after.get("l2.weight"));
    assert_ne!(before.get("l0.weight"), after.get("l0.weight"));
}

#[test]
fn dropout_passes_gradients_through_the_mask_it_drew() {
    let mut g = graph();
    let (x, (u, _)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let x = concat(&mut g, &[u, x]);
    let dropped = push(&mut g, Op::Dropout { rate: 0.4 }, &[x], 6);
    let hidden = linear(&mut g, dropped, 8, true);
    let hidden = activation(&mut g, hidden, Activation::Tanh);
    let dropped = push(&mut g, Op::Dropout { rate: 0.3 }, &[hidden], 8);
    let y = linear(&mut g, dropped, 1, true);
    output(&mut g, y, TaskKind::Regression);
    moves_with_its_gradient(&g, &batch(600, 1));
}

/// The loss of a model of one task that drops, against its own gradients.
fn moves_with_its_gradient(graph: &Graph, batch: &Batch) {
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

#[test]
fn products_of_pairs_in_every_position() {
    // Of two and of three; of a node with itself; of what is concatenated beside them, and of a concatenation; of numbers,
    // which want no gradient.
    let mut g = graph();
    let (x, (u, v)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
    let crossed = pairs(&mut g, &[u, x]);
    let square = pairs(&mut g, &[u, u]);
    let small = pairs(&mut g, &[v, v]);
    let three = pairs(&mut g, &[crossed, u, x, square]);
    let all = concat(&mut g, &[u, x, three, v, small]);
    let layer = linear(&mut g, all, 13, true);
    let again = pairs(&mut g, &[all, layer]);
    let next = sum(&mut g, &[again, all], 1.0);
    let smooth = activation(&mut g, layer, Activation::Tanh);
    let most = pairs(&mut g, &[next, smooth, all]);
    let only_numbers = pairs(&mut g, &[x, x]);
    for from in [next, most, only_numbers] {
        // Products of many may be large: a loss that the oracle has no number for would tell nothing.
        let part = sum(&mut g, &[from], 0.05);
        let bounded = activation(&mut g, part, Activation::Tanh);
        let y = linear(&mut g, bounded, 1, true);
        output(&mut g, y, TaskKind::Binary);
    }
    check(&g);
}

#[test]
fn events_alone_are_summed_averaged_and_weighed() {
    let mut g = graph();
    let v = events(&mut g);
    let hidden = linear(&mut g, v, 3, true);
    let hidden = activation(&mut g, hidden, Activation::Tanh);
    let total = push(&mut g, Op::SegmentSum, &[hidden], 3);
    let mean = push(&mut g, Op::SegmentMean, &[v], 2);
    let score = linear(&mut g, hidden, 1, false);
    let attended = attention(&mut g, score, v);
    // As many softmaxes as there are columns.
    let wide = push(&mut g, Op::SegmentSoftmax, &[hidden], 3);
    let crossed = pairs(&mut g, &[wide, hidden]);
    let crossed = push(&mut g, Op::SegmentSum, &[crossed], 3);
    let all = concat(&mut g, &[total, mean, attended, crossed]);
    let y = linear(&mut g, all, 1, true);
    output(&mut g, y, TaskKind::Binary);
    let alone = push(&mut g, Op::SegmentMean, &[score], 1);
    output(&mut g, alone, TaskKind::Regression);
    check(&g);
}

#[test]
fn layers_over_events_rows_and_requests_are_a_product_each() {
    // Wide parts are multiplied in their own space, narrow ones where they are gathered; the table u is folded there.
    for widths in [[8, 6], [2, 6], [8, 1], [2, 2]] {
        let mut g = graph();
        let (x, (u, _), v) = (numeric(&mut g, 0, 2), embeddings(&mut g), events(&mut g));
        let row = linear(&mut g, x, widths[0], true);
        let both = concat(&mut g, &[row, u]);
        let events = linear(&mut g, v, widths[1], true);
        let x = concat(&mut g, &[v, both, events, u, row]);
        let layers: Vec<Node> = [(5, true), (3, false)].map(|(width, bias)| linear(&mut g, x, width, bias)).to_vec();
        let first = activation(&mut g, layers[0], Activation::Relu);
        let smooth = activation(&mut g, layers[1], Activation::Silu);
        let all = concat(&mut g, &[first, smooth, row]);
        let score = linear(&mut g, all, 1, true);
        let attended = attention(&mut g, score, smooth);
        let own = numeric(&mut g, 0, 3);
        let all = concat(&mut g, &[attended, own]);
        let y = linear(&mut g, all, 1, true);
        output(&mut g, y, TaskKind::Binary);
        check(&g);
    }
}

#[test]
fn operations_gather_what_events_name() {
    let mut g = graph();
    let (c, (u, pooled), v) = (numeric(&mut g, 2, 1), embeddings(&mut g), events(&mut g));
    let number = numeric(&mut g, 0, 1);
    let item = linear(&mut g, number, 2, true);
    let alike = dot(&mut g, v, item, 0.7);
    // Products of many may be large.
    let crossed = pairs(&mut g, &[v, item, pooled]);
    let crossed = activation(&mut g, crossed, Activation::Tanh);
    let sums = sum(&mut g, &[v, item], 0.5);
    let learned = combination(&mut g, &[sums, crossed, pooled]);
    let logits = linear(&mut g, u, 2, false);
    let gate = push(&mut g, Op::Softmax, &[logits], 2);
    let mixed = push(&mut g, Op::Mixture, &[gate, learned, item], 2);
    let of_events = linear(&mut g, mixed, 2, true);
    let own_gate = push(&mut g, Op::Softmax, &[of_events], 2);
    let mixed = push(&mut g, Op::Mixture, &[own_gate, mixed, crossed], 2);
    let score = linear(&mut g, mixed, 1, true);
    let both = conjunction(&mut g, score, alike);
    let twice = concat(&mut g, &[both, alike, both, c]);
    let score = linear(&mut g, twice, 1, false);
    let score = activation(&mut g, score, Activation::Tanh);
    let attended = attention(&mut g, score, mixed);
    // Weights or values alone by event, and one weight for all events of a row.
    let weighed = push(&mut g, Op::SegmentMixture, &[c, mixed], 2);
    let counted = push(&mut g, Op::SegmentMixture, &[both, item], 2);
    let of_numbers = push(&mut g, Op::SegmentMixture, &[both, c], 1);
    let all = concat(&mut g, &[attended, weighed, counted, of_numbers, pooled]);
    let y = linear(&mut g, all, 1, true);
    output(&mut g, y, TaskKind::Binary);
    let again = linear(&mut g, counted, 1, true);
    output(&mut g, again, TaskKind::Regression);
    check(&g);
}

#[test]
fn a_layer_applied_again_to_events_and_to_rows() {
    let mut g = graph();
    let ((_, pooled), v) = (embeddings(&mut g), events(&mut g));
    let of_events = linear(&mut g, v, 2, true);
    let of_rows = again(&mut g, of_events, pooled);
    let alike = dot(&mut g, of_events, of_rows, 1.0);
    let attended = attention(&mut g, alike, of_events);
    let both = concat(&mut g, &[attended, of_rows]);
    let y = linear(&mut g, both, 1, true);
    output(&mut g, y, TaskKind::Binary);
    check(&g);
}

#[test]
fn dropout_draws_for_each_event() {
    let mut g = graph();
    let v = events(&mut g);
    let hidden = linear(&mut g, v, 4, true);
    let dropped = push(&mut g, Op::Dropout { rate: 0.4 }, &[hidden], 4);
    let total = push(&mut g, Op::SegmentSum, &[dropped], 4);
    let y = linear(&mut g, total, 1, true);
    output(&mut g, y, TaskKind::Regression);
    for features in PER_REQUEST {
        let mut g = g.clone();
        g.layout.per_request = features.iter().map(|name| (*name).to_owned()).collect();
        moves_with_its_gradient(&g, &by_request(&g, batch(600, 1)));
    }
}

#[test]
fn lists_that_are_parts_of_the_same_events_are_as_long_as_one_another() {
    let mut g = graph();
    let list = |name: &str, slot| Input::Categorical {
        name: name.into(),
        slot,
        table: "v".into(),
        rows: 4,
        dim: 2,
        pooling: Some(Pooling::Sum),
    };
    g.layout.inputs.push(list("w", 2));
    let (v, u) = (events(&mut g), embeddings(&mut g).0);
    let w = push(&mut g, Op::Events { table: TableId(1), slot: 2, list: 1 }, &[], 2);
    let both = concat(&mut g, &[v, u, w]);
    let score = linear(&mut g, both, 1, true);
    let crossed = pairs(&mut g, &[v, w]);
    let attended = attention(&mut g, score, crossed);
    let y = linear(&mut g, attended, 1, true);
    output(&mut g, y, TaskKind::Binary);
    let with = |mut batch: Batch, longer: bool| {
        let Ids::Multiple { mut offsets, rows } = batch.categorical[1].clone() else { panic!() };
        let mut rows: Vec<u64> = rows.iter().map(|id| 3 - id).collect();
        if longer {
            rows.push(0);
            *offsets.last_mut().unwrap() += 1;
        }
        batch.categorical.push(Ids::Multiple { offsets, rows });
        batch
    };
    for features in [&[][..], &["v", "w", "a"]] {
        let mut g = g.clone();
        g.layout.per_request = features.iter().map(|name| (*name).to_owned()).collect();
        for rows in [23, 600] {
            let mut plain = g.clone();
            plain.layout.inputs.pop();
            check_batch(&g, &mut engine(&g), &with(by_request(&plain, batch(rows, 1)), false));
        }
    }
    let error = engine(&g).predict(&with(batch(3, 1), true)).unwrap_err().to_string();
    assert!(error.contains("row 2") && error.contains("\"v\"") && error.contains("\"w\""), "{error}");
}

#[test]
fn graphs_that_do_not_hold_together_are_refused() {
    let mut g = graph();
    let x = numeric(&mut g, 0, 3);
    let y = linear(&mut g, x, 1, true);
    let same = g.node(y).op.clone();
    let z = push(&mut g, same, &[x], 1);
    output(&mut g, y, TaskKind::Binary);
    output(&mut g, z, TaskKind::Binary);
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
    let error = Engine::new(&g, &options).unwrap_err().to_string();
    assert!(error.contains("l0.weight") && error.contains("two layers"), "{error}");
    // Layers that share some of their parameters, not all.
    for (first, second) in [([0, 1].as_slice(), [0].as_slice()), (&[0], &[0, 1]), (&[0, 1], &[1, 0])] {
        let mut g = graph();
        let (x, (u, _)) = (numeric(&mut g, 0, 3), embeddings(&mut g));
        let made = [1, 2].map(|width| linear(&mut g, x, width, true));
        let mut nodes: Vec<Node> = first.iter().map(|&at| made[at]).collect();
        nodes.extend(second.iter().map(|&at| again(&mut g, made[at], u)));
        let all = concat(&mut g, &nodes);
        let y = linear(&mut g, all, 1, true);
        output(&mut g, y, TaskKind::Binary);
        let error = Engine::new(&g, &options).unwrap_err().to_string();
        assert!(error.contains("two layers"), "{first:?} and {second:?}: {error}");
    }
    // A combination's weights are no layer's.
    let mut g = graph();
    let x = numeric(&mut g, 0, 3);
    let both = combination(&mut g, &[x, x]);
    let op = g.node(both).op.clone();
    let again = push(&mut g, op, &[x, both], 3);
    let y = linear(&mut g, again, 1, true);
    output(&mut g, y, TaskKind::Binary);
    assert!(Engine::new(&g, &options).unwrap_err().to_string().contains("c0.weight"));
    g.outputs[0].node = x;
    assert!(Engine::new(&g, &options).is_err(), "a prediction of three numbers was taken");
    let mut g = graph();
    let x = numeric(&mut g, 0, 3);
    let y = linear(&mut g, x, 1, true);
    output(&mut g, y, TaskKind::Binary);
    output(&mut g, y, TaskKind::Binary);
    assert!(Engine::new(&g, &options).is_err(), "two tasks with one prediction were taken");
}

#[test]
fn other_losses() {
    let objective =
        |loss, transform, positive_weight| Objective { loss, transform, positive_weight, ..Objective::default() };
    let focal = Some(LossConfig::Focal(FocalConfig { gamma: 1.5, alpha: 0.3 }));
    let huber = Some(LossConfig::Huber(HuberConfig { delta: 0.4 }));
    let mut g = graph();
    let x = numeric(&mut g, 0, 3);
    for (kind, objective) in [
        (TaskKind::Binary, objective(focal, None, None)),
        (TaskKind::Binary, objective(None, None, Some(4.0))),
        (TaskKind::Binary, objective(focal, None, Some(2.0))),
        (TaskKind::Binary, Objective { negatives: Some(0.05), ..Objective::default() }),
        (TaskKind::Regression, objective(huber, None, None)),
        (TaskKind::Regression, objective(None, Some(LabelTransform::Log1p), None)),
        (TaskKind::Regression, objective(huber, Some(LabelTransform::Log1p), None)),
    ] {
        let y = linear(&mut g, x, 1, true);
        output(&mut g, y, kind);
        g.outputs.last_mut().unwrap().objective = objective;
    }
    check(&g);
}
