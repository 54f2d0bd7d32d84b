//! `exact`: frequent values of a number as categories beside it, alike from every file.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::common::{Folder, array, batch, json, parquet_bytes};
use arrow::array::{Array, ArrayRef, Decimal128Array, Float32Array, Float64Array, Int64Array};
use pleiad_data::{Encoder, Ids, Input};

const CONFIG: &str = "[data]\ntrain = 'log.csv'\n\
    [[feature]]\ncolumns = ['gain']\nkind = 'numeric'\ntransform = ['log1p', 'standardize']\nmissing = 'zero'\n\
    exact = { embedding = 4, min_count = 2 }\n\
    [[feature]]\ncolumns = ['age']\nkind = 'numeric'\n\
    [[task]]\nname = 'y'\nkind = 'binary'\nlabel = { column = 'y' }\n";

/// Gains of 12 rows: 0 and missing in three, 1.5 and 99999 in two, the others in one.
const GAINS: [Option<f64>; 12] = [
    Some(0.0),
    Some(99_999.0),
    None,
    Some(1.5),
    Some(0.0),
    Some(7.0),
    None,
    Some(1.5),
    Some(0.0),
    Some(99_999.0),
    Some(8.0),
    None,
];

/// Each number in another of the ways that programs write it.
fn log() -> String {
    let texts = ["0", "99999", "", "1.5", "0.0", "7", "NaN", "1.50", "-0.0", "9.9999e+04", "8", ""];
    let rows = texts.iter().enumerate().map(|(i, text)| format!("{text},{i},{}\n", i % 2));
    format!("gain,age,y\n{}", rows.collect::<String>())
}

#[test]
fn frequent_numbers_have_rows_and_rare_ones_share_row_0() {
    let folder = Folder::new();
    folder.write("log.csv", log());
    let splits = folder.load(CONFIG).unwrap();
    let inputs: Vec<(&str, usize)> =
        splits.encoder.layout().inputs.iter().map(|input| (input.name(), input.width())).collect();
    assert_eq!(inputs, [("gain", 1), ("gain.exact", 4), ("age", 1)]);
    let Input::Categorical { table, rows, .. } = &splits.encoder.layout().inputs[1] else { panic!() };
    assert_eq!((table.as_str(), *rows), ("gain.exact", 5));
    let named: Vec<_> = (0..5).map(|row| splits.encoder.value_of_row("gain.exact", row)).collect();
    // Most frequent first, ties in the order of their bytes.
    assert_eq!(named, [None, Some("0"), Some("NaN"), Some("1.5"), Some("99999")]);
    let rows = splits.train.as_batch();
    assert_eq!(rows.categorical, [Ids::Single(vec![1, 4, 2, 3, 1, 0, 2, 3, 1, 4, 0, 2])]);
    // The number goes on as it does without.
    let alone = folder.load(&CONFIG.replace("exact = { embedding = 4, min_count = 2 }\n", "")).unwrap();
    assert_eq!(alone.train.as_batch().numeric, rows.numeric);
    assert!(alone.train.as_batch().categorical.is_empty());
}

#[test]
fn every_file_gives_the_same_rows() {
    let folder = Folder::new();
    folder.write("log.csv", log());
    let from_csv = folder.load(CONFIG).unwrap();
    let ages: ArrayRef = array(Int64Array::from_iter_values(0..12));
    let labels: ArrayRef = array(Int64Array::from_iter_values((0..12).map(|i| i % 2)));
    let decimals = GAINS.map(|gain| gain.map(|gain| (gain * 100.0) as i128));
    let decimals = Decimal128Array::from(decimals.to_vec()).with_precision_and_scale(20, 2).unwrap();
    let gains: [ArrayRef; 3] = [
        array(Float64Array::from(GAINS.to_vec())),
        array(Float32Array::from(GAINS.map(|gain| gain.map(|gain| gain as f32)).to_vec())),
        array(decimals),
    ];
    for gain in gains {
        let kind = gain.data_type().clone();
        let table = batch(vec![("gain", gain), ("age", ages.clone()), ("y", labels.clone())]);
        folder.write("log.parquet", parquet_bytes(&table, 5));
        let from_parquet = folder.load(&CONFIG.replace("log.csv", "log.parquet")).unwrap();
        assert_eq!(from_parquet.train, from_csv.train, "{kind}");
        assert_eq!(from_csv.encoder.encode_rows(&table, true).unwrap(), *from_csv.train.as_batch(), "{kind}");
    }
}

#[test]
fn a_saved_encoder_reads_on_and_takes_new_values_for_rare_ones() {
    let folder = Folder::new();
    folder.write("log.csv", log());
    let splits = folder.load(CONFIG).unwrap();
    let encoder: Encoder = serde_json::from_str(&json(&splits.encoder)).unwrap();
    assert_eq!(json(&encoder), json(&splits.encoder));
    let gains: ArrayRef = array(Float64Array::from(vec![99_999.0, 99_998.0, 1e300_f64.ln(), 0.1]));
    let request = batch(vec![("gain", gains), ("age", array(Int64Array::from(vec![1, 2, 3, 4])))]);
    let encoded = encoder.encode_rows(&request, false).unwrap();
    assert_eq!(encoded.categorical, [Ids::Single(vec![4, 0, 0, 0])]);
}

#[test]
fn a_bad_number_is_told_once_by_its_column() {
    let folder = Folder::new();
    folder.write("log.csv", "gain,age,y\n1,2,0\nmany,3,1\n");
    let (_, message) = folder.failure(CONFIG);
    assert!(message.contains("line 3 (row 2), column \"gain\": \"many\" is not a number"), "{message}");
    // A missing one is a bad row where the number says so.
    folder.write("log.csv", "gain,age,y\n1,2,0\n,3,1\n");
    let (_, message) = folder.failure(&CONFIG.replace("missing = 'zero'\n", ""));
    assert!(message.contains("line 3 (row 2), column \"gain\""), "{message}");
}

#[test]
fn exact_alone_is_an_encoding() {
    let folder = Folder::new();
    folder.write("log.csv", log());
    let alone = CONFIG.replace(
        "kind = 'numeric'\ntransform = ['log1p', 'standardize']\nmissing = 'zero'\nexact = { embedding = 4, min_count = 2 }",
        "kind = 'categorical'\nencoding = { exact = { min_count = 2 } }\nembedding = 4",
    );
    let (beside, alone) = (folder.load(CONFIG).unwrap(), folder.load(&alone).unwrap());
    assert_eq!(alone.encoder.layout().inputs[0].name(), "gain");
    assert_eq!(alone.train.as_batch().categorical, beside.train.as_batch().categorical);
}
