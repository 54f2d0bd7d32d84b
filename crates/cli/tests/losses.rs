//! Losses of tasks: what they do to predictions, in which unit these are, and what is refused.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;

/// A column of a CSV file.
fn column(folder: &Folder, file: &str, name: &str) -> Vec<f64> {
    let text = folder.text(file);
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|column| column == name).unwrap();
    lines.map(|line| line.split(',').nth(at).unwrap().parse().unwrap_or(f64::NAN)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Trains with more keys and predicts the test rows; gives the predictions of both tasks.
fn trained(folder: &Folder, run: &str, sets: &[&str]) -> [Vec<f64>; 2] {
    let sets = ["train.epochs=40", "train.explain=false"].iter().chain(sets).flat_map(|set| ["--set", set]);
    folder.ok(&["train", "config.toml", "--out", run].into_iter().chain(sets).collect::<Vec<_>>());
    let (model, out) = (format!("{run}/model"), format!("{run}.csv"));
    folder.ok(&["predict", &model, "--data", "test.csv", "--out", &out]);
    ["buy", "spend"].map(|task| column(folder, &out, task))
}

#[test]
fn predictions_are_in_the_unit_of_the_label_whatever_the_loss() {
    let folder = Folder::with_log();
    let labels = column(&folder, "test.csv", "spend");
    for (run, sets) in [
        ("plain", &[][..]),
        ("huber", &["task.1.loss={ kind = \"huber\", delta = 0.5 }"]),
        ("log", &["task.1.label.transform=log1p"]),
        ("both", &["task.1.label.transform=log1p", "task.1.loss=huber"]),
    ] {
        let [_, spend] = trained(&folder, run, sets);
        let test = &folder.json(&format!("{run}/metrics.json"))["test"]["tasks"]["spend"];
        assert!(test["r2"].as_f64().unwrap() > 0.5, "{run}: {test}");
        // The metric is that of the written predictions and the label as it is.
        let errors: Vec<f64> =
            labels.iter().zip(&spend).filter(|(y, _)| !y.is_nan()).map(|(y, p)| (y - p).powi(2)).collect();
        assert!((mean(&errors) - test["mse"].as_f64().unwrap()).abs() < 1e-6, "{run}");
    }
    // Saved with the model: what is predicted of it is one thing.
    let ran = folder.run(&["train", "config.toml", "--out", "further", "--init", "log/model"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("task.1.label") && ran.stderr.contains("is trained on logarithms"), "{}", ran.stderr);
    folder.ok(&["train", "config.toml", "--out", "further", "--init", "huber/model"]);
}

#[test]
fn a_weight_of_positive_rows_multiplies_odds_and_leaves_their_order() {
    let folder = Folder::with_log();
    let [plain, _] = trained(&folder, "plain", &[]);
    let [weighed, _] = trained(&folder, "weighed", &["task.0.positive_weight=9"]);
    let [focal, _] = trained(&folder, "focal", &["task.0.loss=focal"]);
    let logit = |values: &[f64]| mean(&values.iter().map(|p| (p / (1.0 - p)).ln()).collect::<Vec<_>>());
    let shift = logit(&weighed) - logit(&plain);
    assert!((shift - 9f64.ln()).abs() < 0.7, "{shift}");
    // Focal loss: alpha is against positive rows, and numbers stay nearer to 0.
    assert!(mean(&focal) < mean(&plain), "{} {}", mean(&focal), mean(&plain));
    for run in ["weighed", "focal"] {
        let test = |run: &str| folder.json(&format!("{run}/metrics.json"))["test"]["tasks"]["buy"]["auc"].as_f64();
        assert!(test(run).unwrap() > test("plain").unwrap() - 0.05, "{run}");
    }
}

#[test]
fn what_cannot_be_is_refused_at_its_key() {
    let folder = Folder::with_log();
    let refused = |set: &str, code: i32, says: &[&str]| {
        let ran = folder.run(&["train", "config.toml", "--out", "run", "--set", set]);
        assert_eq!(ran.code, Some(code), "{set}: {}", ran.stderr);
        says.iter().for_each(|says| assert!(ran.stderr.contains(says), "{set}: {}", ran.stderr));
    };
    refused("task.0.loss=huber", 2, &["task.0.loss", "a binary task may have \"focal\""]);
    refused("task.1.loss=focal", 2, &["task.1.loss", "a regression may have \"huber\""]);
    refused("task.1.loss={ kind = \"huber\", delta = 0 }", 2, &["task.1.loss.delta", "above 0"]);
    refused("task.0.loss={ kind = \"focal\", gama = 1 }", 2, &["gama", "gamma"]);
    refused("task.0.positive_weight=-1", 2, &["task.0.positive_weight", "above 0"]);
    refused("task.1.positive_weight=2", 2, &["task.1.positive_weight", "no positive rows"]);
    refused("task.0.label.transform=log1p", 2, &["task.0.label.transform", "regressions take it"]);
    folder.replace("train.csv", "Lagos,1,", "Lagos,1,-");
    refused(
        "task.1.label.transform=log1p",
        3,
        &["train.csv, line", "column \"spend\"", "is not above -1, which log1p needs"],
    );
    folder.ok(&["train", "config.toml", "--out", "run"]);
}
