//! `[metrics]`: metrics within groups, from the log to every place that shows metrics.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::common::{COMPARE, Folder, log};
use serde_json::{Value, json};

const METRICS: &str = r#"
[metrics]
group = "user_id"
k = [1, 5]
main = { buy = "gauc" }
"#;

const TRAIN: &[&str] = &["train", "config.toml", "--out", "run"];

/// The rows of a log. Each has a user or none; some users have many rows, some have one.
fn with_users(log: &str) -> String {
    let mut lines = log.lines();
    let mut text = format!("{},user_id\n", lines.next().unwrap());
    for (row, line) in lines.enumerate() {
        let drawn = (row.wrapping_mul(2_654_435_761) >> 9) % 48;
        let user = drawn * drawn / 48;
        let user = if row % 23 == 5 { String::new() } else { format!("u{user}") };
        text.push_str(&format!("{line},{user}\n"));
    }
    text
}

fn folder() -> Folder {
    let folder = Folder::with_log();
    for (name, rows, seed) in [("train.csv", 400, 1), ("valid.csv", 240, 2), ("test.csv", 240, 3)] {
        folder.write(name, with_users(&log(rows, seed)));
    }
    folder.write("config.toml", folder.text("config.toml") + METRICS);
    folder
}

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

/// A CSV file by column.
fn columns(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<Vec<String>> = lines.collect();
    header
        .iter()
        .enumerate()
        .map(|(at, name)| (name.clone(), rows.iter().map(|row| row[at].clone()).collect()))
        .collect()
}

/// Users with their predictions and labels, where both are there.
fn by_user(folder: &Folder, predicted: &str, rows: &str, task: &str) -> Vec<Vec<(f32, f32)>> {
    let (predicted, rows) = (columns(&folder.text(predicted)), columns(&folder.text(rows)));
    let mut users: BTreeMap<&str, Vec<(f32, f32)>> = BTreeMap::new();
    for (row, user) in rows["user_id"].iter().enumerate() {
        let label = &rows[task][row];
        if !user.is_empty() && !label.is_empty() {
            users.entry(user).or_default().push((predicted[task][row].parse().unwrap(), label.parse().unwrap()));
        }
    }
    users.into_values().collect()
}

/// GAUC by its definition, and the users of one class.
fn gauc(users: &[Vec<(f32, f32)>]) -> (f64, u64) {
    let (mut sum, mut rows, mut left_out) = (0.0, 0.0, 0);
    for user in users {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (p, _) in user.iter().filter(|row| row.1 == 1.0) {
            for (n, _) in user.iter().filter(|row| row.1 == 0.0) {
                pairs += 1.0;
                won += if p > n { 1.0 } else { f64::from(u8::from(p == n)) / 2.0 };
            }
        }
        if pairs == 0.0 {
            left_out += 1;
        } else {
            sum += user.len() as f64 * won / pairs;
            rows += user.len() as f64;
        }
    }
    (sum / rows, left_out)
}

#[test]
fn a_run_and_its_saved_model_say_the_same_as_the_definition() {
    let folder = folder();
    let ran = folder.ok(TRAIN);
    assert!(ran.stderr.contains("valid buy gauc 0."), "{}", ran.stderr);
    for says in ["pr_auc", "normalized_entropy", "gauc", "ndcg@1", "recall@5", "buy, test: ", " groups; left out: "] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
    let report = folder.json("run/metrics.json");
    let test = &report["test"]["tasks"];
    assert_eq!(report["test"]["main"], json!({ "buy": "gauc" }));

    // The model knows its groups, and every place gives the same numbers.
    let evaluated = folder.ok(&["evaluate", "run/model", "--data", "test.csv", "--format", "json"]).json();
    assert_eq!(&evaluated["tasks"], test);
    folder.ok(&["predict", "run/model", "--data", "test.csv", "--out", "predicted.csv"]);
    let users = by_user(&folder, "predicted.csv", "test.csv", "buy");
    let (expected, left_out) = gauc(&users);
    let groups = &test["buy"]["by_group"];
    assert!((groups["gauc"]["value"].as_f64().unwrap() - expected).abs() < 1e-12, "{groups} {expected}");
    assert_eq!(groups["gauc"]["left_out"], left_out);
    assert_eq!(groups["groups"], users.len() as u64);
    assert_eq!(groups["rows_without"], (0..240).filter(|row| row % 23 == 5).count() as u64);
    assert_ne!(groups["gauc"]["value"], test["buy"]["auc"], "users differ");
    assert_eq!(groups["ndcg"].as_array().unwrap().iter().map(|at| at["k"].clone()).collect::<Vec<_>>(), [1, 5]);

    // `spend` is known of buyers alone: only their rows are in its groups.
    let spenders = by_user(&folder, "predicted.csv", "test.csv", "spend");
    let of_spend = &test["spend"]["by_group"];
    assert_eq!(of_spend["groups"], spenders.len() as u64);
    assert!(spenders.iter().map(Vec::len).sum::<usize>() < users.iter().map(Vec::len).sum::<usize>());
    assert!(of_spend["ndcg"][1]["value"].as_f64().is_some_and(|ndcg| (0.5..=1.0).contains(&ndcg)), "{of_spend}");
    assert!(of_spend.get("gauc").is_none() && of_spend.get("recall").is_none(), "{of_spend}");

    let page = folder.text("run/report.html");
    assert!(page.contains("GAUC on 240 test rows") && page.contains("NDCG@5") && page.contains(" groups; left out: "));
    // No model reads the group.
    let model = folder.json("run/model/model.json");
    assert_eq!(model["encoder"]["schema"]["groups"], json!({ "column": "user_id", "k": [1, 5] }));
    assert!(!model["graph"].to_string().contains("user_id"));
    folder.write("unlabelled.csv", log(20, 9));
    folder.ok(&["predict", "run/model", "--data", "unlabelled.csv", "--out", "more.csv"]);
}

#[test]
fn epochs_are_chosen_within_groups() {
    let folder = folder();
    for (metric, at) in [("buy.gauc", "gauc"), ("buy.recall@1", "recall"), ("spend.ndcg@5", "ndcg")] {
        let out = format!("by-{at}");
        let metric_set = format!("train.early_stopping.metric={metric}");
        folder.ok(&["train", "config.toml", "--out", &out, "--set", &metric_set, "--set", "train.explain=false"]);
        let report = folder.json(&format!("{out}/metrics.json"));
        assert_eq!(report["selected_by"], metric);
        let value = |epoch: &Value| {
            let task = &epoch["valid"]["tasks"][metric.split_once('.').unwrap().0]["by_group"][at];
            let of = if task.is_array() { &task[usize::from(metric.ends_with('5'))] } else { task };
            of["value"].as_f64().unwrap()
        };
        let history = report["history"].as_array().unwrap();
        let best = history.iter().map(value).fold(f64::MIN, f64::max);
        let first = history.iter().find(|epoch| value(epoch) == best).unwrap();
        assert_eq!(report["best_epoch"], first["epoch"], "{metric}");
        assert!(history.iter().all(|epoch| epoch["score"].as_f64() == Some(value(epoch))), "{metric}");
    }
}

#[test]
fn numbers_do_not_depend_on_threads_or_on_where_rows_are() {
    let folder = folder();
    let test = |out: &str, more: &[&str]| {
        folder.ok(&with(&["train", "config.toml", "--out", out, "--set", "train.explain=false"], more));
        let report = folder.json(&format!("{out}/metrics.json"));
        (report["valid"].clone(), report["test"].clone())
    };
    let one = test("one", &["--threads", "1"]);
    assert_eq!(test("two", &["--threads", "2"]), one);
    assert_eq!(test("built", &["--set", "data.cache=cache"]), one);
    assert_eq!(test("used", &["--set", "data.cache=cache"]), one);
    // k is no matter of encoded rows.
    let ran = folder.ok(&["train", "config.toml", "--out", "k", "--set", "data.cache=cache", "--set", "metrics.k=[3]"]);
    assert!(ran.stderr.contains("encoded rows are those of cache/"), "{}", ran.stderr);

    // Streams are shuffled by windows, which changes weights; with the rows in their order all is the same.
    let in_order = ["--set", "train.shuffle=false"];
    let plain = test("plain", &in_order);
    assert_eq!(test("streamed", &with(&in_order, &["--set", "data.stream=true"])), plain);
}

#[test]
fn parts_of_the_training_files_have_their_groups() {
    let folder = folder();
    folder.replace("config.toml", "valid = \"valid.csv\"", "valid = { fraction = 0.4 }");
    folder.replace("config.toml", "test = \"test.csv\"", "test = { column = \"visits\", from = 12 }");
    for (out, stream) in [("memory", "false"), ("stream", "true")] {
        let stream = format!("data.stream={stream}");
        folder.ok(&["train", "config.toml", "--out", out, "--set", &stream, "--set", "train.shuffle=false"]);
    }
    let report = folder.json("memory/metrics.json");
    let valid = &report["valid"]["tasks"]["buy"];
    assert!(valid["by_group"]["groups"].as_u64().is_some_and(|groups| groups > 20), "{valid}");
    assert!(report["test"]["tasks"]["buy"]["by_group"]["gauc"]["value"].is_number());
    let streamed = folder.json("stream/metrics.json");
    assert_eq!((&streamed["valid"], &streamed["test"]), (&report["valid"], &report["test"]));
}

#[test]
fn a_column_that_is_not_there_is_named_with_its_key() {
    let folder = folder();
    folder.ok(TRAIN);
    let ran = folder.run(&["train", "config.toml", "--out", "other", "--set", "metrics.group=userid"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for says in ["\"userid\"", "`group` in [metrics]", "did you mean \"user_id\"?"] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    folder.write("nobody.csv", log(50, 4));
    let ran = folder.run(&["evaluate", "run/model", "--data", "nobody.csv"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    for says in ["nobody.csv", "\"user_id\"", "`group` in [metrics]"] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_read() {
    let folder = folder();
    let refused = |set: &[&str], says: &str| {
        let args: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let ran = folder.run(&with(TRAIN, &args));
        assert_eq!(ran.code, Some(2), "{set:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    };
    refused(&["metrics.k=[0]"], "1 to 1000000 rows of a group");
    refused(&["metrics.k=[5, 5]"], "5 twice");
    refused(&["metrics.group="], "name a column");
    refused(&["metrics.grup=user_id"], "did you mean `group`?");
    refused(&["metrics.main.buy=gauk"], "did you mean `gauc`?");
    refused(&["metrics.main.by=gauc"], "there is no task \"by\"; known: buy, spend");
    refused(&["metrics.main.spend=gauc"], "task \"spend\" has no metric \"gauc\"");
    refused(&["train.early_stopping.metric=buy.ndcg@7"], "ndcg@7 is not measured: add 7 to [metrics] k");
    folder.replace("config.toml", "group = \"user_id\"\n", "");
    refused(&[], "has no meaning here: NDCG and recall look at the first rows of a group");
    folder.replace("config.toml", "k = [1, 5]\n", "");
    refused(&[], "gauc compares rows of one group, and there are no groups");
    refused(&["metrics.main.buy=pr_auc", "train.early_stopping.metric=buy.recall@5"], "there are no groups");
}

#[test]
fn without_groups_nothing_is_grouped() {
    let folder = folder();
    folder.replace("config.toml", METRICS, "");
    folder.ok(TRAIN);
    let report = folder.text("run/metrics.json");
    assert!(!report.contains("by_group") && !report.contains("\"main\""), "{report}");
    assert!(folder.json("run/model/model.json")["encoder"]["schema"].get("groups").is_none());
    let test = &folder.json("run/metrics.json")["test"]["tasks"]["buy"];
    let (pr_auc, entropy) = (test["pr_auc"].as_f64().unwrap(), test["normalized_entropy"].as_f64().unwrap());
    let share = test["positives"].as_f64().unwrap() / test["rows"].as_f64().unwrap();
    let of_share = -share * share.ln() - (1.0 - share) * (1.0 - share).ln();
    assert!((entropy - test["log_loss"].as_f64().unwrap() / of_share).abs() < 1e-12, "{test}");
    assert!(share < pr_auc && pr_auc < 1.0, "{test}");
}

#[test]
fn comparisons_judge_by_the_main_metric_and_show_the_others() {
    let folder = folder();
    folder.write("config.toml", folder.text("config.toml") + COMPARE);
    let sets = ["--set", "train.epochs=2", "--set", "compare.seeds=[1, 2, 3]"];
    let ran = folder.ok(&[&["compare", "config.toml", "--out", "compared"], &sets[..]].concat());
    for says in ["gauc: larger is better; mse: smaller is better", "buy gauc", "GAUC, higher by", "no verdict is made"]
    {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("recall@5  shared"), "{}", ran.stdout);
    let many = ["--set", "metrics.k=[1,2,3,4,5,6,7,8,9,10]", "--set", "train.epochs=1", "--set", "compare.seeds=[1]"];
    let long = folder.ok(&with(&["compare", "config.toml", "--out", "long"], &many));
    assert!(long.stdout.contains("no verdict is made: see the report"), "{}", long.stdout);
    let comparison = folder.json("compared/compare.json");
    assert_eq!(comparison["metrics"], json!({ "buy": "gauc", "spend": "mse" }));
    assert_eq!(comparison["questions"], 2, "other metrics are no questions");
    assert!(ran.stdout.contains(" groups count for GAUC on the test rows; other groups could give"), "{}", ran.stdout);
    let gain = |name: &str, of: &dyn Fn(&Value) -> f64| {
        let runs = |model: usize| comparison["models"][model]["runs"].as_array().unwrap().clone();
        let gains: Vec<f64> = runs(1)
            .iter()
            .zip(&runs(0))
            .map(|(own, single)| {
                let value = |run: &Value| of(&run["evaluation"]["tasks"][name]);
                value(own) - value(single)
            })
            .collect();
        gains.iter().sum::<f64>() / gains.len() as f64
    };
    let near = |found: &Value, exact: f64| (found.as_f64().unwrap() - exact).abs() < 1e-12;
    let shared = &comparison["models"][1]["tasks"];
    let by_group = |task: &Value| task["by_group"]["gauc"]["value"].as_f64().unwrap();
    assert!(near(&shared["buy"]["gain"]["mean"], gain("buy", &by_group)), "{shared}");
    let also = shared["buy"]["also"].as_array().unwrap();
    let names: Vec<&str> = also.iter().map(|also| also["metric"].as_str().unwrap()).collect();
    let all =
        ["auc", "log_loss", "calibration", "pr_auc", "normalized_entropy", "ndcg@1", "ndcg@5", "recall@1", "recall@5"];
    assert_eq!(names, all);
    let recall = |task: &Value| task["by_group"]["recall"][1]["value"].as_f64().unwrap();
    assert!(near(&also[8]["gain"]["mean"], gain("buy", &recall)), "{also:?}");
    // A lower loss is a gain.
    assert!(near(&also[1]["gain"]["mean"], -gain("buy", &|task| task["log_loss"].as_f64().unwrap())), "{also:?}");
    assert!(
        comparison["models"][0]["tasks"]["buy"]["also"][8]["gain"].is_null(),
        "the baseline gains nothing over itself"
    );
    let page = folder.text("compared/report.html");
    assert!(page.contains("Other metrics, of which no verdict is made") && page.contains("recall@5"));
}
