//! What a candidate costs beside the arithmetic: no memory of its own is asked for, from the body to the answer.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use allocation_counter::measure;
use pleiad_data::schema::{DataConfig, FeatureBlock, TaskConfig};
use pleiad_data::{LoadOptions, Schema, Splits};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::ModelConfig;
use pleiad_model::artifact::Provenance;
use pleiad_rank::{Model, RankConfig, ToSave};
use pleiad_serve::{Served, Stages};
use serde::Deserialize;
use serde_json::{Value, json};

const CONFIG: &str = r#"
    [data]
    train = "rows.csv"

    [[feature]]
    columns = ["age", "price"]
    kind = "numeric"
    transform = ["standardize"]
    missing = "mean"

    [[feature]]
    columns = ["city", "kind"]
    kind = "categorical"
    embedding = 3

    [[feature]]
    columns = ["item"]
    kind = "categorical"
    encoding = { hash = 500 }
    embedding = 4

    [[task]]
    name = "click"
    kind = "binary"
    label = "click"

    [[task]]
    name = "buy"
    kind = "binary"
    label = "buy"

    [rank]
    score = { click = 1.0, buy = 2.0 }
"#;

const ROWS: &str = "age,price,city,kind,item,click,buy\n1,2,a,x,i1,0,0\n2.5,1,b,y,i2,1,1\n7,3,a,x,i3,1,0\n";

#[derive(Deserialize)]
struct Config {
    data: DataConfig,
    feature: Vec<FeatureBlock>,
    task: Vec<TaskConfig>,
    rank: RankConfig,
}

fn served(dir: &Path) -> Served {
    std::fs::write(dir.join("rows.csv"), ROWS).unwrap();
    let config: Config = toml::from_str(CONFIG).unwrap();
    let schema = Schema::resolve(&config.data, &config.feature, &config.task).unwrap();
    let splits = Splits::load(&config.data, dir, &schema, LoadOptions::default()).unwrap();
    let model: ModelConfig = serde_json::from_value(json!({ "kind": "ple" })).unwrap();
    let graph = model.build(splits.encoder.layout(), splits.encoder.tasks()).unwrap();
    let adam: OptimizerConfig = serde_json::from_value(json!({ "kind": "adam", "learning_rate": 0.01 })).unwrap();
    let options = EngineOptions {
        optimizer: adam,
        embedding_optimizer: adam,
        clip_norm: None,
        precision: Precision::F32,
        kernels: Kernels::Fastest,
        tables: TableOptions::default(),
        seed: 1,
    };
    let mut engine = Engine::new(&graph, &options).unwrap();
    engine.init(3);
    let predictor = engine.into_predictor().unwrap();
    let (encoder, raw, provenance) = (&splits.encoder, &splits.raw, Provenance::now());
    let saved = ToSave { model: &model, encoder, predictor: &predictor, raw, provenance, rank: Some(&config.rank) };
    saved.save(&dir.join("model")).unwrap();
    Served::new("m".to_owned(), "1".to_owned(), Model::open(&dir.join("model")).unwrap())
}

fn body(candidates: usize) -> Vec<u8> {
    let row = |i: usize| {
        let known = ["a", "b", "elsewhere"][i % 3];
        json!({ "id": format!("i{i}"), "age": i % 40, "price": i as f64 / 3.0, "kind": known, "item": format!("i{i}") })
    };
    let rows: Vec<Value> = (0..candidates).map(row).collect();
    json!({ "request": { "city": "a" }, "rows": rows }).to_string().into_bytes()
}

#[test]
fn a_candidate_asks_for_no_memory_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let served = served(dir.path());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let asked = |candidates: usize| {
        let body = body(candidates);
        let rank = || served.rank(&body, 10_000, &mut Stages::default()).unwrap();
        // Counted on the thread that ranks, once its buffers are there.
        pool.install(|| {
            rank();
            measure(|| drop(rank())).count_total
        })
    };
    let [few, many] = [500, 4000].map(asked);
    // A list that grows is asked for each time it doubles, and a shard of 256 rows has a few of its own: far from one a candidate.
    assert!(many < few + 3500 / 10, "{few} times for 500 candidates, {many} for 4,000");
}
