//! The running average of the weights: against its formula, beside steps that it does not change, out and in again.
#![allow(clippy::unwrap_used)]

use crate::fixture::{self, batch, configurations, engine, graph};
use pleiad_data::{Batch, Input, InputLayout};
use pleiad_engine::Engine;
use pleiad_engine::sparse::TablePrecision;
use pleiad_model::graph::{Activation, GraphBuilder};
use pleiad_model::{Graph, Weights};
use serde_json::Value;

const DECAY: f64 = 0.8;
const WEIGHTS: [f32; 3] = [1.0, 0.5, 2.0];

fn averaging(graph: &Graph) -> Engine {
    let mut engine = engine(graph);
    engine.average(DECAY).unwrap();
    engine
}

fn configuration(name: &str) -> Value {
    configurations().into_iter().find(|(kind, _)| *kind == name).unwrap().1
}

fn step(engine: &mut Engine, number: u64) {
    engine.step(&batch(40, number), &WEIGHTS, 1.0).unwrap();
}

fn assert_near(found: &Weights, expected: &[(String, Vec<f64>)]) {
    for (name, values) in expected {
        for (found, expected) in found.get(name).unwrap().data.iter().zip(values) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{name}: {found} {expected}"
            );
        }
    }
}

/// `sum_i d^(t - i) w_i / sum_i d^(t - i)`.
fn mean(steps: &[Weights]) -> Vec<(String, Vec<f64>)> {
    let factors: Vec<f64> = (0..steps.len()).rev().map(|age| DECAY.powi(age as i32)).collect();
    let of = |name: &String, len: usize| {
        let sum = |i: usize| steps.iter().zip(&factors).map(|(w, f)| f * f64::from(w.get(name).unwrap().data[i])).sum();
        let sums: Vec<f64> = (0..len).map(sum).collect();
        sums.into_iter().map(|sum| sum / factors.iter().sum::<f64>()).collect()
    };
    steps[0].tensors.iter().map(|(name, tensor)| (name.clone(), of(name, tensor.data.len()))).collect()
}

#[test]
fn it_is_the_weighted_mean_of_the_weights_of_all_steps_and_changes_none() {
    for kind in ["ple", "aitm"] {
        let graph = graph(&configuration(kind));
        let (mut plain, mut averaged) = (engine(&graph), averaging(&graph));
        assert_eq!(plain.weights(), averaged.weights());
        let mut steps = Vec::new();
        for number in 1..=9 {
            step(&mut plain, number);
            step(&mut averaged, number);
            steps.push(plain.weights());
            assert_eq!(averaged.weights(), plain.weights(), "step {number}");
            if number % 2 == 0 {
                // Neither to be shown nor to be shown twice changes what comes.
                averaged.show_average();
                averaged.show_average();
                assert_near(&averaged.weights(), &mean(&steps));
                assert_ne!(averaged.weights(), plain.weights());
            }
        }
        averaged.show_average();
        let mut other = engine(&graph);
        other.load(&averaged.weights()).unwrap();
        let rows = batch(60, 99);
        assert_eq!(averaged.predict(&rows).unwrap(), other.predict(&rows).unwrap());
    }
}

#[test]
fn steps_by_task_are_averaged_too() {
    let graph = graph(&configuration("mmoe"));
    let (mut plain, mut averaged) = (engine(&graph), averaging(&graph));
    let mut steps = Vec::new();
    for number in 1..5 {
        for engine in [&mut plain, &mut averaged] {
            engine.step_by_task(&batch(40, number), &WEIGHTS, &|gram| vec![1.0; gram.tasks()], 1.0).unwrap();
        }
        steps.push(plain.weights());
    }
    averaged.show_average();
    assert_near(&averaged.weights(), &mean(&steps));
}

#[test]
fn state_holds_what_the_last_step_left_and_goes_on_to_the_bit() {
    let graph = graph(&configuration("cgc"));
    let mut whole = averaging(&graph);
    (1..4).for_each(|number| step(&mut whole, number));
    whole.show_average();
    let (weights, state) = (whole.weights(), whole.state());
    let mut plain = engine(&graph);
    (1..4).for_each(|number| step(&mut plain, number));
    for (name, tensor) in &plain.weights().tensors {
        assert_eq!(state.get(&format!("{name}.last")), Some(tensor), "{name}");
    }
    let mut resumed = averaging(&graph);
    resumed.load(&weights).unwrap();
    resumed.load_state(&state).unwrap();
    resumed.set_step_count(3);
    for engine in [&mut whole, &mut resumed] {
        (4..7).for_each(|number| step(engine, number));
        engine.show_average();
    }
    assert_eq!((whole.weights(), whole.state()), (resumed.weights(), resumed.state()));
    // Another training's state is refused: without an average there is no room for it.
    assert!(plain.load_state(&state).is_err());
}

/// A table of more numbers than are averaged stays what the last step left.
#[test]
fn a_large_table_is_not_averaged() {
    let input =
        |rows| Input::Categorical { name: "c".into(), slot: 0, table: "c".into(), rows, dim: 64, pooling: None };
    for (rows, is_averaged) in [(1024, true), (1025, false)] {
        let mut graph = Graph::new(InputLayout::new(vec![input(rows)]));
        let mut g = GraphBuilder::new(&mut graph);
        let x = g.input("").unwrap();
        let y = g.linear(x, "y", 1, Activation::Identity).unwrap();
        g.output(&fixture::tasks()[0], y).unwrap();
        let mut averaged = averaging(&graph);
        let rows = Batch { categorical: vec![pleiad_data::Ids::Single((0..40).collect())], ..batch(40, 1) };
        let rows = Batch { numeric: Vec::new(), labels: rows.labels[..1].to_vec(), ..rows };
        (0..3).for_each(|_| drop(averaged.step(&rows, &[1.0], 1.0).unwrap()));
        let (last, table) = (averaged.weights(), "embeddings.c.weight");
        averaged.show_average();
        assert_eq!(averaged.weights().get(table) != last.get(table), is_averaged);
        assert_ne!(averaged.weights().get("y.weight"), last.get("y.weight"));
    }
}

#[test]
fn tables_of_bf16_are_averaged_as_they_are() {
    let options = pleiad_engine::EngineOptions {
        tables: pleiad_engine::sparse::TableOptions { precision: TablePrecision::Bf16, folder: None },
        ..fixture::options(fixture::adam())
    };
    let graph = graph(&configuration("hard-sharing"));
    let mut engine = Engine::new(&graph, &options).unwrap();
    engine.init(2);
    engine.average(DECAY).unwrap();
    let mut steps = Vec::new();
    for number in 1..5 {
        step(&mut engine, number);
        steps.push(engine.weights());
    }
    let last = engine.weights();
    engine.show_average();
    for ((name, values), shown) in mean(&steps).iter().zip(engine.weights().tensors.values()) {
        let near =
            |(found, expected): (&f32, &f64)| (f64::from(*found) - expected).abs() <= expected.abs() / 256.0 + 1e-6;
        assert!(shown.data.iter().zip(values).all(near), "{name}");
    }
    step(&mut engine, 5);
    assert_ne!(engine.weights(), last);
}

#[test]
fn a_decay_that_averages_nothing_is_refused() {
    let mut engine = engine(&graph(&configuration("hard-sharing")));
    for decay in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(engine.average(decay).unwrap_err().to_string().contains("decay"));
    }
}
