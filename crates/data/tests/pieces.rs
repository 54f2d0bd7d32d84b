//! `pieces`: a number beside itself, piece by piece, alike from every file.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::common::{Folder, array, batch, json, parquet_bytes};
use arrow::array::{Float32Array, Float64Array, Int64Array};
use pleiad_data::{Encoder, Input};

const CONFIG: &str = "[data]\ntrain = 'log.csv'\n\
    [[feature]]\ncolumns = ['x']\nkind = 'numeric'\ntransform = ['standardize']\nmissing = 'mean'\npieces = 4\n\
    [[feature]]\ncolumns = ['z']\nkind = 'numeric'\n\
    [[task]]\nname = 'y'\nkind = 'binary'\nlabel = { column = 'y' }\n";

/// 0 to 10 in steps of 0.1.
fn numbers() -> Vec<f64> {
    (0..=100).map(|i| f64::from(i) / 10.0).collect()
}

fn log() -> String {
    let rows = numbers().into_iter().enumerate().map(|(i, x)| format!("{x},{i},{}\n", i % 2));
    format!("x,z,y\n{}", rows.collect::<String>())
}

#[test]
fn pieces_stand_behind_the_number_and_follow_their_formula() {
    let folder = Folder::new();
    folder.write("log.csv", log());
    let splits = folder.load(CONFIG).unwrap();
    let names: Vec<&str> = splits.encoder.layout().inputs.iter().map(Input::name).collect();
    assert_eq!(names, ["x", "x.pieces", "x.pieces", "x.pieces", "x.pieces", "z"]);
    let rows = splits.train.as_batch();
    for (i, (row, x)) in rows.numeric.chunks_exact(6).zip(numbers()).enumerate() {
        for (t, found) in row[1..5].iter().enumerate() {
            let expected = ((x - 2.5 * t as f64) / 2.5).clamp(0.0, 1.0);
            assert!((f64::from(*found) - expected).abs() < 1e-6, "row {i}, piece {t}: {found}, not {expected}");
        }
        assert_eq!(row[5], i as f32);
    }
    assert_eq!(splits.counts[0].len(), 3, "a count for each feature");
    // A missing value is the mean, 5.
    let request = batch(vec![
        ("x", array(Float64Array::from(vec![None, Some(-7.0), Some(70.0)]))),
        ("z", array(Int64Array::from(vec![1, 2, 3]))),
    ]);
    let encoder: Encoder = serde_json::from_str(&json(&splits.encoder)).unwrap();
    assert_eq!(json(&encoder), json(&splits.encoder));
    let encoded = encoder.encode_rows(&request, false).unwrap();
    assert_eq!(encoded.numeric[1..5], [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(encoded.numeric[7..11], [0.0; 4]);
    assert_eq!(encoded.numeric[13..17], [1.0; 4]);
}

#[test]
fn every_file_gives_the_same_rows() {
    let folder = Folder::new();
    folder.write("log.csv", log());
    let from_csv = folder.load(CONFIG).unwrap();
    let narrow = Float32Array::from_iter_values(numbers().into_iter().map(|x| x as f32));
    let table = batch(vec![
        ("x", array(narrow)),
        ("z", array(Int64Array::from_iter_values(0..101))),
        ("y", array(Int64Array::from_iter_values((0..101).map(|i| i % 2)))),
    ]);
    folder.write("log.parquet", parquet_bytes(&table, 40));
    for config in [CONFIG.to_owned(), CONFIG.replace("missing = 'mean'\n", "")] {
        let from_csv = folder.load(&config).unwrap();
        let from_parquet = folder.load(&config.replace("log.csv", "log.parquet")).unwrap();
        assert_eq!(from_parquet.train, from_csv.train);
    }
    assert_eq!(from_csv.train.rows(), 101);
}

#[test]
fn hostile_boundaries_and_counts_are_refused() {
    let folder = Folder::new();
    folder.write("log.csv", log());
    let good = serde_json::to_value(&folder.load(CONFIG).unwrap().encoder).unwrap();
    for boundaries in
        [serde_json::json!([1.0]), serde_json::json!([2.0, 1.0]), serde_json::json!([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])]
    {
        let mut bad = good.clone();
        bad["fitted"][1]["pieces"]["boundaries"] = boundaries;
        let error = serde_json::from_value::<Encoder>(bad).unwrap_err().to_string();
        assert!(error.contains("feature \"x.pieces\": the boundaries of its pieces"), "{error}");
    }
    for pieces in ["0", "1", "1025"] {
        let (_, message) = folder.failure(&CONFIG.replace("pieces = 4", &format!("pieces = {pieces}")));
        assert!(message.contains(&format!("pieces: must be 2 to 1024, not {pieces}")), "{message}");
    }
}
