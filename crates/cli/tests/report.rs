//! What a run says about its model: the page, `explain.json`, event files, alarms.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;
use serde_json::{Value, json};

/// Names of open tags that nothing closes, and closing tags without an open one.
fn unbalanced(page: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut wrong = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start..].find('>') else { break };
        let tag = &rest[start + 1..start + length];
        rest = &rest[start + length + 1..];
        let name = tag.trim_start_matches('/').split(' ').next().unwrap();
        match tag.starts_with('/') {
            true if open.last() == Some(&name) => drop(open.pop()),
            true => wrong.push(format!("/{name}")),
            false if ["!DOCTYPE", "meta", "br"].contains(&name) => {}
            false => open.push(name),
        }
        // Style is no markup.
        if name == "style" && !tag.starts_with('/') {
            rest = &rest[rest.find("</style>").unwrap()..];
        }
    }
    wrong.extend(open.into_iter().map(str::to_owned));
    wrong
}

#[test]
fn a_run_has_a_page_of_its_own() {
    let folder = Folder::with_log();
    let ran = folder.ok(&["train", "config.toml", "--out", "run", "--set", "train.epochs=2"]);
    assert!(ran.stdout.contains("report: run/report.html"), "{}", ran.stdout);
    let page = folder.text("run/report.html");
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    for outside in ["http:", "https:", "src=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in ["buy", "spend", "levels.1.shared.experts", "--set train.epochs=2", "where = {", "visits", "AUC", "MSE"]
    {
        assert!(page.contains(part), "{part}");
    }
    for part in ["id=\"learning\"", "id=\"experts\"", "id=\"calibration\"", "id=\"importance\"", "id=\"structure\""] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains(&folder.path().display().to_string()), "a path of this machine");
}

#[test]
fn a_run_is_explained_in_numbers() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let explanation = folder.json("run/explain.json");
    assert_eq!((&explanation["on"], &explanation["rows"]), (&json!("test"), &json!(120)));
    // Two levels: a gate per task in each, and a shared one below.
    assert_eq!(explanation["gates"].as_array().unwrap().len(), 5);
    assert_eq!(explanation["experts"].as_array().unwrap().len(), 6);
    let bins = explanation["calibration"]["buy"]["bins"].as_array().unwrap();
    assert_eq!(bins.iter().map(|bin| bin["rows"].as_u64().unwrap()).sum::<u64>(), 120);
    // `buy` was drawn from visits and city; `spend` is known of buyers alone.
    let importance = |task: &str| explanation["importance"]["tasks"][task].clone();
    let loss = |task: &str, feature: &str| -> f64 {
        let features = importance(task)["features"].clone();
        features.as_array().unwrap().iter().find(|f| f["feature"] == feature).unwrap()["loss"].as_f64().unwrap()
    };
    assert!(loss("buy", "visits") > 0.05 && loss("buy", "visits") > loss("buy", "age"), "{explanation}");
    let buyers = folder.json("run/metrics.json")["rows"]["test"]["tasks"]["spend"].clone();
    assert_eq!(importance("spend")["rows"], buyers);
    let events = folder.read("run/tensorboard/events.out.tfevents.pleiad");
    assert!(
        events.windows(13).any(|bytes| bytes == b"brain.Event:2") && events.windows(13).any(|b| b == b"valid/auc/buy")
    );
}

#[test]
fn the_explanation_does_not_depend_on_threads() {
    let folder = Folder::with_log();
    for threads in ["1", "3"] {
        folder.ok(&["--threads", threads, "train", "config.toml", "--out", threads, "--set", "train.epochs=1"]);
    }
    assert_eq!(folder.text("1/explain.json"), folder.text("3/explain.json"));
}

#[test]
fn without_test_rows_the_best_there_are_explain() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "test = \"test.csv\"\n", "");
    folder.ok(&["train", "config.toml", "--out", "valid", "--set", "train.epochs=1"]);
    assert_eq!(folder.json("valid/explain.json")["on"], "valid");
    folder.replace("config.toml", "valid = \"valid.csv\"\n", "");
    folder.replace("config.toml", "early_stopping = { patience = 5 }\n", "");
    folder.ok(&["train", "config.toml", "--out", "train", "--set", "train.epochs=1"]);
    assert_eq!(folder.json("train/explain.json")["on"], "train");
    assert!(folder.text("train/report.html").contains("no validation rows"));
}

#[test]
fn names_cannot_break_the_page() {
    let folder = Folder::with_log();
    let hostile = "<script>alert(1)</script>&\\\"'";
    folder.replace("config.toml", "name = \"buy\"", &format!("name = \"{hostile}\""));
    folder.ok(&["train", "config.toml", "--out", "run", "--set", "train.epochs=1"]);
    let page = folder.text("run/report.html");
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;'"));
    assert_eq!(unbalanced(&page), Vec::<String>::new());
}

/// Weights by name, all zero but those that are given.
fn weights(shapes: &[(&str, &[usize], f32)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, shape, value) in shapes {
        let count: usize = shape.iter().product();
        let start = data.len();
        data.extend((0..count).flat_map(|_| value.to_le_bytes()));
        let tensor = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert((*name).to_owned(), tensor);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

#[test]
fn inspect_tells_what_is_wrong_with_gates_and_experts() {
    let folder = Folder::with_log();
    let model = folder.text("config.toml");
    let (head, tail) = (model.find("[model]").unwrap(), model.find("[train]").unwrap());
    let mmoe = "[model]\nkind = \"mmoe\"\nexperts = 3\nwidths = [2]\ngate_bias = true\n\n";
    folder.write("mmoe.toml", format!("{}{mmoe}{}", &model[..head], &model[tail..]));
    // Expert 0 works, expert 1 is silenced by ReLU, expert 2 works but `buy` turns away from it; `spend` weighs all
    // rows alike.
    let shapes: Vec<(String, Vec<usize>, f32)> = vec![
        ("embeddings.city.weight".into(), vec![5, 4], 0.1),
        ("experts.0.0.weight".into(), vec![2, 6], 0.5),
        ("experts.0.0.bias".into(), vec![2], 1.0),
        ("experts.1.0.weight".into(), vec![2, 6], 0.5),
        ("experts.1.0.bias".into(), vec![2], -99.0),
        ("experts.2.0.weight".into(), vec![2, 6], 0.2),
        ("experts.2.0.bias".into(), vec![2], 1.0),
        ("gates.buy.weight".into(), vec![3, 6], 0.0),
        ("gates.buy.bias".into(), vec![3], 0.0),
        ("gates.spend.weight".into(), vec![3, 6], 0.0),
        ("gates.spend.bias".into(), vec![3], 0.0),
        ("towers.buy.0.weight".into(), vec![1, 2], 1.0),
        ("towers.buy.0.bias".into(), vec![1], 0.0),
        ("towers.spend.0.weight".into(), vec![1, 2], 1.0),
        ("towers.spend.0.bias".into(), vec![1], 0.0),
    ];
    let borrowed: Vec<(&str, &[usize], f32)> = shapes.iter().map(|(n, s, v)| (n.as_str(), s.as_slice(), *v)).collect();
    let mut file = weights(&borrowed);
    // The bias of `buy`'s gate ends in a number that no softmax overcomes; its weights for expert 0 follow the first
    // column, so that the gate depends on the row.
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let offset = |name: &str| {
        let parsed: Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
        8 + header + parsed[name]["data_offsets"][0].as_u64().unwrap() as usize
    };
    let (bias, weight) = (offset("gates.buy.bias"), offset("gates.buy.weight"));
    file[bias + 8..bias + 12].copy_from_slice(&(-20f32).to_le_bytes());
    file[weight..weight + 4].copy_from_slice(&1f32.to_le_bytes());
    folder.write("collapsed.safetensors", file);
    folder.ok(&["import", "--config", "mmoe.toml", "--weights", "collapsed.safetensors", "--out", "model"]);

    let text = folder.ok(&["inspect", "model", "--data", "test.csv"]).stdout;
    for says in [
        "dead expert: experts.1 gives only zeros for all 120 rows",
        "collapsed gate: gates.buy never gives experts.2 more than 0.00 %",
        "gate that ignores the row: gates.spend gives all 120 rows the same weights",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let alarms = folder.ok(&["inspect", "model", "--data", "test.csv", "--format", "json"]).json()["alarms"].clone();
    let kinds: Vec<&str> = alarms.as_array().unwrap().iter().map(|alarm| alarm["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["dead_expert", "collapsed", "static_gate"]);
    assert!(!text.contains("No alarms"));
    assert!(folder.ok(&["inspect", "model", "--format", "json"]).json().get("alarms").is_none());
}

#[test]
fn training_warns_of_what_is_wrong() {
    let folder = Folder::with_log();
    // Inputs that are the same in all rows: neither gates nor experts can depend on the row.
    folder.replace("config.toml", "transform = [\"standardize\"]", "transform = [{ clip = [-2, -1] }]");
    folder.replace("config.toml", "[[feature]]\ncolumns = [\"city\"]\nkind = \"categorical\"\nembedding = 4\n\n", "");
    let ran = folder.ok(&["train", "config.toml", "--out", "run", "--set", "train.epochs=1"]);
    assert!(ran.stderr.contains("warning: levels.0.buy.experts.0 gives "), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: levels.0.buy.gate gives all 120 rows the same weights"), "{}", ran.stderr);
    let page = folder.text("run/report.html");
    assert!(page.contains("gate that ignores the row") && page.contains("href=\"#experts\""));
}

#[test]
fn explaining_can_be_switched_off_or_done_on_a_share() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "off", "--set", "train.explain=false"]);
    assert!(folder.join("off/model/model.json").is_file() && !folder.join("off/explain.json").exists());
    let page = folder.text("off/report.html");
    assert!(page.contains("id=\"learning\"") && !page.contains("id=\"importance\""));
    let share = "train.explain={ rows = 0.5, features = 0.5 }";
    folder.ok(&["train", "config.toml", "--out", "share", "--set", share]);
    let explanation = folder.json("share/explain.json");
    assert_eq!((&explanation["rows"], &explanation["of_rows"]), (&json!(60), &json!(120)));
    assert_eq!(explanation["importance"]["features"], json!({ "shuffled": 2, "of": 3 }));
    assert!(folder.text("share/report.html").contains("on 60 of 120 test rows"));
    // It is no part of what a run is.
    let hash = |run: &str| folder.json(&format!("{run}/metrics.json"))["config_hash"].clone();
    assert_eq!(hash("off"), hash("share"));
    for (value, told) in [("{ rows = 0 }", "train.explain.rows"), ("{ features = 2 }", "train.explain.features")] {
        let ran = folder.run(&["train", "config.toml", "--out", "no", "--set", &format!("train.explain={value}")]);
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{}", ran.stderr);
    }
}

#[test]
fn a_run_that_was_stopped_while_it_was_explained_has_a_model_and_is_explained_when_it_goes_on() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let whole = (folder.json("run/explain.json"), folder.json("run/metrics.json")["test"].clone());
    // What is there when a run is killed at this point: the model and the checkpoints.
    for file in ["run/explain.json", "run/metrics.json", "run/report.html"] {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    folder.ok(&["evaluate", "run/model", "--data", "test.csv"]);
    folder.ok(&["train", "config.toml", "--out", "run", "--resume"]);
    assert_eq!((folder.json("run/explain.json"), folder.json("run/metrics.json")["test"].clone()), whole);
    // A user who does not want to wait for it can say so now.
    std::fs::remove_file(folder.join("run/metrics.json")).unwrap();
    folder.ok(&["train", "config.toml", "--out", "run", "--resume", "--set", "train.explain=false"]);
    assert!(!folder.join("run/explain.json").exists(), "it would be of another run");
}
