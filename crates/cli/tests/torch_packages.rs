//! Weights of PyTorch packages: `import --from` gives a model that predicts as the package does, or says which tensor has no form.
//!
//! The fixtures in `torch_packages/` are tiny models of the real packages; `tools/golden/torch_packages.py` makes them.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use crate::common::{Folder, Ran};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// Of probabilities absolutely, of values relative to their size where that is above 1.
const TOLERANCE: f64 = 1e-6;

#[test]
fn torch_rechub_ple() {
    let ran = predicts_as("rechub_ple", "torch-rechub");
    for says in ["\"kind\":\"ple\"", "\"task_experts\":2,\"shared_experts\":1,\"widths\":[6,4]", "\"watch\":[3,2]"] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
}

#[test]
fn torch_rechub_mmoe() {
    predicts_as("rechub_mmoe", "torch-rechub");
}

#[test]
fn deepctr_torch_ple_with_a_shared_expert_that_nothing_reads() {
    let ran = predicts_as("deepctr_ple", "deepctr-torch");
    for says in [
        "experts 1 to 1 of \"shared_experts.0.0\" were left out",
        "\"shared_gate_dnn_final_layer.2.weight\" was left out",
    ] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
}

#[test]
fn deepctr_torch_mmoe() {
    predicts_as("deepctr_mmoe", "deepctr-torch");
}

#[test]
fn mtreclib_ple() {
    predicts_as("mtreclib_ple", "mtreclib");
}

#[test]
fn mtreclib_mmoe() {
    predicts_as("mtreclib_mmoe", "mtreclib");
}

#[test]
fn mtreclib_early_ple_of_one_level() {
    predicts_as("mtreclib_early", "mtreclib");
}

#[test]
fn blog_ple_with_module_lists() {
    predicts_as("blog_ple", "blog");
}

#[test]
fn gates_with_hidden_layers_are_refused() {
    let folder = case("deepctr_hidden_gate");
    refused(&folder, "deepctr-torch", 3, &["gate_dnn.0.linears.0.bias", "hidden layers", "gate_dnn_hidden_units=()"]);
}

#[test]
fn upper_levels_that_read_a_tasks_mixture_are_refused() {
    refused(&case("mtreclib_early_levels"), "mtreclib", 3, &["expert.1.0.mlp.0.bias", "each task's own mixture"]);
}

#[test]
fn experts_under_one_name_are_refused() {
    let folder = case("blog_ple");
    rename(&folder, |name| name.replace("Experts_B.0.layer", "expert_layer1.dnn_layer"));
    refused(
        &folder,
        "blog",
        3,
        &["Extraction_layer1.expert_layer1.dnn_layer.0.bias", "under this one name", "ModuleList"],
    );
}

#[test]
fn a_norm_that_cannot_be_folded_is_refused() {
    // Behind the activation.
    let folder = case("rechub_mmoe");
    rename(&folder, |name| name.replace("experts.0.mlp.1.", "experts.0.mlp.2."));
    refused(
        &folder,
        "torch-rechub",
        3,
        &["experts.0.mlp.2.running_mean", "does not stand right behind a linear layer"],
    );
    // Without statistics: a layer norm, or a batch norm that does not track them.
    let folder = case("deepctr_ple");
    rename(&folder, |name| name.replace("specific_experts.0.0.0.bn.0.running_mean", "left.out"));
    refused(&folder, "deepctr-torch", 3, &["specific_experts.0.0.0.bn.0.weight", "running statistics"]);
}

#[test]
fn what_has_no_place_is_named() {
    let folder = case("rechub_mmoe");
    rename(&folder, |name| name.replace("towers.0.mlp.4.weight", "towers.0.other.weight"));
    refused(&folder, "torch-rechub", 3, &["towers.0.mlp.4.bias", "parameters of its own"]);
    let folder = case("rechub_ple");
    rename(&folder, |name| name.replace("cgc_layers.2.gates_specific.1.", "cgc_layers.2.gates_special.1."));
    refused(&folder, "torch-rechub", 3, &["cgc_layers.2.gates_specific", "there are 1 of"]);
    let folder = case("blog_ple");
    rename(&folder, |name| name.replace("CGC.Task_Gates.0.0.bias", "CGC.Task_Gate.bias"));
    refused(&folder, "blog", 3, &["CGC.Task_Gate.bias", "is not known"]);
    // Weights of another package.
    refused(&case("rechub_ple"), "deepctr-torch", 3, &["embedding_dict.user.weight"]);
}

#[test]
fn features_must_be_read_as_the_package_reads_them() {
    let folder = case("rechub_ple");
    let config = folder.text("config.toml");
    folder.write("config.toml", config.replace("{ ids = 7 }", "\"vocabulary\""));
    refused(&folder, "torch-rechub", 2, &["feature \"user\"", "ids = ROWS"]);
    folder.write("config.toml", config.replace("{ ids = 7 }", "{ ids = 8 }"));
    refused(&folder, "torch-rechub", 3, &["embedding.embed_dict.user.weight", "[7, 3]", "[8, 3]"]);
    let number = "columns = [\"age\"]\nkind = \"numeric\"";
    folder.write("config.toml", config.replace(number, &format!("{number}\npieces = 4")));
    refused(&folder, "torch-rechub", 2, &["plain numbers alone"]);
}

#[test]
fn tasks_must_be_those_of_the_model() {
    let folder = case("rechub_ple");
    let config = folder.text("config.toml");
    let at = config.rfind("[[task]]").unwrap();
    folder.write("config.toml", &config[..at]);
    refused(&folder, "torch-rechub", 3, &["there are 2 of \"cgc_layers.0.gates_specific\"", "1 [[task]]"]);
}

#[test]
fn a_model_that_is_configured_is_held_to_the_weights() {
    let folder = case("mtreclib_early");
    let config = folder.text("config.toml");
    let model = "\n[model]\nkind = \"cgc\"\ntask_experts = 2\nshared_experts = 1\nwidths = [6]\ntower = [5]\ngate_bias = true\n";
    folder.write("config.toml", format!("{config}{model}"));
    let ran = import(&folder, "mtreclib");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stdout.contains("of the weights' shapes"), "{}", ran.stdout);
    folder.write("config.toml", format!("{config}{}", model.replace("[6]", "[9]")));
    let folder_again = &folder;
    fs::remove_dir_all(folder.join("model")).unwrap();
    refused(folder_again, "mtreclib", 2, &["[model]", "widths = [6]"]);
}

fn case(name: &str) -> Folder {
    let folder = Folder::empty();
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torch_packages").join(name);
    for file in ["config.toml", "rows.csv", "predictions.csv", "state.safetensors"] {
        folder.write(file, fs::read(from.join(file)).unwrap());
    }
    folder
}

fn import(folder: &Folder, package: &str) -> Ran {
    let weights = ["--weights", "state.safetensors", "--from", package, "--out", "model"];
    folder.run(&[&["import", "--config", "config.toml"][..], &weights].concat())
}

fn predicts_as(name: &str, package: &str) -> Ran {
    let folder = case(name);
    let ran = import(&folder, package);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("left the softmax out"), "{}", ran.stdout);
    folder.ok(&["predict", "model", "--data", "rows.csv", "--out", "ours.csv"]);
    let (ours, theirs) = (numbers(&folder.text("ours.csv")), numbers(&folder.text("predictions.csv")));
    assert_eq!(ours.len(), theirs.len());
    for (row, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours.len(), 2);
        for (a, b) in ours.iter().zip(theirs) {
            assert!(
                (a - b).abs() <= TOLERANCE * b.abs().max(1.0),
                "{name}, row {row}: {a} where the package gives {b}"
            );
        }
    }
    ran
}

fn refused(folder: &Folder, package: &str, code: i32, says: &[&str]) {
    let ran = import(folder, package);
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    for text in says {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    assert!(!folder.join("model").exists());
}

/// Gives the tensors of `state.safetensors` other names.
fn rename(folder: &Folder, name: impl Fn(&str) -> String) {
    let bytes = folder.read("state.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let views = tensors.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    let views: Vec<(String, TensorView<'_>)> = views.map(|(old, view)| (name(&old), view)).collect();
    folder.write("state.safetensors", safetensors::serialize(views, None).unwrap());
}

fn numbers(text: &str) -> Vec<Vec<f64>> {
    text.lines().skip(1).map(|line| line.split(',').map(|field| field.parse().unwrap()).collect()).collect()
}
