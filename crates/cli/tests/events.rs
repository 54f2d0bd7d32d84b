//! Events through the binary: `examples/target_attention.rs` weighs the values of a list by a candidate, and finds what their mean has
//! lost.

#![allow(clippy::unwrap_used)]

#[path = "../examples/target_attention.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod target_attention;

use std::path::Path;
use std::sync::Once;

use crate::common::Folder;
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
    "model={kind=\"target-attention\", list=\"seen\", target=\"item\", scores=[16], bottom=[16], tower=[]}";

/// A list has one item of each of ten kinds, in any order. Users like an item where the one of its kind in the list is one of
/// the good ones: a mean does not say which was. Some have an empty list.
fn log(rows: usize, seed: u64) -> String {
    let mut state = seed * 2 + 1;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = "seen,item,liked\n".to_owned();
    for row in 0..rows {
        let item = next(100);
        let kinds = if row % 50 == 0 { 0 } else { 10 };
        let mut seen: Vec<u64> = (0..kinds).map(|kind| 10 * next(10) + kind).collect();
        (1..seen.len()).rev().for_each(|at| seen.swap(at, next(at as u64 + 1) as usize));
        let liked = seen.iter().any(|seen| seen % 10 == item % 10 && *seen < 50);
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
    assert!(attention > 0.95 && mean < 0.7, "{mean} by means, {attention} by attention");
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
    for (list, target) in [("sen", "item"), ("item", "item"), ("seen", "itm")] {
        let model = MODEL.replace("\"seen\"", &format!("\"{list}\"")).replace("\"item\"", &format!("\"{target}\""));
        let ran = command(&folder, &["train", "@config.toml", "--out", "@run", "--set", &model]);
        assert_eq!(ran, 2, "{list} and {target}");
    }
}

/// `attention` of a feature does the same below any structure, without a program of one's own; by request, too.
#[test]
fn a_list_is_weighed_by_a_key() {
    let folder = folder();
    folder.ok(&["train", "config.toml", "--out", "mean"]);
    folder.replace(
        "config.toml",
        "multiple = true",
        "multiple = true\nattention = { target = \"item\", widths = [16] }",
    );
    let ple = "model={kind=\"cgc\", task_experts=1, shared_experts=1, widths=[16], tower=[]}";
    folder.ok(&["train", "config.toml", "--out", "attention", "--set", ple]);
    let (mean, attention) = (auc(&folder, "mean"), auc(&folder, "attention"));
    assert!(attention > 0.95 && mean < 0.7, "{mean} by means, {attention} by attention");
    let inspected = folder.ok(&["inspect", "attention/model", "--format", "json"]).json();
    assert!(inspected["modules"].to_string().contains("lists.seen"), "{inspected}");
    assert!(folder.text("attention/explain.json").contains("\"seen\""));
    assert!(folder.text("attention/report.html").contains("lists.seen"));
    folder.ok(&["export", "attention/model", "--onnx", "model.onnx"]);

    // Two candidates of each list: the same model by request and row by row.
    let requests = |name: &str| {
        let mut text = "request,seen,item,liked\n".to_owned();
        for (row, line) in folder.text(name).lines().skip(1).enumerate() {
            let (seen, rest) = line.split_once(',').unwrap();
            text += &format!("r{row},{seen},{rest}\nr{row},{seen},i{},1\n", row % 100);
        }
        folder.write(name, text);
    };
    ["train.csv", "valid.csv", "test.csv"].into_iter().for_each(requests);
    folder.replace("config.toml", "test = \"test.csv\"", "test = \"test.csv\"\nrequest = \"request\"");
    folder.replace("config.toml", "multiple = true\n", "multiple = true\nper = \"request\"\n");
    folder.ok(&["train", "config.toml", "--out", "requests"]);
    folder.ok(&["predict", "requests/model", "--data", "test.csv", "--out", "predicted.csv"]);
    assert_eq!(folder.text("predicted.csv").lines().count(), 2001);
    folder.replace("config.toml", "target = \"item\"", "target = \"itm\"");
    let ran = folder.run(&["train", "config.toml", "--out", "wrong"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("attention.target") && ran.stderr.contains("\"item\""), "{}", ran.stderr);
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
