//! `pleiad compare`: figures that follow from the runs, notes on values that are missing, folders that go on.

#![allow(clippy::unwrap_used)]

use crate::common::{Folder, log};
use serde_json::{Value, json};

const COMPARE: &str = r#"
[compare]
seeds = [1, 2, 3]
baseline = "alone"

[[compare.model]]
name = "alone"
kind = "single-task"
bottom = [8, 8]
tower = [4]

[[compare.model]]
name = "MMoE <two>"
kind = "mmoe"
experts = 2
widths = [8, 8]
tower = [4]

[[compare.model]]
name = "PLE"
kind = "ple"
levels = [
    { task_experts = 1, shared_experts = 1, widths = [8] },
    { task_experts = 1, shared_experts = 1, widths = [8] },
]
tower = [4]
"#;

const RUN: &[&str] = &["compare", "config.toml", "--out", "compared"];

fn folder() -> Folder {
    let folder = Folder::with_log();
    let config = folder.text("config.toml");
    folder.write("config.toml", config + COMPARE);
    folder
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [RUN, more].concat()
}

/// The figures without what time has a say in.
fn timeless(mut comparison: Value) -> Value {
    for model in comparison["models"].as_array_mut().unwrap() {
        model["rows_per_second"] = json!(null);
        for run in model["runs"].as_array_mut().unwrap() {
            run["seconds"] = json!(0);
        }
    }
    comparison
}

fn values(model: &Value, task: &str, metric: &str) -> Vec<f64> {
    let runs = model["runs"].as_array().unwrap();
    runs.iter().map(|run| run["evaluation"]["tasks"][task][metric].as_f64().unwrap()).collect()
}

fn near(found: &Value, exact: f64) -> bool {
    (found.as_f64().unwrap() - exact).abs() < 1e-12
}

#[test]
fn means_spreads_and_gains_follow_from_the_runs() {
    let folder = folder();
    let ran = folder.ok(RUN);
    for says in ["MTL gain over alone", "95 % confidence interval", "verdict", "MMoE <two>", "compared/report.html"] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
    let comparison = folder.json("compared/compare.json");
    let models = comparison["models"].as_array().unwrap();
    assert_eq!(comparison["metrics"], json!({ "buy": "auc", "spend": "mse" }));
    assert_eq!(comparison["measured_on"], "test");
    for model in models {
        for (task, metric, sign) in [("buy", "auc", 1.0), ("spend", "mse", -1.0)] {
            let own = values(model, task, metric);
            let mean = own.iter().sum::<f64>() / 3.0;
            let sd = (own.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
            let found = &model["tasks"][task];
            assert!(near(&found["metric"]["mean"], mean) && near(&found["metric"]["sd"], sd), "{found}");
            if model["name"] == "alone" {
                assert_eq!((&found["gain"], &model["verdict"]), (&json!(null), &json!(null)));
                continue;
            }
            // Paired by seed: equation 11 for each seed, then Student's interval with two degrees of freedom.
            let single = values(&models[0], task, metric);
            let gains: Vec<f64> = own.iter().zip(&single).map(|(m, s)| sign * (m - s)).collect();
            let mean = gains.iter().sum::<f64>() / 3.0;
            let sd = (gains.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
            let half = 4.302_652_73 * sd / 3f64.sqrt();
            let gain = &found["gain"];
            assert!(near(&gain["mean"], mean), "{gain}");
            assert!((gain["bounds"][0].as_f64().unwrap() - (mean - half)).abs() < 1e-9, "{gain}");
            assert!((gain["bounds"][1].as_f64().unwrap() - (mean + half)).abs() < 1e-9, "{gain}");
        }
    }
    // p values of Student's t with two degrees of freedom, 1 - t / sqrt(2 + t^2), and Holm's correction of all four:
    // the k-th smallest times the number of those that are not smaller, none below the one before.
    let of = |key: &str| -> Vec<f64> {
        let tasks = models[1..].iter().flat_map(|model| ["buy", "spend"].map(|task| &model["tasks"][task]));
        tasks.map(|task| task[key].as_f64().unwrap()).collect()
    };
    let t = models[1..].iter().flat_map(|model| ["buy", "spend"].map(|task| &model["tasks"][task]["gain"]));
    let t = t.map(|gain| gain["mean"].as_f64().unwrap() / (gain["sd"].as_f64().unwrap() / 3f64.sqrt()));
    let p_values: Vec<f64> = t.map(|t: f64| 1.0 - t.abs() / (2.0 + t * t).sqrt()).collect();
    assert!(of("p_value").iter().zip(&p_values).all(|(p, exact)| (p - exact).abs() < 1e-12), "{p_values:?}");
    assert_eq!(comparison["questions"], 4);
    let mut sorted = p_values.clone();
    sorted.sort_by(f64::total_cmp);
    let corrected = |p: &f64| -> f64 {
        let upto = sorted.iter().position(|other| other == p).unwrap();
        let raised = sorted[..=upto].iter().enumerate().map(|(k, p)| (4 - k) as f64 * p);
        raised.fold(0.0, f64::max).min(1.0)
    };
    let near_p = |(found, p): (&f64, &f64)| (found - corrected(p)).abs() < 1e-12;
    assert!(of("p_holm").iter().zip(&p_values).all(near_p), "{:?} {p_values:?}", of("p_holm"));
    // The answer comes first, on the terminal as on the page.
    let answer = comparison["answer"]["text"].as_str().unwrap();
    assert!(ran.stdout.starts_with(answer), "{answer}: {}", ran.stdout);
    let page = folder.text("compared/report.html");
    let escaped = answer.replace('<', "&lt;").replace('>', "&gt;");
    assert!(page.find(&escaped).unwrap() < page.find("<table").unwrap(), "{answer}");
    // And the same digits in both.
    let gain = models[2]["tasks"]["spend"]["gain"]["mean"].as_f64().unwrap();
    let (digits, minus) = (format!("{gain:+.5}"), format!("{gain:+.5}").replace('-', "\u{2212}"));
    assert!(ran.stdout.contains(&digits) && page.contains(&minus), "{digits}: {}", ran.stdout);
    // Every run is one that `train` would have made.
    folder.ok(&["train", "config.toml", "--model", "PLE", "--set", "train.seed=2", "--out", "run"]);
    let run = "compared/runs/ple/seed-2/model/weights.safetensors";
    assert!(folder.read(run) == folder.read("run/model/weights.safetensors"));
    assert!(!folder.join("compared/runs/ple/seed-2/checkpoints").exists());
}

#[test]
fn what_is_done_is_not_done_again() {
    let folder = folder();
    folder.ok(RUN);
    let first = folder.json("compared/compare.json");
    std::fs::remove_dir_all(folder.join("compared/runs/mmoe-two/seed-3")).unwrap();
    let again = folder.ok(RUN);
    assert_eq!(again.stderr.matches("done before").count(), 8, "{}", again.stderr);
    assert_eq!(timeless(folder.json("compared/compare.json")), timeless(first.clone()));
    // A seed more asks for three runs more.
    let more = folder.ok(&with(&["--set", "compare.seeds=[1, 2, 3, 4]", "--format", "json"]));
    assert_eq!(more.stderr.matches("done before").count(), 9, "{}", more.stderr);
    let runs = |comparison: &Value| comparison["models"][0]["runs"].as_array().unwrap()[..3].to_vec();
    assert_eq!(runs(&more.json()), runs(&first));
}

#[test]
#[cfg(unix)]
fn an_interrupted_comparison_goes_on_to_the_same_figures() {
    let folder = folder();
    folder.write("train.csv", log(4000, 1));
    let slow = with(&["--set", "train.batch_size=4"]);
    let mut child = folder.command(&slow).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let begin = std::time::Instant::now();
    while !folder.join("compared/runs/alone/seed-1/metrics.json").exists() {
        assert!(begin.elapsed().as_secs() < 60, "no run has finished");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!folder.join("compared/compare.json").exists());
    let again = folder.ok(&slow);
    assert!(again.stderr.contains("alone, seed 1: done before"), "{}", again.stderr);
    let resumed = folder.json("compared/compare.json");
    std::fs::remove_dir_all(folder.join("compared")).unwrap();
    folder.ok(&slow);
    assert_eq!(timeless(resumed), timeless(folder.json("compared/compare.json")));
}

#[test]
fn another_comparison_or_other_rows_are_refused() {
    let folder = folder();
    folder.ok(&with(&["--set", "compare.seeds=[1]"]));
    let ran = folder.run(&with(&["--set", "compare.seeds=[1]", "--set", "train.epochs=2"]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("compared/runs/alone/seed-1"), "{}", ran.stderr);
    folder.write("train.csv", log(401, 1));
    let ran = folder.run(&with(&["--set", "compare.seeds=[1]"]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("rows of [data] have changed"), "{}", ran.stderr);

    std::fs::create_dir(folder.join("mine")).unwrap();
    folder.write("mine/letter.txt", "dear");
    let ran = folder.run(&["compare", "config.toml", "--out", "mine"]);
    assert_eq!((ran.code, folder.text("mine/letter.txt").as_str()), (Some(2), "dear"), "{}", ran.stderr);
}

#[test]
fn a_comparison_needs_models_and_rows_to_measure_on() {
    let folder = Folder::with_log();
    let ran = folder.run(RUN);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("[[compare.model]]"), "{}", ran.stderr);
    let config = folder.text("config.toml").replace("valid = \"valid.csv\"\ntest = \"test.csv\"\n", "");
    folder.write("config.toml", config.replace("early_stopping = { patience = 5 }\n", "") + COMPARE);
    let ran = folder.run(RUN);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("neither `test` nor `valid`"), "{}", ran.stderr);
    assert!(!folder.join("compared").exists());
}

#[test]
fn one_seed_gives_gains_without_a_verdict() {
    let folder = folder();
    let one = folder.ok(&with(&["--set", "compare.seeds=[5]", "--format", "json"])).json();
    let ple = &one["models"][2];
    assert_eq!((&ple["verdict"]["kind"], &one["answer"]["ship"]), (&json!("unknown"), &json!(null)));
    assert_eq!(ple["verdict"]["text"], "cannot be told: one seed has no spread");
    assert!(one["answer"]["text"].as_str().unwrap().starts_with("One seed cannot tell"), "{}", one["answer"]);
    assert!(ple["tasks"]["buy"]["gain"]["mean"].is_number() && ple["tasks"]["buy"]["gain"]["bounds"].is_null());
}

#[test]
fn without_test_rows_it_says_that_validation_flatters() {
    let folder = folder();
    folder.replace("config.toml", "test = \"test.csv\"\n", "");
    let ran = folder.ok(&with(&["--set", "compare.seeds=[1]"]));
    assert!(ran.stdout.contains("there are no test rows"), "{}", ran.stdout);
    assert_eq!(folder.json("compared/compare.json")["measured_on"], "valid");
}

#[test]
fn a_task_of_one_class_and_one_of_few_rows_are_told_and_the_rest_goes_on() {
    let folder = folder();
    // Buyers alone in the test: AUC of `buy` is not defined there.
    let test: Vec<String> = folder.text("test.csv").lines().map(str::to_owned).collect();
    let buyers: Vec<&String> = test[1..].iter().filter(|line| line.split(',').nth(3) == Some("1")).collect();
    let text = std::iter::once(&test[0]).chain(buyers.clone()).map(|line| format!("{line}\n"));
    folder.write("test.csv", text.collect::<String>());
    let ran = folder.ok(RUN);
    let n = buyers.len();
    assert!(ran.stdout.contains(&format!("buy: its label is 1 in all {n} test rows")), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("spend: {n} test rows in its sample space")), "{}", ran.stdout);
    let comparison = folder.json("compared/compare.json");
    let ple = &comparison["models"][2];
    assert_eq!((&ple["tasks"]["buy"]["metric"], &ple["tasks"]["buy"]["gain"]), (&json!(null), &json!(null)));
    assert_eq!(ple["tasks"]["buy"]["missing"]["what"], "metric");
    assert!(ran.stdout.contains("Nothing is known of buy: no metric on these rows"), "{}", ran.stdout);
    assert!(ple["tasks"]["spend"]["gain"]["mean"].is_number());
    assert!(ple["verdict"]["text"].as_str().unwrap().contains("not defined on buy"), "{}", ple["verdict"]);
}

#[test]
fn a_verdict_has_the_reason_that_arose() {
    let folder = folder();
    // All runs finish; no metric is defined on the test rows, since they have no buyer.
    let test: Vec<String> = folder.text("test.csv").lines().map(str::to_owned).collect();
    let others: Vec<&String> = test[1..].iter().filter(|line| line.split(',').nth(3) == Some("0")).collect();
    let n = others.len();
    let text = std::iter::once(&test[0]).chain(others).map(|line| format!("{line}\n"));
    folder.write("test.csv", text.collect::<String>());
    let ran = folder.ok(&with(&["--set", "compare.seeds=[1, 2]"]));
    let comparison = folder.json("compared/compare.json");
    let verdict = comparison["models"][2]["verdict"]["text"].as_str().unwrap();
    assert_eq!(
        verdict,
        format!(
            "cannot be told: no task has a metric on these rows (buy: its label is 0 in all {n} test rows of its sample \
             space; spend: none of the test rows is in its sample space)"
        )
    );
    assert_eq!(comparison["answer"]["text"], "Nothing can be told: no task has a metric on these rows");
    assert!(ran.stdout.contains(verdict), "{}", ran.stdout);
    // One seed of two is another reason.
    let folder = self::folder();
    folder.ok(&with(&["--set", "compare.seeds=[1, 2]"]));
    let report = folder.json("compared/runs/ple/seed-1/metrics.json");
    let failure = json!({
        "config_hash": report["config_hash"], "data_fingerprint": report["data_fingerprint"], "reason": "made up",
    });
    std::fs::remove_file(folder.join("compared/runs/ple/seed-1/metrics.json")).unwrap();
    folder.write("compared/runs/ple/seed-1/failed.json", pleiad_data::sealed::seal(&failure).unwrap());
    folder.ok(&with(&["--set", "compare.seeds=[1, 2]"]));
    let verdict = folder.json("compared/compare.json")["models"][2]["verdict"]["text"].clone();
    assert_eq!(verdict, "cannot be told: only one of 2 seeds (2) was measured for both models");
}

#[test]
fn a_model_that_cannot_be_trained_is_told_and_the_rest_goes_on() {
    let folder = folder();
    // Layers without a non-linearity, each far from its start after one step: their product leaves the numbers there are.
    let widths = vec!["32"; 100].join(", ");
    let bad = format!(
        "\n[[compare.model]]\nname = \"tower of Babel\"\nkind = \"hard-sharing\"\nbottom = [{widths}]\nactivation = \"identity\"\n"
    );
    let config = folder.text("config.toml") + &bad;
    folder.write("config.toml", config.replace("learning_rate = 1e-2", "learning_rate = 0.5"));
    let ran = folder.ok(RUN);
    assert!(ran.stdout.contains("tower of Babel failed in 3 of 3 seeds"), "{}", ran.stdout);
    assert!(ran.stderr.contains("the comparison goes on"), "{}", ran.stderr);
    let comparison = folder.json("compared/compare.json");
    let failed = &comparison["models"][3];
    assert_eq!(failed["runs"][0]["outcome"], "failed");
    assert!(failed["tasks"]["buy"]["metric"].is_null());
    assert!(comparison["models"][2]["tasks"]["buy"]["gain"]["mean"].is_number());
    assert!(folder.text("compared/report.html").contains("tower of Babel"));

    // It would fail again in the same way, so it is not tried.
    let again = folder.ok(RUN);
    assert_eq!(again.stderr.matches("done before").count(), 12, "{}", again.stderr);

    // A model that fails with one seed is measured on the others, and so is its gain.
    let report = folder.json("compared/runs/ple/seed-1/metrics.json");
    let failure = json!({
        "config_hash": report["config_hash"], "data_fingerprint": report["data_fingerprint"], "reason": "made up",
    });
    std::fs::remove_file(folder.join("compared/runs/ple/seed-1/metrics.json")).unwrap();
    folder.write("compared/runs/ple/seed-1/failed.json", pleiad_data::sealed::seal(&failure).unwrap());
    let ran = folder.ok(RUN);
    assert!(ran.stdout.contains("PLE failed in 1 of 3 seeds (seed 1: made up)"), "{}", ran.stdout);
    let ple = &folder.json("compared/compare.json")["models"][2];
    assert_eq!(ple["tasks"]["buy"]["gain"]["seeds"], 2);
}

#[test]
fn models_are_made_equally_large() {
    let folder = folder();
    let before = folder.ok(&with(&["--set", "compare.seeds=[1]"])).stdout;
    assert!(before.contains("match_parameters = true"), "sizes differ, and a note says so: {before}");
    let args = [
        "compare",
        "config.toml",
        "--out",
        "matched",
        "--set",
        "compare.match_parameters=true",
        "--set",
        "compare.seeds=[1]",
    ];
    folder.ok(&args);
    let comparison = folder.json("matched/compare.json");
    let models = comparison["models"].as_array().unwrap();
    let dense = |model: &Value| model["parameters"]["dense"].as_f64().unwrap();
    for model in models {
        assert!((dense(model) / dense(&models[0]) - 1.0).abs() < 0.12, "{} {}", model["name"], dense(model));
    }
    assert_ne!(models[2]["width_factor"], 1.0);
    assert_eq!(models[0]["width_factor"], 1.0);
}

#[test]
fn a_model_may_have_an_optimizer_of_its_own() {
    let folder = folder();
    let own = "\n[[compare.model]]\nname = \"slow\"\noptimizer = { kind = \"sgd\", learning_rate = 1e-4 }\nkind = \"hard-sharing\"\n\
               bottom = [8]\n[[compare.model]]\nname = \"shared\"\nkind = \"hard-sharing\"\nbottom = [8]\n";
    folder.write("config.toml", folder.text("config.toml") + own);
    folder.ok(&with(&["--set", "compare.seeds=[1]"]));
    // As the same model with that optimizer in [train], and as no other.
    let weights = |run: &str| folder.read(&format!("{run}/model/weights.safetensors"));
    let sgd = "train.optimizer={kind=\"sgd\",learning_rate=1e-4}";
    folder.ok(&["train", "config.toml", "--model", "slow", "--set", "train.seed=1", "--out", "slow"]);
    folder.ok(&["train", "config.toml", "--model", "shared", "--set", "train.seed=1", "--set", sgd, "--out", "set"]);
    assert!(weights("compared/runs/slow/seed-1") == weights("slow"));
    assert!(weights("slow") == weights("set"));
    assert!(weights("compared/runs/shared/seed-1") != weights("slow"));

    folder.replace("config.toml", "learning_rate = 1e-4 }", "learning_rate = -1 }");
    let ran = folder.run(&["compare", "config.toml", "--out", "refused"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("optimizer"), "{}", ran.stderr);
    assert!(ran.stderr.contains("config.toml:") && ran.stderr.contains("-1"), "{}", ran.stderr);
}

#[test]
fn a_joint_loss_can_be_everyones_or_a_models_own() {
    let folder = folder();
    let own = "\n[[compare.model]]\nname = \"PCGrad\"\njoint_loss = { gradient = \"pcgrad\" }\nkind = \"hard-sharing\"\nbottom = [8]\n\
               [[compare.model]]\nname = \"sum\"\nkind = \"hard-sharing\"\nbottom = [8]\n";
    folder.write("config.toml", folder.text("config.toml") + own);
    folder.ok(&with(&["--set", "compare.seeds=[1]"]));
    let comparison = folder.json("compared/compare.json");
    let models = comparison["models"].as_array().unwrap();
    assert_ne!(models[3]["tasks"]["buy"], models[4]["tasks"]["buy"], "PCGrad gives another model than the sum");
    folder.ok(&["train", "config.toml", "--model", "PCGrad", "--set", "train.seed=1", "--out", "run"]);
    let trained = folder.read("run/model/weights.safetensors");
    assert!(folder.read("compared/runs/pcgrad/seed-1/model/weights.safetensors") == trained);

    // In [train] it holds for all models except networks that share nothing; a note says so.
    let all = [
        "compare",
        "config.toml",
        "--out",
        "all",
        "--set",
        "compare.seeds=[1]",
        "--set",
        "train.joint_loss.gradient=pcgrad",
    ];
    let ran = folder.ok(&all);
    assert!(ran.stdout.contains("alone shares nothing between tasks"), "{}", ran.stdout);
    let all = folder.json("all/compare.json");
    assert_eq!(all["models"][4]["tasks"]["buy"]["metric"], models[3]["tasks"]["buy"]["metric"]);
    assert_eq!(all["models"][0]["tasks"]["buy"]["metric"], models[0]["tasks"]["buy"]["metric"]);

    // As a model's own it is refused there, before any row is read.
    folder.replace("config.toml", "name = \"alone\"\n", "name = \"alone\"\njoint_loss = { gradient = \"cagrad\" }\n");
    let ran = folder.run(&["compare", "config.toml", "--out", "refused"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for says in ["\"cagrad\" acts on the parameters that tasks share", "joint_loss = {", "config.toml:"] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
    assert!(!folder.join("refused").exists());
    folder.replace("config.toml", "{ gradient = \"cagrad\" }", "{ gradient = { kind = \"cagrad\", c = -1 } }");
    let ran = folder.run(&["compare", "config.toml", "--out", "refused"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("0 or above, not -1"), "{}", ran.stderr);
}

#[test]
fn funnels_are_compared_and_missing_labels_of_their_later_events_are_told() {
    let folder = Folder::empty();
    folder.ok(&["synth", "video", "--rows", "3000", "--seed", "4", "--out", "log.csv"]);
    let config = r#"
[data]
train = "log.csv"
test = { fraction = 0.3 }

[[feature]]
columns = ["category", "device", "network"]
kind = "categorical"
embedding = 4

[[task]]
name = "click"
kind = "binary"
label = { column = "click" }

[[task]]
name = "view"
kind = "binary"
label = { column = "valid_view", missing = 0 }

[train]
epochs = 1

[compare]
seeds = [1, 2]
baseline = "alone"

[[compare.model]]
name = "alone"
kind = "single-task"
bottom = [8]

[[compare.model]]
name = "ESMM"
kind = "esmm"
funnel = ["click", "view"]
tower = [8]

[[compare.model]]
name = "AITM"
kind = "aitm"
funnel = ["click", "view"]
bottom = [8]
tower = [4]
calibrator = 0.6
"#;
    folder.write("config.toml", config);
    let ran = folder.ok(RUN);
    assert!(!ran.stderr.contains("warning") && ran.stdout.contains("AITM"), "{}", ran.stderr);
    let rows = &folder.json("compared/compare.json")["rows"]["train"];
    assert_eq!(rows["tasks"]["view"], rows["rows"]);
    // Without `missing` the later event is known of clicked rows alone, from which no model of all rows can learn it.
    folder.replace("config.toml", ", missing = 0", "");
    let ran = folder.ok(&["compare", "config.toml", "--out", "clicked"]);
    assert!(ran.stderr.contains("esmm predicts \"view\" over all rows, but"), "{}", ran.stderr);
}

#[test]
fn what_learned_nothing_is_not_shipped() {
    let folder = folder();
    let still = ["--set", "train.optimizer.learning_rate=0.0", "--set", "compare.seeds=[1, 2]"];
    let ran = folder.ok(&with(&still));
    let answer = folder.json("compared/compare.json")["answer"].clone();
    let text = answer["text"].as_str().unwrap();
    assert!(text.contains("learned nothing") && text.contains("no step moved a weight"), "{text}");
    assert!(answer["ship"].is_null() && !ran.stdout.contains("ship alone"), "{}", ran.stdout);
}
