//! A saved model in use: rows from memory, from JSON and from a file give the same bits, from one thread or many.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema as ArrowSchema};
use pleiad_data::schema::{DataConfig, FeatureBlock, TaskConfig};
use pleiad_data::{LoadOptions, Schema, Splits};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_engine::sparse::TableOptions;
use pleiad_engine::{Engine, EngineOptions, Kernels, Precision};
use pleiad_model::ModelConfig;
use pleiad_model::artifact::Provenance;
use pleiad_rank::{Error, ErrorKind, Interrupt, Model, Order, PredictOptions, RankConfig, Source, ToSave};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

const CONFIG: &str = r#"
    [data]
    train = "rows.csv"

    [[feature]]
    columns = ["age"]
    kind = "numeric"
    transform = ["standardize"]
    missing = "mean"

    [[feature]]
    columns = ["city"]
    kind = "categorical"
    embedding = 3

    [[feature]]
    columns = ["tags"]
    kind = "categorical"
    encoding = { hash = 50 }
    multiple = true
    pooling = "mean"
    embedding = 2

    [[task]]
    name = "click"
    kind = "binary"
    label = "click"

    [[task]]
    name = "stay"
    kind = "regression"
    label = "stay"
    where = { column = "click", equals = 1 }

    [rank]
    score = { click = 1.0, stay = 2.0 }
    joint = true
    transform = { column = "age", kind = "log1p", power = 0.5 }
"#;

const ROWS: &str = "age,city,tags,click,stay\n1,a,1|2,0,0.5\n2.5,b,,1,1.5\n,a,2,1,2.5\n30,c,7|7|1,0,\n";

#[derive(Deserialize)]
struct TestConfig {
    data: DataConfig,
    feature: Vec<FeatureBlock>,
    task: Vec<TaskConfig>,
    rank: RankConfig,
}

/// A PLE with weights as they are drawn, saved to `model`, with or without `[rank]`.
fn save(dir: &Path, with_rank: bool) {
    std::fs::write(dir.join("rows.csv"), ROWS).unwrap();
    let config: TestConfig = toml::from_str(CONFIG).unwrap();
    let schema = Schema::resolve(&config.data, &config.feature, &config.task).unwrap();
    let splits = Splits::load(&config.data, dir, &schema, LoadOptions::default()).unwrap();
    let level = json!({ "task_experts": 1, "shared_experts": 1, "widths": [8] });
    let model: ModelConfig = serde_json::from_value(json!({ "kind": "ple", "levels": [level], "tower": [4] })).unwrap();
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
    let rank = with_rank.then_some(&config.rank);
    let saved = ToSave {
        model: &model,
        encoder: &splits.encoder,
        predictor: &predictor,
        raw: &splits.raw,
        provenance: Provenance::now(),
        rank,
    };
    assert_eq!(saved.save(&dir.join("model")).unwrap(), 4);
}

fn model() -> (TempDir, Model) {
    let dir = TempDir::new().unwrap();
    save(dir.path(), true);
    let model = Model::open(&dir.path().join("model")).unwrap();
    (dir, model)
}

/// The rows of [`ROWS`] as a program holds them, in other types and in another order of columns.
fn records() -> RecordBatch {
    let tags = [Some(vec![Some(1), Some(2)]), None, Some(vec![Some(2)]), Some(vec![Some(7), Some(7), Some(1)])];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("request", Arc::new(Int32Array::from(vec![7, 8, 7, 7]))),
        ("tags", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(tags))),
        ("city", Arc::new(StringArray::from(vec!["a", "b", "a", "c"]))),
        ("age", Arc::new(Float64Array::from(vec![Some(1.0), Some(2.5), None, Some(30.0)]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn named() -> Vec<Map<String, Value>> {
    serde_json::from_value(json!([
        { "age": 1, "city": "a", "tags": [1, 2], "beside": { "x": 1 } },
        { "age": 2.5, "city": "b" },
        { "age": null, "city": "a", "tags": [2] },
        { "age": 30, "city": "c", "tags": [7, 7, 1] },
    ]))
    .unwrap()
}

/// Predictions and scores of a file of them.
fn read(path: &Path) -> RecordBatch {
    let reader = arrow::ipc::reader::FileReader::try_new(File::open(path).unwrap(), None).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn floats(rows: &RecordBatch, name: &str) -> Vec<f64> {
    let column = arrow::compute::cast(rows.column_by_name(name).unwrap(), &DataType::Float64).unwrap();
    column.as_any().downcast_ref::<Float64Array>().unwrap().values().to_vec()
}

#[test]
fn rows_from_memory_from_json_and_from_a_file_give_the_same_bits() {
    let (dir, model) = model();
    let rows = model.encode(&records()).unwrap();
    let of_json = model.encode_named(&named()).unwrap();
    assert_eq!(rows.batch, of_json.batch);
    // The mean of 1, 2.5 and 30 stands for what is missing.
    assert_eq!(rows.numbers, [1.0, 2.5, 33.5 / 3.0, 30.0]);
    let predictions = model.predict(&rows).unwrap();
    let scores = model.score(&rows, &predictions).unwrap();
    for (row, &score) in scores.iter().enumerate() {
        let [click, stay] = [0, 1].map(|task: usize| f64::from(predictions.tasks[task][row]));
        let expected = click * (stay * click).powf(2.0) * rows.numbers[row].ln_1p().sqrt();
        assert!((score - expected).abs() <= 1e-12 * expected.abs(), "row {row}: {score} {expected}");
    }
    let source = Source::new(&[dir.path().join("rows.csv").display().to_string()], None).unwrap();
    let out = dir.path().join("p.arrow");
    let options = PredictOptions { keep: vec!["city".into()], score: true, order: None };
    let (written, read_rows) = model.predict_to(&source, &out, &options, &Interrupt::default(), &mut |_| ()).unwrap();
    assert_eq!((written, read_rows.skipped.rows), (4, 0));
    let file = read(&out);
    let names: Vec<String> = file.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["city", "score", "click", "stay"]);
    assert_eq!(floats(&file, "score"), scores);
    for (name, task) in [("click", 0), ("stay", 1)] {
        let expected: Vec<f64> = predictions.tasks[task].iter().map(|&value| f64::from(value)).collect();
        assert_eq!(floats(&file, name), expected);
    }
}

#[test]
fn many_threads_share_one_model() {
    let (_dir, model) = model();
    let rows = model.encode(&records()).unwrap();
    let predictions = model.predict(&rows).unwrap();
    let scores = model.score(&rows, &predictions).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (model, predictions, scores) = (&model, &predictions, &scores);
            scope.spawn(move || {
                for _ in 0..50 {
                    let rows = if thread % 2 == 0 { model.encode(&records()) } else { model.encode_named(&named()) };
                    let rows = rows.unwrap();
                    let found = model.predict(&rows).unwrap();
                    assert_eq!((&found, &model.score(&rows, &found).unwrap()), (predictions, scores));
                }
            });
        }
    });
}

#[test]
fn the_score_travels_with_the_model_and_can_be_changed() {
    let (dir, model) = model();
    let config: TestConfig = toml::from_str(CONFIG).unwrap();
    assert_eq!(model.rank(), Some(&config.rank));
    let rows = model.encode(&records()).unwrap();
    let predictions = model.predict(&rows).unwrap();
    let rank = RankConfig::with_sets(
        model.rank(),
        &["rank.score={ click = 1 }".to_owned(), "rank.transform.power=0".to_owned()],
    );
    let rank = RankConfig { score: [("click".to_owned(), 1.0)].into(), ..rank.unwrap() };
    let other = model.with_rank(rank).unwrap();
    let clicks: Vec<f64> = predictions.tasks[0].iter().map(|&p| f64::from(p)).collect();
    let rows = other.encode(&records()).unwrap();
    assert_eq!(other.score(&rows, &predictions).unwrap(), clicks);

    std::fs::remove_dir_all(dir.path().join("model")).unwrap();
    save(dir.path(), false);
    let without = Model::open(&dir.path().join("model")).unwrap();
    let rows = without.encode(&records()).unwrap();
    assert!(rows.numbers.is_empty());
    let error = without.score(&rows, &without.predict(&rows).unwrap()).unwrap_err();
    assert!(matches!(error, Error::NoRank { .. }) && error.to_string().contains("--set rank.score.click=1"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Config);
    let wrong = RankConfig { score: [("clik".to_owned(), 1.0)].into(), ..RankConfig::default() };
    assert!(without.with_rank(wrong).unwrap_err().to_string().contains("did you mean `click`?"));
}

#[test]
fn rows_that_cannot_be_read_are_refused_with_their_column() {
    let (_dir, model) = model();
    let without_city = records().project(&[0, 1, 3]).unwrap();
    let error = model.encode(&without_city).unwrap_err().to_string();
    assert!(error.contains("city"), "{error}");
    let mut rows = named();
    rows.iter_mut().for_each(|row| drop(row.remove("city")));
    let error = model.encode_named(&rows).unwrap_err().to_string();
    assert!(error.contains("city"), "{error}");
    rows = named();
    rows[1].insert("age".to_owned(), json!("old"));
    let error = model.encode_named(&rows).unwrap_err();
    assert!(error.to_string().contains("age") && error.to_string().contains("old"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Data);
    rows[1].insert("age".to_owned(), json!({ "years": 3 }));
    assert!(model.encode_named(&rows).unwrap_err().to_string().contains("column \"age\" holds an object"));
    let none = model.encode_named(&[]).unwrap();
    assert_eq!(model.predict(&none).unwrap().tasks, vec![Vec::<f32>::new(); 2]);
    let empty = RecordBatch::new_empty(Arc::new(ArrowSchema::new(vec![
        Field::new("age", DataType::Int64, true),
        Field::new("city", DataType::Utf8, true),
        Field::new("tags", DataType::Null, true),
    ])));
    assert_eq!(model.encode(&empty).unwrap().batch.rows, 0);
}

#[test]
fn a_kept_column_is_never_taken_for_another() {
    let (dir, model) = model();
    let source = Source::new(&[dir.path().join("rows.csv").display().to_string()], None).unwrap();
    let out = dir.path().join("p.arrow");
    let predict = |keep: &[&str], order: Option<Order>| {
        let keep = keep.iter().map(|&name| name.to_owned()).collect();
        let options = PredictOptions { keep, score: order.is_some(), order };
        model.predict_to(&source, &out, &options, &Interrupt::default(), &mut |_| ()).map(|(rows, _)| rows)
    };
    for keep in [&["click"][..], &["city", "city"]] {
        let error = predict(keep, None).unwrap_err();
        assert!(error.to_string().contains("in the file twice") && error.kind() == ErrorKind::Config, "{error}");
    }
    let error = predict(&["citi"], None).unwrap_err().to_string();
    assert!(error.contains("citi"), "{error}");
    // The file's own column of labels may be kept under no prediction's name, and the request is kept once.
    assert_eq!(predict(&["city"], Some(Order { by: Some("city".into()), top: Some(1) })).unwrap(), 3);
    assert_eq!(predict(&[], Some(Order { by: Some("city".into()), top: None })).unwrap(), 4);
    assert_eq!(predict(&["city", "tags"], Some(Order::default())).unwrap(), 4);
}
