//! Every structure against PyTorch: predictions of imported weights, measures, and weights after five steps.
//!
//! The fixtures in `golden/` and what they detect are described in `tools/golden/README.md`, which also makes
//! them. The tests drive the binary and need no Python.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tempfile::TempDir;

/// Of predictions and measures absolutely, of weights relative to the largest one.
const TOLERANCE: f64 = 1e-5;

#[test]
fn ple_with_uneven_experts_over_three_levels() {
    Fixture::import("ple_uneven").check(&["sgd", "adam"]);
}

#[test]
fn ple_with_two_levels_as_wide_as_the_input() {
    Fixture::import("ple_two_levels").check(&["sgd", "adam", "adam_l2", "adamw", "adagrad"]);
}

#[test]
fn cgc_with_embeddings() {
    Fixture::import("cgc_embeddings").check(&["sgd", "sgd_clip", "adam", "adam_epsilon"]);
}

#[test]
fn mmoe_with_gate_bias() {
    Fixture::import("mmoe").check(&["sgd", "adam"]);
}

#[test]
fn hard_sharing() {
    Fixture::import("hard_sharing").check(&["sgd", "sgd_momentum", "adam"]);
}

#[test]
fn single_task_with_tables_of_its_own() {
    Fixture::import("single_task").check(&["sgd", "adam"]);
}

#[test]
fn ml_mmoe_with_three_levels_as_wide_as_the_input() {
    Fixture::import("ml_mmoe").check(&["sgd", "adam"]);
}

#[test]
fn cross_stitch_of_three_tasks() {
    Fixture::import("cross_stitch").check(&["sgd", "adam"]);
}

#[test]
fn sluice_of_three_tasks() {
    Fixture::import("sluice").check(&["sgd", "adam"]);
}

#[test]
fn esmm_with_a_funnel_of_three_events() {
    Fixture::import("esmm").check(&["sgd", "adam"]);
}

#[test]
fn aitm_with_its_calibrator() {
    Fixture::import("aitm").check(&["sgd", "adam"]);
}

#[test]
fn customized_sharing() {
    Fixture::import("customized_sharing").check(&["sgd", "adam"]);
}

#[test]
fn asymmetric_sharing() {
    Fixture::import("asymmetric_sharing").check(&["sgd", "adam"]);
}

#[test]
fn mmoe_over_factorization_machine_crosses() {
    let case = Fixture::import("fm");
    case.check(&["sgd", "adam"]);
    let model: Value = serde_json::from_slice(&fs::read(case.model.join("model.json")).unwrap()).unwrap();
    assert_eq!(model["model"]["interaction"], serde_json::json!({ "kind": "fm" }));
}

#[test]
fn cgc_over_a_cross_network() {
    Fixture::import("cross").check(&["sgd", "adam"]);
}

#[test]
fn single_task_over_cross_networks_of_low_rank() {
    Fixture::import("cross_low_rank").check(&["sgd", "adam"]);
}

/// The optimizers of `tools/golden/cases.py`, as changes to the configurations, which all have SGD at 0.1.
fn settings(optimizer: &str) -> &'static [&'static str] {
    match optimizer {
        "sgd" => &[],
        "sgd_momentum" => &["train.optimizer.learning_rate=0.05", "train.optimizer.momentum=0.9"],
        "sgd_clip" => &["train.optimizer.learning_rate=0.5", "train.clip_norm=0.1"],
        "adam" => &["train.optimizer.kind=adam", "train.optimizer.learning_rate=0.01"],
        "adam_epsilon" => {
            &["train.optimizer.kind=adam", "train.optimizer.learning_rate=0.01", "train.optimizer.epsilon=0.01"]
        }
        "adam_l2" => {
            &["train.optimizer.kind=adam", "train.optimizer.learning_rate=0.01", "train.optimizer.weight_decay=0.1"]
        }
        "adamw" => {
            &["train.optimizer.kind=adamw", "train.optimizer.learning_rate=0.01", "train.optimizer.weight_decay=0.1"]
        }
        "adagrad" => &["train.optimizer.kind=adagrad", "train.optimizer.learning_rate=0.05"],
        other => panic!("no settings for the optimizer {other:?}"),
    }
}

/// A folder of fixtures, and the model that was imported from its start weights.
struct Fixture {
    folder: PathBuf,
    scratch: TempDir,
    model: PathBuf,
}

impl Fixture {
    fn import(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let scratch = TempDir::new().unwrap();
        let model = scratch.path().join("model");
        import(&folder.join("config.toml"), &folder.join("weights.safetensors"), &model).assert().success();
        Self { folder, scratch, model }
    }

    fn check(&self, optimizers: &[&str]) {
        self.weights_survive_import();
        self.predictions();
        self.batch_of_one_row();
        self.measures();
        let fixtures = fs::read_dir(&self.folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
        assert_eq!(fixtures.filter(|f| f.starts_with("after_")).count(), optimizers.len(), "{optimizers:?}");
        for optimizer in optimizers {
            self.five_steps(optimizer);
        }
    }

    fn weights_survive_import(&self) {
        let start = weights(&self.folder.join("weights.safetensors"));
        assert_eq!(weights(&self.model.join("weights.safetensors")), start);
    }

    fn predictions(&self) {
        let expected = table(&fs::read_to_string(self.folder.join("predictions.csv")).unwrap());
        compare_tables(&expected, &self.predict(&self.folder.join("rows.csv")), "all rows");
    }

    /// A row's prediction does not depend on the rows beside it, and one row is a batch like any other.
    fn batch_of_one_row(&self) {
        let rows = fs::read_to_string(self.folder.join("rows.csv")).unwrap();
        let expected = table(&fs::read_to_string(self.folder.join("predictions.csv")).unwrap());
        let header = rows.lines().next().unwrap();
        let last = rows.lines().count() - 2;
        for i in [0, 4, last] {
            let file = self.scratch.path().join("one.csv");
            fs::write(&file, format!("{header}\n{}\n", rows.lines().nth(i + 1).unwrap())).unwrap();
            let one = expected.iter().map(|(task, values)| (task.clone(), vec![values[i]])).collect::<Vec<_>>();
            compare_tables(&one, &self.predict(&file), &format!("row {i} alone"));
        }
    }

    /// Each task on its own sample space.
    fn measures(&self) {
        let expected: Value = serde_json::from_slice(&fs::read(self.folder.join("metrics.json")).unwrap()).unwrap();
        let output = pleiad()
            .arg("evaluate")
            .arg(&self.model)
            .args(["--format", "json", "--data"])
            .arg(self.folder.join("rows.csv"))
            .assert()
            .success();
        let measured: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        assert_eq!(measured["rows"], expected["rows"]);
        for (task, metrics) in expected["tasks"].as_object().unwrap() {
            for (metric, value) in metrics.as_object().unwrap() {
                let found = &measured["tasks"][task][metric];
                let difference = (found.as_f64().unwrap_or(f64::NAN) - value.as_f64().unwrap()).abs();
                assert!(difference <= TOLERANCE, "{metric} of {task} is {found}, not {value}");
            }
        }
    }

    fn five_steps(&self, optimizer: &str) {
        let run = self.scratch.path().join(optimizer);
        let mut train = pleiad();
        train.arg("train").arg(self.folder.join("config.toml"));
        train.arg("--init").arg(&self.model).arg("--out").arg(&run);
        for setting in settings(optimizer) {
            train.args(["--set", setting]);
        }
        train.assert().success();
        let expected = weights(&self.folder.join(format!("after_{optimizer}.safetensors")));
        let trained = weights(&run.join("model/weights.safetensors"));
        assert_eq!(shapes(&trained), shapes(&expected), "after {optimizer}");
        let largest = expected.values().flat_map(|t| &t.data).fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
        for (name, tensor) in &expected {
            let difference = farthest(&tensor.data, &trained[name].data) / largest;
            assert!(difference <= TOLERANCE, "{name} is {difference:.1e} of the largest weight off after {optimizer}");
        }
    }

    fn predict(&self, rows: &Path) -> Vec<(String, Vec<f64>)> {
        let out = self.scratch.path().join("predictions.csv");
        pleiad().arg("predict").arg(&self.model).arg("--data").arg(rows).arg("--out").arg(&out).assert().success();
        table(&fs::read_to_string(out).unwrap())
    }
}

/// What reads nothing at the top must not be there, and what is read must: by name, and nothing is left behind.
#[test]
fn import_refuses_a_missing_a_foreign_and_a_misshapen_tensor() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ple_uneven");
    let scratch = TempDir::new().unwrap();
    let start = weights(&folder.join("weights.safetensors"));
    let gate = "levels.1.shared.gate.weight";

    let mut missing = start.clone();
    missing.remove(gate);
    let mut foreign = start.clone();
    foreign.insert("levels.2.shared.gate.weight".to_owned(), start[gate].clone());
    let mut misshapen = start.clone();
    misshapen.get_mut(gate).unwrap().shape.reverse();

    for (case, tensors, named) in [
        ("missing", missing, gate),
        ("foreign", foreign, "levels.2.shared.gate.weight"),
        ("misshapen", misshapen, gate),
    ] {
        let file = scratch.path().join(format!("{case}.safetensors"));
        save(&tensors, &file);
        let model = scratch.path().join(case);
        let output = import(&folder.join("config.toml"), &file, &model).assert().code(3);
        let message = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(message.contains(named), "{case}: {message}");
        assert!(!model.exists(), "{case}: something was left behind");
    }
}

/// 2^24 and 2^24 + 1 are one number in f32. The model gives the id's own weight, plus 2.
#[test]
fn ids_that_f32_cannot_tell_apart_have_rows_of_their_own() {
    const LIMIT: usize = 1 << 24;
    let scratch = TempDir::new().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let config = format!(
        r#"
        data.train = "rows.csv"
        feature = [{{ columns = ["id"], kind = "categorical", encoding = {{ ids = {rows} }}, embedding = 1 }}]
        task = [{{ name = "y", kind = "regression", label = {{ column = "y" }} }}]
        model = {{ kind = "hard-sharing", bottom = [1], tower = [1] }}
        "#,
        rows = LIMIT + 2
    );
    fs::write(path("config.toml"), config).unwrap();
    fs::write(path("rows.csv"), format!("id,y\n{LIMIT},0\n{},0\n", LIMIT + 1)).unwrap();

    let mut rows = vec![0.0; LIMIT + 2];
    rows[LIMIT..].copy_from_slice(&[1.0, -1.0]);
    let tensor = |shape: &[usize], data: Vec<f32>| Tensor { shape: shape.to_vec(), data };
    let tensors = [
        ("embeddings.id.weight", tensor(&[LIMIT + 2, 1], rows)),
        ("bottom.0.weight", tensor(&[1, 1], vec![1.0])),
        ("bottom.0.bias", tensor(&[1], vec![2.0])),
        ("towers.y.0.weight", tensor(&[1, 1], vec![1.0])),
        ("towers.y.0.bias", tensor(&[1], vec![0.0])),
        ("towers.y.1.weight", tensor(&[1, 1], vec![1.0])),
        ("towers.y.1.bias", tensor(&[1], vec![0.0])),
    ];
    save(&tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into(), &path("weights.safetensors"));

    let model = path("model");
    import(&path("config.toml"), &path("weights.safetensors"), &model).assert().success();
    let out = path("predictions.csv");
    pleiad().arg("predict").arg(&model).arg("--data").arg(path("rows.csv")).arg("--out").arg(&out).assert().success();
    assert_eq!(table(&fs::read_to_string(out).unwrap()), [("y".to_owned(), vec![3.0, 1.0])]);
}

fn pleiad() -> Command {
    cargo_bin_cmd!("pleiad")
}

fn import(config: &Path, weights: &Path, model: &Path) -> Command {
    let mut command = pleiad();
    command.arg("import").arg("--config").arg(config).arg("--weights").arg(weights).arg("--out").arg(model);
    command
}

#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

fn weights(file: &Path) -> BTreeMap<String, Tensor> {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let read = |view: &TensorView<'_>| {
        assert_eq!(view.dtype(), Dtype::F32);
        let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        Tensor { shape: view.shape().to_vec(), data }
    };
    tensors.tensors().iter().map(|(name, view)| (name.clone(), read(view))).collect()
}

fn save(tensors: &BTreeMap<String, Tensor>, file: &Path) {
    let bytes = tensors.values().map(|t| t.data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let bytes = bytes.collect::<Vec<_>>();
    let views = tensors.iter().zip(&bytes);
    let views = views.map(|((name, t), b)| (name, TensorView::new(Dtype::F32, t.shape.clone(), b).unwrap()));
    safetensors::serialize_to_file(views, None, file).unwrap();
}

fn shapes(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<&str, &[usize]> {
    tensors.iter().map(|(name, t)| (name.as_str(), t.shape.as_slice())).collect()
}

/// Columns of a CSV file of numbers, in order.
fn table(text: &str) -> Vec<(String, Vec<f64>)> {
    let mut lines = text.lines();
    let mut columns: Vec<_> = lines.next().unwrap().split(',').map(|name| (name.to_owned(), Vec::new())).collect();
    for line in lines {
        for (column, field) in columns.iter_mut().zip(line.split(',')) {
            column.1.push(field.parse().unwrap());
        }
    }
    columns
}

fn compare_tables(expected: &[(String, Vec<f64>)], found: &[(String, Vec<f64>)], what: &str) {
    let names = |table: &[(String, Vec<f64>)]| table.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for ((task, expected), (_, found)) in expected.iter().zip(found) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let farthest = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, largest);
        assert!(farthest <= TOLERANCE, "predictions of {task} are {farthest:.1e} off for {what}");
    }
}

fn farthest(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, largest)
}

/// The maximum, where NaN is larger than every number: `f64::max` would forget it.
fn largest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}
