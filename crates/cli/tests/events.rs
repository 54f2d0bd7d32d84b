//! Events through the binary: `examples/target_attention.rs` weighs the values of a list by a candidate, and finds what their mean has
//! lost.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "../examples/target_attention.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod target_attention;

use std::path::Path;
use std::sync::Once;

use common::Folder;
use pleiad_model::architectures::register;
use serde_json::Value;
use target_attention::TargetAttention;

const CONFIG: &str = r#"[data]
train = "train.csv"
valid = "valid.csv"
test = "test.csv"

[[feature]]
columns = ["seen"]
kind = "categorical"
multiple = true
embedding = 8
table = "item"

[[feature]]
columns = ["item"]
kind = "categorical"
embedding = 8
table = "item"

[[task]]
name = "liked"
kind = "binary"
label = { column = "liked" }

[model]
kind = "hard-sharing"
bottom = [16]
tower = []

[train]
epochs = 8
batch_size = 128
optimizer = { kind = "adam", learning_rate = 1e-2 }
early_stopping = { patience = 8 }
seed = 7
"#;

const MODEL: &str =
    "model={kind=\"target-attention\", list=\"seen\", target=\"item\", scores=[8], bottom=[16], tower=[]}";

/// Users like items that are like one that they have seen: of the same ten. Some have seen nothing.
fn log(rows: usize, seed: u64) -> String {
    let mut state = seed * 2 + 1;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = "seen,item,liked\n".to_owned();
    for row in 0..rows {
        let item = next(100);
        let mut seen: Vec<u64> = (0..if row % 50 == 0 { 0 } else { 5 + next(4) }).map(|_| next(100)).collect();
        // As many who have as who have not.
        if row % 2 == 0 {
            seen.retain(|seen| seen % 10 != item % 10);
        }
        let liked = seen.iter().any(|seen| seen % 10 == item % 10);
        let seen: Vec<String> = seen.iter().map(|seen| format!("i{seen}")).collect();
        text += &format!("{},i{item},{}\n", seen.join("|"), u8::from(liked));
    }
    text
}

fn folder() -> Folder {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| register::<TargetAttention>().unwrap());
    let folder = Folder::empty();
    for (name, rows, seed) in [("train", 6000, 1), ("valid", 1000, 2), ("test", 1000, 3)] {
        folder.write(&format!("{name}.csv"), log(rows, seed));
    }
    folder.write("config.toml", CONFIG);
    folder
}

/// Runs the command of the example in this process; files are named by their whole paths.
fn command(folder: &Folder, words: &[&str]) -> u8 {
    let place = |word: &str| match word.strip_prefix('@') {
        Some(name) => folder.join(name).into_os_string(),
        None => word.into(),
    };
    pleiad_cli::run(["pleiad", "--quiet"].iter().chain(words).map(|word| place(word)).collect())
}

fn auc(folder: &Folder, run: &str) -> f64 {
    let report = folder.json(&format!("{run}/metrics.json"));
    report["test"]["tasks"]["liked"]["auc"].as_f64().unwrap()
}

#[test]
fn the_example_finds_what_a_mean_has_lost() {
    let folder = folder();
    folder.ok(&["train", "config.toml", "--out", "mean"]);
    assert_eq!(command(&folder, &["train", "@config.toml", "--out", "@attention", "--set", MODEL]), 0);
    let (mean, attention) = (auc(&folder, "mean"), auc(&folder, "attention"));
    assert!(attention > 0.9 && mean < 0.75, "{mean} by means, {attention} by attention");
    // Any pleiad predicts, exports and explains it.
    folder.ok(&["predict", "attention/model", "--data", "test.csv", "--out", "predicted.csv"]);
    assert_eq!(folder.text("predicted.csv").lines().count(), 1001);
    folder.ok(&["export", "attention/model", "--onnx", "model.onnx"]);
    let explained: Value = folder.json("attention/explain.json");
    let seen = explained.to_string().contains("\"seen\"");
    assert!(seen, "{explained}");
    let inspected = folder.ok(&["inspect", "attention/model", "--format", "json"]).json();
    let modules = inspected["modules"].to_string();
    assert!(modules.contains("scores"), "{modules}");
}

#[test]
fn features_that_the_example_cannot_read_are_named() {
    let folder = folder();
    for (list, target, told) in [("sen", "item", "\"seen\""), ("item", "item", "multiple"), ("seen", "itm", "\"item\"")]
    {
        let model = MODEL.replace("\"seen\"", &format!("\"{list}\"")).replace("\"item\"", &format!("\"{target}\""));
        let ran = command(&folder, &["train", "@config.toml", "--out", "@run", "--set", &model]);
        assert_eq!(ran, 2, "{told}");
    }
}

/// docs/structure.md shows the part of the example that is about events.
#[test]
fn the_document_shows_the_example() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(here.join("examples/target_attention.rs")).unwrap();
    let page = std::fs::read_to_string(here.join("../../docs/structure.md")).unwrap();
    let (_, rest) = file.split_once("        let candidate").unwrap();
    let (shown, _) = rest.split_once("        let bottom").unwrap();
    let shown = format!("let candidate{shown}").replace("\n        ", "\n");
    assert!(page.contains(shown.trim_end()), "docs/structure.md shows other lines:\n{shown}");
}
