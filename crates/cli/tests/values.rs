//! A table as CSV and as Parquet: the same model, the same predictions, the same cut.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::common::Folder;
use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};

const CONFIG: &str = r#"[data]
train = "log.csv"
valid = { column = "seen", from = 2026-01-03 }

[[feature]]
columns = ["member", "visits", "price", "seen"]
kind = "categorical"
embedding = 2

[[feature]]
columns = ["account"]
kind = "categorical"
encoding = { hash = 1009 }
embedding = 2

[[task]]
name = "buy"
kind = "binary"
label = { column = "buy" }

[model]
kind = "single-task"
bottom = [4]
tower = [2]

[train]
epochs = 2
batch_size = 16
seed = 7
"#;

/// Microseconds of a day, and of 2026-01-01.
const DAY: i64 = 86_400_000_000;
const START: i64 = 20_454 * DAY;

fn parquet(table: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, table.schema(), None).unwrap();
    writer.write(table).unwrap();
    writer.close().unwrap();
    bytes
}

/// The log, and what pandas' `to_csv` writes of it.
fn log() -> (RecordBatch, String) {
    let rows = 0..96_i64;
    let columns: [(&str, ArrayRef); 6] = [
        ("member", Arc::new(rows.clone().map(|i| (i % 5 != 4).then_some(i % 2 == 0)).collect::<BooleanArray>())),
        ("visits", Arc::new(rows.clone().map(|i| (i % 7 != 6).then_some((i % 7) as f64)).collect::<Float64Array>())),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter_values(rows.clone().map(|i| i128::from(i % 4) * 50))
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        (
            "seen",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(rows.clone().map(|i| START + i % 8 * DAY / 2))
                    .with_timezone("UTC"),
            ),
        ),
        ("account", Arc::new(Int64Array::from_iter_values(rows.clone().map(|i| (1 << 53) + i % 9)))),
        ("buy", Arc::new(Int64Array::from_iter_values(rows.clone().map(|i| i % 3 / 2)))),
    ];
    let table = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let line = |i: i64| {
        let member = if i % 5 == 4 { "" } else { ["True", "False"][(i % 2) as usize] };
        let visits = if i % 7 == 6 { String::new() } else { format!("{}.0", i % 7) };
        let price = format!("{}.{}0", i % 4 / 2, i % 2 * 5);
        let seen = format!("2026-01-{:02} {}:00:00+00:00", 1 + i % 8 / 2, ["00", "12"][(i % 2) as usize]);
        format!("{member},{visits},{price},{seen},{},{}\n", (1_i64 << 53) + i % 9, i % 3 / 2)
    };
    let csv = std::iter::once("member,visits,price,seen,account,buy\n".to_owned()).chain(rows.map(line)).collect();
    (table, csv)
}

fn folder() -> Folder {
    let folder = Folder::empty();
    let (table, csv) = log();
    folder.write("log.csv", csv);
    folder.write("log.parquet", parquet(&table));
    folder.write("config.toml", CONFIG);
    folder
}

#[test]
fn csv_and_parquet_train_and_predict_alike() {
    let folder = folder();
    let mut predictions = Vec::new();
    for file in ["log.csv", "log.parquet"] {
        let set = format!("data.train={file}");
        folder.ok(&["train", "config.toml", "--out", file.trim_start_matches("log."), "--set", &set]);
    }
    for model in ["csv/model", "parquet/model"] {
        for file in ["log.csv", "log.parquet"] {
            folder.ok(&["predict", model, "--data", file, "--out", "p.csv"]);
            predictions.push(folder.text("p.csv"));
        }
    }
    assert!(predictions.windows(2).all(|pair| pair[0] == pair[1]));
    let mut different: Vec<&str> = predictions[0].lines().skip(1).collect();
    different.sort_unstable();
    different.dedup();
    assert!(different.len() > 20, "{} different predictions", different.len());
}

#[test]
fn a_time_cuts_at_the_same_row_however_it_is_written() {
    let folder = folder();
    for (run, bound) in
        ["2026-01-03", "\"2026-01-03 00:00:00\"", "2026-01-03T00:00:00Z", "\"2026-01-02T23:00:00-01:00\""]
            .into_iter()
            .enumerate()
    {
        for file in ["log.csv", "log.parquet"] {
            let valid = format!("data.valid={{ column = \"seen\", from = {bound} }}");
            let (run, train) = (format!("{run}-{file}"), format!("data.train={file}"));
            folder.ok(&["train", "config.toml", "--out", &run, "--set", &valid, "--set", &train]);
            let rows = &folder.json(&format!("{run}/metrics.json"))["rows"];
            assert_eq!((&rows["train"]["rows"], &rows["valid"]["rows"]), (&48.into(), &48.into()), "{bound} {file}");
        }
    }
}

#[test]
fn a_bound_of_another_type_is_named() {
    let folder = folder();
    let parquet = ["--set", "data.train=log.parquet"];
    for (set, column, key) in [
        ("data.valid={ column = \"seen\", from = 5 }", "seen", "valid.from in [data]"),
        ("data.valid={ column = \"account\", to = 2026-01-03 }", "account", "valid.to in [data]"),
        ("task.0.where={ column = \"member\", equals = \"yes\" }", "member", "where.equals of task \"buy\""),
    ] {
        let ran = folder.run(&[&["train", "config.toml", "--out", "run", "--set", set], &parquet[..]].concat());
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("column \"{column}\"")) && ran.stderr.contains(key), "{}", ran.stderr);
    }
}
