//! Addresses of the Open Inference Protocol, version 2, beside inference: what the server and its models are.

use serde_json::{Value, json};

use crate::http::{App, Reply};
use crate::refusal::Refusal;
use crate::registry::Entry;

/// What the server is.
pub(crate) fn server() -> Reply {
    Reply::json(&json!({
        "name": "pleiad", "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data", "model_repository"],
    }))
}

/// What a model reads and gives; `None` before it is loaded.
pub(crate) fn metadata(entry: &Entry) -> Option<Reply> {
    entry.current().map(|served| Reply::json(&served.metadata()))
}

/// All models and whether they are ready.
pub(crate) fn index(app: &App) -> Reply {
    let model = |entry: &std::sync::Arc<Entry>| {
        let shown = entry.shown();
        let state = if shown.served.is_some() { "READY" } else { "LOADING" };
        json!({
            "name": entry.spec.name,
            "version": shown.served.map_or_else(String::new, |served| served.version().to_owned()),
            "state": state,
            "reason": shown.refused.unwrap_or_default(),
        })
    };
    Reply::json(&app.entries.iter().map(model).collect::<Value>())
}

/// A refusal as the protocol has it: `{"error": "what, where, what to do"}`.
pub(crate) fn refusal(refusal: &Refusal) -> Vec<u8> {
    json!({ "error": format!("{}; {}", refusal.message, refusal.advice) }).to_string().into_bytes()
}
