//! Models that no memory holds are refused before any is taken.

#![allow(clippy::unwrap_used)]

use crate::common::{self, COMPARE, Folder};

/// The binary with its address space limited to some 4 GB, as `ulimit -v` does.
#[cfg(target_os = "linux")]
fn limited(folder: &Folder, args: &[&str]) -> common::Ran {
    let script = "ulimit -v 4000000; exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script]).arg(assert_cmd::cargo::cargo_bin!("pleiad")).args(args).current_dir(folder.path());
    common::Ran::of(command.output().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn sizes_are_held_against_memory_before_rows_are_read() {
    let folder = Folder::with_log();
    // No row is read: the log is not there.
    std::fs::remove_file(folder.join("train.csv")).unwrap();
    for (set, key, says) in [
        ("model.levels.0.shared_experts=0x7fffffffffffffff", "model.levels.0.shared_experts", "at most 1024"),
        ("model.levels.1.task_experts=4294967296", "model.levels.1.task_experts", "at most 1024"),
        ("model.levels.1.task_experts=-1", "model.levels.1.task_experts", "-1"),
        ("model={kind=\"mmoe\",experts=4,widths=[2000000,2000000],tower=[8]}", "model.widths", "at most 65536 units"),
        ("model={kind=\"mmoe\",experts=4,widths=[65536,65536,8],tower=[8]}", "model.widths", "GiB of memory are free"),
        ("model={kind=\"hard-sharing\",bottom=[65536],tower=[65536,4]}", "model.tower", "GiB of memory are free"),
        ("feature.1.encoding={hash=1000000000}", "feature.1.encoding", "GiB of memory are free"),
        ("train.epochs=9223372036854775807", "train.epochs", "at most 1000000"),
    ] {
        let ran = limited(&folder, &["train", "config.toml", "--out", "run", "--set", set]);
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        let message = ran.stderr.replacen(&format!("--set {set}"), "", 1);
        assert!(message.contains(key) && message.contains(says), "{set}: {}", ran.stderr);
        assert!(!folder.join("run").exists(), "{set} left something behind");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_sound_model_trains_in_little_address_space() {
    let folder = Folder::with_log();
    let ran = limited(&folder, &["train", "config.toml", "--out", "run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// How large a vocabulary is, the rows say.
#[cfg(target_os = "linux")]
#[test]
fn vocabularies_are_held_against_memory_before_anything_is_trained() {
    let folder = Folder::with_log();
    let rows: String = (0..6000).map(|i| format!("{},{},city {i},{},0.5\n", i % 60, i % 20, i % 2)).collect();
    folder.write("train.csv", format!("age,visits,city,buy,spend\n{rows}"));
    folder.replace("config.toml", "embedding = 4", "embedding = 65536");
    folder.write("config.toml", folder.text("config.toml") + COMPARE);
    for command in ["train", "compare"] {
        let ran = limited(&folder, &[command, "config.toml", "--out", "run"]);
        assert_eq!(ran.code, Some(2), "{command}: {}", ran.stderr);
        for says in ["config.toml:", "feature.1.encoding", "GiB of memory are free"] {
            assert!(ran.stderr.contains(says), "{command}: {says}: {}", ran.stderr);
        }
        assert!(!folder.join("run").exists(), "{command} left something behind");
    }
}
