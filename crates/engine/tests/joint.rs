//! The joint loss: what is in it, and how the tasks' gradients become one.

#![allow(clippy::unwrap_used)]

mod reference;

use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskKind};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::{Engine, EngineOptions};
use pleiad_model::Graph;
use pleiad_model::graph::{Activation, GraphBuilder, OrderPenalty};

/// Two numbers and an embedding, one common layer, a layer and an output per task: a click, a purchase, a time.
fn funnel() -> Graph {
    let mut graph = Graph::new(InputLayout {
        inputs: vec![
            Input::Numeric { name: "a".into(), column: 0 },
            Input::Numeric { name: "b".into(), column: 1 },
            Input::Categorical { name: "u".into(), slot: 0, table: "u".into(), rows: 6, dim: 3, pooling: None },
        ],
    });
    let mut g = GraphBuilder::new(&mut graph);
    let x = g.input("").unwrap();
    let common = g.scope("bottom").linear(x, "0", 5, Activation::Tanh).unwrap();
    for (task, kind) in [("click", TaskKind::Binary), ("buy", TaskKind::Binary), ("time", TaskKind::Regression)] {
        let mut g = g.scope(format!("towers.{task}"));
        let hidden = g.linear(common, "0", 4, Activation::Tanh).unwrap();
        let y = g.linear(hidden, "1", 1, Activation::Identity).unwrap();
        g.output(&pleiad_data::TaskSpec { name: task.into(), kind }, y).unwrap();
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
    batch
}

fn engine(graph: &Graph) -> Engine {
    let optimizer = OptimizerConfig::default();
    let options = EngineOptions { optimizer, embedding_optimizer: optimizer, clip_norm: None, seed: 3 };
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
    let mut graph = funnel();
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
