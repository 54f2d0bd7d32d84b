//! Files that were written, read again: every value has one name and is there before it is read, every tensor has its elements.

#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use pleiad_data::Encoder;
use pleiad_model::{Graph, ModelConfig, Weights};
use prost::Message;
use serde_json::json;

use crate::schema::{DataType, GraphProto, ModelProto, TensorProto};
use crate::{Error, Exported, Inputs, MOST_BYTES, NetworkModel, Options, Port, Result, export};

/// A model over every kind of feature, with weights that are all unlike.
fn model() -> (Graph, Encoder, Weights) {
    let encoder = common::encoder_of_all();
    let table = json!({ "kind": "mmoe", "experts": 2, "widths": [40], "tower": [3] });
    let serde_json::Value::Object(table) = table else { panic!() };
    let graph = ModelConfig::from_table(table).unwrap().build(encoder.layout(), encoder.tasks()).unwrap();
    let mut weights = Weights::default();
    let mut next = 0;
    let tables = graph.tables.iter().map(|table| (table.tensor(), table.shape()));
    for (name, shape) in tables.chain(graph.params.iter().map(|param| (param.name.clone(), param.shape.clone()))) {
        let count: usize = shape.iter().product();
        weights.insert(name, shape, (next..next + count).map(|value| value as f32).collect());
        next += count;
    }
    (graph, encoder, weights)
}

fn written(path: &Path, inputs: Inputs, most_bytes: u64) -> Result<Exported> {
    let (graph, encoder, weights) = model();
    let model = NetworkModel { kind: "mmoe", graph: &graph, encoder: &encoder, weights: &weights, score: None };
    export(&model, &Options { inputs, most_bytes }, path)
}

fn read(path: &Path) -> ModelProto {
    ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap()
}

fn elements(tensor: &TensorProto) -> u64 {
    tensor.dims.iter().map(|&size| size as u64).product()
}

/// Whether every value is there once, before it is read, and read at all.
fn check(graph: &GraphProto) {
    let mut there = HashSet::new();
    let names = graph.input.iter().map(|input| input.name.clone().unwrap());
    for name in names.chain(graph.initializer.iter().map(|tensor| tensor.name.clone().unwrap())) {
        assert!(there.insert(name.clone()), "{name} is there twice");
    }
    let mut read = HashSet::new();
    for node in &graph.node {
        for input in &node.input {
            assert!(there.contains(input), "{:?} reads {input}, which is not there", node.name);
            read.insert(input.clone());
        }
        for output in &node.output {
            assert!(there.insert(output.clone()), "{output} is there twice");
        }
    }
    for output in &graph.output {
        assert!(there.contains(output.name.as_ref().unwrap()));
        read.insert(output.name.clone().unwrap());
    }
    let unread: Vec<_> = there.difference(&read).collect();
    assert!(unread.is_empty(), "nothing reads {unread:?}");
}

#[test]
fn a_file_is_a_whole_graph_with_the_models_tensors() {
    let (_, _, weights) = model();
    for inputs in [Inputs::Columns, Inputs::Ids] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let exported = written(&path, inputs, MOST_BYTES).unwrap();
        assert_eq!((exported.bytes, &exported.data), (path.metadata().unwrap().len(), &None));
        let model = read(&path);
        let opsets: BTreeMap<_, _> =
            model.opset_import.iter().map(|opset| (opset.domain().to_owned(), opset.version())).collect();
        let graph = model.graph.as_ref().unwrap();
        check(graph);
        let encoders = graph.node.iter().filter(|node| node.op_type() == "LabelEncoder");
        match inputs {
            Inputs::Columns => {
                assert_eq!(opsets, BTreeMap::from([(String::new(), 17), ("ai.onnx.ml".to_owned(), 3)]));
                for encoder in encoders {
                    assert_eq!(encoder.domain(), "ai.onnx.ml");
                    let default = encoder.attribute.iter().find(|a| a.name() == "default_int64").unwrap();
                    assert_eq!(default.i, Some(0));
                }
            }
            Inputs::Ids => {
                assert_eq!(opsets, BTreeMap::from([(String::new(), 17)]));
                assert_eq!(encoders.count(), 0);
            }
        }
        assert_eq!((model.ir_version, graph.node.len()), (Some(8), exported.nodes));
        let mut found = 0;
        for tensor in &graph.initializer {
            let width = match DataType::try_from(tensor.data_type()).unwrap() {
                DataType::Float | DataType::Int32 => 4,
                DataType::Bool => 1,
                _ => 8,
            };
            assert_eq!(tensor.raw_data().len() as u64, width * elements(tensor), "{}", tensor.name());
            if let Some(weight) = weights.get(tensor.name()) {
                let bytes: Vec<u8> = weight.data.iter().flat_map(|value| value.to_le_bytes()).collect();
                assert!(tensor.raw_data() == bytes, "{}", tensor.name());
                found += 1;
            }
        }
        assert_eq!(found, weights.tensors.len());
        let told = model.metadata_props.iter().find(|entry| entry.key() == "pleiad.inputs").unwrap();
        assert_eq!(told.value(), serde_json::to_string(&exported.inputs).unwrap());
    }
}

#[test]
fn inputs_are_columns_or_features() {
    let folder = tempfile::tempdir().unwrap();
    let names = |inputs, file: &str| -> Vec<String> {
        let exported = written(&folder.path().join(file), inputs, MOST_BYTES).unwrap();
        let text = |port: Port| format!("{} {} {}", port.name, port.elements, port.shape.join(","));
        exported.inputs.into_iter().map(text).collect()
    };
    assert_eq!(
        names(Inputs::Columns, "columns.onnx"),
        [
            "age double batch",
            "city string batch",
            "tags.values string values_1",
            "tags.lengths int64 batch",
            "user.row int64 batch",
            "words.rows int64 values_2",
            "words.lengths int64 batch",
            "author int64 batch",
            "follows.values int64 values_3",
            "follows.lengths int64 batch",
            "item int64 batch",
            "seen.values int64 values_4",
            "seen.lengths int64 batch",
        ]
    );
    let ids = names(Inputs::Ids, "ids.onnx");
    for name in ["age float batch", "pieces float batch,2", "waves float batch", "city.row int64 batch"] {
        assert!(ids.iter().any(|id| id == name), "{name}: {ids:?}");
    }
}

/// A column that two features read in two forms is two inputs; a task's name is the task's.
#[test]
fn names_are_told_apart() {
    let feature = |name: &str, column: &str, read| json!({ "name": name, "column": column, "read": read });
    let category = |table: &str, encoding| json!({ "categorical": { "encoding": encoding, "embedding": 2, "table": table, "multiple": null } });
    let numeric = json!({ "numeric": { "transform": [], "missing": "error" } });
    let features = json!([
        feature("a", "x", numeric.clone()),
        feature("b", "x", category("b", json!({ "vocabulary": {} }))),
        feature("c", "x", category("c", json!({ "ids": 4 }))),
        feature("d", "x", category("d", json!({ "hash": 4 }))),
        feature("e", "x", category("e", json!({ "hash": 5 }))),
        feature("f", "t", numeric),
    ]);
    let number = json!({ "numeric": { "steps": [], "missing": null } });
    let fitted = json!([number, "vocabulary", "ids", "hash", "hash", number]);
    let tasks = json!([{ "name": "t", "kind": "regression", "label": "y" }]);
    let encoder = common::from_parts(&features, &fitted, &json!({ "b": ["v"] }), &tasks);
    let table = json!({ "kind": "hard-sharing", "bottom": [2], "tower": [] });
    let serde_json::Value::Object(table) = table else { panic!() };
    let graph = ModelConfig::from_table(table).unwrap().build(encoder.layout(), encoder.tasks()).unwrap();
    let model = NetworkModel { kind: "t", graph: &graph, encoder: &encoder, weights: &Weights::default(), score: None };
    let writer = crate::written(&model, Inputs::Columns).unwrap();
    let names: Vec<&str> = writer.inputs.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["x", "x.text", "x.integer", "x.row", "x.row_2", "t_2"]);
    assert_eq!(writer.outputs[0].name, "t");
    // Weights that are not there are no file.
    let folder = tempfile::tempdir().unwrap();
    let error = export(&model, &Options::default(), &folder.path().join("model.onnx")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn weights_may_lie_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("inside.onnx"), folder.path().join("outside.onnx"));
    let whole = written(&inside, Inputs::Ids, MOST_BYTES).unwrap();
    // One byte more than the file may have.
    let exported = written(&outside, Inputs::Ids, whole.bytes - 1).unwrap();
    let (path, bytes) = exported.data.unwrap();
    assert_eq!(path, folder.path().join("outside.onnx.data"));
    assert_eq!((path.metadata().unwrap().len(), outside.metadata().unwrap().len()), (bytes, exported.bytes));
    let data = fs::read(&path).unwrap();
    let (inside, outside) = (read(&inside).graph.unwrap(), read(&outside).graph.unwrap());
    let mut count = 0;
    for (tensor, whole) in outside.initializer.iter().zip(&inside.initializer) {
        assert_eq!((&tensor.name, &tensor.dims), (&whole.name, &whole.dims));
        if tensor.external_data.is_empty() {
            assert_eq!(tensor.raw_data(), whole.raw_data());
            continue;
        }
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key() == key).unwrap().value();
        assert_eq!(entry("location"), "outside.onnx.data");
        let (offset, length): (usize, usize) = (entry("offset").parse().unwrap(), entry("length").parse().unwrap());
        assert_eq!((offset % 4096, length as u64), (0, 4 * elements(whole)));
        assert!(&data[offset..offset + length] == whole.raw_data(), "{}", tensor.name());
        count += 1;
    }
    assert!(count > 0);
    let error = written(&folder.path().join("small.onnx"), Inputs::Ids, 1000).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn what_is_there_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(folder.path().join("model.onnx.data"), "mine").unwrap();
    let whole = written(&path, Inputs::Ids, MOST_BYTES).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(written(&path, Inputs::Ids, MOST_BYTES), Err(Error::Exists { .. })));
    assert!(fs::read(&path).unwrap() == before);
    fs::remove_file(&path).unwrap();
    let error = written(&path, Inputs::Ids, whole.bytes - 1).unwrap_err();
    assert!(matches!(&error, Error::Exists { path } if path.ends_with("model.onnx.data")), "{error}");
    assert_eq!(fs::read_to_string(folder.path().join("model.onnx.data")).unwrap(), "mine");
    assert!(!path.exists());
    for (path, reason) in [("none/model.onnx", "does not exist"), ("model.onnx.data/model.onnx", "is not a folder")] {
        let error = written(&folder.path().join(path), Inputs::Ids, MOST_BYTES).unwrap_err().to_string();
        assert!(error.ends_with(reason), "{error}");
    }
}
