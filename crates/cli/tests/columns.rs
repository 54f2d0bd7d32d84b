//! Logs with many columns, and columns whose names resemble one another.

#![allow(clippy::unwrap_used)]

mod common;

use common::Folder;

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
