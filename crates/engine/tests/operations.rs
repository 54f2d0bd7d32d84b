//! Every operation in every position that the plan treats differently: fused or not, in place or copied, read once or
//! twice. Structures of the registry use few of these; graphs here are written by hand to use them all, and held
//! against the f64 oracle and its finite differences. Operations on events are in `event_operations.rs`.

#![allow(clippy::unwrap_used)]

use crate::by_hand::*;
use pleiad_data::TaskKind;
use pleiad_data::schema::{FocalConfig, HuberConfig, LabelTransform, LossConfig, Objective};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::graph::{Activation, Node, Op};

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
