//! `[train] table_folder` and `embedding_precision`: where embedding tables are kept while training, and how exactly.

#![allow(clippy::unwrap_used)]

use crate::common::{Folder, log};
use safetensors::{Dtype, SafeTensors};

const BF16: &str = "train.embedding_precision=bf16";

fn train(folder: &Folder, out: &str, more: &[&str]) {
    folder.ok(&[&["train", "config.toml", "--out", out], more].concat());
}

fn weights(folder: &Folder, run: &str) -> Vec<u8> {
    folder.read(&format!("{run}/model/weights.safetensors"))
}

#[test]
fn a_table_folder_changes_no_result_and_is_left_empty() {
    let folder = Folder::with_log();
    std::fs::create_dir(folder.join("tables")).unwrap();
    train(&folder, "memory", &[]);
    // Relative to the configuration, as every path in it.
    std::fs::create_dir(folder.join("elsewhere")).unwrap();
    let args = ["train", "../config.toml", "--out", "../file", "--set", "train.table_folder=tables"];
    let status = folder.command(&args).current_dir(folder.join("elsewhere")).output().unwrap().status;
    assert!(status.success());
    assert!(weights(&folder, "memory") == weights(&folder, "file"));
    assert_eq!(std::fs::read_dir(folder.join("tables")).unwrap().count(), 0);
    // No part of what a run is: one that began in memory is the same run.
    let ran = folder.ok(&["train", "config.toml", "--out", "memory", "--set", "train.table_folder=tables", "--resume"]);
    assert!(ran.stderr.contains("complete"), "{}", ran.stderr);
}

#[test]
fn a_table_folder_that_is_not_there_is_made() {
    let folder = Folder::with_log();
    train(&folder, "memory", &[]);
    train(&folder, "file", &["--set", "train.table_folder=new/tables"]);
    assert!(weights(&folder, "memory") == weights(&folder, "file"));
    assert_eq!(std::fs::read_dir(folder.join("new/tables")).unwrap().count(), 0);
}

#[test]
fn a_table_folder_that_cannot_be_is_told_before_rows_are_read() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "seed = 7", "seed = 7\ntable_folder = \"test.csv/tables\"");
    // A row that cannot be read is not reached.
    folder.write("train.csv", "age,visits,city,buy,spend\nx\n");
    for command in ["train", "compare"] {
        let before = folder.listing();
        if command == "compare" {
            let compare = "\n[compare]\nbaseline = \"a\"\n[[compare.model]]\nname = \"a\"\nkind = \"single-task\"\nbottom = [4]\n";
            let text = folder.text("config.toml");
            folder.write("config.toml", text + compare);
        }
        let ran = folder.run(&[command, "config.toml", "--out", "run"]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        for says in ["config.toml:", "table_folder", "test.csv/tables", "^"] {
            assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        }
        assert_eq!(folder.listing(), before, "nothing is left behind");
    }
}

#[test]
fn a_precision_that_does_not_exist_is_told_with_those_that_do() {
    let folder = Folder::with_log();
    let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", "train.embedding_precision=fp8"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["fp8", "f32", "bf16"] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
}

#[test]
fn bf16_tables_give_the_same_bits_on_any_threads_and_an_f32_model() {
    let folder = Folder::with_log();
    for threads in ["1", "2", "4"] {
        train(&folder, threads, &["--threads", threads, "--set", BF16]);
        assert!(weights(&folder, threads) == weights(&folder, "1"), "{threads} threads");
    }
    train(&folder, "exact", &[]);
    assert!(weights(&folder, "exact") != weights(&folder, "1"));
    let bytes = weights(&folder, "1");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut tables = 0;
    for (name, tensor) in tensors.tensors() {
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        // Little-endian: the lower half of an f32 that bf16 holds is zero.
        let held = tensor.data().chunks_exact(4).all(|bytes| bytes[..2] == [0, 0]);
        assert_eq!(held, name.starts_with("embeddings."), "{name}");
        tables += usize::from(held);
    }
    assert_eq!(tables, 1);
}

#[test]
fn a_killed_run_with_bf16_tables_resumes_to_the_same_bits() {
    let folder = Folder::with_log();
    folder.write("train.csv", log(6000, 1));
    std::fs::create_dir(folder.join("tables")).unwrap();
    let sets = ["--set", BF16, "--set", "train.table_folder=tables", "--set", "train.batch_size=4"];
    let begun =
        [&["train", "config.toml", "--out", "run", "--set", "train.checkpoint.every_steps=20"], &sets[..]].concat();
    folder.kill_at_checkpoint(&begun, "run");
    folder.ok(&[&begun[..], &["--resume"]].concat());
    train(&folder, "whole", &sets);
    assert!(weights(&folder, "run") == weights(&folder, "whole"));
    assert_eq!(std::fs::read_dir(folder.join("tables")).unwrap().count(), 0);
}
