//! Encoded rows that are kept, and rows that stay on disk: the same results, messages on the way, and no files left behind.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Folder, Ran, log};
use serde_json::{Value, json};

fn train(out: &str) -> [&str; 4] {
    ["train", "config.toml", "--out", out]
}

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

/// More rows than two blocks have.
fn folder() -> Folder {
    let folder = Folder::with_log();
    folder.write("train.csv", log(9000, 1));
    folder.write("valid.csv", log(5000, 2));
    folder
}

fn weights(folder: &Folder, run: &str) -> Vec<u8> {
    folder.read(&format!("{run}/model/weights.safetensors"))
}

/// A run's report without what time has a say in, and without what its configuration is.
fn report(folder: &Folder, run: &str) -> Value {
    let mut report = folder.json(&format!("{run}/metrics.json"));
    for key in ["seconds", "config_hash", "data_fingerprint", "xxh64", "model_xxh64", "explain_xxh64"] {
        report[key] = json!(0);
    }
    for epoch in report["history"].as_array_mut().unwrap() {
        let waited = epoch["input_wait"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&waited), "{waited}");
        ["rows_per_second", "input_wait"].iter().for_each(|key| epoch[*key] = json!(0));
    }
    report
}

#[test]
fn a_cache_changes_nothing_but_where_rows_come_from() {
    let folder = folder();
    folder.ok(&train("plain"));
    let cache = ["--set", "data.cache=cache"];
    let built = folder.ok(&with(&train("built"), &cache));
    assert!(built.stderr.contains("encoded rows are kept in cache/") && built.stderr.contains("(there were none)"));
    // From another folder, and with keys that change no row.
    std::fs::create_dir(folder.join("elsewhere")).unwrap();
    let used = {
        let mut command = folder.command(&["train", "../config.toml", "--out", "../used", "--set", "data.cache=cache"]);
        Ran::of(command.current_dir(folder.join("elsewhere")).output().unwrap())
    };
    assert!(used.stderr.contains("encoded rows are those of ../cache/"), "{}", used.stderr);
    assert!(used.stderr.contains("waiting for rows"), "{}", used.stderr);
    for run in ["built", "used"] {
        assert!(weights(&folder, run) == weights(&folder, "plain"), "{run}");
        let whole = |run: &str| {
            let mut report = folder.json(&format!("{run}/metrics.json"));
            let hashes = [report["config_hash"].take(), report["data_fingerprint"].take()];
            (hashes, self::report(&folder, run))
        };
        assert_eq!(whole(run), whole("plain"), "the cache is no part of what a run is");
    }
    folder.write("valid.csv", log(5000, 9));
    let rebuilt = folder.ok(&with(&train("rebuilt"), &cache));
    assert!(rebuilt.stderr.contains("valid.csv has changed)"), "{}", rebuilt.stderr);
    let entries = folder.listing().into_iter().filter(|name| name.starts_with("cache/"));
    assert_eq!(entries.count(), 5, "a folder and its four files: {:?}", folder.listing());

    folder.write("blocked", "a file");
    let ran = folder.ok(&with(&train("unkept"), &["--set", "data.cache=blocked"]));
    assert!(ran.stderr.contains("warning: encoded rows are not kept in blocked"), "{}", ran.stderr);
    assert!(weights(&folder, "unkept") == weights(&folder, "rebuilt"));
}

#[test]
fn rows_on_disk_in_the_order_of_the_log_train_the_same_model() {
    let folder = folder();
    let in_order = ["--set", "train.shuffle=false"];
    folder.ok(&with(&train("memory"), &in_order));
    folder.ok(&with(&train("disk"), &with(&in_order, &["--set", "data.stream={ window = 5000 }"])));
    assert!(weights(&folder, "disk") == weights(&folder, "memory"));
    assert_eq!(report(&folder, "disk"), report(&folder, "memory"));
    let golden = |run: &str| folder.read(&format!("{run}/model/golden.safetensors"));
    assert!(golden("disk") == golden("memory"));
    assert_eq!(folder.json("disk/explain.json"), folder.json("memory/explain.json"));
}

#[test]
fn threads_do_not_matter_and_nothing_is_left_behind() {
    let folder = folder();
    std::fs::create_dir(folder.join("tmp")).unwrap();
    for threads in ["1", "3"] {
        let args = with(&train(threads), &["--set", "data.stream=true", "--threads", threads]);
        let ran = Ran::of(folder.command(&args).env("TMPDIR", folder.join("tmp")).output().unwrap());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("for this run"), "{}", ran.stderr);
        assert!(ran.stderr.contains("9,000 training rows (buy 9,000, spend "), "{}", ran.stderr);
    }
    assert!(weights(&folder, "1") == weights(&folder, "3"));
    assert_eq!(report(&folder, "1"), report(&folder, "3"));
    assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
    // The model is one like any other.
    let evaluated = folder.ok(&["evaluate", "1/model", "--data", "test.csv", "--format", "json"]).json();
    assert_eq!(evaluated["tasks"]["buy"], folder.json("1/metrics.json")["test"]["tasks"]["buy"]);
    // A run whose rows were in memory has another order, and cannot be gone on with.
    let ran = folder.run(&with(&train("1"), &["--resume"]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn comparisons_read_from_disk_too() {
    let folder = folder();
    let models = "\n[compare]\nseeds = [1]\nbaseline = 'a'\n[[compare.model]]\nname = 'a'\nkind = 'hard-sharing'\n\
                  bottom = [8]\ntower = [4]\n[[compare.model]]\nname = 'b'\nkind = 'single-task'\nbottom = [8]\ntower = [4]\n";
    folder.write("config.toml", folder.text("config.toml") + models);
    let args =
        ["compare", "config.toml", "--out", "compared", "--set", "data.stream=true", "--set", "data.cache=cache"];
    let ran = folder.ok(&args);
    assert!(ran.stderr.contains("encoded rows are kept in cache/"), "{}", ran.stderr);
    assert_eq!(folder.json("compared/compare.json")["models"].as_array().unwrap().len(), 2);
    let again = folder.ok(&args);
    assert!(again.stderr.contains("encoded rows are those of cache/"), "{}", again.stderr);
}

#[cfg(unix)]
#[test]
fn a_stopped_run_resumes_to_the_same_bits() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    let folder = folder();
    let stream = ["--set", "data.stream={ window = 3000 }", "--set", "train.batch_size=8", "--set", "train.epochs=2"];
    let checkpoints = ["--set", "train.checkpoint.every_steps=20"];
    for (signal, more) in [("INT", &[][..]), ("KILL", &["--resume"])] {
        let before = folder.listing();
        let args = with(&with(&train("run"), &stream), &with(&checkpoints, more));
        let mut command = folder.command(&args);
        // What is killed cannot tidy up: not where others would have to.
        command.env("TMPDIR", folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let begin = Instant::now();
        while folder.listing().iter().all(|name| !name.ends_with("state.json") || before.contains(name)) {
            assert!(begin.elapsed() < Duration::from_secs(60), "no checkpoint");
            std::thread::sleep(Duration::from_millis(5));
        }
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        child.wait().unwrap();
        assert!(!folder.join("run/metrics.json").exists(), "it was stopped on its way");
    }
    folder.ok(&with(&with(&train("run"), &stream), &["--resume"]));
    folder.ok(&with(&train("whole"), &stream));
    assert!(weights(&folder, "run") == weights(&folder, "whole"));
    assert_eq!(report(&folder, "run"), report(&folder, "whole"));
}

#[test]
fn mistakes_are_told_with_their_key() {
    let folder = folder();
    for (set, says) in [
        ("data.stream={ window = 0 }", "at least 1"),
        ("data.stream={ windw = 5 }", "`windw`"),
        ("data.stream=5", "expected true, false, or { window = .. }"),
        ("data.cache=''", "name a folder"),
    ] {
        let ran = folder.run(&with(&train("run"), &["--set", set]));
        assert_eq!(ran.code, Some(2), "{set} {}", ran.stderr);
        assert!(ran.stderr.contains(says) && ran.stderr.contains(set), "{}", ran.stderr);
    }
    // A message names line and column of what cannot be read, as without a cache.
    folder.replace("train.csv", "Oslo", "Oslo,5");
    let ran = folder.run(&with(&train("run"), &["--set", "data.stream=true", "--set", "data.cache=cache"]));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("train.csv, line ") && ran.stderr.contains("6 fields"), "{}", ran.stderr);
    assert!(!folder.listing().iter().any(|name| name.starts_with("cache/")), "{:?}", folder.listing());
}

#[test]
fn the_bench_streams_a_log_of_its_own() {
    let folder = Folder::empty();
    let ran = folder.ok(&["bench", "w5", "--rows", "30000", "--folder", ".", "--format", "json"]);
    let figures = &ran.json()["stream"];
    assert_eq!(figures["rows"], 30_000);
    let train = figures["train_rows"].as_u64().unwrap();
    assert!((29_000..30_000).contains(&train), "{train}");
    for key in ["log_mib", "encoded_mib", "generating_seconds", "loading_seconds", "epoch_rows_per_second"] {
        assert!(figures[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!(folder.listing(), Vec::<String>::new());
    let ran = folder.run(&["bench", "w5", "--folder", "absent"]);
    assert_eq!((ran.code, ran.stderr.contains("absent")), (Some(1), true), "{}", ran.stderr);
}
