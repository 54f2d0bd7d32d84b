//! Encoders and random rows for layouts, without a training.

#![allow(dead_code, clippy::unwrap_used)]

use pleiad_data::{Batch, Encoder, Ids, Input, InputLayout, Pooling, TaskKind, TaskSpec};
use serde_json::{Value, json};

/// An encoder of table rows and of numbers as they are, for a layout of such inputs.
pub(crate) fn encoder(layout: &InputLayout, tasks: &[TaskSpec]) -> Encoder {
    let (mut features, mut fitted) = (Vec::new(), Vec::new());
    let (no_step, number) = (json!([]), json!({ "numeric": { "steps": [], "missing": null } }));
    for run in layout.inputs.chunk_by(|a, b| a.name() == b.name()) {
        let input = &run[0];
        let read = match input {
            Input::Numeric { .. } if run.len() > 1 => json!({ "pieces": { "pieces": run.len(), "missing": "error" } }),
            Input::Numeric { .. } => json!({ "numeric": { "transform": no_step, "missing": "error" } }),
            Input::Periodic { frequencies, sigma, dim, .. } => json!({ "periodic": {
                "transform": no_step, "missing": "error", "frequencies": frequencies, "sigma": sigma, "embedding": dim } }),
            Input::Categorical { table, rows, dim, pooling, .. } => json!({ "categorical": {
                "encoding": { "ids": rows }, "embedding": dim, "table": table,
                "multiple": pooling.map(|pooling| json!({ "separator": "|", "pooling": pooling })) } }),
        };
        let boundaries: Vec<usize> = (0..=run.len()).collect();
        fitted.push(match input {
            Input::Categorical { .. } => json!("ids"),
            _ if run.len() > 1 => json!({ "pieces": { "boundaries": boundaries, "missing": null } }),
            _ => number.clone(),
        });
        let per = if layout.is_per_request(input) { "request" } else { "row" };
        features.push(json!({ "name": input.name(), "read": read, "per": per }));
    }
    let task = |task: &TaskSpec| json!({ "name": task.name, "kind": task.kind, "label": format!("of {}", task.name) });
    let tasks: Vec<Value> = tasks.iter().map(task).collect();
    from_parts(&json!(features), &json!(fitted), &json!({}), &json!(tasks))
}

/// An encoder by what `model.json` has of one.
pub(crate) fn from_parts(features: &Value, fitted: &Value, vocabularies: &Value, tasks: &Value) -> Encoder {
    let mut schema = json!({ "csv": {}, "on_bad_row": "stop", "features": features, "tasks": tasks });
    if features.to_string().contains("\"per\":\"request\"") {
        schema["request"] = json!("request");
    }
    serde_json::from_value(json!({ "schema": schema, "fitted": fitted, "vocabularies": vocabularies })).unwrap()
}

/// One feature of every kind of input, all embeddings as wide as crosses need them.
pub(crate) fn layout_of_all() -> InputLayout {
    let categorical = |name: &str, slot, rows, pooling| Input::Categorical {
        name: name.into(),
        slot,
        table: name.into(),
        rows,
        dim: 4,
        pooling,
    };
    InputLayout::new(vec![
        Input::Numeric { name: "a".into(), column: 0 },
        Input::Numeric { name: "pieces".into(), column: 1 },
        Input::Numeric { name: "pieces".into(), column: 2 },
        categorical("user", 0, 7, None),
        Input::Periodic { name: "waves".into(), column: 3, frequencies: 3, sigma: 1.0, dim: 4 },
        categorical("tags", 1, 5, Some(Pooling::Mean)),
    ])
}

pub(crate) fn tasks() -> Vec<TaskSpec> {
    vec![
        TaskSpec::new("click", TaskKind::Binary),
        TaskSpec::new("share", TaskKind::Binary),
        TaskSpec::new("time", TaskKind::Regression),
    ]
}

/// Rows from a fixed stream.
pub(crate) fn batch(layout: &InputLayout, rows: usize, seed: u64) -> Batch {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut batch = Batch::empty(layout, 0);
    batch.rows = rows;
    batch.numeric = (0..rows * layout.numeric_width()).map(|_| next(6000) as f32 / 500.0 - 6.0).collect();
    for input in &layout.inputs {
        let Input::Categorical { slot, rows: table_rows, pooling, .. } = input else { continue };
        batch.categorical[*slot] = match pooling {
            None => Ids::Single((0..rows).map(|_| next(*table_rows)).collect()),
            Some(_) => {
                let (mut offsets, mut ids) = (vec![0], Vec::new());
                for _ in 0..rows {
                    (0..next(4)).for_each(|_| ids.push(next(*table_rows)));
                    offsets.push(ids.len());
                }
                Ids::Multiple { offsets, rows: ids }
            }
        };
    }
    batch
}

/// An encoder of every kind there is, and the names of its features' columns.
pub(crate) fn encoder_of_all() -> Encoder {
    let table = |name: &str, encoding: Value, multiple: Value| {
        json!({ "name": name, "read": { "categorical": {
            "encoding": encoding, "embedding": 4, "table": name, "multiple": multiple } } })
    };
    let of = |name: &str, column: &str, read: Value| json!({ "name": name, "column": column, "read": read });
    let list = json!({ "separator": "|", "pooling": "mean" });
    let standardize = json!({ "transform": ["log1p", "standardize"], "missing": "mean" });
    let number =
        json!({ "numeric": { "steps": ["log1p", { "standardize": { "mean": 2.0, "std": 0.5 } }], "missing": 3.0 } });
    let boundaries = json!([1.0, 2.0, 4.0]);
    let exact =
        json!({ "categorical": { "encoding": { "exact": {} }, "embedding": 4, "table": "exact", "multiple": null } });
    let buckets =
        json!({ "bucketized": { "buckets": { "boundaries": boundaries }, "embedding": 4, "table": "bucket" } });
    let waves = json!({ "periodic": { "transform": ["log1p", "standardize"], "missing": "mean",
                                      "frequencies": 2, "sigma": 1.0, "embedding": 4 } });
    let features = json!([
        { "name": "age", "read": { "numeric": standardize } },
        of("pieces", "age", json!({ "pieces": { "pieces": 2, "missing": "mean" } })),
        of("waves", "age", waves),
        of("exact", "age", exact),
        of("bucket", "age", buckets),
        table("city", json!({ "vocabulary": {} }), Value::Null),
        table("tags", json!({ "vocabulary": {} }), list.clone()),
        table("user", json!({ "hash": 50 }), Value::Null),
        table("words", json!({ "hash": 50 }), list.clone()),
        table("author", json!({ "integer_hash": 50 }), Value::Null),
        table("follows", json!({ "integer_hash": 50 }), list.clone()),
        table("item", json!({ "ids": 9 }), Value::Null),
        table("seen", json!({ "ids": 9 }), list),
    ]);
    let fitted = json!([
        number,
        { "pieces": { "boundaries": boundaries, "missing": 3.0 } },
        number,
        "vocabulary",
        { "buckets": { "boundaries": boundaries } },
        "vocabulary", "vocabulary", "hash", "hash", "integer_hash", "integer_hash", "ids", "ids",
    ]);
    let vocabularies = json!({ "exact": ["1", "0.1", "NaN"], "city": ["Ulm", "K\u{f6}ln"], "tags": ["a", "b"] });
    let tasks = json!([{ "name": "click", "kind": "binary", "label": "clicked", "sampled": { "negatives": 0.5 } },
                       { "name": "time", "kind": "regression", "label": { "column": "seconds", "transform": "log1p" } }]);
    from_parts(&features, &fitted, &vocabularies, &tasks)
}
