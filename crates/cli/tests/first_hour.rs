//! `pleiad init`: a configuration that trains as it stands, of any table.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::sync::Arc;

use crate::common::{Folder, log};
use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, NullArray, StringArray, StructArray,
    TimestampSecondArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const QUICK: [&str; 6] = ["--set", "train.epochs=1", "--set", "train.explain=false", "--threads", "1"];

/// Writes columns as an Arrow file, in which a name may stand twice.
fn write_arrow(folder: &Folder, name: &str, columns: Vec<(&str, ArrayRef)>) {
    let fields: Vec<Field> = columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, c)| c).collect()).unwrap();
    let file = std::fs::File::create(folder.join(name)).unwrap();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
}

fn trains(folder: &Folder, config: &str) {
    folder.ok(&[&["train", config, "--out", &format!("run-of-{config}")], &QUICK[..]].concat());
}

#[test]
fn a_video_log_trains_with_the_labels_and_spaces_that_are_to_be_seen() {
    let folder = Folder::empty();
    folder.ok(&["synth", "video", "--rows", "6000", "--with-truth", "--out", "log.parquet"]);
    let ran = folder.ok(&["init", "log.parquet", "--out", "config.toml"]);
    assert!(
        ran.stderr.contains("labels, by their names and values: click, valid_view, completion, share, comment"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("pleiad train config.toml --out run"), "{}", ran.stdout);
    let text = folder.text("config.toml");
    assert_eq!(text.matches("where = { column = \"click\", equals = 1 }").count(), 4, "{text}");
    for column in ["user_id", "video_seconds", "tags", "hour"] {
        assert!(
            text.contains(&format!("\n    \"{column}\",")) || text.contains(&format!("[\"{column}\"]")),
            "{column}: {text}"
        );
    }
    assert!(text.contains("#     \"true_completion\""), "what no log has is left out: {text}");
    trains(&folder, "config.toml");
    folder.ok(&["init", "log.parquet", "--label", "click", "--label", "share:click", "--out", "two.toml"]);
    let text = folder.text("two.toml");
    assert_eq!(text.matches("[[task]]").count(), 2 + 1, "two, and one in a comment: {text}");
    let (_, out) = text.split_once("# Left out").unwrap();
    for label in ["\"valid_view\"", "\"completion\"", "\"comment\""] {
        assert!(out.contains(label), "{label}: {text}");
    }
    trains(&folder, "two.toml");
}

#[test]
fn numbers_of_regressions_train_and_runs_of_names_are_ranges() {
    let folder = Folder::empty();
    folder.ok(&["synth", "factors", "--rows", "800", "--out", "log.csv.gz"]);
    folder.ok(&["init", "log.csv.gz", "--out", "config.toml"]);
    assert!(folder.text("config.toml").contains("columns = [\"x[0..64]\"]"));
    trains(&folder, "config.toml");
    folder.ok(&["synth", "paper", "--rows", "600", "--dimension", "300", "--out", "wide.parquet"]);
    folder.ok(&["init", "wide.parquet", "--out", "wide.toml"]);
    let text = folder.text("wide.toml");
    assert!(text.contains("x[0..300]") && !text.contains("\npieces"), "{text}");
    trains(&folder, "wide.toml");
}

#[test]
fn a_file_without_header_with_spaces_and_texts_for_labels() {
    let folder = Folder::empty();
    let mut text = String::new();
    for i in 0..700 {
        let (earns, state) =
            if i % 7 == 3 { ("50000+.", "Widowed") } else { ("- 50000.", ["Single", "Divorced"][i % 2]) };
        writeln!(text, "{}, {}, 0, {}, {state}, {earns}", 18 + i * 13 % 60, ["Private", "?"][i % 2], i * 7 % 53)
            .unwrap();
    }
    folder.write("census.csv", text);
    let ran = folder.run(&["init", "census.csv", "--out", "config.toml"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("--label c5") && ran.stderr.contains("the first row holds values"), "{}", ran.stderr);
    assert!(ran.stderr.contains("pleiad init census.csv --label c5 --out config.toml"), "{}", ran.stderr);
    let json = folder.run(&["--format", "json", "init", "census.csv"]);
    let error = json.stderr.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(error).unwrap()["error"]["candidates"][0], "c5", "{error}");
    let ran = folder.run(&["init", "census.csv", "--label", "c4"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--label c4=Divorced") || ran.stderr.contains("--label c4=Single"), "{}", ran.stderr);
    folder.ok(&["init", "census.csv", "--label", "c5", "--label", "c4=Widowed", "--out", "config.toml"]);
    let text = folder.text("config.toml");
    assert!(text.contains("header = false") && text.contains("trim = true"), "{text}");
    assert!(text.contains("positive = \"50000+.\"") && text.contains("positive = \"Widowed\""), "{text}");
    assert!(text.contains("#     \"c2\""), "a constant is left out: {text}");
    trains(&folder, "config.toml");
}

#[test]
fn mistakes_are_told_with_the_nearest_name() {
    let folder = Folder::with_log();
    for (arguments, code, expected) in [
        (vec!["init", "train.csv", "--label", "spent"], 2, "there is no column \"spent\"; did you mean \"spend\"?"),
        (
            vec!["init", "train.csv", "--label", "spend:visit"],
            2,
            "there is no column \"visit\"; did you mean \"visits\"?",
        ),
        (vec!["init", "train.csv", "--label", "city"], 2, "it has 4 values"),
        (vec!["init", "train.csv", "--label", "city=Limo"], 2, "no row that was read has \"Limo\""),
        (vec!["init", "train.csv", "--label", "buy", "--label", "buy"], 2, "named twice"),
        (vec!["init", "train.csv", "--label", "buy:buy"], 2, "its own sample space"),
        (vec!["init", "none.csv"], 3, "none.csv"),
        (vec!["init", "train.csv", "--out", "config.toml"], 2, "config.toml exists"),
        (vec!["init", "train.csv", "--out", "no/where.toml"], 1, "no/where.toml"),
        (vec!["init", "-"], 2, "write them to a file first"),
        (vec!["init"], 2, "<DATA>"),
    ] {
        let ran = folder.run(&arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let folder = Folder::empty();
    folder.write("empty.csv", "");
    folder.write("header.csv", "a,click\n");
    folder.write("one.csv", "a,click\n1,1\n");
    folder.write("blank.csv", format!("a,click\n{}", ",\n".repeat(30)));
    folder.write("alone.csv", format!("a,click\n{}", "1,0\n1,1\n".repeat(30)));
    for (file, code, expected) in [
        ("empty.csv", 3, "empty"),
        ("header.csv", 3, "there are no rows"),
        ("one.csv", 2, "No column has two values"),
        ("blank.csv", 2, "No column has two values"),
        ("alone.csv", 2, "\"a\": \"1\" in every row"),
    ] {
        let ran = folder.run(&["init", file]);
        assert_eq!(ran.code, Some(code), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{file}: {}", ran.stderr);
    }
    let ran = folder.run(&["init", "one.csv", "--label", "click"]);
    assert!(ran.stderr.contains("\"1\" in all 1 rows"), "{}", ran.stderr);
}

#[test]
fn odd_types_and_names_are_quoted_or_left_out() {
    let folder = Folder::empty();
    let rows = 640;
    let numbers =
        |step: usize| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..rows).map(|i| (i * step % 31) as i64))) };
    let inner: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let nested = StructArray::from(vec![(Arc::new(Field::new("n", DataType::Int64, true)), Arc::clone(&inner))]);
    let of_lists = (0..rows).map(|i| Some(vec![Some(i as i64 % 5), Some(7)]));
    let vectors = (0..rows).map(|i| Some(vec![Some(i as f64 / 7.0), None]));
    let times = TimestampSecondArray::from_iter_values((0..rows).map(|i| 1_760_000_000 + i as i64 * 3600));
    let labels: ArrayRef = Arc::new(BooleanArray::from_iter((0..rows).map(|i| Some(i * 7 % 31 > 20))));
    let wild: ArrayRef =
        Arc::new(Float64Array::from_iter_values((0..rows).map(|i| if i == 3 { f64::INFINITY } else { i as f64 })));
    write_arrow(
        &folder,
        "odd.arrow",
        vec![
            ("a \"b\".c\n\u{202e}#", numbers(3)),
            ("twice", numbers(5)),
            ("twice", numbers(7)),
            ("", numbers(11)),
            ("x[0..3]", numbers(13)),
            ("star*[a]?", numbers(7)),
            ("ünï.exact", numbers(7)),
            ("ünï", numbers(9)),
            ("nothing", Arc::new(NullArray::new(rows))),
            ("nested", Arc::new(nested)),
            ("lists", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(of_lists))),
            ("vectors", Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(vectors))),
            ("when", Arc::new(times)),
            ("row_id", inner),
            ("wild", wild),
            ("shared.click", labels),
            ("request_id", Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("r{}", i / 4))))),
        ],
    );
    folder.ok(&["init", "odd.arrow", "--label", "shared.click", "--out", "config.toml"]);
    let text = folder.text("config.toml");
    let (_, out) = text.split_once("# Left out").unwrap();
    for column in [
        "\"twice\"",
        "\"\"",
        "\"x[0..3]\"",
        "\"nothing\"",
        "\"nested\"",
        "\"vectors\"",
        "\"when\"",
        "\"row_id\"",
        "\"wild\"",
        "\"request_id\"",
    ] {
        assert!(out.contains(&format!("#     {column} ")), "{column}: {out}");
    }
    assert!(text.contains("\"a \\\"b\\\".c\\n\\U0000202E#\""), "{text}");
    assert!(text.contains("# test = { column = \"when\", from = \"2025-"), "{text}");
    assert!(text.contains("# group = \"request_id\""), "{text}");
    trains(&folder, "config.toml");
}

#[test]
fn folders_globs_and_other_separators_are_read_as_training_reads_them() {
    let folder = Folder::empty();
    for day in 1..=8 {
        std::fs::create_dir_all(folder.join(&format!("log/day=2026-01-0{day}"))).unwrap();
        folder.write(&format!("log/day=2026-01-0{day}/part.csv"), log(120, day).replace(',', ";"));
    }
    std::fs::create_dir(folder.join("made")).unwrap();
    folder.ok(&["init", "log", "--label", "buy", "--label", "spend:buy", "--out", "made/config.toml"]);
    let text = folder.text("made/config.toml");
    assert!(text.contains("separator = \";\""), "{text}");
    assert!(text.contains("# test = { column = \"day\", from = \"2026-01-08\" }"), "{text}");
    trains(&folder, "made/config.toml");
    folder.ok(&["init", "log/*/*.csv", "--csv", "separator=;", "--label", "buy", "--out", "glob.toml"]);
    trains(&folder, "glob.toml");
}

#[test]
fn two_thousand_columns_are_looked_at() {
    let folder = Folder::empty();
    let names: Vec<String> = (0..2000).map(|i| if i % 3 == 0 { format!("t{i}") } else { format!("n_{i}") }).collect();
    let mut text = format!("{},y\n", names.join(","));
    for row in 0..600 {
        let cells = (0..2000).map(|i| {
            if i % 3 == 0 { ["a", "b", "c"][(row * i + row) % 3].to_owned() } else { (row * i % 17).to_string() }
        });
        writeln!(text, "{},{}", cells.collect::<Vec<_>>().join(","), u8::from(row % 3 == 0)).unwrap();
    }
    folder.write("wide.csv", text);
    folder.ok(&["init", "wide.csv", "--out", "config.toml"]);
    trains(&folder, "config.toml");
}

/// An unusual name that files may have.
fn odd_name(random: &mut ChaCha8Rng) -> String {
    const PARTS: [&str; 24] = [
        "a", "user_id", "click", "x", "0", "[0..3]", ".", ".exact", "\"", "'", "\\", "\n", "\t", " ", "ü", "💡",
        "\u{202e}", "*", "?", "#", "=", "shared", "{}", "\u{7f}",
    ];
    (0..random.random_range(0..4)).map(|_| PARTS[random.random_range(0..PARTS.len())]).collect()
}

fn odd_column(random: &mut ChaCha8Rng, rows: usize) -> ArrayRef {
    let missing = [0.0, 0.1, 0.9][random.random_range(0..3)];
    let maybe = |random: &mut ChaCha8Rng| random.random::<f64>() >= missing;
    let range = [1, 2, 3, 40, 1 << 40][random.random_range(0..5)];
    match random.random_range(0..6) {
        0 => Arc::new(Int64Array::from_iter((0..rows).map(|_| maybe(random).then(|| random.random_range(0..range))))),
        1 => Arc::new(Float64Array::from_iter((0..rows).map(|_| {
            maybe(random).then(|| random.random::<f64>() * [1.0, 1e30, -1e-30, f64::NAN][random.random_range(0..4)])
        }))),
        2 => Arc::new(BooleanArray::from_iter((0..rows).map(|_| maybe(random).then(|| random.random::<bool>())))),
        3 => Arc::new(StringArray::from_iter((0..rows).map(|_| {
            maybe(random)
                .then(|| ["1", "NA", "x|y|z", "\u{0}\n\"", "2026-01-01", "", "-7.5e3"][random.random_range(0..7)])
        }))),
        4 => Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>((0..rows).map(|_| {
            maybe(random).then(|| {
                (0..random.random_range(0..3)).map(|_| Some(random.random_range(0..range))).collect::<Vec<_>>()
            })
        }))),
        _ => Arc::new(NullArray::new(rows)),
    }
}

#[test]
fn whatever_the_table_the_configuration_trains_or_the_table_is_refused() {
    let mut random = ChaCha8Rng::seed_from_u64(19);
    let mut trained = 0;
    for case in 0..24 {
        let folder = Folder::empty();
        let rows = [3, 40, 700][case % 3];
        let mut columns: Vec<(String, ArrayRef)> =
            (0..random.random_range(1..9)).map(|_| (odd_name(&mut random), odd_column(&mut random, rows))).collect();
        let label: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|row| (row % 3 == 0).into())));
        columns.push(("y".to_owned(), label));
        write_arrow(
            &folder,
            "t.arrow",
            columns.iter().map(|(name, values)| (name.as_str(), Arc::clone(values))).collect(),
        );
        let ran = folder.run(&["init", "t.arrow", "--label", "y", "--out", "config.toml"]);
        let names: Vec<&String> = columns.iter().map(|(name, _)| name).collect();
        assert!(matches!(ran.code, Some(0 | 2)), "{names:?}: {}", ran.stderr);
        if ran.code == Some(2) {
            assert!(
                ran.stderr.contains("no column is left to learn from") || ran.stderr.contains("cannot be a label"),
                "{}",
                ran.stderr
            );
            continue;
        }
        let ran = folder.run(&[&["train", "config.toml", "--out", "run"], &QUICK[..]].concat());
        assert_eq!(ran.code, Some(0), "case {case}, {names:?}: {}\n{}", ran.stderr, folder.text("config.toml"));
        trained += 1;
    }
    assert!(trained >= 12, "{trained} of 24 tables were trained on");
}
