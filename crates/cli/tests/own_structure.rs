//! `examples/residual_towers.rs`, a structure that no crate here knows: what docs/structure.md says of it is so.

#![allow(clippy::unwrap_used)]

#[path = "../../engine/tests/fixture/mod.rs"]
#[allow(dead_code)]
mod fixture;
#[path = "../../engine/tests/reference/mod.rs"]
mod reference;
#[path = "../examples/residual_towers.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod residual_towers;

use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::common::{CONFIG, Folder};
use pleiad_engine::{Engine, Predictor};
use pleiad_model::Graph;
use pleiad_model::architectures::register;
use pleiad_rank::Model;
use pleiad_report::Html;
use pleiad_train::{ConfigFile, Interrupt, Silent, TrainOptions, TrainOutcome, inspect, train};
use residual_towers::ResidualTowers;
use serde_json::{Value, json};

/// The lines that the document promises, at the most.
const LINES: usize = 60;

/// What the example's main does first; once, since all tests are one process.
fn registered() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| register::<ResidualTowers>().unwrap());
}

/// A folder with a log, and a configuration of the structure.
fn folder() -> Folder {
    registered();
    let folder = Folder::with_log();
    let (head, rest) = CONFIG.split_once("[model]").unwrap();
    let (_, train) = rest.split_once("[train]").unwrap();
    folder.write(
        "config.toml",
        format!("{head}[model]\nkind = \"residual-towers\"\nbottom = [8]\ntower = [6, 4]\n\n[train]{train}"),
    );
    folder
}

/// Runs the command of the example in this process; files are named by their whole paths.
fn command(folder: &Folder, words: &[&str]) -> u8 {
    let place = |word: &str| match word.strip_prefix('@') {
        Some(name) => folder.join(name).into_os_string(),
        None => word.into(),
    };
    pleiad_cli::run(["pleiad", "--quiet"].iter().chain(words).map(|word| place(word)).collect())
}

fn graph() -> Graph {
    registered();
    fixture::graph(&json!({ "kind": "residual-towers", "bottom": [6], "tower": [5, 3], "activation": "tanh" }))
}

#[test]
fn the_document_shows_the_file() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(here.join("examples/residual_towers.rs")).unwrap();
    assert!(file.lines().count() <= LINES, "{} lines", file.lines().count());
    let path: PathBuf = here.join("../../docs/structure.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("```rust\n").unwrap();
    let (shown, after) = rest.split_once("```\n").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}```rust\n{file}```\n{after}")).unwrap();
        return;
    }
    assert!(shown == file, "docs/structure.md shows another file: UPDATE=1 cargo test own_structure");
}

/// h_k = f_k(b(x)) + h_(k-1): the first task is in every prediction, the last one in its own alone.
#[test]
fn a_task_reads_its_own_tower_and_those_before() {
    let graph = graph();
    let mut engine = fixture::engine(&graph);
    let tasks = fixture::tasks();
    for (k, _) in tasks.iter().enumerate() {
        let mut only = [0.0; 3];
        only[k] = 1.0;
        let (_, gradients) = engine.gradients(&fixture::batch(200, 2), &only).unwrap();
        for (name, tensor) in &gradients.tensors {
            let reached = tensor.data.iter().any(|&g| g != 0.0);
            let of = tasks.iter().position(|task| name.starts_with(&format!("towers.{}.", task.name)));
            let expected = of.is_none_or(|of| if name.contains(".head.") { of == k } else { of <= k });
            assert_eq!(reached, expected, "{name} by task {k}");
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let graph = graph();
    let (mut engine, batch, by_task) = (fixture::engine(&graph), fixture::batch(40, 9), [1.0, 0.5, 2.0]);
    let weights = engine.weights();
    let (stats, gradients) = engine.gradients(&batch, &by_task).unwrap();
    let (_, losses) = reference::loss(&graph, &weights, &batch, &by_task);
    for (found, exact) in stats.losses.iter().zip(&losses) {
        assert!((found - exact).abs() < 1e-5, "{found} {exact}");
    }
    for (name, tensor) in &gradients.tensors {
        let largest = tensor.data.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for at in (0..tensor.data.len()).step_by(1 + tensor.data.len() / 12) {
            let exact = reference::derivative(&graph, &weights, &batch, &by_task, name, at);
            let error = (f64::from(tensor.data[at]) - exact).abs();
            assert!(error < 2e-5 * f64::from(largest).max(1e-2), "{name}[{at}] is {}, not {exact}", tensor.data[at]);
        }
    }
}

#[test]
fn steps_lower_the_loss_and_a_predictor_gives_the_same_bits() {
    let graph = graph();
    let mut engine: Engine = fixture::engine(&graph);
    let (batch, before) = (fixture::batch(300, 1), engine.weights());
    let mut step = || engine.step(&batch, &[1.0; 3], 1.0).unwrap().losses.iter().sum::<f64>();
    let first = step();
    let last = (0..60).map(|_| step()).last().unwrap();
    assert!(last < 0.9 * first, "{first} -> {last}");
    for (name, tensor) in engine.weights().tensors {
        assert_ne!(before.tensors[&name], tensor, "{name} never trains");
    }
    let predictor = Predictor::new(graph.clone(), &engine.weights()).unwrap();
    assert_eq!(engine.predict(&batch).unwrap(), predictor.predict(&batch).unwrap());
}

/// The library trains it, draws its report, opens it, inspects it and predicts.
#[test]
fn a_program_trains_inspects_and_predicts() {
    let folder = folder();
    let (config, run) = (ConfigFile::load(&folder.join("config.toml"), &[]).unwrap(), folder.join("run"));
    let options = TrainOptions {
        config: &config,
        model: None,
        out: &run,
        init: None,
        resume: false,
        rows: None,
        pages: Some(&Html),
    };
    let TrainOutcome::Finished(report) = train(&options, &Interrupt::default(), &mut Silent).unwrap() else {
        panic!("there was no run before")
    };
    assert_eq!(report.history.len(), 3);
    let page = folder.text("run/report.html");
    assert!(page.contains("residual-towers") && page.contains("towers.spend"), "the picture of the structure");
    let model = Model::open(&run.join("model")).unwrap();
    let inspection = inspect(&model);
    assert_eq!(inspection.kind, "residual-towers");
    let modules: Vec<&str> = inspection.modules.iter().map(|module| module.name.as_str()).collect();
    for module in ["bottom", "towers.buy", "towers.spend"] {
        assert!(modules.contains(&module), "{modules:?}");
    }
    let row = json!({ "age": 40, "visits": 3, "city": "Oslo" });
    let rows = model.encode_named(&[row.as_object().unwrap().clone()]).unwrap();
    let predictions = model.predict(&rows).unwrap();
    assert_eq!(predictions.tasks.len(), 2);
    assert!((0.0..=1.0).contains(&predictions.tasks[0][0]));
}

/// Every command knows the structure; the saved model needs no program that does.
#[test]
fn the_command_trains_compares_and_any_pleiad_opens_the_model() {
    let folder = folder();
    assert_eq!(command(&folder, &["train", "@config.toml", "--out", "@run"]), 0);
    assert_eq!(command(&folder, &["predict", "@run/model", "--data", "@test.csv", "--out", "@own.csv"]), 0);
    folder.ok(&["predict", "run/model", "--data", "test.csv", "--out", "plain.csv"]);
    assert!(folder.text("own.csv") == folder.text("plain.csv"));
    assert_eq!(folder.text("plain.csv").lines().count(), 121);
    let inspected: Value =
        serde_json::from_str(&folder.ok(&["inspect", "run/model", "--format", "json"]).stdout).unwrap();
    assert_eq!(inspected["kind"], "residual-towers");
    folder.ok(&["export", "run/model", "--onnx", "model.onnx"]);
    let ran = folder.run(&["train", "config.toml", "--out", "again"]);
    assert_eq!(ran.code, Some(2), "the plain command cannot train it");
    assert!(ran.stderr.contains("unknown structure \"residual-towers\""), "{}", ran.stderr);

    let both = "\n[compare]\nseeds = [1, 2]\nbaseline = \"alone\"\nmatch_parameters = true\n\n[[compare.model]]\nname = \"alone\"\n\
                kind = \"single-task\"\nbottom = [8]\n\n[[compare.model]]\nname = \"mine\"\nkind = \"residual-towers\"\nbottom = [8]\n\
                tower = [4]\n";
    folder.write("both.toml", folder.text("config.toml") + both);
    assert_eq!(command(&folder, &["compare", "@both.toml", "--out", "@compared"]), 0);
    let models = folder.json("compared/compare.json")["models"].clone();
    assert_eq!(models[1]["kind"], "residual-towers");
    assert!(models[1]["tasks"]["buy"]["gain"]["mean"].is_number(), "{models}");
    assert!(folder.text("compared/report.html").contains("mine"));
}

#[test]
fn what_is_wrong_with_its_keys_is_named() {
    let folder = folder();
    let path = folder.join("config.toml");
    for (setting, expected) in
        [("model.towers=[4]", "did you mean `tower`?"), ("model.tower=[]", "tower: needs at least one layer")]
    {
        let message = ConfigFile::load(&path, &[setting.to_owned()]).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
