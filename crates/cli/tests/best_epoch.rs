//! Whose best epoch is kept: each task's own where tasks share nothing, in `train` and `compare`, and through a kill.

#![allow(clippy::unwrap_used)]

use crate::common::{COMPARE, Folder};
use serde_json::Value;

/// Few rows in large steps, so that tasks are best at different times.
const LONG: [&str; 8] = [
    "--set",
    "train.epochs=30",
    "--set",
    "train.early_stopping.patience=30",
    "--set",
    "train.checkpoint.every_steps=5",
    "--set",
    "train.optimizer.learning_rate=0.02",
];
const ALONE: [&str; 2] = ["--set", "model={ kind = \"single-task\", bottom = [16], tower = [8] }"];

fn train<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "config.toml", "--out", run][..], &LONG, &ALONE, more].concat()
}

fn weights(folder: &Folder, run: &str) -> Vec<u8> {
    folder.read(&format!("{run}/model/weights.safetensors"))
}

/// The epoch of a task, and its metric in all of them.
fn of_task(report: &Value, task: &str, metric: &str) -> (usize, Vec<f64>) {
    let history = report["history"].as_array().unwrap();
    let metric = |epoch: &Value| epoch["valid"]["tasks"][task][metric].as_f64().unwrap();
    (report["best_epochs"][task].as_u64().unwrap() as usize, history.iter().map(metric).collect())
}

#[test]
fn networks_that_share_nothing_keep_an_epoch_each() {
    let folder = Folder::with_log();
    let ran = folder.ok(&train("run", &[]));
    let report = folder.json("run/metrics.json");
    let mut epochs = Vec::new();
    for (task, metric) in [("buy", "auc"), ("spend", "r2")] {
        let (epoch, values) = of_task(&report, task, metric);
        let best = values.iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(values.iter().position(|&value| value == best), Some(epoch - 1), "{task}: {values:?}");
        assert_eq!(report["valid"]["tasks"][task][metric].as_f64(), Some(best), "{task}: the saved model's");
        epochs.push(epoch);
    }
    assert_ne!(epochs[0], epochs[1], "one epoch is the best of both, so that this test could not tell");
    let says = format!("kept each task's own best epoch: buy {}, spend {}", epochs[0], epochs[1]);
    assert!(ran.stdout.contains(&says), "{}", ran.stdout);
    assert!(folder.text("run/report.html").contains(&format!("(buy {}, spend {})", epochs[0], epochs[1])));
    assert_eq!(report["best_epoch"].as_u64(), epochs.iter().max().map(|&epoch| epoch as u64));
    folder.ok(&["predict", "run/model", "--data", "test.csv", "--out", "p.csv"]);
    // One epoch for all, where that is asked: what it was before there was a choice.
    folder.ok(&train("shared", &["--set", "train.best_epoch=shared"]));
    let shared = folder.json("shared/metrics.json");
    assert_eq!(shared["best_epochs"], Value::Null);
    assert_eq!(shared["valid"], shared["history"][shared["best_epoch"].as_u64().unwrap() as usize - 1]["valid"]);
    assert_ne!(weights(&folder, "shared"), weights(&folder, "run"));
}

#[test]
fn a_killed_run_keeps_them() {
    let folder = Folder::with_log();
    folder.ok(&train("whole", &[]));
    folder.kill_at_checkpoint(&train("killed", &[]), "killed");
    folder.ok(&train("killed", &["--resume"]));
    assert_eq!(weights(&folder, "killed"), weights(&folder, "whole"));
    let epochs = |run: &str| folder.json(&format!("{run}/metrics.json"))["best_epochs"].clone();
    assert_eq!(epochs("killed"), epochs("whole"));
    // A run that keeps one epoch is another run.
    folder.kill_at_checkpoint(&train("other", &["--set", "train.best_epoch=shared"]), "other");
    let ran = folder.run(&train("other", &["--resume"]));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("train.best_epoch"), "{}", ran.stderr);
    folder.ok(&train("other", &["--resume", "--set", "train.best_epoch=shared"]));
}

#[test]
fn where_tasks_share_weights_it_is_refused_and_said_why() {
    let folder = Folder::with_log();
    let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", "train.best_epoch=per-task"]);
    assert_eq!(ran.code, Some(2));
    for part in ["train.best_epoch: \"per-task\"", "kind \"ple\"", "embeddings.city.weight", "leave best_epoch out"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!folder.join("run").exists());
    let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", "train.best_epoch=each"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("per-task"), "{}", ran.stderr);
    // With one task, or no validation rows, it is all the same.
    let one = folder
        .text("config.toml")
        .replace("valid = \"valid.csv\"\n", "")
        .replace("early_stopping = { patience = 5 }\n", "");
    folder.write("one.toml", one);
    folder.ok(&["train", "one.toml", "--out", "run", "--set", "train.best_epoch=per-task"]);
}

#[test]
fn a_comparison_gives_its_baseline_the_best_of_each_task() {
    let folder = Folder::with_log();
    let config = folder.text("config.toml");
    folder.write("config.toml", config + COMPARE);
    folder.ok(&["compare", "config.toml", "--out", "compared"]);
    let compared = folder.json("compared/compare.json");
    for model in compared["models"].as_array().unwrap() {
        let alone = model["kind"] == "single-task";
        for run in model["runs"].as_array().unwrap() {
            assert_eq!(run["best_epochs"].is_object(), alone, "{}: {run}", model["name"]);
        }
    }
    // As `train` does it.
    folder.ok(&["train", "config.toml", "--out", "run", "--model", "alone", "--set", "train.seed=1"]);
    assert_eq!(weights(&folder, "run"), weights(&folder, "compared/runs/alone/seed-1"));
    let ran = folder.run(&["compare", "config.toml", "--out", "no", "--set", "train.best_epoch=per-task"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("train.best_epoch: \"per-task\"") && ran.stderr.contains("compare.model"),
        "{}",
        ran.stderr
    );
}
