//! `pleiad export`: what it writes, says and refuses. That runtimes give our predictions is for `crates/onnx/tests` and
//! `tools/onnx/check.py` to show.

#![allow(clippy::unwrap_used)]

use crate::common::Folder;

#[test]
fn a_model_is_exported_and_said() {
    let folder = Folder::with_log();
    folder.ok(&["train", "config.toml", "--out", "run"]);
    let ran = folder.ok(&["export", "run/model", "--onnx", "model.onnx"]);
    for said in ["model.onnx: ", "age", "double  [batch]", "text of vocabulary \"city\"", "probability of \"buy\""] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let told = folder.ok(&["export", "run/model", "--onnx", "ids.onnx", "--inputs", "ids", "--format", "json"]).json();
    assert_eq!(told["bytes"], folder.read("ids.onnx").len());
    let names = |key: &str| -> Vec<&str> {
        told[key].as_array().unwrap().iter().map(|port| port["name"].as_str().unwrap()).collect()
    };
    assert_eq!((names("inputs"), names("outputs")), (vec!["age", "visits", "city.row"], vec!["buy", "spend"]));
    assert_eq!(told["data"], serde_json::Value::Null);

    let beside = ["export", "run/model", "--onnx", "beside.onnx", "--most-bytes", "20000"];
    let ran = folder.run(&beside);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let before = folder.read("model.onnx");
    let ran = folder.run(&["export", "run/model", "--onnx", "model.onnx"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("model.onnx exists, and an export replaces nothing; remove it"), "{}", ran.stderr);
    assert_eq!(folder.read("model.onnx"), before);

    let ran = folder.run(&["export", "run/model", "--onnx", "none/model.onnx"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("the folder none does not exist"), "{}", ran.stderr);

    let ran = folder.run(&["export", "run", "--onnx", "other.onnx"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean run/model"), "{}", ran.stderr);
}
