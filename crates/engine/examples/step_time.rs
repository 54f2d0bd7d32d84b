//! Milliseconds of one training step on three shapes: dense, census-like, large tables.
//!
//! `RAYON_NUM_THREADS=2 cargo run --release -p pleiad-engine --example step_time [dense|census|tables] [steps]`
//!
//! Rows are random: only the cost is looked at. Median over the steps, after a warm-up.

use std::time::Instant;

use pleiad_data::{Batch, Ids, Input, InputLayout, Labels, TaskKind, TaskSpec};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::{Engine, EngineOptions};
use pleiad_model::ModelConfig;
use pleiad_model::objective::conflict::pcgrad;
use serde_json::{Value, json};

struct Shape {
    name: &'static str,
    rows: usize,
    numeric: usize,
    /// Rows and width of each table.
    tables: Vec<(u64, usize)>,
    model: Value,
}

fn shapes() -> Vec<Shape> {
    let levels = |task: usize, shared: usize, widths: Value| json!({ "task_experts": task, "shared_experts": shared, "widths": widths });
    vec![
        Shape {
            name: "dense",
            rows: 1024,
            numeric: 512,
            tables: vec![],
            model: json!({ "kind": "ple", "levels": [levels(4, 4, json!([256, 128])), levels(4, 4, json!([256, 128]))],
                           "tower": [64, 32] }),
        },
        Shape {
            name: "census",
            rows: 512,
            numeric: 7,
            tables: (0..33).map(|t| (3 + t * 49 / 32, 8)).collect(),
            model: json!({ "kind": "ple", "levels": [levels(2, 2, json!([64])), levels(2, 2, json!([64]))],
                           "tower": [32] }),
        },
        Shape {
            name: "tables",
            rows: 2048,
            numeric: 0,
            tables: vec![(200_000, 16); 23],
            model: json!({ "kind": "cgc", "task_experts": 2, "shared_experts": 2, "widths": [128, 64],
                           "tower": [64, 32] }),
        },
    ]
}

fn batch(shape: &Shape, seed: u64) -> Batch {
    let mut state = seed | 1;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1u32 << 24)
    };
    // A power of a uniform number: popular rows are drawn often, as in a log.
    let mut ids = |rows: u64| Ids::Single((0..shape.rows).map(|_| (unit().powi(6) * rows as f64) as u64).collect());
    let categorical = shape.tables.iter().map(|&(rows, _)| ids(rows)).collect();
    let numeric = (0..shape.rows * shape.numeric).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let labels = |by: usize| Labels {
        values: (0..shape.rows).map(|i| f32::from(u8::from(i % by == 0))).collect(),
        present: vec![true; shape.rows],
    };
    Batch { rows: shape.rows, numeric, categorical, labels: vec![labels(3), labels(7)] }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().nth(1);
    let steps: usize = std::env::args().nth(2).map_or(Ok(100), |n| n.parse())?;
    for shape in shapes().into_iter().filter(|s| wanted.as_deref().is_none_or(|w| w == s.name)) {
        let mut inputs: Vec<Input> =
            (0..shape.numeric).map(|column| Input::Numeric { name: format!("n{column}"), column }).collect();
        inputs.extend(shape.tables.iter().enumerate().map(|(slot, &(rows, dim))| Input::Categorical {
            name: format!("c{slot}"),
            slot,
            table: format!("c{slot}"),
            rows,
            dim,
            pooling: None,
        }));
        let tasks = ["a", "b"].map(|name| TaskSpec { name: name.into(), kind: TaskKind::Binary });
        let Value::Object(table) = shape.model.clone() else { unreachable!("a table") };
        let graph = ModelConfig::from_table(table)?.build(&InputLayout { inputs }, &tasks)?;
        let optimizer: OptimizerConfig = serde_json::from_value(json!({ "kind": "adam", "learning_rate": 1e-3 }))?;
        let options = EngineOptions { embedding_optimizer: optimizer, optimizer, clip_norm: None, seed: 1 };
        let mut engine = Engine::new(&graph, &options)?;
        engine.init(1);
        let batches: Vec<Batch> = (0..8).map(|seed| batch(&shape, seed * 7919 + 1)).collect();
        // Plain steps and steps by task in turns of eight, so that a machine that slows down slows both; the first round
        // warms up.
        let (mut plain, mut by_task) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        for step in 0..2 * steps + 16 {
            let start = Instant::now();
            let times = if step / 8 % 2 == 0 {
                engine.step(&batches[step % 8], &[1.0, 1.0], 1.0)?;
                &mut plain
            } else {
                engine.step_by_task(&batches[step % 8], &[1.0, 1.0], &|gram| pcgrad(gram, 1, step as u64), 1.0)?;
                &mut by_task
            };
            if step >= 16 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        [&mut plain, &mut by_task].into_iter().for_each(|times| times.sort_by(f64::total_cmp));
        let median = plain[plain.len() / 2];
        // Forward, and twice that for both products of the way back.
        let gflop = 3e-9 * graph.summary().flops_per_row as f64 * shape.rows as f64;
        println!(
            "{:<8} B {:>5}: {median:7.2} ms/step (min {:.2}), {:>9.0} rows/s, {:5.1} GFLOP/s; PCGrad {:.2} times that",
            shape.name,
            shape.rows,
            plain[0],
            shape.rows as f64 / median * 1e3,
            gflop / median * 1e3,
            by_task[by_task.len() / 2] / median,
        );
    }
    Ok(())
}
