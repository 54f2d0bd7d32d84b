//! Warnings of what is allowed and hardly ever meant: on standard error, in `metrics.json`, in the report.

#![allow(clippy::unwrap_used)]

use crate::common::{CONFIG, Folder, Ran};

/// Lines that warn.
fn warnings(ran: &Ran) -> Vec<&str> {
    ran.stderr.lines().filter(|line| line.starts_with("warning: ")).collect()
}

/// The only warning that has all these words.
#[track_caller]
fn one_with<'r>(ran: &'r Ran, words: &[&str]) -> &'r str {
    let found: Vec<&str> =
        warnings(ran).into_iter().filter(|line| words.iter().all(|word| line.contains(word))).collect();
    assert_eq!(found.len(), 1, "{words:?} in:\n{}", ran.stderr);
    found[0]
}

fn train(folder: &Folder, run: &str, sets: &[&str]) -> Ran {
    let mut args = vec!["train", "config.toml", "--out", run];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    folder.run(&args)
}

#[test]
fn a_usual_run_has_no_warning() {
    let folder = Folder::with_log();
    let ran = train(&folder, "run", &["train.epochs=12"]);
    assert_eq!((ran.code, warnings(&ran)), (Some(0), vec![]), "{}", ran.stderr);
    assert_eq!(folder.json("run/metrics.json")["alarms"], serde_json::json!([]));
}

#[test]
fn squares_that_overflow_are_told_with_the_feature() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "transform = [\"standardize\"]\n", "");
    // The square of an error would be infinite before any gradient is.
    let (from, to) = (CONFIG.find("[[task]]\nname = \"spend\""), CONFIG.find("[model]"));
    folder.replace("config.toml", &CONFIG[from.unwrap()..to.unwrap()], "");
    let rows = folder.text("train.csv");
    let large: Vec<String> = rows
        .lines()
        .enumerate()
        .map(|(i, line)| if i == 0 { line.to_owned() } else { line.replacen(',', "e25,", 1) })
        .collect();
    folder.write("train.csv", large.join("\n") + "\n");
    for kind in ["adam", "adagrad"] {
        let optimizer = format!("train.optimizer={{ kind = \"{kind}\", learning_rate = 0.01 }}");
        // Gates that start at zero, and move, would make the loss of the second step NaN.
        let ran = train(&folder, kind, &[&optimizer, "model.gate_start=normal"]);
        one_with(&ran, &["overflowed to infinity", "dense weights", "feature \"age\""]);
    }
}

#[test]
fn a_weight_by_which_most_squares_overflow_ends_the_run_and_is_named() {
    let folder = Folder::with_log();
    let ran = train(&folder, "run", &["task.0.weight=1e38"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("task \"buy\" has the weight 1e38"), "{}", ran.stderr);
    for weight in ["3.5e38", "1e300"] {
        let ran = train(&folder, "run", &[&format!("task.0.weight={weight}")]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("task.0.weight"), "{}", ran.stderr);
    }
}

#[test]
fn rates_and_weights_of_zero_and_an_endless_warm_up_are_told() {
    let folder = Folder::with_log();
    let ran = train(&folder, "rate", &["train.optimizer.learning_rate=0.0"]);
    one_with(&ran, &["optimizer.learning_rate is 0", "all weights stay"]);
    let ran = train(&folder, "tiny", &["train.optimizer.learning_rate=1e-30"]);
    one_with(&ran, &["no weight has moved", "optimizer.learning_rate"]);
    let ran = train(&folder, "weight", &["task.1.weight=0"]);
    one_with(&ran, &["\"spend\"", "weight is 0"]);
    let ran = train(&folder, "warm", &["train.schedule={ kind = \"constant\", warmup_steps = 1000 }"]);
    one_with(&ran, &["schedule.warmup_steps is 1000", "39 steps"]);
    let alarms = folder.json("warm/metrics.json")["alarms"].clone();
    assert!(
        alarms.as_array().is_some_and(|alarms| alarms.iter().any(|alarm| alarm["kind"] == "long_warmup")),
        "{alarms}"
    );
    let page = folder.text("warm/report.html");
    assert!(page.contains("long warm-up") && page.contains("href=\"#warnings\""));
    // The same command warns again.
    let again = folder.ok(&[
        "train",
        "config.toml",
        "--out",
        "warm",
        "--resume",
        "--set",
        "train.schedule={ kind = \"constant\", warmup_steps = 1000 }",
    ]);
    one_with(&again, &["schedule.warmup_steps is 1000"]);
}

#[test]
fn a_task_that_predicts_one_number_or_worse_is_told() {
    let folder = Folder::with_log();
    let model = "model={ kind = \"hard-sharing\", bottom = [16], tower = [8] }";
    folder.replace("config.toml", "transform = [\"standardize\"]\n", "");
    let large = |rows: String| {
        let line = |(i, line): (usize, &str)| if i == 0 { line.to_owned() } else { line.replacen(',', "e7,", 1) };
        rows.lines().enumerate().map(line).collect::<Vec<_>>().join("\n") + "\n"
    };
    ["train.csv", "valid.csv", "test.csv"].iter().for_each(|name| folder.write(name, large(folder.text(name))));
    let ran = train(&folder, "run", &[model]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    one_with(&ran, &["numeric features are large beside 1", "\"age\"", "transform = [\"standardize\"]"]);
    let told = warnings(&ran).into_iter().filter(|line| line.contains("task \"spend\"")).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{}", ran.stderr);
    assert!(told[0].contains("far below 0") || told[0].contains("one number"), "{}", told[0]);
}

#[test]
fn a_funnel_that_labels_contradict_is_counted() {
    let folder = Folder::with_log();
    // "late" follows "buy" in half of the rows with it; in `wrong` it is there in seven rows without.
    let with_late = |rows: &str, wrong: usize| {
        let mut left = wrong;
        let line = |(i, line): (usize, &str)| {
            let buys = line.split(',').nth(3) == Some("1");
            let late = match i {
                0 => "late",
                _ if buys => ["0", "1"][i % 2],
                _ if left > 0 => {
                    left -= 1;
                    "1"
                }
                _ => "0",
            };
            format!("{line},{late}\n")
        };
        rows.lines().enumerate().map(line).collect::<String>()
    };
    let rows = ["train.csv", "valid.csv", "test.csv"].map(|name| (name, folder.text(name)));
    let late = "[[task]]\nname = \"late\"\nkind = \"binary\"\nlabel = { column = \"late\" }\n\n[model]";
    folder.write("config.toml", CONFIG.replace("[model]", late));
    for (kind, rest) in [("esmm", ""), ("aitm", ", bottom = [8]")] {
        let model = format!("model={{ kind = \"{kind}\", funnel = [\"buy\", \"late\"], tower = [4]{rest} }}");
        rows.iter().for_each(|(name, rows)| folder.write(name, with_late(rows, 7)));
        let ran = train(&folder, kind, &[&model]);
        one_with(&ran, &["7 of 400 training rows", "\"late\" without \"buy\""]);
        one_with(&ran, &["7 of 120 validation rows", "\"late\" without \"buy\""]);
        one_with(&ran, &["7 of 120 test rows", "\"late\" without \"buy\""]);
        let ran = folder.ok(&["evaluate", &format!("{kind}/model"), "--data", "test.csv"]);
        one_with(&ran, &["7 of 120 rows read", "\"late\" without \"buy\""]);
        rows.iter().for_each(|(name, rows)| folder.write(name, with_late(rows, 0)));
        let ran = train(&folder, &format!("{kind}-right"), &[&model]);
        assert!(ran.code == Some(0) && !ran.stderr.contains("without \"buy\""), "{}", ran.stderr);
    }
}

#[test]
fn what_an_epoch_is_chosen_by_is_told_as_it_is() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "early_stopping = { patience = 5 }\n", "");
    let rows = folder.text("valid.csv");
    let nobody_buys: Vec<String> = rows
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|cells| match cells[3] {
            "buy" => cells.join(","),
            _ => format!("{},0,", cells[..3].join(",")),
        })
        .collect();
    folder.write("valid.csv", nobody_buys.join("\n") + "\n");
    let ran = train(&folder, "run", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    one_with(&ran, &["the last epoch is kept", "not defined on the 120 validation rows"]);
    assert!(
        ran.stdout.contains("the last, as the mean of AUC and R2 over tasks is not defined on the 120"),
        "{}",
        ran.stdout
    );
    let page = folder.text("run/report.html");
    for text in [&ran.stdout, &ran.stderr, &page] {
        assert!(!text.to_lowercase().contains("no validation rows"), "{text}");
    }
    assert!(page.contains("not defined on the validation rows"));

    folder.replace("config.toml", "valid = \"valid.csv\"\n", "");
    let ran = train(&folder, "none", &["train.early_stopping={patience=1}"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("train.early_stopping: it needs validation rows"), "{}", ran.stderr);
    assert!(train(&folder, "last", &[]).stdout.contains("the last, as there are no validation rows"));
}

#[test]
fn a_metric_that_there_is_not_is_blamed_on_its_key() {
    let folder = Folder::with_log();
    for metric in ["gauc", "buy.gauc"] {
        let ran = train(&folder, "run", &[&format!("train.early_stopping={{patience=2,metric=\"{metric}\"}}")]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("train.early_stopping.metric: "), "{}", ran.stderr);
        assert!(!ran.stderr.contains("early_stopping.patience"), "{}", ran.stderr);
    }
}

/// Rows of other cities, in every second line.
fn elsewhere(rows: &str) -> String {
    let line = |(i, line): (usize, &str)| match i % 2 {
        1 => {
            ["Lagos", "Lima", "Oslo", "Pune"].iter().fold(line.to_owned(), |line, city| line.replace(city, "Kyiv"))
                + "\n"
        }
        _ => format!("{line}\n"),
    };
    rows.lines().enumerate().map(line).collect()
}

#[test]
fn values_that_a_model_does_not_know_are_counted_and_told() {
    let folder = Folder::with_log();
    let ran = train(&folder, "run", &[]);
    assert!(!ran.stderr.contains("unknown"), "{}", ran.stderr);
    let data = folder.json("run/metrics.json")["data"].clone();
    assert_eq!(
        data["train"]["features"]["city"],
        serde_json::json!({ "rows": 400, "missing": 0, "values": 400, "unknown": 0 })
    );
    assert_eq!(data["train"]["tasks"]["buy"], serde_json::json!({ "rows": 400, "positives": 180 }));

    folder.write("later.csv", elsewhere(&folder.text("test.csv")));
    let says = ["feature \"city\"", "50.0 % of its values in these rows (60 of 120)", "such as \"Kyiv\"", "0 % were"];
    let evaluated = folder.ok(&["evaluate", "run/model", "--data", "later.csv"]);
    one_with(&evaluated, &says);
    let predicted = folder.ok(&["predict", "run/model", "--data", "later.csv", "--out", "p.csv"]);
    one_with(&predicted, &says);
    let inspected = folder.ok(&["inspect", "run/model", "--data", "later.csv"]);
    one_with(&inspected, &says);
    for known in [
        folder.ok(&["inspect", "run/model", "--data", "test.csv"]),
        folder.ok(&["evaluate", "run/model", "--data", "test.csv"]),
        folder.ok(&["predict", "run/model", "--data", "test.csv", "--out", "p.csv"]),
    ] {
        assert_eq!(warnings(&known), [""; 0]);
    }
    let json = folder.ok(&["evaluate", "run/model", "--data", "later.csv", "--format", "json"]).json();
    assert_eq!(json["rows"], 120);
    assert!(json["tasks"]["buy"]["auc"].is_number());
    let counted =
        serde_json::json!({ "rows": 120, "missing": 0, "values": 120, "unknown": 60, "first_unknown": "Kyiv" });
    assert_eq!(json["features"]["city"], counted);
    let json = folder.ok(&["predict", "run/model", "--data", "later.csv", "--out", "p.csv", "--format", "json"]).json();
    assert_eq!((&json["rows"], &json["features"]["city"]), (&serde_json::json!(120), &counted));

    // The vocabulary of --init stays; one of its own knows every value.
    folder.write("train.csv", elsewhere(&folder.text("train.csv")));
    let ran = folder.ok(&["train", "config.toml", "--out", "more", "--init", "run/model"]);
    one_with(&ran, &["feature \"city\"", "in training rows (200 of 400)", "--init keeps the vocabulary"]);
    assert!(!train(&folder, "anew", &[]).stderr.contains("unknown"));
}

#[test]
fn values_that_are_missing_or_far_off_are_told() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "transform = [\"standardize\"]", "transform = [\"standardize\"]\nmissing = \"mean\"");
    assert_eq!(warnings(&train(&folder, "run", &["train.epochs=12"])), [""; 0]);
    let rows = folder.text("test.csv");
    let without_age: String = rows
        .lines()
        .map(|line| {
            line.split_once(',').map_or(String::new(), |(age, rest)| match age {
                "age" => format!("{line}\n"),
                _ => format!(",{rest}\n"),
            })
        })
        .collect();
    folder.write("without.csv", without_age);
    let ran = folder.ok(&["evaluate", "run/model", "--data", "without.csv"]);
    one_with(&ran, &["feature \"age\" has no value in 100 % of these rows"]);
    let in_days: String =
        rows.lines().map(|line| line.replacen(',', "00,", 1).replacen("age00", "age", 1) + "\n").collect();
    folder.write("days.csv", in_days);
    let ran = folder.ok(&["evaluate", "run/model", "--data", "days.csv"]);
    one_with(&ran, &["feature \"age\"", "are beyond 30 after its transforms", "unit"]);
}

#[test]
fn counts_are_the_same_from_files_from_a_cache_and_by_any_number_of_threads() {
    let folder = Folder::with_log();
    folder.write("test.csv", elsewhere(&folder.text("test.csv")));
    folder.replace("config.toml", "valid = \"valid.csv\"", "valid = { fraction = 0.2 }");
    let data = |run: &str, more: &[&str]| {
        let mut args = vec!["train", "config.toml", "--out", run, "--set", "train.epochs=1"];
        args.extend(more);
        let ran = folder.ok(&args);
        one_with(&ran, &["feature \"city\"", "in test rows (60 of 120)"]);
        folder.json(&format!("{run}/metrics.json"))["data"].clone()
    };
    let files = data("files", &[]);
    assert_eq!(files["train"]["features"]["age"]["rows"], files["train"]["rows"]);
    assert_eq!(data("threads", &["--threads", "1"]), files);
    assert_eq!(data("built", &["--set", "data.cache=cache"]), files);
    assert_eq!(data("used", &["--set", "data.cache=cache"]), files);
    assert_eq!(data("stored", &["--set", "data.cache=cache", "--set", "data.stream=true"]), files);
    assert_eq!(data("streamed", &["--set", "data.stream=true"]), files);
}

#[test]
fn rows_in_two_files_are_counted() {
    let folder = Folder::with_log();
    let rows = folder.text("train.csv");
    folder.write("valid.csv", rows.lines().take(101).collect::<Vec<_>>().join("\n") + "\n");
    let ran = train(&folder, "run", &[]);
    one_with(&ran, &["100 of 100 validation rows", "are training rows too", "`valid`"]);
    // Parts of the training files cannot overlap.
    folder.replace("config.toml", "valid = \"valid.csv\"", "valid = { fraction = 0.3 }");
    folder.write("train.csv", [rows.as_str(), rows.split_once('\n').map_or("", |(_, rest)| rest)].concat());
    let ran = train(&folder, "parts", &[]);
    assert!(!ran.stderr.contains("are training rows too"), "{}", ran.stderr);
}

#[test]
fn a_feature_that_no_training_row_has_is_told_once() {
    let folder = Folder::with_log();
    let rows = folder.text("train.csv");
    let header: Vec<&str> = rows.lines().next().unwrap().split(',').collect();
    let city = header.iter().position(|column| *column == "city").unwrap();
    let without = |(i, line): (usize, &str)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if i > 0 {
            cells[city] = "";
        }
        cells.join(",")
    };
    let lines: Vec<String> = rows.lines().enumerate().map(without).collect();
    folder.write("train.csv", lines.join("\n") + "\n");
    let ran = train(&folder, "run", &[]);
    one_with(&ran, &["feature \"city\"", "has no value in 100 % of training"]);
    assert!(!ran.stderr.contains("unknown to its vocabulary"), "{}", ran.stderr);
}

#[test]
fn a_set_whose_value_begins_as_toml_and_is_none_says_so() {
    let folder = Folder::with_log();
    for set in ["model={kind=\"ple\",levels=[}", "train.seed=[1", "data.train=\"a.csv"] {
        let ran = train(&folder, "run", &[set]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--set {set}")), "{}", ran.stderr);
        assert!(ran.stderr.contains("the value is not valid TOML: "), "{}", ran.stderr);
    }
}

/// `train.csv` with another number in a column of some rows, counted from 1.
fn with_numbers(folder: &Folder, column: usize, number: impl Fn(usize) -> Option<String>) {
    let rows = folder.text("train.csv");
    let line = |(i, line): (usize, &str)| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if i > 0
            && let Some(number) = number(i)
        {
            cells[column] = number;
        }
        cells.join(",") + "\n"
    };
    folder.write("train.csv", rows.lines().enumerate().map(line).collect::<String>());
}

#[test]
fn a_number_far_away_and_a_column_of_one_number_are_told() {
    for far in ["99999999", "9223372036854775807"] {
        let folder = Folder::with_log();
        with_numbers(&folder, 0, |row| (row % 100 == 50).then(|| far.to_owned()));
        let ran = train(&folder, "run", &["train.epochs=1"]);
        one_with(&ran, &["feature \"age\": after its transforms", "clip", "missing"]);
    }
    let folder = Folder::with_log();
    with_numbers(&folder, 1, |_| Some("3".to_owned()));
    let ran = train(&folder, "run", &["train.epochs=1"]);
    one_with(&ran, &["feature \"visits\" is one number in all rows", "remove the feature"]);
    assert!(!ran.stderr.contains("\"age\""), "{}", ran.stderr);
}

#[test]
fn a_tower_and_tables_that_do_not_move_are_named() {
    let folder = Folder::with_log();
    let sgd = "train.optimizer={ kind = \"sgd\", learning_rate = 0.01 }";
    assert!(!train(&folder, "sgd", &[sgd]).stderr.contains("moved"));
    let ran = train(&folder, "task", &[sgd, "task.1.weight=1e-30"]);
    one_with(
        &ran,
        &["task \"spend\": none of the weights that are its own", "its weight or the learning rate is too small"],
    );
    assert!(!ran.stderr.contains("task \"buy\""), "{}", ran.stderr);
    let ran = train(&folder, "tables", &["train.embedding_optimizer={ kind = \"adam\", learning_rate = 1e-30 }"]);
    one_with(
        &ran,
        &["1 of 1 embedding tables have not moved", "\"city\"", "[train] embedding_optimizer.learning_rate"],
    );
    let alarms = folder.json("tables/metrics.json")["alarms"].clone();
    assert!(alarms.as_array().is_some_and(|alarms| alarms.iter().any(|a| a["kind"] == "still_weights")), "{alarms}");
    // The other way round: tables move, and nothing else.
    let frozen = [
        "train.optimizer={ kind = \"adam\", learning_rate = 1e-30 }",
        "train.embedding_optimizer={ kind = \"adam\", learning_rate = 1e-2 }",
    ];
    let ran = train(&folder, "dense", &frozen);
    one_with(&ran, &["no weight has moved but those of embedding tables"]);
    assert_eq!(folder.json("dense/metrics.json")["unmoved"], serde_json::Value::Null);
}

#[test]
fn a_decay_above_the_rate_is_named_before_features_are() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "transform = [\"standardize\"]\n", "");
    with_numbers(&folder, 0, |_| Some("3000".to_owned()));
    let decay = "train.optimizer={ kind = \"adamw\", learning_rate = 0.01, weight_decay = 1e9 }";
    let ran = train(&folder, "run", &[decay]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("likely cause: [train] optimizer.weight_decay is 1000000000.0"), "{}", ran.stderr);
}
