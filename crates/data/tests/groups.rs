//! Groups of rows that are measured together: known of validation and test rows, wherever these come from.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::common::{Folder, TestConfig, batch};
use arrow::array::{ArrayRef, Float64Array, Int64Array};
use pleiad_data::schema::Groups;
use pleiad_data::{Batch, Encoder, Error, LoadOptions, Schema, Splits, StoredRows, StoredSplits};
use xxhash_rust::xxh64::xxh64;

const CONFIG: &str = r#"
[data]
train = "train.csv"
valid = { fraction = 0.3 }
test = "test.csv"
on_bad_row = "skip"
CACHE

[[feature]]
columns = ["x"]
kind = "numeric"

[[task]]
name = "click"
kind = "binary"
label = { column = "click" }
"#;

/// Some rows are bad, some have no user.
fn log(rows: u64) -> String {
    let row = |row: u64| {
        let x = if row % 50 == 7 { "old".to_owned() } else { row.to_string() };
        format!("{x},{},{}\n", row % 3 % 2, user(row))
    };
    "x,click,user\n".to_owned() + &(0..rows).map(row).collect::<String>()
}

fn user(row: u64) -> String {
    if row.is_multiple_of(31) { String::new() } else { (row * row % 101).to_string() }
}

fn group(text: &str) -> u64 {
    if text.is_empty() { 0 } else { xxh64(text.as_bytes(), 0) }
}

fn schema(config: &TestConfig, column: &str) -> Schema {
    config.schema().unwrap().with_groups(Some(Groups { column: column.to_owned(), k: vec![10] })).unwrap()
}

/// Groups of rows by what is in `x`, which is the row's number.
fn expected(rows: &Batch) -> Vec<u64> {
    rows.numeric.iter().map(|&row| group(&user(row as u64))).collect()
}

fn all(rows: &StoredRows) -> Batch {
    let mut blocks = (0..rows.blocks()).map(|block| rows.read(block).unwrap());
    let mut all = blocks.next().unwrap();
    blocks.for_each(|block| all.append(&block));
    all
}

#[test]
fn measured_rows_have_the_group_of_their_column() {
    let folder = Folder::new();
    folder.write("train.csv", log(20_000));
    folder.write("test.csv", log(500));
    let load = |cache: &str| {
        let config = TestConfig::parse(&CONFIG.replace("CACHE", cache));
        let schema = schema(&config, "user");
        Splits::load(&config.data, folder.path(), &schema, LoadOptions::default()).unwrap()
    };
    let plain = load("");
    let (valid, test) = (plain.valid.as_ref().unwrap().as_batch(), plain.test.as_ref().unwrap().as_batch());
    assert!(plain.train.as_batch().groups.is_empty(), "nothing is measured on training rows");
    assert!(valid.rows > 5000 && test.rows == 490, "{} {}", valid.rows, test.rows);
    assert_eq!(valid.groups, expected(valid));
    assert_eq!(test.groups, expected(test));
    assert!(test.groups.contains(&0));

    for cached in [load("cache = \"cache\""), load("cache = \"cache\"")] {
        assert_eq!((&cached.train, &cached.valid, &cached.test), (&plain.train, &plain.valid, &plain.test));
    }
    let config = TestConfig::parse(&CONFIG.replace("CACHE", ""));
    let stored =
        StoredSplits::load(&config.data, folder.path(), &schema(&config, "user"), LoadOptions::default()).unwrap();
    assert_eq!(&all(&stored.train), plain.train.as_batch());
    assert_eq!((&all(stored.valid.as_ref().unwrap()), &all(stored.test.as_ref().unwrap())), (valid, test));

    // Without groups the same rows have none.
    let without = folder.load(&CONFIG.replace("CACHE", "")).unwrap();
    assert!(without.valid.unwrap().as_batch().groups.is_empty());
}

#[test]
fn one_value_is_one_group_in_every_type() {
    let folder = Folder::new();
    folder.write("train.csv", log(100));
    folder.write("test.csv", log(20));
    let config = TestConfig::parse(&CONFIG.replace("CACHE", ""));
    let schema = schema(&config, "user");
    let encoder = Splits::load(&config.data, folder.path(), &schema, LoadOptions::default()).unwrap().encoder;
    let rows = |user: ArrayRef| {
        let x: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
        let click: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 0]));
        batch(vec![("x", x), ("click", click), ("user", user)])
    };
    let groups = |user: ArrayRef| encoder.encode_rows(&rows(user), true).unwrap().groups;
    let expected = [group("7"), 0, group("8")];
    assert_eq!(groups(Arc::new(Int64Array::from(vec![Some(7), None, Some(8)]))), expected);
    assert_eq!(groups(Arc::new(Float64Array::from(vec![Some(7.0), None, Some(8.0)]))), expected);
    let infinite: ArrayRef = Arc::new(Float64Array::from(vec![7.0, f64::INFINITY, 8.0]));
    assert!(encoder.encode_rows(&rows(infinite), true).is_err(), "it is no category");

    // Where no label is asked for, no group is.
    let some = rows(Arc::new(Int64Array::from(vec![1, 2, 3])));
    assert!(encoder.encode_rows(&some.project(&[0]).unwrap(), false).unwrap().groups.is_empty());
    let saved: Encoder = serde_json::from_str(&serde_json::to_string(&encoder).unwrap()).unwrap();
    assert_eq!(saved.schema().groups, schema.groups);
}

#[test]
fn a_column_that_is_not_there_is_told_with_the_nearest() {
    let folder = Folder::new();
    folder.write("train.csv", log(100));
    folder.write("test.csv", log(20));
    let config = TestConfig::parse(&CONFIG.replace("CACHE", ""));
    let schema = schema(&config, "users");
    let error = Splits::load(&config.data, folder.path(), &schema, LoadOptions::default()).unwrap_err();
    assert!(matches!(error, Error::MissingColumn(_)), "{error}");
    let text = error.to_string();
    for says in ["\"users\"", "`group` in [metrics]", "\"user\""] {
        assert!(text.contains(says), "{says}: {text}");
    }
}
