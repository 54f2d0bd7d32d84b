//! Configurations that people copy: every file of `examples/`, and what the README shows.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::common::Folder;
use pleiad_train::config::ConfigFile;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_example_is_a_configuration() {
    let files: Vec<PathBuf> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    assert!(files.iter().any(|file| file.ends_with("census.toml")), "{files:?}");
    // A pattern of columns needs a file to look at.
    let folder = Folder::empty();
    folder.ok(&["synth", "video", "--rows", "10", "--out", "log.parquet"]);
    for file in files {
        let copy = folder.join(file.file_name().unwrap().to_str().unwrap());
        std::fs::copy(&file, &copy).unwrap();
        ConfigFile::load(&copy, &[]).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn what_the_readme_shows_is_a_configuration() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let shown: Vec<&str> = readme.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(shown.len() >= 2, "a training and a comparison: {shown:?}");
    let config = ConfigFile::parse(Path::new("README.toml"), shown.concat(), &[]);
    assert!(config.unwrap_or_else(|error| panic!("{error}")).config.compare.is_some());
}

/// Rows as the table of `examples/census.toml` has them: 42 fields, a space behind each comma, no header.
fn census(rows: usize) -> String {
    let mut text = String::new();
    for i in 0..rows {
        let field = |column: usize| match column {
            0 => (i % 80).to_string(),
            5 | 17 | 18 => (if i % 13 == 0 { 100 * (i % 7) } else { 0 }).to_string(),
            16 => (if i % 20 == 3 { 99_999 } else { 0 }).to_string(),
            30 => (i % 7).to_string(),
            39 => (i * 5 % 53).to_string(),
            7 => ["Never married", "Widowed", "Divorced"][i % 80 * 3 / 80].to_owned(),
            41 => (if i % 20 == 3 { "50000+." } else { "- 50000." }).to_owned(),
            _ => ["Not in universe", "?", "Other"][(i + column) % 3].to_owned(),
        };
        let fields: Vec<String> = (0..42).map(field).collect();
        writeln!(text, "{}", fields.join(", ")).unwrap();
    }
    text
}

#[test]
fn the_census_example_trains_on_rows_of_its_form() {
    let folder = Folder::empty();
    folder.write("census.toml", std::fs::read(root().join("examples/census.toml")).unwrap());
    folder.write("census-income.data.csv", census(1200));
    folder.write("census-income.test.csv", census(200));
    let settings = ["data.train=census-income.data.csv", "data.test=census-income.test.csv", "train.batch_size=32"];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    folder.ok(&[&["train", "census.toml", "--out", "run"][..], &settings].concat());
    let tasks = &folder.json("run/metrics.json")["test"]["tasks"];
    for task in ["income", "marital"] {
        assert!(tasks[task]["auc"].as_f64().unwrap() > 0.9, "{task}: {tasks}");
    }
}

/// The script does all that it says, on few rows.
#[cfg(unix)]
#[test]
fn the_script_of_examples_runs() {
    for (example, tasks) in [("video", 5), ("funnel", 2)] {
        let folder = Folder::empty();
        let settings =
            "--set train.epochs=1 --set train.explain={rows=0.2,features=0.3} --set train.early_stopping.patience=1";
        let ran = std::process::Command::new("sh")
            .arg(root().join("examples/run.sh"))
            .arg(example)
            .arg(folder.join("made"))
            .env("PLEIAD", assert_cmd::cargo::cargo_bin!("pleiad"))
            .env("ROWS", "3000")
            .env("SETTINGS", settings)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{example}: {}", String::from_utf8_lossy(&ran.stderr));
        let metrics = folder.json("made/run/metrics.json");
        assert_eq!(metrics["test"]["tasks"].as_object().unwrap().len(), tasks, "{example}");
        assert!(folder.join("made/compared/report.html").exists());
        assert_eq!(folder.text("made/predictions.csv").lines().count(), 3001, "{example}");
    }
}
