//! Logs with many columns, and columns whose names resemble one another.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::sync::Arc;

use crate::common::{Folder, log};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

/// Two tasks over features of 9 and 3 values; the name of one ends as that of the other.
const IDS: &str = r#"
[data]
train = "log.csv"
[[feature]]
columns = ["id", "user.id"]
kind = "categorical"
embedding = 4
[[task]]
name = "buy"
kind = "binary"
label = { column = "buy" }
[[task]]
name = "like"
kind = "binary"
label = { column = "like" }
[model]
kind = "hard-sharing"
bottom = [4]
[train]
epochs = 1
"#;

#[test]
fn a_name_that_ends_as_another_names_another_table() {
    let folder = Folder::empty();
    let row = |i: usize| format!("{},{},{},{}\n", i % 9, i % 3, i % 2, i % 5 / 3);
    folder.write("log.csv", format!("id,user.id,buy,like\n{}", (0..90).map(row).collect::<String>()));
    folder.write("config.toml", IDS);
    for (run, set) in [("shared", r#"model.kind="hard-sharing""#), ("single", r#"model.kind="single-task""#)] {
        folder.ok(&["train", "config.toml", "--out", run, "--set", set]);
        folder.ok(&["predict", &format!("{run}/model"), "--data", "log.csv", "--out", &format!("{run}.csv")]);
        assert_eq!(folder.text(&format!("{run}.csv")).lines().count(), 91);
    }
}

#[test]
fn thousands_of_categorical_columns_train() {
    const COLUMNS: usize = 3000;
    let folder = Folder::empty();
    let cells = |cell: &dyn Fn(usize) -> String| (0..COLUMNS).map(|i| format!(",{}", cell(i))).collect::<String>();
    let row = |r: usize| format!("{}{}\n", r % 2, cells(&|i| (i * (r + 3) % 10).to_string()));
    let rows: String = (0..20).map(row).collect();
    folder.write("log.csv", format!("buy{}\n{rows}", cells(&|i| format!("x{i}"))));
    let config = IDS.replace(r#"columns = ["id", "user.id"]"#, &format!("columns = [\"x[0..{COLUMNS}]\"]"));
    folder.write("config.toml", config.replace("embedding = 4", "embedding = 2").replace("\"like\" }", "\"buy\" }"));
    let begin = std::time::Instant::now();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    // Seconds; it was minutes when the cost was the square of the columns.
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
    let features = &folder.json("run/explain.json")["importance"]["features"];
    assert_eq!(features["of"], COLUMNS);
    assert_eq!(features["shuffled"], 100, "20 rows put no more features in order");
    assert!(folder.text("run/report.html").contains("100 of 3,000 features were shuffled"));
}

/// The columns of a log of [`common::log`] whose every cell is a number but the city's.
fn write_parquet(folder: &Folder, csv: &str, file: &str) {
    let text = folder.text(csv);
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    let column = |(at, name): (usize, &&str)| {
        let cells = rows.iter().map(|row| row[at]);
        let array: ArrayRef = match *name {
            "age" | "visits" | "buy" => Arc::new(Int64Array::from_iter_values(cells.map(|cell| cell.parse().unwrap()))),
            _ => Arc::new(StringArray::from_iter(cells.map(|cell| (!cell.is_empty()).then_some(cell)))),
        };
        (name.to_string(), array, true)
    };
    let batch = RecordBatch::try_from_iter_with_nullable(names.iter().enumerate().map(column)).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(folder.join(file)).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_column_is_a_number_and_a_category() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "columns = [\"city\"]\nkind", "columns = [\"age\"]\nname = \"age_group\"\nkind");
    folder.write("test.csv", log(1000, 3));
    for split in ["train", "valid", "test"] {
        write_parquet(&folder, &format!("{split}.csv"), &format!("{split}.parquet"));
    }
    let parquet = folder.text("config.toml").replace(".csv\"", ".parquet\"");
    folder.write("parquet.toml", parquet);
    let (cache, stream) = ("data.cache=cache", "data.stream=true");
    for (run, config, sets) in [
        ("csv", "config.toml", &[][..]),
        ("parquet", "parquet.toml", &[]),
        ("made", "parquet.toml", &[cache]),
        ("cached", "parquet.toml", &[cache]),
        ("streamed", "config.toml", &[stream]),
        ("both", "parquet.toml", &[stream, cache]),
    ] {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        folder.ok(&["train", config, "--out", run].into_iter().chain(sets).collect::<Vec<_>>());
        for kind in ["csv", "parquet"] {
            let (data, out) = (format!("test.{kind}"), format!("{run}-{kind}.csv"));
            folder.ok(&["predict", &format!("{run}/model"), "--data", &data, "--out", &out]);
        }
        assert_eq!(folder.text(&format!("{run}-csv.csv")), folder.text(&format!("{run}-parquet.csv")), "{run}");
    }
    let weights = |run: &str| folder.read(&format!("{run}/model/weights.safetensors"));
    for (run, as_in) in [("parquet", "csv"), ("made", "csv"), ("cached", "csv"), ("both", "streamed")] {
        assert!(weights(run) == weights(as_in), "{run}");
    }
    assert!(folder.text("cached/explain.json").contains("\"age_group\""));
    // Both read the column: one of a row that it is missing in is bad once.
    folder.write("hole.csv", "age,visits\n,3\n");
    let ran = folder.run(&["predict", "csv/model", "--data", "hole.csv", "--out", "none.csv"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("column \"age\"") && !ran.stderr.contains("age_group"), "{}", ran.stderr);
    // Weights belong to the features by name and column.
    folder.replace("config.toml", "name = \"age_group\"\n", "name = \"visits_group\"\n");
    let ran = folder.run(&["train", "config.toml", "--out", "further", "--init", "csv/model"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("config.toml:11:"), "{}", ran.stderr);
    assert!(ran.stderr.contains("feature 3 is \"age_group\", here \"visits_group\""), "{}", ran.stderr);
    folder.replace("config.toml", "[\"age\"]\nname = \"visits_group\"", "[\"visits\"]\nname = \"age_group\"");
    let ran = folder.run(&["train", "config.toml", "--out", "further", "--init", "csv/model"]);
    assert!(ran.stderr.contains("read otherwise (column: it has \"age\", this one \"visits\")"), "{}", ran.stderr);
}
