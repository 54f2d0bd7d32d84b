//! `[train] joint_loss` through the binary.

#![allow(clippy::unwrap_used)]

use crate::common::{self, Folder};

const METHODS: &[&[&str]] = &[
    &["train.joint_loss.weighting=uncertainty"],
    &["train.joint_loss.weighting=dwa"],
    &["train.joint_loss.weighting=gradnorm"],
    &["train.joint_loss.gradient=pcgrad"],
    &["train.joint_loss.gradient=cagrad"],
    &["train.joint_loss.weighting={ kind = \"gradnorm\", alpha = 0.5 }", "train.joint_loss.gradient=pcgrad"],
];

fn args<'a>(out: &'a str, sets: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "config.toml", "--out", out];
    sets.iter().for_each(|set| args.extend(["--set", *set]));
    args
}

#[test]
fn every_method_trains_and_tells_its_weights() {
    let folder = Folder::with_log();
    folder.ok(&args("plain", &[]));
    let plain = folder.read("plain/model/weights.safetensors");
    for (i, sets) in METHODS.iter().enumerate() {
        let run = format!("run{i}");
        folder.ok(&args(&run, sets));
        assert!(folder.read(&format!("{run}/model/weights.safetensors")) != plain, "{sets:?} makes no difference");
        let report = folder.json(&format!("{run}/metrics.json"));
        let last = report["history"].as_array().unwrap().last().unwrap();
        let weight = |task: &str| last["task_weights"][task].as_f64().unwrap();
        let weighs = sets[0].contains("weighting");
        assert_eq!(weight("buy") != 1.0 || weight("spend") != 1.0, weighs, "{sets:?}: {last}");
        assert!(last["valid"]["tasks"]["buy"]["auc"].as_f64().unwrap() > 0.6, "{sets:?}: {last}");
        // The model says how it was trained by its configuration's hash.
        assert_ne!(report["config_hash"], folder.json("plain/metrics.json")["config_hash"]);
    }
}

#[test]
fn what_has_nothing_to_act_on_is_refused_with_the_reason() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "kind = \"ple\"", "kind = \"single-task\"\nbottom = [8]");
    let text = folder.text("config.toml");
    let (from, to) = (text.find("levels = [").unwrap(), text.find("tower = [4]").unwrap());
    folder.write("config.toml", format!("{}{}joint_loss = {{ gradient = \"pcgrad\" }}\n", &text[..from], &text[to..]));
    let ran = folder.run(&args("run", &[]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let line = folder.text("config.toml").lines().position(|line| line.starts_with("joint_loss")).unwrap() + 1;
    for part in [
        &format!("config.toml:{line}:27: train.joint_loss.gradient: "),
        "in this model no parameter is reached by more than one task",
        "choose \"sum\", or a structure that shares",
    ] {
        assert!(ran.stderr.contains(part), "{part}\n{}", ran.stderr);
    }
    assert!(!folder.join("run").exists());

    let ran = folder.run(&args("run", &["train.joint_loss={ weighting = \"gradnorm\" }"]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("--set train.joint_loss") && ran.stderr.contains("\"gradnorm\""), "{}", ran.stderr);

    // What does not act on shared parameters goes with single-task networks, too.
    folder.ok(&args("run", &["train.joint_loss={ weighting = \"uncertainty\" }"]));
}

#[test]
fn a_run_is_not_resumed_under_another_method() {
    let folder = Folder::with_log();
    folder.ok(&args("run", &["train.joint_loss.gradient=pcgrad"]));
    let mut again = args("run", &["train.joint_loss.gradient=cagrad"]);
    again.push("--resume");
    let ran = folder.run(&again);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("another configuration"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_resumes_to_the_same_bits() {
    use std::time::{Duration, Instant};

    let folder = Folder::with_log();
    folder.write("train.csv", common::log(4000, 1));
    for (i, method) in [METHODS[1], METHODS[5]].into_iter().enumerate() {
        let sets = [method, &["train.batch_size=8", "train.epochs=4", "train.checkpoint.every_steps=50"]].concat();
        let (whole, stopped) = (format!("whole{i}"), format!("stopped{i}"));
        folder.ok(&args(&whole, &sets));
        let child = folder.command(&args(&stopped, &sets)).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let begin = Instant::now();
        while std::fs::read_dir(folder.join(&stopped).join("checkpoints")).map_or(0, Iterator::count) == 0 {
            assert!(begin.elapsed() < Duration::from_secs(60), "no checkpoint");
            std::thread::sleep(Duration::from_millis(2));
        }
        let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
        let mut resume = args(&stopped, &sets);
        resume.push("--resume");
        folder.ok(&resume);
        let file = "model/weights.safetensors";
        assert!(folder.read(&format!("{whole}/{file}")) == folder.read(&format!("{stopped}/{file}")), "{method:?}");
        let weights = |run: &str| {
            let report = folder.json(&format!("{run}/metrics.json"));
            let history = report["history"].as_array().unwrap().clone();
            history.into_iter().map(|epoch| epoch["task_weights"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(weights(&whole), weights(&stopped));
    }
}
