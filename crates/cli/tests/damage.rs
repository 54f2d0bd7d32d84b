//! Files that have changed since they were written: refused by name, or done without, never taken for what they were.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Folder, Ran, copy, log};

/// Enough epochs on few rows that the best one is neither the first nor among the last two.
const TRAIN: &[&str] = &[
    "train",
    "config.toml",
    "--out",
    "run",
    "--set",
    "train.epochs=40",
    "--set",
    "train.early_stopping={ patience = 50, metric = \"buy.log_loss\" }",
    "--set",
    "train.optimizer.learning_rate=0.1",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// What an earlier version wrote.
fn earlier() -> Folder {
    let folder = Folder::empty();
    copy(&fixture("v1"), folder.path());
    folder
}

/// A folder with a finished run in `whole`, and in `run` what a kill just before its end would have left of it.
fn unfinished() -> Folder {
    let folder = Folder::with_log();
    folder.write("train.csv", log(60, 1));
    let whole: Vec<&str> = TRAIN.iter().map(|&arg| if arg == "run" { "whole" } else { arg }).collect();
    folder.ok(&whole);
    copy(&folder.join("whole/checkpoints"), &folder.join("run/checkpoints"));
    folder
}

/// Names of the checkpoints of `run`, oldest first.
fn checkpoints(folder: &Folder) -> Vec<String> {
    let names = folder.listing().into_iter().filter_map(|path| Some(path.strip_prefix("run/checkpoints/")?.to_owned()));
    names.filter(|name| !name.contains('/')).collect()
}

fn resume(folder: &Folder) -> Ran {
    folder.run(&[TRAIN, &["--resume"]].concat())
}

fn flip(folder: &Folder, file: &str, at: usize) {
    let mut bytes = folder.read(file);
    let at = at % bytes.len();
    bytes[at] ^= 1 << (at % 7);
    folder.write(file, bytes);
}

#[track_caller]
fn assert_refused(ran: &Ran, says: &[&str]) {
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    for says in says {
        assert!(ran.stderr.contains(says) && !ran.stderr.contains("panicked"), "no {says:?}: {}", ran.stderr);
    }
}

#[track_caller]
fn assert_same_model(folder: &Folder) {
    for file in ["weights.safetensors", "golden.safetensors"] {
        assert!(folder.read(&format!("run/model/{file}")) == folder.read(&format!("whole/model/{file}")), "{file}");
    }
}

#[test]
fn what_an_earlier_version_wrote_is_refused_by_name() {
    let folder = earlier();
    let version = ["format version 1", "reads 2", "train or import the model again"];
    assert_refused(&folder.run(&["predict", "model", "--data", "log.csv", "--out", "p.csv"]), &version);
    assert_refused(&folder.run(&["evaluate", "model", "--data", "log.csv"]), &version);
    assert_refused(&folder.run(&["inspect", "model"]), &version);
    assert_refused(&folder.run(&["train", "config.toml", "--out", "new", "--init", "model"]), &version);
    assert!(!folder.join("p.csv").exists() && !folder.join("new").exists());

    let before = folder.listing();
    let ran = folder.run(&["train", "config.toml", "--out", "run", "--resume"]);
    assert_refused(&ran, &["step-000000000002/state.json", "format version 1", "reads 2", "another folder"]);
    assert_eq!(folder.listing(), before);

    fs::create_dir(folder.join("done")).unwrap();
    fs::rename(folder.join("metrics.json"), folder.join("done/metrics.json")).unwrap();
    let ran = folder.run(&["train", "config.toml", "--out", "done", "--resume"]);
    assert_refused(&ran, &["done/metrics.json", "no hash of itself", "another folder"]);

    // It can be trained again as it stands, and its folder is still a model's, which another may replace.
    folder.ok(&["train", "config.toml", "--out", "new"]);
    folder.ok(&["predict", "new/model", "--data", "log.csv", "--out", "p.csv"]);
}

#[test]
fn a_model_with_another_letter_or_number_is_refused() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let whole = folder.text("run/model/model.json");
    let mean = whole.find("\"mean\": ").unwrap() + "\"mean\": ".len();
    let changes: [(&str, String); 3] = [
        ("a value of a vocabulary", whole.replacen("\"Lima\"", "\"Lime\"", 1)),
        ("the first digit of a mean", format!("{}9{}", &whole[..mean], &whole[mean + 1..])),
        ("an indent", whole.replacen("\n  \"graph\"", "\n   \"graph\"", 1)),
    ];
    for (name, text) in changes {
        assert_ne!(text, whole, "{name}");
        folder.write("run/model/model.json", text);
        for args in [
            &["evaluate", "run/model", "--data", "test.csv"][..],
            &["predict", "run/model", "--data", "test.csv", "--out", "p.csv"],
            &["inspect", "run/model"],
            &["train", "config.toml", "--out", "new", "--init", "run/model"],
        ] {
            assert_refused(&folder.run(args), &["run/model/model.json is damaged", "changed since it was written"]);
        }
    }
}

#[test]
fn golden_rows_of_another_model_are_refused() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    folder.ok(&["train", "config.toml", "--out", "other", "--set", "train.seed=8"]);
    fs::copy(folder.join("other/model/golden.safetensors"), folder.join("run/model/golden.safetensors")).unwrap();
    let ran = folder.run(&["inspect", "run/model"]);
    assert_refused(&ran, &["run/model/golden.safetensors", "are not those that model.json was saved with"]);
}

/// Whatever byte it is: the checkpoint before is taken, with a warning, and the model is that of an undisturbed run.
#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let folder = unfinished();
    let names = checkpoints(&folder);
    let [best, before, newest] = &names[..] else { panic!("{names:?}") };
    let step: u64 = before.trim_start_matches("step-").parse().unwrap();
    for file in ["weights.safetensors", "optimizer.safetensors", "state.json"] {
        let path = format!("run/checkpoints/{newest}/{file}");
        let length = folder.read(&path).len();
        for part in 0..4 {
            flip(&folder, &path, part * length / 4 + 3 * part);
            let ran = resume(&folder);
            assert_eq!(ran.code, Some(0), "{file}, part {part}: {}", ran.stderr);
            let says = format!("training goes on from step {step}: ");
            assert!(ran.stderr.contains("warning: a checkpoint is passed over"), "{}", ran.stderr);
            assert!(
                ran.stderr.contains(&says) && ran.stderr.contains(newest) && ran.stderr.contains(file),
                "{}",
                ran.stderr
            );
            assert_same_model(&folder);
            assert_eq!(checkpoints(&folder), [best, before, newest].map(String::clone));
            // What was damaged has been written again.
            fs::remove_dir_all(folder.join("run")).unwrap();
            copy(&folder.join("whole/checkpoints"), &folder.join("run/checkpoints"));
        }
    }
    // A file that is gone, and both of the last two: the best one is left, from which far more is done again.
    fs::remove_file(folder.join(&format!("run/checkpoints/{newest}/optimizer.safetensors"))).unwrap();
    let path = format!("run/checkpoints/{before}/state.json");
    folder.write(&path, &folder.read(&path)[..100]);
    let ran = resume(&folder);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("a checkpoint is passed over").count(), 2, "{}", ran.stderr);
    assert_same_model(&folder);
}

/// A file, or a link that leads nowhere, which has the name of a checkpoint.
#[test]
fn what_is_no_folder_is_passed_over_like_a_damaged_checkpoint() {
    let folder = unfinished();
    fs::write(folder.join("run/checkpoints/step-000000009999"), "x").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", folder.join("run/checkpoints/step-000000009998")).unwrap();
    // One that pruning comes upon.
    fs::write(folder.join("run/checkpoints/step-000000000001"), "x").unwrap();
    let ran = resume(&folder);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("warning: a checkpoint is passed over") && ran.stderr.contains("9999"),
        "{}",
        ran.stderr
    );
    assert_same_model(&folder);
    let left = checkpoints(&folder);
    assert!(left.iter().all(|name| folder.join(&format!("run/checkpoints/{name}")).is_dir()), "{left:?}");
}

#[test]
fn without_a_whole_checkpoint_nothing_goes_on() {
    let folder = unfinished();
    let names = checkpoints(&folder);
    // The weights that the run would end with.
    flip(&folder, &format!("run/checkpoints/{}/weights.safetensors", names[0]), 777);
    let before = folder.listing();
    let ran = resume(&folder);
    assert_refused(&ran, &[&names[0], "weights.safetensors", "no checkpoint before it is whole", "run/checkpoints"]);
    assert_eq!(folder.listing(), before);
    for name in &names {
        flip(&folder, &format!("run/checkpoints/{name}/state.json"), 50);
    }
    assert_refused(&resume(&folder), &[&names[2], "state.json", "no checkpoint before it is whole"]);
    // As it says.
    fs::remove_dir_all(folder.join("run/checkpoints")).unwrap();
    assert_eq!(resume(&folder).code, Some(0));
    assert_same_model(&folder);
}

#[test]
fn what_a_finished_run_says_is_not_taken_on_trust() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let resume = ["train", "config.toml", "--out", "run", "--resume"];
    for file in ["run/metrics.json", "run/explain.json"] {
        let whole = folder.text(file);
        let digit = whole.rfind(|c: char| c.is_ascii_digit()).unwrap();
        let other = if whole.as_bytes()[digit] == b'1' { "2" } else { "1" };
        folder.write(file, format!("{}{other}{}", &whole[..digit], &whole[digit + 1..]));
        assert_refused(&folder.run(&resume), &[file, "changed since it was written", "remove "]);
        folder.write(file, &whole);
        folder.ok(&resume);
    }
}

#[test]
fn a_finished_run_has_the_model_that_its_figures_are_of() {
    let folder = Folder::with_log();
    let train = |out, seed| ["train", "config.toml", "--out", out, "--set", "train.epochs=1", "--set", seed];
    folder.ok(&train("run", "train.seed=1"));
    folder.ok(&train("other", "train.seed=2"));
    let resume = [&train("run", "train.seed=1")[..], &["--resume"]].concat();
    folder.ok(&resume);
    let put_back = |name: &str| {
        fs::remove_dir_all(folder.join("run")).unwrap();
        copy(&folder.join("kept"), &folder.join("run"));
        folder.ok(&resume);
        folder.join(name)
    };
    copy(&folder.join("run"), &folder.join("kept"));

    // The whole model of another run, or none.
    fs::remove_dir_all(folder.join("run/model")).unwrap();
    copy(&folder.join("other/model"), &folder.join("run/model"));
    assert_refused(&folder.run(&resume), &["run/model", "metrics.json was written for", "remove run/metrics.json"]);
    fs::remove_dir_all(put_back("run/model")).unwrap();
    assert_refused(&folder.run(&resume), &["run/model", "metrics.json was written for"]);
    // A bit of one of its files.
    for file in ["model.json", "weights.safetensors", "golden.safetensors"] {
        let path = format!("run/model/{file}");
        put_back(&path);
        flip(&folder, &path, folder.read(&path).len() / 2);
        assert_refused(&folder.run(&resume), &[file]);
    }
    // The explanation of another run, or none.
    fs::copy(folder.join("other/explain.json"), put_back("run/explain.json")).unwrap();
    assert_refused(&folder.run(&resume), &["explain.json", "metrics.json was written for"]);
    fs::remove_file(put_back("run/explain.json")).unwrap();
    assert_refused(&folder.run(&resume), &["explain.json", "metrics.json was written for"]);
    // As it says.
    fs::remove_file(folder.join("run/metrics.json")).unwrap();
    folder.ok(&resume);
    assert!(folder.join("run/explain.json").exists());
}

#[test]
fn a_comparison_does_not_trust_a_run_that_has_changed() {
    let folder = Folder::with_log();
    let text = folder.text("config.toml")
        + r#"
[compare]
baseline = "a"
seeds = [1, 2]

[[compare.model]]
name = "a"
kind = "single-task"
bottom = [3]
tower = [2]

[[compare.model]]
name = "b"
kind = "hard-sharing"
bottom = [3]
tower = [2]
"#;
    folder.write("config.toml", text);
    let compare = ["compare", "config.toml", "--out", "compared", "--set", "train.epochs=1"];
    folder.ok(&compare);
    let first = folder.json("compared/compare.json");
    let file = "compared/runs/b/seed-2/metrics.json";
    let whole = folder.text(file);
    flip(&folder, file, whole.len() / 2);
    assert_refused(&folder.run(&compare), &[file, "is damaged", "remove it"]);
    // As it says, it is made again.
    fs::remove_file(folder.join(file)).unwrap();
    folder.ok(&compare);
    assert_eq!(folder.json("compared/compare.json")["models"][1]["tasks"], first["models"][1]["tasks"]);

    // Nor the model beside it.
    fs::remove_dir_all(folder.join("compared/runs/b/seed-2/model")).unwrap();
    copy(&folder.join("compared/runs/b/seed-1/model"), &folder.join("compared/runs/b/seed-2/model"));
    assert_refused(&folder.run(&compare), &["seed-2/model", "metrics.json was written for"]);
}
