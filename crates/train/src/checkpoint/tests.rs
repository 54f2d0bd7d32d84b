//! Checkpoints of several runs, or of a killed one, in one folder.
#![allow(clippy::unwrap_used)]

use pleiad_data::schema::TaskConfig;
use pleiad_data::{Input, InputLayout};
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{EngineOptions, Kernels, Precision};
use pleiad_model::ModelConfig;
use serde_json::json;

use super::*;
use crate::config::TrainConfig;

fn engine(seed: u64) -> Engine {
    let layout = InputLayout::new(vec![Input::Numeric { name: "x".to_owned(), column: 0 }]);
    let model = json!({ "kind": "hard-sharing", "bottom": [4], "tower": [2] });
    let model: ModelConfig = serde_json::from_value(model).unwrap();
    let task = json!({ "name": "click", "kind": "binary", "label": { "column": "click" } });
    let task: TaskConfig = serde_json::from_value(task).unwrap();
    let graph = model.build(&layout, &[task.spec()]).unwrap();
    let config = config();
    let options = EngineOptions {
        optimizer: config.optimizer,
        embedding_optimizer: *config.embedding_optimizer(),
        clip_norm: None,
        precision: Precision::F32,
        kernels: Kernels::Fastest,
        tables: TableOptions::default(),
        seed,
    };
    let mut engine = Engine::new(&graph, &options).unwrap();
    engine.init(seed);
    engine
}

fn config() -> TrainConfig {
    serde_json::from_value(json!({ "optimizer": { "kind": "adam", "learning_rate": 0.1 } })).unwrap()
}

fn state(step: u64) -> FitState {
    FitState { step, ..FitState::new(&config(), 1) }
}

fn store(folder: &Path, seed: u64) -> CheckpointStore {
    let mut store = CheckpointStore::new(folder.to_path_buf());
    store.begin(serde_json::from_value(json!({ "seed": seed })).unwrap(), "rows".to_owned()).unwrap();
    store
}

#[test]
fn best_weights_are_those_of_the_run_or_none() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("checkpoints");
    let mut first = store(&folder, 1);
    first.save(&state(5), &engine(1), Best::All).unwrap();
    let mut found = engine(9);
    first.restore_best(&mut found, &[]).unwrap();
    assert_eq!(found.weights(), engine(1).weights());
    // Another run that comes to the same step does not take that for its own.
    let mut second = store(&folder, 2);
    second.save(&state(5), &engine(2), Best::All).unwrap();
    second.restore_best(&mut found, &[]).unwrap();
    assert_eq!(found.weights(), engine(2).weights());
    // Nor does the first one.
    let error = first.restore_best(&mut found, &[]).unwrap_err().to_string();
    assert!(error.contains("step-000000000005") && error.contains("not of this run"), "{error}");
    assert_eq!(found.weights(), engine(2).weights(), "none are taken");
}

/// A task's best is kept however old it is, and a resumed run finds it again.
#[test]
fn each_task_has_weights_of_its_own_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("checkpoints");
    let mut first = store(&folder, 1);
    first.save(&state(5), &engine(1), Best::Tasks(&[0, 1])).unwrap();
    first.save(&state(6), &engine(2), Best::Tasks(&[1])).unwrap();
    for step in [7, 8, 9] {
        first.save(&state(step), &engine(3), Best::No).unwrap();
    }
    let numbers = |store: &CheckpointStore| {
        store.names().unwrap().iter().map(|n| n[n.len() - 1..].to_owned()).collect::<String>()
    };
    assert_eq!(numbers(&first), "5689");
    let mut next = CheckpointStore::new(folder.clone());
    next.latest(&mut crate::fit::Silent).unwrap().unwrap();
    next.begin(first.identity.clone().unwrap(), "rows".to_owned()).unwrap();
    let own = ["bottom.0.weight", "towers.click.0.weight"].map(|name| BTreeSet::from([name.to_owned()]));
    for store in [&mut first, &mut next] {
        let mut found = engine(9);
        store.restore_best(&mut found, &own).unwrap();
        let (found, others) = (found.weights(), [1, 2, 9].map(|seed| engine(seed).weights()));
        for (name, tensor) in &found.tensors {
            let from = own.iter().position(|own| own.contains(name)).unwrap_or(2);
            assert_eq!(Some(tensor), others[from].get(name), "{name}");
        }
        assert!(own.iter().flatten().all(|name| found.get(name).is_some()), "{:?}", found.tensors.keys());
    }
    // If one of them is damaged, no run goes on without it.
    fs::write(folder.join("step-000000000005").join(WEIGHTS), "").unwrap();
    assert!(CheckpointStore::new(folder).latest(&mut crate::fit::Silent).is_err());
}

#[test]
fn what_a_killed_run_left_goes_when_the_next_begins() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("checkpoints");
    let mut first = store(&folder, 1);
    for step in [5, 6, 7] {
        first.save(&state(step), &engine(1), if step == 6 { Best::All } else { Best::No }).unwrap();
    }
    // Half written, and half removed.
    fs::create_dir(folder.join(".pleiad-dead.tmp")).unwrap();
    fs::create_dir(folder.join("step-000000000001")).unwrap();
    let mut next = CheckpointStore::new(folder.clone());
    assert!(next.latest(&mut crate::fit::Silent).unwrap().is_some());
    next.begin(first.identity.clone().unwrap(), "rows".to_owned()).unwrap();
    let mut names = next.entries().unwrap();
    names.sort();
    assert_eq!(names, ["step-000000000006", "step-000000000007"]);
}
