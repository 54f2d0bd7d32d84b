//! Addresses of the Open Inference Protocol, version 2, beside inference: what the server and its models are.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, Reply};
use crate::models::{find, served};
use crate::proto::inference::ModelStatistics;
use crate::refusal::{Place, Refusal};
use crate::registry::Entry;
use crate::served::Served;

/// The server's name.
pub(crate) const NAME: &str = "pleiad";

/// What it has beside the protocol itself.
pub(crate) const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_repository", "statistics"];

/// What the server is.
pub(crate) fn server() -> Reply {
    Reply::json(&json!({ "name": NAME, "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS }))
}

/// What a version of a model reads and gives.
pub(crate) fn metadata(entry: &Entry, served: &Served) -> Value {
    let mut metadata = served.metadata();
    let versions = entry.versions();
    metadata["versions"] = versions.iter().map(|served| served.version()).collect();
    metadata
}

/// A model as the index has it.
pub(crate) struct Indexed {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) state: &'static str,
    pub(crate) reason: String,
}

/// All models, or those that are ready.
pub(crate) fn index(app: &App, ready_alone: bool) -> Vec<Indexed> {
    let model = |entry: &Arc<Entry>| {
        let shown = entry.shown();
        let (state, reason) = match (&shown.served, shown.unloaded) {
            (Some(_), _) => ("READY", shown.refused.unwrap_or_default()),
            (None, true) => ("UNAVAILABLE", "unloaded".to_owned()),
            (None, false) => ("LOADING", shown.refused.unwrap_or_default()),
        };
        let version = shown.served.map_or_else(String::new, |served| served.version().to_owned());
        Indexed { name: entry.spec.name.clone(), version, state, reason }
    };
    app.entries.iter().map(model).filter(|model| !ready_alone || model.state == "READY").collect()
}

/// The index, as the body of the request wants it.
pub(crate) fn index_of(app: &App, body: &[u8]) -> Result<Reply, Refusal> {
    #[derive(Deserialize, Default)]
    struct Wish {
        #[serde(default)]
        ready: bool,
    }
    let wish = if body.trim_ascii().is_empty() {
        Wish::default()
    } else {
        serde_json::from_slice(body).map_err(|error| {
            let place = Place { line: Some(error.line()), column: Some(error.column()), ..Place::default() };
            let advice = "send nothing, or {\"ready\": true}";
            Refusal::new(400, "malformed_json", error.to_string(), advice).at(place)
        })?
    };
    let models = index(app, wish.ready).into_iter().map(|Indexed { name, version, state, reason }| {
        json!({ "name": name, "version": version, "state": state, "reason": reason })
    });
    Ok(Reply::json(&models.collect::<Value>()))
}

/// Statistics of a version of a model, of all its versions in memory, or of all models.
pub(crate) fn statistics(
    app: &App,
    name: Option<&str>,
    version: Option<&str>,
) -> Result<Vec<ModelStatistics>, Refusal> {
    let all: Vec<Arc<Served>> = match (name, version) {
        (None, _) => app.entries.iter().flat_map(|entry| entry.versions()).collect(),
        (Some(name), None) => {
            let entry = find(app, Some(name))?;
            served(entry, None)?;
            entry.versions()
        }
        (Some(name), version) => vec![served(find(app, Some(name))?, version)?],
    };
    Ok(all.iter().map(|served| served.statistics.message(served.name(), served.version())).collect())
}

/// A refusal as the protocol has it: `{"error": "what, where, what to do"}`.
pub(crate) fn refusal(refusal: &Refusal) -> Vec<u8> {
    json!({ "error": format!("{}; {}", refusal.message, refusal.advice) }).to_string().into_bytes()
}
