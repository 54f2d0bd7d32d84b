//! `columns = ["mig_*"]` and `except`.

#![allow(clippy::unwrap_used)]

use crate::common::{CONFIG, Folder, log};

/// The configuration of [`common`] with another block of numbers.
fn config(columns: &str) -> String {
    let changed = CONFIG.replace("columns = [\"age\", \"visits\"]", columns);
    assert_ne!(changed, CONFIG);
    changed
}

fn folder(columns: &str) -> Folder {
    let folder = Folder::with_log();
    folder.write("config.toml", config(columns));
    folder
}

const TRAIN: [&str; 6] = ["train", "config.toml", "--out", "run", "--set", "train.epochs=1"];

#[test]
fn a_pattern_is_the_columns_that_it_stands_for_in_the_order_of_the_file() {
    let by_name = Folder::with_log();
    by_name.ok(&TRAIN);
    let by_pattern = folder("columns = [\"*\"]\nexcept = [\"city\", \"buy\", \"s?end\"]");
    by_pattern.ok(&TRAIN);
    for file in ["weights.safetensors", "golden.safetensors"] {
        let path = format!("run/model/{file}");
        if by_name.join(&path).exists() {
            assert_eq!(by_name.read(&path), by_pattern.read(&path), "{file}: the same model");
        }
    }
    by_pattern.ok(&["predict", "run/model", "--data", "test.csv", "--out", "p.csv"]);
    by_name.ok(&["predict", "run/model", "--data", "test.csv", "--out", "p.csv"]);
    assert_eq!(by_name.read("p.csv"), by_pattern.read("p.csv"));
}

#[test]
fn what_a_pattern_cannot_be_is_told_with_its_line() {
    for (columns, code, expected) in [
        ("columns = [\"visit_*\"]", 2, "feature.0.columns: \"visit_*\" matches no column; did you mean \"visits\"?"),
        (
            "columns = [\"visits\"]\nexcept = [\"visist\"]",
            2,
            "feature.0.except: \"visist\" matches no column; did you mean \"visits\"?",
        ),
        ("columns = [\"age\"]\nexcept = [\"a*\"]", 2, "feature.0.except: it leaves no column of the block"),
        ("columns = [\"a*\", \"b*\"]", 2, "column \"buy\" is also a feature ([[feature]] block 1)"),
        ("columns = [\"?i*\"]", 2, "\"city\" is already a feature in [[feature]] block 1"),
        ("columns = [\"a*\"]\nexcep = [\"age\"]", 2, "did you mean `except`?"),
    ] {
        let folder = folder(columns);
        let ran = folder.run(&TRAIN);
        assert_eq!(ran.code, Some(code), "{columns}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{columns}: {}", ran.stderr);
    }
    let folder = folder("columns = [\"a*\"]");
    folder.replace("config.toml", "train = \"train.csv\"", "train = \"none.csv\"");
    let ran = folder.run(&TRAIN);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("none.csv"), "{}", ran.stderr);
    folder.replace("config.toml", "train = \"none.csv\"", "train = \"-\"");
    let ran = folder.run(&TRAIN);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("a pattern in `columns` needs a look at it first"), "{}", ran.stderr);
}

#[test]
fn columns_of_folders_are_found_and_a_run_keeps_its_columns() {
    let folder = folder("columns = [\"v*\", \"d*\"]");
    for day in 1..4 {
        std::fs::create_dir_all(folder.join(&format!("log/day={day}"))).unwrap();
        folder.write(&format!("log/day={day}/a.csv"), log(90, day));
    }
    let config = folder.text("config.toml").replace("train = \"train.csv\"", "train = \"log\"");
    let config =
        config.replace("valid = \"valid.csv\"\n", "valid = { fraction = 0.2 }\n").replace("test = \"test.csv\"\n", "");
    folder.write("config.toml", config);
    folder.ok(&TRAIN);
    let model = folder.text("run/model/model.json");
    assert!(model.contains("\"visits\"") && model.contains("\"day\""), "{model}");
    for day in 1..4 {
        let text = folder.text(&format!("log/day={day}/a.csv")).replacen("age,", "vage,", 1);
        folder.write(&format!("log/day={day}/a.csv"), text);
    }
    let ran = folder.run(&[&TRAIN[..], &["--resume"]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}
