//! Every structure of the registry with every joint-loss method: it trains, or it is refused with the reason.

#![allow(clippy::unwrap_used)]

use pleiad_data::schema::TaskConfig;
use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskSpec};
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::architectures::REGISTRY;
use pleiad_model::{Graph, ModelConfig, Weights};
use pleiad_train::config::{JointLossConfig, TrainConfig, check_joint_loss};
use pleiad_train::fit::{FitProblem, Fitted, MemoryKeeper, Outcome, fit};
use pleiad_train::metrics::Measures;
use pleiad_train::{Interrupt, Silent};
use serde_json::{Value, json};

fn configurations() -> Vec<Value> {
    let level = json!({ "task_experts": 1, "shared_experts": 1, "widths": [4] });
    vec![
        json!({ "kind": "ple", "levels": [level, level], "tower": [3] }),
        json!({ "kind": "cgc", "task_experts": 1, "shared_experts": 2, "widths": [4], "tower": [3] }),
        json!({ "kind": "mmoe", "experts": 3, "widths": [4], "tower": [3] }),
        json!({ "kind": "ml-mmoe", "levels": [{ "experts": 2, "widths": [4] }, { "experts": 2, "widths": [4] }],
                "tower": [3] }),
        json!({ "kind": "hard-sharing", "bottom": [4], "tower": [3] }),
        json!({ "kind": "single-task", "bottom": [4], "tower": [3] }),
        json!({ "kind": "customized-sharing", "bottom": [4], "tower": [3] }),
        json!({ "kind": "asymmetric-sharing", "bottom": [4], "tower": [3], "borrow": { "buy": ["click"] } }),
        json!({ "kind": "cross-stitch", "bottom": [4], "tower": [3] }),
        json!({ "kind": "sluice", "bottom": [4], "tower": [3] }),
        json!({ "kind": "esmm", "funnel": ["click", "buy"], "tower": [3] }),
        json!({ "kind": "aitm", "funnel": ["click", "buy"], "bottom": [4], "tower": [3] }),
    ]
}

fn methods() -> Vec<JointLossConfig> {
    [
        json!({ "weighting": "static" }),
        json!({ "weighting": "uncertainty" }),
        json!({ "weighting": "dwa" }),
        json!({ "weighting": "gradnorm" }),
        json!({ "gradient": "pcgrad" }),
        json!({ "gradient": "cagrad" }),
        json!({ "weighting": "gradnorm", "gradient": "cagrad" }),
    ]
    .into_iter()
    .map(|method| serde_json::from_value(method).unwrap())
    .collect()
}

fn tasks() -> Vec<TaskConfig> {
    let task = |name: &str, kind: &str| json!({ "name": name, "kind": kind, "label": { "column": name } });
    let tasks = [task("click", "binary"), task("buy", "binary"), task("time", "regression")];
    tasks.into_iter().map(|task| serde_json::from_value(task).unwrap()).collect()
}

fn rows(count: usize) -> Batch {
    let mut state = 0x2545_f491u32;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32
    };
    let mut batch = Batch { rows: count, labels: vec![Labels::default(); 3], ..Batch::default() };
    let mut ids = Vec::new();
    for _ in 0..count {
        let x = 2.0 * draw() - 1.0;
        batch.numeric.extend([x, draw()]);
        ids.push((draw() * 4.99) as u64);
        let click = draw() < 0.5 + 0.4 * x;
        let buy = click && draw() < 0.4;
        for (labels, (value, present)) in batch.labels.iter_mut().zip([
            (f32::from(u8::from(click)), true),
            (f32::from(u8::from(buy)), true),
            (x + 0.1 * draw(), click),
        ]) {
            labels.values.push(if present { value } else { 0.0 });
            labels.present.push(present);
        }
    }
    batch.categorical.push(Ids::Single(ids));
    batch
}

fn graph(model: &Value, tasks: &[TaskConfig]) -> Graph {
    let layout = InputLayout::new(vec![
        Input::Numeric { name: "a".into(), column: 0 },
        Input::Numeric { name: "b".into(), column: 1 },
        Input::Categorical { name: "u".into(), slot: 0, table: "u".into(), rows: 5, dim: 3, pooling: None },
    ]);
    let model: ModelConfig = serde_json::from_value(model.clone()).unwrap();
    model.build(&layout, &tasks.iter().map(TaskConfig::spec).collect::<Vec<TaskSpec>>()).unwrap()
}

fn train(graph: &Graph, tasks: &[TaskConfig], joint_loss: JointLossConfig) -> (Fitted, Weights) {
    let config = TrainConfig { epochs: 3, batch_size: 32, joint_loss, ..TrainConfig::default() };
    let options = EngineOptions {
        optimizer: config.optimizer,
        embedding_optimizer: *config.embedding_optimizer(),
        clip_norm: Some(1.0),
        precision: Precision::F32,
        kernels: Kernels::Fastest,
        tables: TableOptions::default(),
        seed: 1,
    };
    let mut engine = Engine::new(graph, &options).unwrap();
    engine.init(1);
    let rows = rows(200);
    let problem =
        FitProblem { config: &config, tasks, train: (&rows).into(), valid: None, measures: &Measures::default() };
    match fit(&problem, &mut engine, None, &mut MemoryKeeper::default(), &Interrupt::default(), &mut Silent).unwrap() {
        Outcome::Finished(fitted) => (fitted, engine.weights()),
        Outcome::Interrupted { .. } => panic!("interrupted"),
    }
}

#[test]
fn every_structure_trains_with_every_method_or_is_refused() {
    let tasks = tasks();
    for structure in REGISTRY {
        assert!(
            configurations().iter().any(|model| model["kind"] == structure.kind),
            "{} is not tried",
            structure.kind
        );
    }
    for model in configurations() {
        let graph = graph(&model, &tasks);
        let (_, plain) = train(&graph, &tasks, JointLossConfig::default());
        for method in methods() {
            let refused = check_joint_loss(&method, &graph);
            if model["kind"] == "single-task" && method.by_task() {
                let reason = refused.unwrap_err().to_string();
                assert!(reason.contains("no parameter is reached by more than one task"), "{reason}");
                assert!(check_joint_loss(&method.without_shared_parts(), &graph).is_ok());
                continue;
            }
            refused.unwrap();
            let (fitted, weights) = train(&graph, &tasks, method);
            let finite = weights.tensors.values().flat_map(|t| &t.data).all(|w| w.is_finite());
            assert!(finite, "{model} {method:?}");
            assert_eq!(weights == plain, method == JointLossConfig::default(), "{model} {method:?}");
            let losses = |fitted: &Fitted, epoch: usize| -> f64 {
                fitted.history[epoch].task_losses.iter().filter_map(|(_, loss)| *loss).sum()
            };
            assert!(losses(&fitted, 2) < losses(&fitted, 0), "{model} {method:?} learns nothing");
        }
    }
}
