//! What is no log, or a damaged one.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use serde_json::json;

use crate::client::{Server, folder, rows};
use crate::common::Folder;
use crate::table::{files, read, write};

/// A folder with a log of 6 requests of 12 candidates, `log/m`.
fn logged() -> Folder {
    let folder = folder();
    let mut server = Server::start(&folder, &["m=run/model", "--request-log", "log"]);
    for seed in 0..6 {
        server.rank(&json!({ "rows": rows(12, seed) })).ok();
    }
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(60)), Some(0));
    folder
}

/// The same rows with another column in the place of one.
fn replaced(rows: &RecordBatch, name: &str, array: ArrayRef) -> RecordBatch {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, own)| {
        let array = if field.name() == name { Arc::clone(&array) } else { Arc::clone(own) };
        (field.name().clone(), array)
    });
    RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap()
}

#[test]
fn what_is_no_log_is_refused() {
    let folder = logged();
    let [path] = &files(&folder.join("log/m"))[..] else { panic!("one file") };
    let whole = read(path);
    let bytes = std::fs::read(path).unwrap();
    folder.write("cut.parquet", &bytes[..bytes.len() / 2]);
    let save = |name: &str, rows: &RecordBatch| write(&folder.join(name), rows);
    let n = whole.num_rows();
    let without = |name: &str| {
        let keep: Vec<usize> = (0..whole.num_columns()).filter(|&at| whole.schema().field(at).name() != name).collect();
        whole.project(&keep).unwrap()
    };
    save("no-request.parquet", &without("pleiad_request"));
    save("no-prediction.parquet", &without("pleiad_prediction_spend"));
    save("no-number.parquet", &without("pleiad_number"));
    save("twice.parquet", &concat_batches(&whole.schema(), [&whole, &whole]).unwrap());
    let nan: ArrayRef = Arc::new(Float32Array::from(vec![f32::NAN; n]));
    save("nan.parquet", &replaced(&whole, "pleiad_prediction_buy", nan));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["many"; n]));
    save("words.parquet", &replaced(&whole, "pleiad_score", Arc::clone(&words)));
    save("scoring.parquet", &replaced(&whole, "pleiad_scoring", words));
    let tasks: ArrayRef = Arc::new(StringArray::from(vec![r#"{"tasks": ["other"], "given": {}}"#; n]));
    save("tasks.parquet", &replaced(&whole, "pleiad_scoring", tasks));
    let index: ArrayRef = Arc::new(Int64Array::from(vec![-1; n]));
    save("index.parquet", &replaced(&whole, "pleiad_index", index));
    let scores: ArrayRef = Arc::new(Float64Array::from(vec![0.5; n]));
    save("scores.parquet", &replaced(&whole, "pleiad_score", scores));
    save("empty.parquet", &whole.slice(0, 0));
    for (file, code, says) in [
        ("train.csv", 3, "no column begins with \"pleiad_prediction_\""),
        ("cut.parquet", 3, "cut.parquet"),
        ("none.parquet", 3, "none.parquet"),
        ("no-request.parquet", 3, "\"pleiad_request\""),
        ("no-prediction.parquet", 3, "a model with the tasks buy, spend"),
        ("twice.parquet", 3, "twice"),
        ("nan.parquet", 3, "column \"pleiad_prediction_buy\": not a finite number"),
        ("words.parquet", 3, "column \"pleiad_score\": not a finite number"),
        ("scoring.parquet", 3, "not what this version writes"),
        ("tasks.parquet", 3, "give the log of one model"),
        ("index.parquet", 3, "not a whole number, 0 or above"),
        ("no-number.parquet", 3, "missing"),
        ("empty.parquet", 3, "no rows"),
    ] {
        let ran = folder.run(&["replay", file]);
        assert_eq!(ran.code, Some(code), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{file}: {}", ran.stderr);
        assert!(ran.stdout.is_empty());
    }
    // Bits that are others are seen where they are read.
    let refused = |at: &usize| {
        let mut flipped = bytes.clone();
        flipped[*at] ^= 0x55;
        folder.write("flipped.parquet", &flipped);
        let code = folder.run(&["replay", "flipped.parquet", "--model", "run/model"]).code;
        assert!(code == Some(0) || code == Some(3), "byte {at}: {code:?}");
        code == Some(3)
    };
    let places: Vec<usize> = (1..20).map(|part| bytes.len() * part / 20).collect();
    assert!(places.iter().filter(|at| refused(at)).count() > 10);
    // Scores that are not those of the weights are told.
    let ran = folder.ok(&["replay", "scores.parquet"]);
    assert!(ran.stderr.contains("6 of 6 requests are not what"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let folder = logged();
    for (args, code, says) in [
        (&["--score", "bui=1"][..], 2, "did you mean `buy`?"),
        (&["--score", "buy"], 2, "expected TASK=VALUE"),
        (&["--score", "buy=high"], 2, "not a finite number"),
        (&["--set", "rank.transform.column=age"], 2, "give a model with --model"),
        (&["--set", "rank.transform.power=2", "--set", "rank.nothing=1"], 2, "unknown field `nothing`"),
        (&["--metric", "buy.auc"], 2, "take gauc, ndcg@K or recall@K"),
        (&["--outcome", "buy=bought", "--metric", "buy.gauc"], 3, "no column \"bought\""),
        (&["--model", "none"], 3, "none is not a model"),
        (&["--top", "0"], 2, "--top"),
        (&["--out", "order.txt"], 2, "order.txt"),
    ] {
        let ran = folder.run(&[&["replay", "log"], args].concat());
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.stderr);
    }
    let file = files(&folder.join("log/m"))[0].display().to_string();
    let ran = folder.run(&["replay", "log", "--out", &file]);
    assert!(ran.code == Some(2) && ran.stderr.contains("is one of the files to read"), "{}", ran.stderr);
    // Changes of the rest of [rank] need no model, where the log has what they read.
    folder.ok(&["replay", "log", "--set", "rank.transform.power=2", "--set", "rank.joint=true", "--fusion", "sum"]);
}
