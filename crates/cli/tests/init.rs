//! `--init`: the same function, or a refusal by the key that makes it another.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;

/// Hardly any step: what is predicted is what the weights that were taken over say.
const STILL: [&str; 4] = ["--set", "train.epochs=1", "--set", "train.optimizer.learning_rate=1e-20"];

/// Predictions of a model, by the names of the tasks.
fn predictions(folder: &Folder, run: &str) -> Vec<[f64; 2]> {
    let out = format!("{run}.csv");
    folder.ok(&["predict", &format!("{run}/model"), "--data", "test.csv", "--out", &out]);
    let text = folder.text(&out);
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| names.iter().position(|n| *n == name).unwrap();
    let (buy, spend) = (at("buy"), at("spend"));
    let row = |line: &str| {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        [cells[buy], cells[spend]]
    };
    lines.map(row).collect()
}

/// Trains a model with some settings and another from it with other ones; whether the second is refused at `key`, or
/// predicts the same.
fn compare(model: &[&str], other: &[&str], key: Option<&str>) {
    let folder = Folder::with_log();
    let set = |sets: &[&str]| sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]).collect::<Vec<_>>();
    let run = |args: &[&str], sets: Vec<String>| {
        let args: Vec<&str> = args.iter().copied().chain(sets.iter().map(String::as_str)).collect();
        folder.run(&args)
    };
    let first = run(&["train", "config.toml", "--out", "a"], set(model));
    assert_eq!(first.code, Some(0), "{model:?}: {}", first.stderr);
    let mut args = vec!["train", "config.toml", "--out", "b", "--init", "a/model"];
    args.extend(STILL);
    let second = run(&args, set(other));
    match key {
        Some(key) => {
            assert_eq!(second.code, Some(2), "{other:?}: {}", second.stderr);
            let told =
                other.iter().fold(second.stderr.clone(), |text, set| text.replacen(&format!("--set {set}"), "", 1));
            assert!(told.contains("--init a/model") && told.contains(key), "{other:?}: {}", second.stderr);
            assert!(!folder.join("b/model").exists());
        }
        None => {
            assert_eq!(second.code, Some(0), "{other:?}: {}", second.stderr);
            let (a, b) = (predictions(&folder, "a"), predictions(&folder, "b"));
            let same = |(a, b): (&[f64; 2], &[f64; 2])| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(a.len() == 120 && a.iter().zip(&b).all(same), "{other:?}");
        }
    }
}

/// The tasks of the configuration, the other way round.
const REORDERED: &str = r#"task=[{name="spend",kind="regression",label={column="spend"},where={column="buy",equals=1}},{name="buy",kind="binary",label={column="buy"}}]"#;

#[test]
fn the_same_configuration_gives_the_same_function() {
    compare(&[], &[], None);
    // What is of training alone may change.
    compare(&[], &["model.dropout=0.5", "task.0.weight=2.0"], None);
    compare(&["model.gate_start=normal", "model.gate_rate=same"], &[], None);
}

/// A label of 0 and 1 without `positive` is positive where it is 1.
#[test]
fn a_positive_value_in_other_words_is_the_same() {
    for positive in ["1", "1.0", "true", "\"1\""] {
        let set = format!("task.0.label.positive={positive}");
        compare(&[], &[&set], None);
        compare(&[&set], &[], None);
    }
    compare(
        &[],
        &["task.0.label.positive=0"],
        Some("predicts that the label is 1 (no `positive`), here it would be 0"),
    );
}

#[test]
fn tasks_in_another_order_are_mapped_by_name_or_refused() {
    let hard = r#"model={kind="hard-sharing",bottom=[8],tower=[4]}"#;
    compare(&[hard], &[hard, REORDERED], None);
    // The shared gate between two levels has rows by the order of the tasks.
    compare(&[], &[REORDERED], Some("task"));
    let sluice = r#"model={kind="sluice",bottom=[8,8],tower=[4]}"#;
    compare(&[sluice], &[sluice, REORDERED], Some("task"));
}

#[test]
fn what_leaves_no_trace_in_the_tensors_is_refused_by_its_key() {
    compare(&[], &["model.activation=\"tanh\""], Some("model.activation"));
    compare(&[], &["model.gate_bias=true"], Some("model.gate_bias"));
    compare(&[], &["task.0.kind=\"regression\""], Some("task.0.kind"));
    compare(&["task.0.label.positive=1"], &["task.0.label.positive=0"], Some("label.positive"));
    compare(&[], &["feature.0.transform=[\"min_max\"]"], Some("transform"));
    let borrow = |fusion: &str| {
        format!(
            r#"model={{kind="asymmetric-sharing",bottom=[4],tower=[4],borrow={{buy=["spend"]}},fusion="{fusion}"}}"#
        )
    };
    compare(&[&borrow("sum")], &[&borrow("mean")], Some("model.fusion"));
}
