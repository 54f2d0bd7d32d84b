//! `[data] request` and `per = "request"` through the binary: a model that computes once a request what its rows have in common
//! predicts what it does row by row; rows that differ within a request are bad ones; keys that miss each other are refused.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use crate::common::Folder;

const CONFIG: &str = r#"
[data]
train = "log.csv"
valid = "log.csv"
request = "request_id"

[[feature]]
columns = ["age"]
kind = "numeric"
transform = ["standardize"]
missing = "mean"
per = "request"

[[feature]]
columns = ["user", "city"]
kind = "categorical"
embedding = 4
per = "request"

[[feature]]
columns = ["item"]
kind = "categorical"
embedding = 4

[[feature]]
columns = ["length"]
kind = "numeric"
transform = ["standardize"]

[[task]]
name = "click"
kind = "binary"
label = "click"

[[task]]
name = "share"
kind = "binary"
label = "share"

[model]
kind = "ple"
levels = [{ task_experts = 1, shared_experts = 1, widths = [8] }]
tower = [4]

[train]
epochs = 2
batch_size = 64
seed = 3
optimizer = { kind = "sgd", learning_rate = 0.05 }
"#;

/// 120 requests of 1 to 9 rows.
fn log() -> String {
    let mut log = "request_id,age,user,city,item,length,click,share\n".to_owned();
    for request in 0..120usize {
        let age = if request % 11 == 0 { String::new() } else { (20 + request * 7 % 50).to_string() };
        for candidate in 0..=request * 5 % 9 {
            let item = (request * 13 + candidate * 29) % 300;
            let (click, share) = ((item + request) % 3 == 0, item % 5 == 0 && candidate % 2 == 0);
            let city = ["Lima", "Oslo", "Bern"][request % 3];
            let (click, share) = (u8::from(click), u8::from(share));
            let length = item % 17;
            writeln!(log, "r{request},{age},u{},{city},i{item},{length},{click},{share}", request % 40).unwrap();
        }
    }
    log
}

fn folder() -> Folder {
    let folder = Folder::empty();
    folder.write("config.toml", CONFIG);
    folder.write("log.csv", log());
    folder
}

/// The predictions in a file, row by row.
fn predictions(folder: &Folder, file: &str) -> Vec<Vec<f64>> {
    let text = folder.text(file);
    text.lines().skip(1).map(|line| line.split(',').map(|p| p.parse().unwrap()).collect()).collect()
}

fn apart(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn by_request_a_model_learns_and_predicts_what_it_does_row_by_row() {
    let folder = folder();
    // The order of the log, so that both see the same batches.
    let ordered = ["--set", "train.shuffle=false"];
    folder.ok(&[&["train", "config.toml", "--out", "split"][..], &ordered].concat());
    folder.write("flat.toml", CONFIG.replace("per = \"request\"\n", "").replace("request = \"request_id\"\n", ""));
    folder.ok(&[&["train", "flat.toml", "--out", "flat"][..], &ordered].concat());
    // Predictions need no request: rows with other values begin one.
    folder.write("new.csv", log().replace("request_id", "whatever"));
    for run in ["split", "flat"] {
        let (model, out) = (format!("{run}/model"), format!("{run}.csv"));
        folder.ok(&["predict", &model, "--data", "new.csv", "--out", &out]);
        folder.ok(&["evaluate", &model, "--data", "log.csv"]);
        folder.ok(&["inspect", &model, "--data", "log.csv"]);
    }
    let (split, flat) = (predictions(&folder, "split.csv"), predictions(&folder, "flat.csv"));
    assert!(apart(&split, &flat) < 1e-5, "{}", apart(&split, &flat));
    // Each row by itself is a request, too.
    folder.write("one.csv", log().lines().take(2).collect::<Vec<_>>().join("\n"));
    folder.ok(&["predict", "split/model", "--data", "one.csv", "--out", "one.out.csv"]);
    assert!(apart(&predictions(&folder, "one.out.csv"), &split[..1]) < 1e-6);
}

#[test]
fn runs_with_requests_do_not_depend_on_threads_or_cache() {
    let folder = folder();
    let train = |run: &str, more: &[&str]| {
        folder.ok(&[&["train", "config.toml", "--out", run][..], more].concat());
        folder.read(&format!("{run}/model/weights.safetensors"))
    };
    let one = train("one", &["--threads", "1"]);
    assert_eq!(one, train("three", &["--threads", "3"]));
    assert_eq!(one, train("cached", &["--set", "data.cache=cache"]));
    assert_eq!(one, train("again", &["--set", "data.cache=cache"]));
    train("stream", &["--set", "data.cache=cache", "--set", "data.stream=true"]);
}

#[test]
fn a_row_that_differs_within_its_request_is_a_bad_one() {
    let folder = folder();
    let mut lines: Vec<String> = log().lines().map(String::from).collect();
    // The second row of the request r1.
    let at = lines.iter().position(|line| line.starts_with("r1,")).unwrap() + 1;
    lines[at] = lines[at].replace("Oslo", "Rome");
    folder.write("log.csv", lines.join("\n"));
    let ran = folder.run(&["train", "config.toml", "--out", "run"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let line = format!("line {}", at + 1);
    for part in ["log.csv", &line, "city", "Rome", "request_id"] {
        assert!(ran.stderr.contains(part), "{part} in {}", ran.stderr);
    }
    folder.ok(&["train", "config.toml", "--out", "skipped", "--set", "data.on_bad_row=skip"]);
}

#[test]
fn keys_that_miss_each_other_are_refused() {
    let folder = folder();
    let refused = |config: &str| {
        folder.write("wrong.toml", config);
        let ran = folder.run(&["train", "wrong.toml", "--out", "no"]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        ran.stderr
    };
    let said = refused(&CONFIG.replace("request = \"request_id\"\n", ""));
    assert!(said.contains("request = \"request_id\"") && said.contains("wrong.toml:"), "{said}");
    let said = refused(&CONFIG.replace("per = \"request\"\n", ""));
    assert!(said.contains("per = \"request\"") && said.contains("wrong.toml:5"), "{said}");
    let said = refused(&CONFIG.replace("per = \"request\"", "per = \"requests\""));
    assert!(said.contains("did you mean `request`?"), "{said}");
    let said = refused(&CONFIG.replace("\"request_id\"", "\"\""));
    assert!(said.contains("name a column"), "{said}");
    let said = refused(&CONFIG.replace("\"request_id\"", "\"request_it\""));
    assert!(said.contains("request_id"), "{said}");
}
