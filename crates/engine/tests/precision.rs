//! Every structure in every arithmetic: any number of threads gives the same bits, our own kernels the gradients of
//! those that every processor has, and bf16 gradients near those of f32.

#![allow(clippy::unwrap_used)]

use crate::distance::distance;
use crate::fixture::{self, adam, batch, configurations, graph, options};
use pleiad_engine::{Engine, Kernels, Precision};
use pleiad_model::Graph;
use serde_json::{Value, json};

fn engine(graph: &Graph, precision: Precision, kernels: Kernels) -> Engine {
    let options = pleiad_engine::EngineOptions { precision, kernels, ..options(adam()) };
    let mut engine = Engine::new(graph, &options).unwrap();
    engine.load(&fixture::engine(graph).weights()).unwrap();
    engine
}

#[test]
fn threads_do_not_change_a_bit() {
    let train = |configuration: &Value, precision: Precision, threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let mut configuration = configuration.clone();
            configuration["dropout"] = json!(0.2);
            let graph = graph(&configuration);
            let mut options = options(adam());
            options.clip_norm = (precision == Precision::F32).then_some(0.5);
            options.precision = precision;
            let mut engine = Engine::new(&graph, &options).unwrap();
            engine.init(5);
            for step in 0..4 {
                engine.step(&batch(1500, step), &[1.0, 2.0, 0.5], 1.0).unwrap();
            }
            (engine.weights(), engine.state(), engine.predict(&batch(1500, 99)).unwrap())
        })
    };
    for precision in [Precision::F32, Precision::Bf16] {
        for (kind, configuration) in configurations() {
            let one = train(&configuration, precision, 1);
            for threads in [2, 4] {
                assert!(
                    one == train(&configuration, precision, threads),
                    "{kind} in {} differs on {threads} threads",
                    precision.name()
                );
            }
        }
    }
}

/// However many threads share out the candidates of a request, and however many rows stand beside one.
#[test]
fn a_row_is_predicted_alike_in_every_shard() {
    let in_pool = |threads: usize, engine: &mut Engine, rows: &pleiad_data::Batch| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| engine.predict(rows).unwrap())
    };
    for (kind, configuration) in configurations() {
        let mut engine = engine(&graph(&configuration), Precision::F32, Kernels::Fastest);
        for rows in [17, 50, 131, 400] {
            let batch = batch(rows, 4);
            let one = in_pool(1, &mut engine, &batch);
            for threads in [2, 3, 7] {
                assert_eq!(one, in_pool(threads, &mut engine, &batch), "{kind}: {rows} rows on {threads} threads");
            }
        }
    }
}

#[test]
fn kernels_agree_up_to_rounding_and_bf16_stays_near_f32() {
    for (kind, configuration) in configurations() {
        let graph = graph(&configuration);
        let gradient = |precision, kernels| {
            let mut engine = engine(&graph, precision, kernels);
            engine.gradients(&batch(300, 2), &[1.0, 2.0, 0.5]).unwrap().1
        };
        let exact = gradient(Precision::F32, Kernels::Plain);
        let tiles = distance(&exact, &gradient(Precision::F32, Kernels::Fastest));
        assert!(tiles < 1e-6, "{kind}: {tiles}");
        let emulated = gradient(Precision::Bf16, Kernels::Plain);
        // 2^-9 is what rounding does to one operand; cancellation in sums makes more of it.
        let rounded = distance(&exact, &emulated);
        assert!((1e-4..3e-2).contains(&rounded), "{kind}: {rounded}");
        // Where an activation is rounded down here and up there, one operand is off by 2^-8.
        let hardware = distance(&emulated, &gradient(Precision::Bf16, Kernels::Fastest));
        assert!(hardware < 3e-3, "{kind}: {hardware}");
    }
}

#[test]
fn predictions_are_f32_whatever_the_precision_of_training() {
    let (_, configuration) = &configurations()[0];
    let graph = graph(configuration);
    let rows = batch(300, 4);
    let mut engines = [Precision::F32, Precision::Bf16].map(|p| engine(&graph, p, Kernels::Fastest));
    let [exact, other] = engines.each_mut().map(|engine| engine.predict(&rows).unwrap());
    assert_eq!(exact, other);
    // But steps are not the same.
    engines.iter_mut().for_each(|engine| drop(engine.step(&rows, &[1.0; 3], 1.0).unwrap()));
    assert_ne!(engines[0].weights(), engines[1].weights());
}
