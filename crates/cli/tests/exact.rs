//! `exact` and `average` through the binary: the same model from a file, a cache and a stream; predictions, `--init`, `--resume`.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;

const AVERAGE: [&str; 2] = ["--set", "train.average={ decay = 0.9 }"];

fn folder() -> Folder {
    let folder = Folder::with_log();
    folder.replace(
        "config.toml",
        "transform = [\"standardize\"]\n",
        "transform = [\"standardize\"]\nexact = { embedding = 3, min_count = 5 }\n",
    );
    folder
}

fn weights(folder: &Folder, run: &str) -> Vec<u8> {
    folder.read(&format!("{run}/model/weights.safetensors"))
}

#[test]
fn a_file_a_cache_and_a_stream_give_one_model_that_predicts_and_goes_on() {
    let folder = folder();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let tables = ["embeddings.age.exact.weight", "embeddings.visits.exact.weight"];
    let header = String::from_utf8_lossy(&weights(&folder, "run")).into_owned();
    assert!(tables.iter().all(|tensor| header.contains(tensor)), "{tables:?}");
    for (run, settings) in [
        ("fresh", &["data.cache=cache"][..]),
        ("cached", &["data.cache=cache"]),
        ("streamed", &["data.cache=cache", "data.stream={ window = 1000 }"]),
    ] {
        let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
        folder.ok(&[&["train", "config.toml", "--out", run][..], &settings].concat());
        if run != "streamed" {
            assert_eq!(weights(&folder, run), weights(&folder, "run"), "{run}");
        }
    }
    // A number is the same one however it is written, and one that training has not seen is taken for a rare one.
    folder.write("new.csv", "age,visits,city\n40,10,Lima\n40.0,1.0E1,Lima\n40.5,10,Lima\n");
    folder.ok(&["predict", "run/model", "--data", "new.csv", "--out", "p.csv"]);
    let predictions = folder.text("p.csv");
    let rows: Vec<&str> = predictions.lines().skip(1).collect();
    assert_eq!(rows[0], rows[1]);
    assert_ne!(rows[0], rows[2]);
    folder.ok(&["train", "config.toml", "--out", "more", "--init", "run/model", "--set", "train.epochs=1"]);
    let ran = folder.run(&[
        "train",
        "config.toml",
        "--out",
        "other",
        "--init",
        "run/model",
        "--set",
        "feature.0.exact.embedding=4",
    ]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("age.exact") && ran.stderr.contains("embedding"), "{}", ran.stderr);
}

#[test]
fn an_average_is_saved_and_a_killed_run_comes_to_its_bits() {
    let folder = folder();
    let train =
        |run: &str, more: &[&str]| [&["train", "config.toml", "--out", run], &AVERAGE[..], more].concat().join("\u{0}");
    let args = |text: &str| text.split('\u{0}').map(str::to_owned).collect::<Vec<_>>();
    let ok = |run: &str, more: &[&str]| {
        let args = args(&train(run, more));
        folder.ok(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    folder.ok(&["train", "config.toml", "--out", "plain"]);
    ok("whole", &[]);
    assert_ne!(weights(&folder, "whole"), weights(&folder, "plain"));
    let long = [
        "--set",
        "train.epochs=60",
        "--set",
        "train.checkpoint.every_steps=5",
        "--set",
        "train.early_stopping.patience=60",
    ];
    ok("long", &long);
    let killed = args(&train("killed", &long));
    folder.kill_at_checkpoint(&killed.iter().map(String::as_str).collect::<Vec<_>>(), "killed");
    ok("killed", &[&long[..], &["--resume"]].concat());
    assert_eq!(weights(&folder, "killed"), weights(&folder, "long"));
    // What was measured is what was saved.
    let measured = folder.ok(&["evaluate", "whole/model", "--data", "test.csv", "--format", "json"]).json();
    assert_eq!(measured["tasks"]["buy"]["auc"], folder.json("whole/metrics.json")["test"]["tasks"]["buy"]["auc"]);
    let ran = folder.run(&["train", "config.toml", "--out", "bad", "--set", "train.average={ decay = 1.0 }"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("train.average.decay: must be above 0 and below 1, not 1"), "{}", ran.stderr);
}
