//! Every operation on events in every position that the plan treats differently, against the f64 oracle and its finite differences:
//! events alone, beside rows and beside requests, of lists of each row and of each request, some of them empty.

#![allow(clippy::unwrap_used)]

use crate::by_hand::*;
use pleiad_data::{Batch, Ids, Input, Pooling, TaskKind};
use pleiad_model::Graph;
use pleiad_model::graph::{Activation, Node, Op, TableId};

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
