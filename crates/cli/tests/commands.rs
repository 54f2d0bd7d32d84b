//! What every command does when all is well, on small logs.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;

use crate::common::{CONFIG, Folder, Ran, log};
use arrow::array::AsArray;
use arrow::datatypes::Float32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

/// A folder with a run of its log.
fn trained() -> Folder {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    folder
}

/// Columns of a CSV file by name, as texts.
fn csv(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let column = |i: usize| rows.iter().map(|row| row[i].to_owned()).collect();
    names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), column(i))).collect()
}

/// The artifact without the moment of its making, and the hash that depends on it.
fn artifact(folder: &Folder, run: &str) -> (Vec<u8>, Vec<u8>, Value) {
    let mut model = folder.json(&format!("{run}/model/model.json"));
    ["provenance", "xxh64"].iter().for_each(|key| drop(model.as_object_mut().unwrap().remove(*key).unwrap()));
    let file = |name: &str| folder.read(&format!("{run}/model/{name}"));
    (file("weights.safetensors"), file("golden.safetensors"), model)
}

#[test]
fn train_writes_a_run() {
    let folder = Folder::with_log();
    let ran = folder.ok(&["train", "config.toml", "--out", "run"]);
    assert!(ran.stdout.contains("model: run/model"), "{}", ran.stdout);
    assert!(ran.stdout.contains("kept epoch"), "{}", ran.stdout);
    // In a pipe: one line per epoch, no bar.
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("epoch ")).count(), 3, "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\r'), "{:?}", ran.stderr);
    assert!(ran.stderr.contains("400 training rows (buy 400, spend "), "{}", ran.stderr);

    let report = folder.json("run/metrics.json");
    assert_eq!(report["history"].as_array().unwrap().len(), 3);
    assert_eq!(report["rows"]["train"]["rows"], 400);
    let positives = csv(&folder.text("train.csv"))["buy"].iter().filter(|&buy| buy == "1").count();
    assert_eq!(report["rows"]["train"]["tasks"], json!({ "buy": 400, "spend": positives }));
    assert_eq!(report["stop"], "epochs");
    assert_eq!(report["steps"], 3 * 13);
    let best = report["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(report["valid"], report["history"][best - 1]["valid"], "the kept weights are the best epoch's");
    assert!(report["test"]["tasks"]["buy"]["auc"].as_f64().unwrap() > 0.7, "{report}");
    for key in ["learning_rate", "rows_per_second", "loss"] {
        assert!(report["history"][0][key].as_f64().unwrap() > 0.0, "{key}");
    }
    for file in ["run/model/model.json", "run/model/weights.safetensors", "run/model/golden.safetensors"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    assert!(!folder.listing().iter().any(|name| name.contains(".tmp")), "{:?}", folder.listing());
    // As JSON the report itself goes to standard output.
    let ran = folder.ok(&["train", "config.toml", "--out", "again", "--format", "json"]);
    assert_eq!(ran.json()["history"][2]["valid"], report["history"][2]["valid"]);
}

#[test]
fn checkpoints_of_the_last_two_epochs_and_the_best_are_kept() {
    let folder = Folder::with_log();
    // Few rows, learned by heart: log loss soon gets worse, so that the best epoch is an early one.
    folder.write("train.csv", log(60, 1));
    let set =
        ["--set", "train.epochs=40", "--set", "train.early_stopping={ patience = 50, metric = \"buy.log_loss\" }"];
    let rate = ["--set", "train.optimizer.learning_rate=0.1"];
    folder.ok(&[&["train", "config.toml", "--out", "run"][..], &set, &rate].concat());
    let best = folder.json("run/metrics.json")["best_epoch"].as_u64().unwrap();
    assert!(best < 39, "the best epoch is {best}, so that this test could not tell");
    let expected = [best, 39, 40].map(|epoch| format!("run/checkpoints/step-{:012}", 2 * epoch));
    let kept = folder.listing().into_iter().filter(|name| name.contains("step-") && folder.join(name).is_dir());
    assert_eq!(kept.collect::<Vec<_>>(), expected);
    let weights = folder.read(&format!("{}/weights.safetensors", expected[0]));
    assert_eq!(folder.read("run/model/weights.safetensors"), weights);
}

#[test]
fn the_test_rows_have_no_say() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "a"]);
    folder.write("test.csv", log(50, 99));
    folder.ok(&["train", "config.toml", "--out", "b"]);
    assert_ne!(folder.json("a/metrics.json")["test"], folder.json("b/metrics.json")["test"]);
    assert_eq!(artifact(&folder, "a"), artifact(&folder, "b"));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let folder = Folder::with_log();
    for threads in ["1", "2", "5"] {
        folder.ok(&["--threads", threads, "train", "config.toml", "--out", threads]);
        let out = format!("{threads}.csv");
        folder.ok(&["predict", "1/model", "--data", "test.csv", "--out", &out, "--threads", threads]);
    }
    for threads in ["2", "5"] {
        assert_eq!(artifact(&folder, threads), artifact(&folder, "1"), "{threads} threads");
        assert_eq!(folder.text(&format!("{threads}.csv")), folder.text("1.csv"), "{threads} threads");
        let history = |run: &str| {
            let mut history = folder.json(&format!("{run}/metrics.json"))["history"].clone();
            for epoch in history.as_array_mut().unwrap() {
                ["rows_per_second", "input_wait"].iter().for_each(|key| epoch[*key] = json!(0));
            }
            history
        };
        assert_eq!(history(threads), history("1"), "{threads} threads");
    }
}

#[test]
fn evaluate_gives_the_metrics_of_training() {
    let folder = trained();
    let ran = folder.ok(&["evaluate", "run/model", "--data", "test.csv", "--format", "json"]);
    let (measured, of_training) = (ran.json(), folder.json("run/metrics.json"));
    assert_eq!((&measured["rows"], &measured["tasks"]), (&of_training["test"]["rows"], &of_training["test"]["tasks"]));
    assert_eq!(measured["features"], of_training["data"]["test"]["features"]);
    assert_eq!(measured["rows"], 120);
    let text = folder.ok(&["evaluate", "run/model", "--data", "test.csv"]).stdout;
    assert!(text.starts_with("task   rows"), "{text}");
    // Several files are one set of rows.
    let both = folder.ok(&["evaluate", "run/model", "--data", "test.csv", "--data", "valid.csv", "--format", "json"]);
    assert_eq!(both.json()["rows"], 240);
    let glob = folder.ok(&["evaluate", "run/model", "--data", "*t*.csv", "--format", "json"]);
    assert_eq!(glob.json()["rows"], 520, "train.csv and test.csv");
}

#[test]
fn predict_writes_a_column_per_task_in_row_order() {
    let folder = trained();
    folder.ok(&["predict", "run/model", "--data", "test.csv", "--out", "p.csv"]);
    folder.ok(&["predict", "run/model", "--data", "test.csv", "--out", "p.parquet"]);
    let text = folder.text("p.csv");
    assert!(text.starts_with("buy,spend\n"), "{text}");
    let columns = csv(&text);
    assert_eq!(columns["buy"].len(), 120);

    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(folder.join("p.parquet")).unwrap()).unwrap();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    for (i, task) in ["buy", "spend"].iter().enumerate() {
        assert_eq!(batches[0].schema().field(i).name(), task);
        let values: Vec<f32> =
            batches.iter().flat_map(|b| b.column(i).as_primitive::<Float32Type>().values().to_vec()).collect();
        let texts: Vec<f32> = columns[*task].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(values, texts, "{task}");
    }
    // Rows without labels, and with columns in another order, are the same rows.
    let data = csv(&folder.text("test.csv"));
    let mut other = String::from("city,visits,age\n");
    for ((city, visits), age) in data["city"].iter().zip(&data["visits"]).zip(&data["age"]) {
        other.push_str(&format!("{city},{visits},{age}\n"));
    }
    folder.write("other.csv", other);
    folder.ok(&["predict", "run/model", "--data", "other.csv", "--out", "q.csv"]);
    assert_eq!(folder.text("q.csv"), text);
}

#[test]
fn predictions_do_not_replace_the_log() {
    let folder = trained();
    let before = folder.read("test.csv");
    let ran = folder.run(&["predict", "run/model", "--data", "test.csv", "--out", "./test.csv"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("./test.csv is one of the files to read"), "{}", ran.stderr);
    assert_eq!(folder.read("test.csv"), before);
}

#[test]
fn a_batch_may_be_larger_than_the_log() {
    let folder = Folder::with_log();
    let train = |out, size: &str| {
        folder.ok(&["train", "config.toml", "--out", out, "--set", &format!("train.batch_size={size}")]);
        folder.read(&format!("{out}/model/weights.safetensors"))
    };
    assert!(train("a", "400") == train("b", "9223372036854775807"));
}

#[test]
fn rows_that_are_skipped_leave_gaps_in_the_predictions() {
    let folder = Folder::with_log();
    folder.write("config.toml", CONFIG.replacen("[data]", "[data]\non_bad_row = \"skip\"", 1));
    let ran = folder.run(&["train", "config.toml", "--out", "run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    folder.write("rows.csv", "age,visits,city\n30,2,Oslo\nold,2,Oslo\n30,2,Oslo\nold,1,Lima\n");
    let ran = folder.ok(&["predict", "run/model", "--data", "rows.csv", "--out", "p.csv"]);
    assert!(ran.stderr.contains("2 bad rows were skipped") && ran.stderr.contains("line 3"), "{}", ran.stderr);
    let rows: Vec<String> = folder.text("p.csv").lines().skip(1).map(str::to_owned).collect();
    assert_eq!(rows.len(), 4);
    assert_eq!((&rows[0], rows[1].as_str(), rows[3].as_str()), (&rows[2], ",", ","));
}

#[test]
fn inspect_tells_structure_size_and_use_of_experts() {
    let folder = trained();
    let inspection = folder.ok(&["inspect", "run/model", "--format", "json"]).json();
    assert_eq!(inspection["kind"], "ple");
    assert_eq!((&inspection["features"], &inspection["input_width"]), (&json!(3), &json!(6)));
    let modules = inspection["modules"].as_array().unwrap();
    let sum = |key: &str| modules.iter().map(|module| module[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(inspection["parameters"]["total"], sum("parameters"));
    assert_eq!(inspection["flops_per_row"], sum("flops"));
    assert_eq!(inspection.get("gates"), None);

    let inspection = folder.ok(&["inspect", "run/model", "--data", "test.csv", "--format", "json"]).json();
    let gates = inspection["gates"].as_array().unwrap();
    assert_eq!(gates.len(), 5, "a gate per task and level, and the shared one below the top");
    for gate in gates {
        assert_eq!(gate["rows"], 120);
        let means = gate["experts"].as_array().unwrap().iter().map(|expert| expert["mean"].as_f64().unwrap());
        assert!((means.sum::<f64>() - 1.0).abs() < 1e-5, "{gate}");
    }
    let text = folder.ok(&["inspect", "run/model", "--data", "test.csv"]).stdout;
    assert!(text.contains("levels.0.shared.gate over 120 rows"), "{text}");
}

#[test]
fn import_makes_a_model_of_weights() {
    let folder = trained();
    let weights = "run/model/weights.safetensors";
    folder.ok(&["import", "--config", "config.toml", "--weights", weights, "--out", "model"]);
    assert_eq!(folder.read("model/weights.safetensors"), folder.read(weights));
    folder.ok(&["predict", "run/model", "--data", "test.csv", "--out", "a.csv"]);
    folder.ok(&["predict", "model", "--data", "test.csv", "--out", "b.csv"]);
    assert_eq!(folder.text("a.csv"), folder.text("b.csv"));
}

#[test]
fn init_starts_from_a_model() {
    let folder = trained();
    // A step of no length leaves the weights where they start.
    let still = ["--set", "train.optimizer.learning_rate=0", "--set", "train.epochs=1"];
    folder.ok(&[&["train", "config.toml", "--out", "still", "--init", "run/model"][..], &still].concat());
    assert_eq!(folder.read("still/model/weights.safetensors"), folder.read("run/model/weights.safetensors"));
    // A model of another shape is refused by name.
    let other = ["train", "config.toml", "--out", "other", "--init", "run/model", "--set", "model.tower=[5]"];
    let ran = folder.run(&other);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for says in ["--init run/model", "towers.buy.0.bias", "[4]", "[5]"] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    // Encoders are the model's, too: other training rows do not move them.
    folder.write("train.csv", log(60, 5).replace("Oslo", "Bonn"));
    folder.ok(&[&["train", "config.toml", "--out", "moved", "--init", "run/model"][..], &still].concat());
    let encoder = |run: &str| folder.json(&format!("{run}/model/model.json"))["encoder"]["fitted"].clone();
    assert_eq!(encoder("moved"), encoder("run"));
    // Other features would give its weights another meaning.
    let ran = folder.run(&[
        "train",
        "config.toml",
        "--out",
        "other",
        "--init",
        "run/model",
        "--set",
        "feature.0.columns=[\"age\"]",
    ]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("its features are not those of this configuration"), "{}", ran.stderr);
}

/// The configuration with `[[compare.model]]` in the place of `[model]`.
fn with_models() -> String {
    let (a, b) = (CONFIG.find("[model]").unwrap(), CONFIG.find("[train]").unwrap());
    let models = r#"
[compare]
baseline = "single-task"
[[compare.model]]
name = "single-task"
kind = "single-task"
bottom = [8]
tower = [4]
[[compare.model]]
name = "hard sharing"
kind = "hard-sharing"
bottom = [8]
tower = [4]
[[compare.model]]
name = "MMoE"
kind = "mmoe"
experts = 3
widths = [8]
tower = [4]
[[compare.model]]
name = "CGC"
kind = "cgc"
task_experts = 1
shared_experts = 1
widths = [8]
tower = [4]
"#;
    format!("{}{}{models}", &CONFIG[..a], &CONFIG[b..])
}

#[test]
fn train_takes_any_of_the_models_to_compare() {
    let folder = Folder::with_log();
    folder.write("config.toml", with_models());
    let ran = folder.run(&["train", "config.toml", "--out", "run"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("choose with --model one of \"single-task\", \"hard sharing\""), "{}", ran.stderr);
    for (name, kind) in
        [("single-task", "single-task"), ("hard sharing", "hard-sharing"), ("MMoE", "mmoe"), ("CGC", "cgc")]
    {
        folder.ok(&["train", "config.toml", "--out", kind, "--model", name]);
        assert_eq!(folder.json(&format!("{kind}/metrics.json"))["kind"], kind);
    }
}

#[test]
fn without_validation_rows_the_last_epoch_is_kept() {
    let folder = Folder::with_log();
    folder.replace("config.toml", "valid = \"valid.csv\"\n", "");
    folder.replace("config.toml", "early_stopping = { patience = 5 }\n", "");
    let ran = folder.ok(&["train", "config.toml", "--out", "run"]);
    assert!(ran.stdout.contains("the last, as there are no validation rows"), "{}", ran.stdout);
    let report = folder.json("run/metrics.json");
    assert_eq!(
        (&report["best_epoch"], &report["selected_by"], &report["valid"]),
        (&json!(3), &Value::Null, &Value::Null)
    );
}

/// The configurations that the documentation shows, with fewer rows, smaller tables and fewer epochs.
#[test]
fn synthetic_logs_train() {
    let folder = Folder::empty();
    let ran = folder.ok(&["synth", "paper", "--rows", "3000", "--dimension", "16", "--out", "synthetic.parquet"]);
    assert_eq!(ran.stdout, "synthetic.parquet: 3,000 rows of 18 columns\n");
    folder.write(
        "synthetic.toml",
        r#"
[data]
train = "synthetic.parquet"
valid = { fraction = 0.1 }
test = { fraction = 0.1 }
[[feature]]
columns = ["x[0..16]"]
kind = "numeric"
[[task]]
name = "y1"
kind = "regression"
label = { column = "y1" }
[[task]]
name = "y2"
kind = "regression"
label = { column = "y2" }
[train]
epochs = 2
batch_size = 256
optimizer = { kind = "adam", learning_rate = 1e-3 }
[compare]
seeds = [1, 2, 3]
baseline = "PLE"
[[compare.model]]
name = "PLE"
kind = "ple"
levels = [
    { task_experts = 1, shared_experts = 1, widths = [32] },
    { task_experts = 1, shared_experts = 1, widths = [16] },
]
tower = [8]
"#,
    );
    folder.ok(&["train", "synthetic.toml", "--model", "PLE", "--out", "paper"]);
    let history = folder.json("paper/metrics.json")["history"].clone();
    assert!(history[1]["score"].as_f64() > history[0]["score"].as_f64(), "{history}");

    folder.ok(&["synth", "video", "--rows", "4000", "--seed", "3", "--with-truth", "--out", "video.parquet"]);
    folder.write(
        "video.toml",
        r#"
[data]
train = "video.parquet"
valid = { fraction = 0.1 }
test = { fraction = 0.1 }
[[feature]]
columns = ["user_id", "video_id"]
kind = "categorical"
encoding = { hash = 500 }
embedding = 4
[[feature]]
columns = ["category", "hour"]
kind = "categorical"
embedding = 4
[[feature]]
columns = ["tags"]
kind = "categorical"
multiple = true
pooling = "mean"
embedding = 4
[[feature]]
columns = ["video_seconds", "user_age_days"]
kind = "numeric"
transform = ["log1p", "standardize"]
missing = "mean"
[[task]]
name = "click"
kind = "binary"
label = { column = "click" }
[[task]]
name = "completion"
kind = "regression"
label = { column = "completion" }
where = { column = "click", equals = 1 }
weight = { initial = 2.0, ratio = 0.9999, every = "step" }
[[task]]
name = "share"
kind = "binary"
label = { column = "share" }
where = { column = "click", equals = 1 }
weight = 0.5
[model]
kind = "ple"
levels = [
    { task_experts = { click = 2, completion = 1, share = 1 }, shared_experts = 2, widths = [16] },
    { task_experts = 1, shared_experts = 1, widths = [8] },
]
tower = { default = [4], completion = [8, 4] }
[train]
epochs = 1
batch_size = 256
embedding_optimizer = { kind = "adagrad", learning_rate = 0.05 }
seed = 7
[rank]
score = { click = 1.0, completion = 0.8, share = 0.2 }
transform = { column = "video_seconds", kind = "log1p", power = 0.3 }
"#,
    );
    folder.ok(&["train", "video.toml", "--out", "video"]);
    let rows = folder.json("video/metrics.json")["rows"]["train"].clone();
    assert!(rows["tasks"]["share"].as_u64() < rows["tasks"]["click"].as_u64(), "{rows}");
}

/// The smallest one: less than a block of a log, cut where its second part would have no row.
#[test]
fn quickstart_leaves_a_log_a_configuration_and_a_model() {
    let folder = Folder::empty();
    let ran = folder.ok(&["quickstart", "--rows", "1000", "--out", "first"]);
    for says in ["single-task", "hard sharing", "MMoE", "PLE", "MTL gain", "pleiad train first/video.toml"] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("--rows 500000"), "so few rows show no gain, and more would: {}", ran.stdout);
    // The answer comes first, in a sentence of its own length.
    let widest =
        ran.stdout.lines().skip(1).take_while(|line| !line.starts_with("model  ") || !line.contains("verdict"));
    assert!(widest.map(|line| line.chars().count()).max() < Some(121), "five tasks stand below one another");
    let files: Vec<String> = folder.listing();
    for file in ["first/model/model.json", "first/video.parquet", "first/video.toml", "first/compared/report.html"] {
        assert!(files.iter().any(|name| name == file), "{files:?}");
    }
    assert!(files.iter().all(|name| name.starts_with("first")), "{files:?}");
    folder.ok(&["evaluate", "first/model", "--data", "first/video.parquet"]);
    folder.ok(&["train", "first/video.toml", "--out", "run", "--set", "train.epochs=1"]);
    let again = folder.run(&["quickstart", "--rows", "1000", "--out", "first"]);
    assert_eq!(again.code, Some(2), "{}", again.stderr);

    let report = folder.ok(&["quickstart", "--rows", "1000", "--out", "second", "--format", "json"]).json();
    for (file, rows) in [("video", 1000), ("later", 500)] {
        let file = File::open(folder.join(&format!("second/{file}.parquet"))).unwrap();
        let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
        assert_eq!(metadata.file_metadata().num_rows(), rows, "as many rows as were asked for, and half as many");
    }
    let before = folder.json("first/compared/compare.json");
    for (model, again) in
        before["models"].as_array().unwrap().iter().zip(report["comparison"]["models"].as_array().unwrap())
    {
        assert_eq!(model["tasks"], again["tasks"], "the same rows and seeds give the same figures");
    }
    let page = folder.text("first/compared/report.html");
    assert!(page.contains("single-task") && !page.contains(".pleiad-"), "a report tells no temporary folder");
}

#[test]
fn schema_is_a_json_schema_of_the_configuration() {
    let folder = Folder::empty();
    let schema = folder.ok(&["schema"]).json();
    let properties = schema["properties"].as_object().unwrap();
    for table in ["data", "feature", "task", "model", "train", "compare", "rank"] {
        assert!(properties.contains_key(table), "{table}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn help_has_an_example_for_every_command() {
    let folder = Folder::empty();
    for command in [
        &["quickstart"][..],
        &["train"],
        &["compare"],
        &["evaluate"],
        &["predict"],
        &["serve"],
        &["inspect"],
        &["export"],
        &["synth", "paper"],
        &["synth", "video"],
        &["import"],
        &["schema"],
        &["bench"],
    ] {
        let ran = folder.ok(&[command, &["--help"]].concat());
        let example = format!("Example:\n  pleiad {}", command.join(" "));
        assert!(ran.stdout.contains(&example), "{}", ran.stdout);
    }
    let ran = folder.run(&[]);
    assert_eq!(ran.code, Some(2), "no command is bad usage");
    assert!(ran.stderr.contains("\n  predict") && ran.stderr.contains("\n  serve"), "{}", ran.stderr);
    assert_eq!(folder.run(&["serve"]).code, Some(2), "a server needs a model");
}

/// `pleiad schema | head -1` with a reader that closes at once.
#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = Folder::empty();
    let mut child = folder.command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_model_that_is_damaged_is_refused() {
    for (name, damage, says) in [
        (
            "another version",
            (|f: &Folder| f.write("run/model/model.json", r#"{"format": "pleiad-model", "format_version": 99}"#))
                as fn(&Folder),
            "99",
        ),
        (
            "a file is missing",
            |f| std::fs::remove_file(f.join("run/model/weights.safetensors")).unwrap(),
            "weights.safetensors",
        ),
        (
            "cut off",
            |f| {
                let bytes = f.read("run/model/weights.safetensors");
                f.write("run/model/weights.safetensors", &bytes[..bytes.len() - 5]);
            },
            "weights.safetensors",
        ),
        (
            "other weights",
            |f| {
                let mut bytes = f.read("run/model/weights.safetensors");
                let end = bytes.len();
                // All of the last tower.
                bytes[end - 160..].copy_from_slice(&1e3f32.to_le_bytes().repeat(40));
                f.write("run/model/weights.safetensors", bytes);
            },
            "are not those that model.json was saved with",
        ),
        (
            "golden rows of another model",
            |f| {
                let mut bytes = f.read("run/model/golden.safetensors");
                let end = bytes.len();
                // The last task's last prediction.
                bytes[end - 4..].copy_from_slice(&1e3f32.to_le_bytes());
                f.write("run/model/golden.safetensors", bytes);
            },
            "golden.safetensors is damaged: its golden rows are not those",
        ),
        ("no model at all", |f| std::fs::remove_dir_all(f.join("run/model")).unwrap(), "run/model"),
    ] {
        let folder = trained();
        damage(&folder);
        let before = folder.listing();
        for args in [
            &["evaluate", "run/model", "--data", "test.csv"][..],
            &["predict", "run/model", "--data", "test.csv", "--out", "p.csv"],
            &["inspect", "run/model"],
        ] {
            let ran = folder.run(args);
            assert_eq!(ran.code, Some(3), "{name}: {}", ran.stderr);
            assert!(ran.stderr.contains(says) && !ran.stderr.contains("panicked"), "{name}: {}", ran.stderr);
            assert_eq!(folder.listing(), before, "{name}");
        }
    }
}

/// The decoder panics on some of these; that is caught, and must not show either.
#[test]
fn damaged_columnar_files_are_told_in_one_line() {
    let folder = Folder::empty();
    let config = r#"[data]
train = "paper.arrow"
[[feature]]
columns = ["x0"]
kind = "numeric"
[[task]]
name = "y1"
kind = "regression"
label = { column = "y1" }
[model]
kind = "single-task"
bottom = [2]
"#;
    folder.write("paper.toml", config);
    folder.ok(&["synth", "paper", "--rows", "50", "--dimension", "2", "--out", "paper.arrow"]);
    folder.ok(&["train", "paper.toml", "--out", "paper"]);
    let good = folder.read("paper.arrow");
    let mut refused = 0;
    for from_end in 100..240 {
        let mut bytes = good.clone();
        let at = bytes.len() - from_end;
        bytes[at] ^= 0x55;
        folder.write("rows.arrow", bytes);
        let ran = folder.run(&["predict", "paper/model", "--data", "rows.arrow", "--out", "p.csv"]);
        let lines = ran.stderr.lines().count();
        assert!(matches!((ran.code, lines), (Some(0), 0) | (Some(3), 1)), "{from_end}: {:?} {}", ran.code, ran.stderr);
        refused += usize::from(ran.code == Some(3));
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn bad_rows_are_refused_in_use_as_in_training() {
    let folder = trained();
    for (content, says) in [
        ("", "is empty"),
        ("age,visits,town,buy,spend\n30,2,Oslo,1,2\n", "no column \"city\""),
        ("age,visits,city,buy,spend\n30,x,Oslo,1,2\n", "line 2 (row 1), column \"visits\": \"x\" is not a number"),
        ("age,visits,city,buy,spend\n30,2\n", "fields where 5 are expected"),
    ] {
        folder.write("rows.csv", content);
        for args in [
            &["evaluate", "run/model", "--data", "rows.csv"][..],
            &["predict", "run/model", "--data", "rows.csv", "--out", "p.csv"],
            &["inspect", "run/model", "--data", "rows.csv"],
        ] {
            let ran = folder.run(args);
            assert_eq!(ran.code, Some(3), "{content:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(says), "{content:?} does not say {says:?}: {}", ran.stderr);
            assert!(!folder.join("p.csv").exists());
        }
    }
    folder.write("rows.csv", "age,visits,city,buy,spend\n");
    let ran = folder.run(&["evaluate", "run/model", "--data", "rows.csv"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    // No rows, no predictions: nothing is wrong with that.
    folder.ok(&["predict", "run/model", "--data", "rows.csv", "--out", "p.csv"]);
    assert_eq!(folder.text("p.csv"), "buy,spend\n");
    let ran = folder.run(&["evaluate", "run/model", "--data", "none.csv"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let ran = folder.run(&["predict", "run/model", "--data", "test.csv", "--out", "p.xlsx"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn a_run_leads_to_its_model_and_a_table_says_what_calibration_is() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run", "--set", "train.epochs=1", "--set", "train.optimizer=adam"]);
    for args in [
        &["predict", "run", "--data", "test.csv", "--out", "p.csv"][..],
        &["evaluate", "run", "--data", "test.csv"],
        &["inspect", "run"],
        &["train", "config.toml", "--out", "again", "--init", "run"],
    ] {
        let ran = folder.run(args);
        assert_eq!(ran.code, Some(3), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("did you mean run/model, the model of this run?"), "{args:?}: {}", ran.stderr);
    }
    let ran = folder.ok(&["evaluate", "run/model", "--data", "test.csv"]);
    assert!(ran.stdout.contains("Calibration: the mean prediction over the share of positives"), "{}", ran.stdout);
    // Short forms are the same run: it resumes under the long one.
    let long = "train.optimizer={kind=\"adam\"}";
    let ran =
        folder.ok(&["train", "config.toml", "--out", "run", "--resume", "--set", "train.epochs=1", "--set", long]);
    assert!(ran.stderr.contains("run is complete; there is nothing to resume"), "{}", ran.stderr);
}
