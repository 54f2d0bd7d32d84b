//! Rows that count differently: weights, rows that are left out by them, and logs that keep a share of the negatives.

#![allow(clippy::unwrap_used)]

use crate::common::{Folder, Ran};
use serde_json::Value;

const DATA_WEIGHT: &str = "data.weight=w";

/// A CSV file again with more columns; `more` gives their cells by the row's number and cells.
fn extend(folder: &Folder, from: &str, to: &str, names: &str, more: &dyn Fn(usize, &[&str]) -> String) {
    let text = folder.text(from);
    let mut lines = text.lines();
    let mut out = format!("{},{names}\n", lines.next().unwrap());
    for (i, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        out.push_str(&format!("{line},{}\n", more(i, &cells)));
    }
    folder.write(to, out);
}

const FILES: [&str; 3] = ["train.csv", "valid.csv", "test.csv"];

fn extend_all(folder: &Folder, names: &str, more: &dyn Fn(usize, &[&str]) -> String) {
    FILES.iter().for_each(|file| extend(folder, file, file, names, more));
}

fn train(folder: &Folder, run: &str, sets: &[&str]) -> Ran {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    folder.ok(&["train", "config.toml", "--out", run].into_iter().chain(sets).collect::<Vec<_>>())
}

fn weights(folder: &Folder, run: &str) -> Vec<u8> {
    folder.read(&format!("{run}/model/weights.safetensors"))
}

/// The figures of the test rows, without those of the weights.
fn tests(folder: &Folder, run: &str) -> Value {
    let mut test = folder.json(&format!("{run}/metrics.json"))["test"].clone();
    for task in ["buy", "spend"] {
        test["tasks"][task].as_object_mut().unwrap().remove("weight");
    }
    test
}

#[track_caller]
fn near(found: &Value, exact: f64) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!((found - exact).abs() < 1e-6 * exact.abs().max(1.0), "{found} is not {exact}");
}

/// A column of a CSV file.
fn column(folder: &Folder, file: &str, name: &str) -> Vec<f64> {
    let text = folder.text(file);
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    lines.map(|line| line.split(',').nth(at).unwrap().parse().unwrap_or(f64::NAN)).collect()
}

#[test]
fn a_row_of_weight_zero_is_as_if_it_were_not_there() {
    let folder = Folder::with_log();
    // After each third row one that must not be read, whatever it holds.
    for file in FILES {
        extend(&folder, file, file, "w", &|_, _| "1".to_owned());
        let text = folder.text(file);
        let mut lines = text.lines();
        let mut out = format!("{}\n", lines.next().unwrap());
        for (i, line) in lines.enumerate() {
            out.push_str(&format!("{line}\n"));
            match i % 9 {
                0 => out.push_str("1000,3,Quito,1,55.5,0\n"),
                3 => out.push_str("garbage,,Quito,perhaps,55.5,0.0\n"),
                6 => out.push_str("20,30,Lima,0,,-0\n"),
                _ => {}
            }
        }
        folder.write(&format!("zero-{file}"), out);
    }
    let zero = folder.text("config.toml").replace("train = \"", "train = \"zero-");
    let zero = zero.replace("valid = \"", "valid = \"zero-").replace("test = \"", "test = \"zero-");
    for (run, sets) in [
        ("memory", &[][..]),
        ("stream", &["data.stream=true"]),
        ("cache", &["data.cache=kept"]),
        ("again", &["data.cache=kept"]),
    ] {
        folder.write("zero.toml", &zero);
        train(&folder, run, &[&[DATA_WEIGHT][..], sets].concat());
        let plain = format!("{run}-plain");
        train(&folder, &plain, sets);
        let out = format!("{run}-zero");
        let sets = [&[DATA_WEIGHT][..], sets].concat();
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        folder.ok(&["train", "zero.toml", "--out", &out].into_iter().chain(sets).collect::<Vec<_>>());
        // A weight of 1 is none.
        for other in [&plain, &out] {
            assert!(weights(&folder, other) == weights(&folder, run), "{other}");
        }
        assert_eq!(tests(&folder, &out), tests(&folder, run));
        assert_eq!(tests(&folder, run)["rows"], 120);
    }
    // Rows that are predicted are all there.
    folder.ok(&["predict", "memory-zero/model", "--data", "test.csv", "--out", "p.csv"]);
    assert_eq!(folder.text("p.csv").lines().count(), 121);
    // Of one task alone: the row stays in the others' sample spaces.
    extend_all(&folder, "none", &|i, _| (i % 2).to_string());
    extend_all(&folder, "space", &|i, _| if i % 2 == 0 { String::new() } else { "in".to_owned() });
    train(&folder, "own", &["task.0.row_weight=none"]);
    train(&folder, "space", &["task.0.where={ column = \"space\", equals = \"in\" }"]);
    assert!(weights(&folder, "own") == weights(&folder, "space"));
    assert_eq!(tests(&folder, "own"), tests(&folder, "space"));
}

#[test]
fn weights_of_rows_and_of_tasks_multiply() {
    let folder = Folder::with_log();
    let a = |i: usize| [0.5, 1.0, 4.0, 0.0, 2.0][i % 5];
    let b = |i: usize| [1.0, 0.25, 8.0][i % 3];
    extend_all(&folder, "w,own,product", &|i, cells| {
        // Outside of the sample space of `spend` no weight is needed.
        let own = if cells[3] == "1" { b(i).to_string() } else { "?".to_owned() };
        format!("{},{own},{}", a(i), a(i) * b(i))
    });
    train(&folder, "both", &[DATA_WEIGHT, "task.1.row_weight=own"]);
    train(&folder, "apart", &["task.0.row_weight=w", "task.1.row_weight=product"]);
    train(&folder, "streamed", &[DATA_WEIGHT, "task.1.row_weight=own", "data.stream=true", "data.cache=kept"]);
    train(&folder, "cached", &[DATA_WEIGHT, "task.1.row_weight=own", "data.stream=true", "data.cache=kept"]);
    assert!(weights(&folder, "streamed") == weights(&folder, "cached"));
    // Rows of weight 0 are gone in the one case, in no sample space in the other: encoders see them there.
    for task in ["buy", "spend"] {
        let of = |run: &str| tests(&folder, run)["tasks"][task]["rows"].clone();
        assert_eq!(of("both"), of("apart"), "{task}");
    }
    // The metrics by their formulas, of the predictions that are written.
    folder.ok(&["predict", "both/model", "--data", "test.csv", "--out", "p.csv"]);
    let test = folder.json("both/metrics.json")["test"]["tasks"].clone();
    let [p, s] = ["buy", "spend"].map(|task| column(&folder, "p.csv", task));
    let [y, t] = ["buy", "spend"].map(|task| column(&folder, "test.csv", task));
    let w: Vec<f64> = (0..120).map(a).collect();
    let sum = |f: &dyn Fn(usize) -> f64| (0..120).map(f).sum::<f64>();
    let loss = |i: usize| if y[i] == 1.0 { -p[i].ln() } else { -(1.0 - p[i]).ln() };
    near(&test["buy"]["log_loss"], sum(&|i| w[i] * loss(i)) / sum(&|i| w[i]));
    near(&test["buy"]["calibration"], sum(&|i| w[i] * p[i]) / sum(&|i| w[i] * y[i]));
    near(&test["buy"]["weight"], sum(&|i| w[i]));
    let pair = |i: usize, j: usize| if p[i] > p[j] { 1.0 } else { 0.5 * f64::from(u8::from(p[i] == p[j])) };
    let pairs = |f: &dyn Fn(usize, usize) -> f64| {
        sum(&|i| sum(&|j| if y[i] == 1.0 && y[j] == 0.0 { w[i] * w[j] * f(i, j) } else { 0.0 }))
    };
    near(&test["buy"]["auc"], pairs(&pair) / pairs(&|_, _| 1.0));
    let v = |i: usize| if y[i] == 1.0 { a(i) * b(i) } else { 0.0 };
    let error = |i: usize| if v(i) > 0.0 { s[i] - t[i] } else { 0.0 };
    let label = |i: usize| if v(i) > 0.0 { t[i] } else { 0.0 };
    let total = sum(&v);
    let mean = sum(&|i| v(i) * label(i)) / total;
    near(&test["spend"]["mse"], sum(&|i| v(i) * error(i).powi(2)) / total);
    near(&test["spend"]["mae"], sum(&|i| v(i) * error(i).abs()) / total);
    near(&test["spend"]["r2"], 1.0 - sum(&|i| v(i) * error(i).powi(2)) / sum(&|i| v(i) * (label(i) - mean).powi(2)));
    let ran = folder.ok(&["evaluate", "both/model", "--data", "test.csv"]);
    assert!(ran.stdout.contains("buy: rows count by their weights, "), "{}", ran.stdout);
}

#[test]
fn a_weight_that_is_none_makes_a_bad_row() {
    let folder = Folder::with_log();
    extend_all(&folder, "w", &|_, _| "1".to_owned());
    let good = folder.text("train.csv");
    for (cell, says) in [
        ("-0.5", "\"-0.5\" is below 0; a weight is 0 or above"),
        ("", "a weight is missing; write 0 where a row is to be left out"),
        ("NaN", "a weight is missing"),
        ("inf", "is not finite"),
        ("1e39", "is beyond the range of 32-bit floats"),
        ("much", "\"much\" is not a number"),
    ] {
        let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
        let cut = lines[7].rfind(',').unwrap();
        lines[7] = format!("{},{cell}", &lines[7][..cut]);
        folder.write("train.csv", lines.join("\n") + "\n");
        for set in [DATA_WEIGHT, "task.0.row_weight=w"] {
            let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", set]);
            assert_eq!(ran.code, Some(3), "{cell} {set}: {}", ran.stderr);
            let place = "train.csv, line 8 (row 7), column \"w\"";
            assert!(ran.stderr.contains(place) && ran.stderr.contains(says), "{cell} {set}: {}", ran.stderr);
        }
    }
    let nothing = good.lines().map(|line| line.strip_suffix(",1").map_or(line.to_owned(), |line| format!("{line},0")));
    folder.write("train.csv", nothing.collect::<Vec<_>>().join("\n") + "\n");
    for (set, says) in [
        (DATA_WEIGHT, "there are no rows with a weight above 0 in \"w\" at all"),
        ("task.0.row_weight=w", "none has a label in \"buy\" and a weight above 0 in \"w\""),
    ] {
        let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", set]);
        assert!(ran.code == Some(3) && ran.stderr.contains(says), "{set}: {}", ran.stderr);
    }
    folder.write("train.csv", good.replacen(",1\n", ",-1\n", 1));
    let skip = ["--set", DATA_WEIGHT, "--set", "data.on_bad_row=skip"];
    let ran = folder.ok(&[&["train", "config.toml", "--out", "run"][..], &skip].concat());
    assert!(ran.stderr.contains("1 bad row was skipped"), "{}", ran.stderr);
    for (set, says) in [
        ("data.weight=\"\"", "data.weight"),
        ("data.weight=weigth", "no column \"weigth\""),
        ("task.0.row_weight=\"\"", "task.0.row_weight"),
        ("task.0.sample_weight=w", "row_weight"),
        ("task.0.pos_weight=3", "positive_weight"),
        ("task.0.weight=w", "a column of weights of rows is row_weight = \"w\""),
    ] {
        let ran = folder.run(&["train", "config.toml", "--out", "other", "--set", set]);
        assert_eq!(ran.code, Some(2), "{set}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{set}: {}", ran.stderr);
    }
}

#[test]
fn what_is_learned_from_a_sample_is_predicted_of_all_rows() {
    let folder = Folder::with_log();
    const SHARE: f64 = 0.125;
    let sampled = "task.0.sampled={ negatives = 0.125 }";
    train(&folder, "plain", &["train.early_stopping={ patience = 5, metric = \"spend.r2\" }"]);
    let ran = train(&folder, "sampled", &["train.early_stopping={ patience = 5, metric = \"spend.r2\" }", sampled]);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    // The log teaches what it teaches.
    assert!(weights(&folder, "plain") == weights(&folder, "sampled"));
    for run in ["plain", "sampled"] {
        folder.ok(&["predict", &format!("{run}/model"), "--data", "test.csv", "--out", &format!("{run}.csv")]);
    }
    let [p, all] = ["plain.csv", "sampled.csv"].map(|file| column(&folder, file, "buy"));
    for (p, all) in p.iter().zip(&all) {
        let exact = p / (p + (1.0 - p) / SHARE);
        assert!((all - exact).abs() < 1e-6, "{p}: {all} is not {exact}");
    }
    assert_eq!(column(&folder, "plain.csv", "spend"), column(&folder, "sampled.csv", "spend"));
    // Of all rows: each negative one stands for eight.
    let labels = column(&folder, "test.csv", "buy");
    let times = |y: f64| if y == 1.0 { 1.0 } else { 1.0 / SHARE };
    let sum = |f: &dyn Fn(f64, f64) -> f64| all.iter().zip(&labels).map(|(&p, &y)| times(y) * f(p, y)).sum::<f64>();
    let test = folder.json("sampled/metrics.json")["test"]["tasks"]["buy"].clone();
    let loss = |p: f64, y: f64| if y == 1.0 { -p.ln() } else { -(1.0 - p).ln() };
    near(&test["log_loss"], sum(&loss) / sum(&|_, _| 1.0));
    near(&test["calibration"], sum(&|p, _| p) / sum(&|_, y| y));
    near(&test["auc"], folder.json("plain/metrics.json")["test"]["tasks"]["buy"]["auc"].as_f64().unwrap());
    assert_eq!(test["negatives"], SHARE);
    let ran = folder.ok(&["evaluate", "sampled/model", "--data", "test.csv"]);
    let says = "the log keeps 0.125 of the negatives, so that each counts 8 times";
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
    assert!(folder.text("sampled/report.html").contains(says));
    let json = folder.ok(&["evaluate", "sampled/model", "--data", "test.csv", "--format", "json"]).json();
    assert_eq!(json["tasks"]["buy"], test);
    // Another share is another model.
    let ran = folder.run(&["train", "config.toml", "--out", "further", "--init", "sampled/model"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("trained on 0.125 of the negatives, here the log has all"), "{}", ran.stderr);
    for (set, says) in [
        ("task.0.sampled={ negatives = 0 }", "task.0.sampled.negatives"),
        ("task.1.sampled={ negatives = 0.5 }", "a regression has no negative rows"),
    ] {
        let ran = folder.run(&["train", "config.toml", "--out", "other", "--set", set]);
        assert!(ran.code == Some(2) && ran.stderr.contains(says), "{set}: {}", ran.stderr);
    }
}
