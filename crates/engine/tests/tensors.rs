//! Weights and optimizer state out and in a part at a time, against copies of the whole.
#![allow(clippy::unwrap_used)]

use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskKind, TaskSpec};
use pleiad_engine::optim::{AdagradConfig, OptimizerConfig};
use pleiad_engine::sparse::{TableOptions, TablePrecision};
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision, Predictor};
use pleiad_model::artifact::{read_safetensors, read_safetensors_into, write_safetensors};
use pleiad_model::{Graph, ModelConfig};
use serde_json::json;

const ROWS: usize = 300;

fn graph() -> Graph {
    let model = json!({ "kind": "mmoe", "experts": 2, "widths": [20, 7], "tower": [5] });
    let model: ModelConfig = serde_json::from_value(model).unwrap();
    let layout = InputLayout::new(vec![
        Input::Numeric { name: "x".into(), column: 0 },
        Input::Categorical { name: "u".into(), slot: 0, table: "u".into(), rows: 500, dim: 6, pooling: None },
    ]);
    let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
    model.build(&layout, &tasks).unwrap()
}

fn batch(seed: u64) -> Batch {
    let ids = (0..ROWS as u64).map(|i| (i * i + seed) % 500).collect();
    let labels = |k: usize| Labels {
        values: (0..ROWS).map(|i| (i / k % 2) as f32).collect(),
        present: vec![true; ROWS],
        weights: Vec::new(),
    };
    Batch {
        rows: ROWS,
        numeric: (0..ROWS).map(|i| (i as f32 * 0.37 + seed as f32).sin()).collect(),
        categorical: vec![Ids::Single(ids)],
        labels: vec![labels(1), labels(3)],
        groups: Vec::new(),
    }
}

fn engine(precision: TablePrecision) -> Engine {
    let options = EngineOptions {
        optimizer: OptimizerConfig::default(),
        embedding_optimizer: OptimizerConfig::Adagrad(AdagradConfig::default()),
        clip_norm: None,
        precision: Precision::F32,
        kernels: Kernels::Fastest,
        tables: TableOptions { precision, ..TableOptions::default() },
        seed: 3,
    };
    let mut engine = Engine::new(&graph(), &options).unwrap();
    engine.init(1);
    engine
}

#[test]
fn files_written_in_place_hold_what_copies_hold_and_restore_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for precision in [TablePrecision::F32, TablePrecision::Bf16] {
        let mut first = engine(precision);
        (1..4).for_each(|seed| drop(first.step(&batch(seed), &[1.0, 2.0], 1.0).unwrap()));
        let hash = write_safetensors(&path("weights"), &first.weights_view()).unwrap();
        write_safetensors(&path("state"), &first.state_view()).unwrap();
        assert_eq!(hash, first.weights().xxh64());
        assert_eq!(read_safetensors(&path("weights")).unwrap(), first.weights());
        assert_eq!(read_safetensors(&path("state")).unwrap(), first.state());
        assert!(first.state().tensors.keys().any(|name| name == "embeddings.u.weight.square_sum"));

        let mut second = engine(precision);
        read_safetensors_into(&path("weights"), &mut second.weights_sink()).unwrap();
        read_safetensors_into(&path("state"), &mut second.state_sink()).unwrap();
        second.set_step_count(first.step_count());
        for engine in [&mut first, &mut second] {
            (4..7).for_each(|seed| drop(engine.step(&batch(seed), &[1.0, 2.0], 1.0).unwrap()));
        }
        assert_eq!((first.weights(), first.state()), (second.weights(), second.state()), "{precision:?}");
    }
}

#[test]
fn an_engine_becomes_a_predictor_of_the_same_answers() {
    for precision in [TablePrecision::F32, TablePrecision::Bf16] {
        let mut engine = engine(precision);
        (1..4).for_each(|seed| drop(engine.step(&batch(seed), &[1.0, 2.0], 1.0).unwrap()));
        let (weights, predictions) = (engine.weights(), engine.predict(&batch(9)).unwrap());
        let mut copied = Predictor::new(graph(), &weights).unwrap();
        let mut taken = Predictor::from_weights(graph(), weights.clone()).unwrap();
        let mut kept = engine.into_predictor().unwrap();
        for predictor in [&mut copied, &mut taken, &mut kept] {
            assert_eq!(predictor.predict(&batch(9)).unwrap(), predictions, "{precision:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write_safetensors(&path, &kept.weights_view()).unwrap();
        assert_eq!(read_safetensors(&path).unwrap(), weights);
    }
    let mut missing = engine(TablePrecision::F32).weights();
    missing.tensors.remove("embeddings.u.weight");
    let message = Predictor::from_weights(graph(), missing).unwrap_err().to_string();
    assert!(message.contains("embeddings.u.weight"), "{message}");
}
