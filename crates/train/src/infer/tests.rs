use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::*;
use crate::ConfigFile;

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let fields = columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.iter().map(|(_, values)| Arc::clone(values)).collect()).unwrap()
}

fn whole(of: impl Fn(i64) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..1000).map(of)))
}

fn options(labels: &[&str]) -> InferOptions {
    let labels = labels.iter().map(|&label| label.to_owned()).collect();
    InferOptions { labels, train: vec!["rows.arrow".to_owned()], ..InferOptions::default() }
}

fn inferred(columns: &[(&str, ArrayRef)], labels: &[&str]) -> Result<Inferred, InferProblem> {
    infer(&Sample::of_batches(&[batch(columns)], &[]).unwrap(), &options(labels))
}

/// A column that has little to do with any other.
fn noise(of: u64) -> ArrayRef {
    whole(move |row| {
        (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ of.wrapping_mul(0xD1B5_4A32_D192_ED03)).rotate_left(17) as i64
            & 63
    })
}

#[test]
fn rows_in_memory_need_no_file() {
    let columns = [("age", noise(1)), ("click", whole(|row| i64::from(row % 3 == 0)))];
    let found = inferred(&columns, &[]).unwrap();
    assert_eq!((found.tasks, found.features, found.tasks_are_guessed), (vec!["click".to_owned()], 1, true));
    let config = ConfigFile::parse("config.toml".as_ref(), found.toml, &[]).unwrap();
    assert_eq!(config.schema.features.len(), 3, "the number, its pieces, and its exact values");
}

#[test]
fn what_says_a_label_is_left_out() {
    let click = |row: i64| i64::from(row % 3 == 0);
    let columns = [
        ("fair", noise(2)),
        ("twin", whole(move |row| 7 - click(row))),
        ("nearly", whole(move |row| click(row) * 1000 + row % 400)),
        ("watch_seconds", whole(move |row| click(row) * 30 + row % 100)),
        ("video_seconds", whole(move |row| click(row) * 30 + row % 100)),
        ("share", whole(move |row| i64::from(row % 7 == 0))),
        ("click", whole(click)),
    ];
    let found = inferred(&columns, &["click"]).unwrap();
    let reasons: HashMap<&str, &str> =
        found.left_out.iter().map(|out| (out.column.as_str(), out.reason.as_str())).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons["twin"].contains("in 100.00 % of the rows"), "{reasons:?}");
    assert!(reasons["nearly"].contains("AUC of 1.000"), "{reasons:?}");
    assert!(reasons["watch_seconds"].contains("speaks of what is known afterwards"), "{reasons:?}");
    assert!(reasons.contains_key("share"), "it looks like a label");
    assert!(
        found.toml.contains("\n    \"fair\",") && found.toml.contains("\n    \"video_seconds\","),
        "{}",
        found.toml
    );
}

#[test]
fn a_label_that_is_there_where_another_is_positive_has_that_space() {
    let like: ArrayRef =
        Arc::new(Int64Array::from_iter((0..1000).map(|row| (row % 2 == 0).then_some(i64::from(row % 5 == 0)))));
    let columns = [("x", noise(3)), ("click", whole(|row| i64::from(row % 2 == 0))), ("like", like)];
    let found = inferred(&columns, &[]).unwrap();
    assert!(found.toml.contains("where = { column = \"click\", equals = 1 }"), "{}", found.toml);
}

#[test]
fn numbers_among_which_a_text_says_missing_are_numbers() {
    let texts = (0..1000).map(|row| if row % 9 == 0 { "NA".to_owned() } else { (row % 40).to_string() });
    let columns: [(&str, ArrayRef); 3] = [
        ("income", Arc::new(StringArray::from_iter_values(texts))),
        ("price", Arc::new(Float64Array::from_iter_values((0..1000).map(|row| (f64::from(row % 97) / 10.0).exp())))),
        ("y", whole(|row| row * 7 % 31)),
    ];
    let found = inferred(&columns, &[]).unwrap();
    for expected in ["null = [\"\", \"NA\"]", "missing = \"mean\"", "\"log1p\"", "kind = \"regression\""] {
        assert!(found.toml.contains(expected), "{expected}: {}", found.toml);
    }
}

/// Without its `#`, the [rank] of the comment is one that holds.
#[test]
fn the_score_that_is_offered_holds() {
    let share = |row: i64| f64::from(u8::from(row % 3 == 0)) * (row % 50) as f64 / 50.0;
    let columns = [
        ("age", noise(1)),
        ("click", whole(|row| i64::from(row % 3 == 0))),
        ("watched part", Arc::new(Float64Array::from_iter_values((0..1000).map(share))) as ArrayRef),
        ("profit", whole(|row| row * 37 % 101 - 50)),
    ];
    let found = inferred(&columns, &["click", "watched part", "profit"]).unwrap();
    let toml = found.toml.lines().map(|line| match line.strip_prefix("# ") {
        Some(key) if ["[rank]", "score = ", "floor = "].iter().any(|start| key.starts_with(start)) => key,
        _ => line,
    });
    let config = ConfigFile::parse("config.toml".as_ref(), toml.collect::<Vec<_>>().join("\n"), &[]).unwrap();
    let rank = config.config.rank.expect("[rank]");
    // A profit may be negative, and has no root then.
    assert_eq!(rank.score.keys().collect::<Vec<_>>(), ["click", "watched part"]);
    assert_eq!(rank.floor.keys().collect::<Vec<_>>(), ["watched part"]);
}

#[test]
fn words_of_a_shell_are_quoted() {
    assert_eq!(shell("share:click"), "share:click");
    assert_eq!(shell("a b"), "'a b'");
    assert_eq!(shell("it's"), r"'it'\''s'");
    assert_eq!(shell(""), "''");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever columns are called, the configuration is read back and means these columns.
    #[test]
    fn any_names_are_written_so_that_they_are_read(names in prop::collection::vec(any::<String>(), 1..6), label in any::<String>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut columns: Vec<(&str, ArrayRef)> =
            names.iter().enumerate().map(|(at, name)| (name.as_str(), noise(at as u64 + 5))).collect();
        columns.push((&label, whole(|row| i64::from(row % 3 == 0))));
        let batch = batch(&columns);
        let mut writer = FileWriter::try_new(std::fs::File::create(folder.path().join("rows.arrow")).unwrap(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let sample = Sample::of_batches(&[batch], &[]).unwrap();
        match infer(&sample, &options(&[&label])) {
            Err(InferProblem::Label { .. } | InferProblem::NoFeature { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
            Ok(found) => {
                let config = ConfigFile::parse(&folder.path().join("config.toml"), found.toml.clone(), &[]);
                let config = config.map_err(|error| TestCaseError::fail(format!("{error}\n{}", found.toml)))?;
                prop_assert_eq!(&config.schema.tasks[0].label.column, &label);
                for feature in &config.schema.features {
                    let known = names.iter().any(|name| name == feature.column());
                    prop_assert!(known, "{:?} is no column", feature.column());
                }
            }
        }
    }
}
