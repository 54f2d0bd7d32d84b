//! A training that is stopped, by a signal or a crash, goes on where it stopped, with the same result.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, Ran, log};
use serde_json::{Value, json};

/// Small steps and many of them, so that there is time to stop.
const TRAIN: &[&str] =
    &["train", "config.toml", "--out", "run", "--set", "train.batch_size=4", "--set", "train.epochs=8"];

fn folder() -> Folder {
    let folder = Folder::with_log();
    folder.write("train.csv", log(6000, 1));
    folder
}

fn signal(child: &Child, name: &str) {
    let sent =
        std::process::Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Names of all checkpoints.
fn checkpoints(run: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(run.join("checkpoints")) else { return Vec::new() };
    let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("step-")).collect()
}

/// Waits until training is on its way, which a checkpoint shows that was not there `before`.
fn wait_for_checkpoint(run: &Path, before: &[String]) {
    let begin = Instant::now();
    while checkpoints(run).iter().all(|name| before.contains(name)) {
        assert!(begin.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts training with a checkpoint every few steps, so that its beginning shows.
fn start(folder: &Folder, more: &[&str]) -> Child {
    let args = [TRAIN, &["--set", "train.checkpoint.every_steps=20"], more].concat();
    folder.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn stop(folder: &Folder, more: &[&str], name: &str) -> Ran {
    let before = checkpoints(&folder.join("run"));
    let child = start(folder, more);
    wait_for_checkpoint(&folder.join("run"), &before);
    signal(&child, name);
    Ran::of(child.wait_with_output().unwrap())
}

/// The report without what time has a say in.
fn timeless(mut report: Value) -> Value {
    ["seconds", "xxh64", "model_xxh64", "explain_xxh64"].iter().for_each(|key| report[*key] = json!(0));
    for epoch in report["history"].as_array_mut().unwrap() {
        ["rows_per_second", "input_wait"].iter().for_each(|key| epoch[*key] = json!(0));
    }
    report
}

fn assert_same_run(folder: &Folder, a: &str, b: &str) {
    for file in ["model/weights.safetensors", "model/golden.safetensors"] {
        assert!(folder.read(&format!("{a}/{file}")) == folder.read(&format!("{b}/{file}")), "{file} differs");
    }
    let report = |run: &str| timeless(folder.json(&format!("{run}/metrics.json")));
    assert_eq!(report(a), report(b));
}

#[test]
fn an_interrupted_run_resumes_to_the_same_bits() {
    let folder = folder();
    let ran = stop(&folder, &[], "INT");
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted: stopped after") && ran.stderr.contains("--resume"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    let listing = folder.listing();
    assert!(
        !listing.iter().any(|name| name.contains("run/model") || name.contains("metrics") || name.contains(".tmp"))
    );

    // Stopped once more on its way, by the other signal.
    let ran = stop(&folder, &["--resume"], "TERM");
    assert_eq!(ran.code, Some(143), "{}", ran.stderr);

    folder.ok(&[TRAIN, &["--resume"]].concat());
    let whole: Vec<&str> = TRAIN.iter().map(|&arg| if arg == "run" { "whole" } else { arg }).collect();
    folder.ok(&whole);
    assert_same_run(&folder, "run", "whole");

    // A run that is complete has nothing to resume, and says so.
    let before = folder.text("run/metrics.json");
    let ran = folder.ok(&[TRAIN, &["--resume"]].concat());
    assert!(ran.stderr.contains("complete"), "{}", ran.stderr);
    assert_eq!(folder.text("run/metrics.json"), before);
}

#[test]
fn a_killed_run_resumes_from_its_last_checkpoint() {
    let folder = folder();
    let mut child = start(&folder, &[]);
    wait_for_checkpoint(&folder.join("run"), &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    // What a run that is killed at the wrong moment leaves.
    std::fs::create_dir(folder.join("run/checkpoints/.pleiad-xyz.tmp")).unwrap();
    folder.ok(&[TRAIN, &["--resume"]].concat());
    let whole: Vec<&str> = TRAIN.iter().map(|&arg| if arg == "run" { "whole" } else { arg }).collect();
    folder.ok(&whole);
    assert_same_run(&folder, "run", "whole");
    assert!(!folder.listing().iter().any(|name| name.contains(".tmp")), "{:?}", folder.listing());
}

#[test]
fn a_run_is_not_resumed_as_another() {
    let folder = folder();
    stop(&folder, &[], "INT");
    let before = folder.listing();
    let ran = folder.run(
        &[TRAIN, &["--resume", "--set", "train.optimizer.learning_rate=0.5", "--set", "model.tower=[5]"]].concat(),
    );
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for says in [
        "another configuration",
        "train.optimizer.learning_rate: it has 0.01, this one 0.5",
        "model.tower.0: it has 4, this one 5",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    // Neither on other rows.
    folder.write("train.csv", log(6000, 2));
    let ran = folder.run(&[TRAIN, &["--resume"]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("the rows of [data] have changed"), "{}", ran.stderr);
    // Nor overwritten without a word.
    let ran = folder.run(TRAIN);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("exists and is not empty") && ran.stderr.contains("--resume"), "{}", ran.stderr);
    assert_eq!(folder.listing(), before);
}

#[test]
fn resume_starts_anew_where_there_is_nothing() {
    let folder = Folder::with_log();
    let ran = folder.ok(&["train", "config.toml", "--out", "run", "--resume"]);
    assert!(ran.stderr.contains("no checkpoint to resume from"), "{}", ran.stderr);
    folder.ok(&["train", "config.toml", "--out", "whole"]);
    assert_same_run(&folder, "run", "whole");
}

#[test]
fn an_interrupted_log_leaves_nothing() {
    let folder = Folder::empty();
    let child = folder
        .command(&["synth", "video", "--rows", "100000000", "--out", "video.parquet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "INT");
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert_eq!(folder.listing(), Vec::<String>::new());
}
