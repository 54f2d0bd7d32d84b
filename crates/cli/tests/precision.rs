//! `[train] precision`: products of bf16 change how a model is trained, and nothing about how it is saved or resumed.

#![allow(clippy::unwrap_used)]

use crate::common::{Folder, log};

const BF16: &str = "train.precision=bf16";

fn weights(folder: &Folder, run: &str) -> Vec<u8> {
    folder.read(&format!("{run}/model/weights.safetensors"))
}

#[test]
fn bf16_gives_the_same_bits_on_any_threads_and_others_than_f32() {
    let folder = Folder::with_log();
    for threads in ["1", "2", "4"] {
        folder.ok(&["train", "config.toml", "--out", threads, "--threads", threads, "--set", BF16]);
        assert!(weights(&folder, threads) == weights(&folder, "1"), "{threads} threads");
    }
    folder.ok(&["train", "config.toml", "--out", "exact"]);
    assert!(weights(&folder, "exact") != weights(&folder, "1"));
    // It is a part of what a run is, which does not go on in another one.
    let ran = folder.run(&["train", "config.toml", "--out", "exact", "--set", BF16, "--resume"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("begun with another configuration"), "{}", ran.stderr);
}

#[test]
fn a_killed_run_in_bf16_resumes_to_the_same_bits() {
    let folder = Folder::with_log();
    folder.write("train.csv", log(6000, 1));
    let sets = ["--set", BF16, "--set", "train.batch_size=4"];
    let begun =
        [&["train", "config.toml", "--out", "run", "--set", "train.checkpoint.every_steps=20"], &sets[..]].concat();
    folder.kill_at_checkpoint(&begun, "run");
    folder.ok(&[&begun[..], &["--resume"]].concat());
    folder.ok(&[&["train", "config.toml", "--out", "whole"], &sets[..]].concat());
    assert!(weights(&folder, "run") == weights(&folder, "whole"));
}

#[test]
fn a_precision_that_does_not_exist_is_told_with_those_that_do() {
    let folder = Folder::with_log();
    let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", "train.precision=fp8"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["fp8", "f32", "bf16"] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    let ran = folder.run(&["bench", "w2", "--precision", "fp8"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn the_bench_says_which_products_it_timed() {
    let folder = Folder::with_log();
    let bench = |more: &[&str]| {
        let ran = folder.ok(&[&["bench", "w2", "--quick", "--format", "json"], more].concat());
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        report["steps"][0].clone()
    };
    let exact = bench(&["--plain-kernels"]);
    assert_eq!((&exact["precision"], &exact["kernels"]), (&"f32".into(), &"f32 (gemm)".into()));
    let rounded = bench(&["--precision", "bf16"]);
    assert_eq!(rounded["precision"], "bf16");
    assert!(rounded["kernels"].as_str().unwrap().starts_with("bf16"), "{rounded}");
}
