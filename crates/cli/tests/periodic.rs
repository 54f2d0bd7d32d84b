//! `periodic` and `field_dropout` through the binary: the same model from a file and from a stream's cache, saved, opened,
//! explained; runs that are stopped and go on.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;

fn folder() -> Folder {
    let folder = Folder::with_log();
    folder.replace(
        "config.toml",
        "transform = [\"standardize\"]\n",
        "transform = [\"standardize\"]\nperiodic = { embedding = 3, frequencies = 4, sigma = 0.2 }\n",
    );
    folder
}

fn weights(folder: &Folder, run: &str) -> Vec<u8> {
    folder.read(&format!("{run}/model/weights.safetensors"))
}

#[test]
fn waves_are_part_of_the_model() {
    let folder = folder();
    folder.ok(&["train", "config.toml", "--out", "run", "--threads", "1"]);
    let header = String::from_utf8_lossy(&weights(&folder, "run")).into_owned();
    for tensor in ["numbers.age.periodic.frequencies", "numbers.visits.periodic.weight", "numbers.age.periodic.bias"] {
        assert!(header.contains(tensor), "{tensor}");
    }
    folder.ok(&["train", "config.toml", "--out", "cached", "--threads", "3", "--set", "data.cache=cache"]);
    assert_eq!(weights(&folder, "cached"), weights(&folder, "run"));
    // What the waves are like changes no encoded row.
    let other = ["--set", "data.cache=cache", "--set", "feature.0.periodic={ embedding = 2, sigma = 0.5 }"];
    folder.ok(&[&["train", "config.toml", "--out", "other"][..], &other].concat());
    assert_eq!(
        std::fs::read_dir(folder.join("cache")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(),
        1
    );
    let explained = folder.text("run/explain.json");
    assert!(explained.contains("\"age.periodic\""), "{explained}");
    folder.write("new.csv", "age,visits,city\n40,10,Lima\n41,10,Lima\n");
    folder.ok(&["predict", "run/model", "--data", "new.csv", "--out", "p.csv"]);
    folder.ok(&["inspect", "run/model"]);
    folder.ok(&["train", "config.toml", "--out", "more", "--init", "run/model", "--set", "train.epochs=1"]);
    let refused = ["--init", "run/model", "--set", "feature.0.periodic.frequencies=5"];
    let ran = folder.run(&[&["train", "config.toml", "--out", "no"][..], &refused].concat());
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("age.periodic"), "{}", ran.stderr);
}

#[test]
fn dropped_fields_come_to_the_same_bits() {
    let folder = folder();
    let train = |run: &str, more: &[&str]| {
        let args = ["train", "config.toml", "--out", run, "--set", "train.field_dropout=0.2"];
        folder.ok(&[&args[..], more].concat());
    };
    train("whole", &["--threads", "1"]);
    train("threads", &["--threads", "3"]);
    assert_eq!(weights(&folder, "whole"), weights(&folder, "threads"));
    folder.ok(&["train", "config.toml", "--out", "plain"]);
    assert_ne!(weights(&folder, "whole"), weights(&folder, "plain"));
    let config = folder.json("whole/model/model.json").to_string();
    assert!(config.contains("numbers.age.periodic"), "the graph is that of a model without");
    let ran = folder.run(&["train", "config.toml", "--out", "bad", "--set", "train.field_dropout=1.0"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("train.field_dropout: must be at least 0 and below 1, not 1"), "{}", ran.stderr);
}
