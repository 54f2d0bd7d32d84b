//! Models as `/v1/models` shows them, and what became of a reload.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::registry::{Change, Entry};

/// A model as it is now.
pub(crate) fn shown(entry: &Entry) -> Value {
    let shown = entry.shown();
    let seconds = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut model = json!({
        "name": entry.spec.name,
        "ready": shown.served.is_some(),
        "version": shown.served.as_ref().map(|served| served.version()),
        "previous": shown.previous,
        "opened": shown.opened.map(seconds),
        "folder": shown.folder,
        "refused": shown.refused,
        "unloaded": shown.unloaded,
    });
    if let (Some(served), Some(fields)) = (&shown.served, model.as_object_mut()) {
        let of = served.model();
        let tasks = of.tasks().iter().map(|task| json!({ "name": task.name, "kind": task.kind }));
        let features = of.encoder().schema().features.iter().map(|feature| {
            let kind = match feature.read {
                pleiad_data::schema::FeatureKind::Categorical { .. } => "categorical",
                _ => "numeric",
            };
            json!({ "name": feature.name, "column": feature.column(), "kind": kind })
        });
        fields.insert("structure".to_owned(), json!(of.kind()));
        fields.insert("tasks".to_owned(), tasks.collect());
        fields.insert("features".to_owned(), features.collect());
        fields.insert("rank".to_owned(), json!(served.rank_now()));
        fields.insert("drift".to_owned(), json!(served.drift()));
        fields.insert("rank_is_changed".to_owned(), json!(served.weighted().is_some()));
    }
    model
}

/// What is served after a change.
pub(crate) fn changed(entry: &Entry, change: &Change) -> Value {
    json!({
        "model": entry.spec.name,
        "version": change.version,
        "previous": change.previous,
        "changed": change.changed,
        "warmed": change.warmed,
        "milliseconds": change.milliseconds,
    })
}
