//! Models as requests name them: found, asked, and changed by those who may.

use std::sync::Arc;
use std::time::Instant;

use crate::audit::{Asker, ModelChange};
use hyper::header::{self, HeaderMap};
use pleiad_data::nearest;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::app::App;
use crate::body::Body;
use crate::estimate::estimate;
use crate::infer::Inferred;
use crate::queue::{Job, Target, Work, late};
use crate::refusal::Refusal;
use crate::registry::{Change, Entry, out_of_service};
use crate::request_log::Ticket;
use crate::routes::ranks_alone;
use crate::served::{BodyForm, Served};
use crate::server::say_served;
use crate::settings::Control;
use crate::weights::WeightChange;

/// The model of a name, or the first one.
pub(crate) fn find<'a>(app: &'a App, name: Option<&str>) -> Result<&'a Arc<Entry>, Refusal> {
    let found = match name {
        None => app.entries.first(),
        Some(name) => app.entries.iter().find(|entry| entry.spec.name == name),
    };
    found.ok_or_else(|| {
        if let Some(route) = name.and_then(|name| app.routes.find(name)) {
            return ranks_alone(route);
        }
        let names: Vec<&str> = app.entries.iter().map(|entry| entry.spec.name.as_str()).collect();
        let name = name.unwrap_or_default();
        let known = names.iter().copied().chain(app.routes.names());
        let hint = nearest(name, known).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        let message = format!("there is no model {name:?}{hint}");
        Refusal::new(404, "no_such_model", message, format!("the models are {}", names.join(", ")))
    })
}

/// Who ranks under a name, the first model without one: a model, or a route. With a label it is an arm of a route.
pub(crate) fn ranking(app: &App, name: Option<&str>, label: Option<&str>) -> Result<Target, Refusal> {
    let model = || app.entries.iter().any(|entry| name.is_none_or(|name| entry.spec.name == name));
    match (name.and_then(|name| app.routes.find(name)), label) {
        (Some(route), _) => route.ask(label).map(Target::Route),
        (None, Some(_)) if model() => {
            let message = format!("{:?} is a model, and labels are those of routes", name.unwrap_or_default());
            Err(Refusal::new(404, "no_such_label", message, "ask it without a label; see /v1/routes"))
        }
        (None, Some(_)) => app.routes.named(name.unwrap_or_default())?.ask(label).map(Target::Route),
        (None, None) => {
            let entry = find(app, name)?;
            Ok(Target::Model(Arc::clone(entry), served(entry, None)?))
        }
    }
}

/// A version of a model that is in memory; the one that is served where no name is given.
pub(crate) fn served(entry: &Entry, version: Option<&str>) -> Result<Arc<Served>, Refusal> {
    let versions = entry.versions();
    let Some(current) = versions.first() else { return Err(out_of_service(entry)) };
    let Some(version) = version else { return Ok(Arc::clone(current)) };
    versions.iter().find(|served| served.version() == version).map(Arc::clone).ok_or_else(|| {
        let names: Vec<&str> = versions.iter().map(|served| served.version()).collect();
        let message = format!("model {:?} has no version {version:?}", entry.spec.name);
        Refusal::new(404, "no_such_version", message, format!("in memory are {}", names.join(", ")))
    })
}

/// Whether who asks may change what is served. A page that a browser on this machine shows may not: browsers name its origin.
pub(crate) fn allowed(app: &App, who: &Asker, headers: &HeaderMap) -> Result<(), Refusal> {
    let may = match app.settings.control {
        Control::Anyone => true,
        Control::Loopback => who.peer.ip().to_canonical().is_loopback(),
        Control::Nobody => false,
    };
    if may && !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let message = "models are not changed from here";
    Err(Refusal::new(
        403,
        "not_allowed",
        message,
        "send it from the server's machine, not from a web page; see --control",
    ))
}

/// Loads what stands at a model's path now.
pub(crate) async fn reload(app: &App, entry: &Arc<Entry>, who: &Asker) -> Result<Change, Refusal> {
    let from = entry.current().map(|served| served.version().to_owned());
    let loader = Arc::clone(entry);
    let loaded = tokio::task::spawn_blocking(move || loader.load()).await;
    match loaded {
        Ok(Ok(change)) => {
            if change.changed {
                say_served(app, entry, &change);
                written(app, entry, who, "reload", json!(from), json!(change.version));
            }
            Ok(change)
        }
        Ok(Err(error)) => {
            let now = entry.current().map_or_else(
                || "nothing is served".to_owned(),
                |served| format!("version {} is served on", served.version()),
            );
            app.log.warn(&format!("{error}; {now}"));
            let advice = format!("put a sound model there and reload; {now}");
            Err(Refusal::new(422, "model_refused", error.to_string(), advice))
        }
        Err(error) => {
            let advice = "this is a mistake of the server; report it; the version before is served on";
            Err(Refusal::new(500, "internal", error.to_string(), advice))
        }
    }
}

/// Takes a model out of service.
pub(crate) async fn unload(app: &App, entry: &Arc<Entry>, who: &Asker) -> Result<(), Refusal> {
    let from = entry.current().map(|served| served.version().to_owned());
    let unloader = Arc::clone(entry);
    // It waits for a version that is being loaded.
    let unloaded = tokio::task::spawn_blocking(move || unloader.unload()).await;
    match unloaded {
        Ok(was_served) => {
            if was_served {
                app.log.note(&format!("model {:?}: unloaded", entry.spec.name));
                written(app, entry, who, "unload", json!(from), json!(null));
            }
            Ok(())
        }
        Err(error) => {
            Err(Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it"))
        }
    }
}

/// Serves the version before again.
pub(crate) fn roll_back(app: &App, entry: &Entry, who: &Asker) -> Result<Change, Refusal> {
    let from = entry.current().map(|served| served.version().to_owned());
    let Some(change) = entry.roll_back() else {
        let message = format!("model {:?} has no previous version", entry.spec.name);
        return Err(Refusal::new(409, "no_previous", message, "a version is kept when another one is loaded"));
    };
    app.log.note(&format!("model {:?}: rolled back to version {}", entry.spec.name, change.version));
    written(app, entry, who, "rollback", json!(from), json!(change.version));
    Ok(change)
}

/// Changes the exponents of a model's score.
pub(crate) async fn weigh(app: &App, entry: &Arc<Entry>, body: &[u8], who: &Asker) -> Result<Value, Refusal> {
    let change = WeightChange::parse(body)?.score;
    let changer = Arc::clone(entry);
    // It waits for a version that is being loaded.
    let [from, to] = match tokio::task::spawn_blocking(move || changer.weigh(change)).await {
        Ok(changed) => changed?,
        Err(error) => {
            return Err(Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it"));
        }
    };
    app.log.note(&format!("model {:?}: the exponents of its score are {}", entry.spec.name, json!(to)));
    written(app, entry, who, "score", json!(from), json!(to));
    Ok(json!({ "model": entry.spec.name, "from": from, "to": to }))
}

/// Replaces what a route says.
pub(crate) async fn reroute(app: &Arc<App>, name: &str, body: Body, who: &Asker) -> Result<Value, Refusal> {
    app.routes.named(name)?;
    let (changer, of) = (Arc::clone(&app.routes), name.to_owned());
    // Scores of large models take their time to check.
    let [from, to] = match tokio::task::spawn_blocking(move || changer.change(&of, &body.bytes)).await {
        Ok(changed) => changed?,
        Err(error) => {
            return Err(Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it"));
        }
    };
    app.log.note(&format!("route {name:?} was changed"));
    let change = ModelChange { model: name, what: "route", from: from.clone(), to: to.clone() };
    app.audit.write(Some(who), change, &*app.log);
    Ok(json!({ "route": name, "from": from, "to": to }))
}

fn written(app: &App, entry: &Entry, who: &Asker, what: &'static str, from: Value, to: Value) {
    app.audit.write(Some(who), ModelChange { model: &entry.spec.name, what, from, to }, &*app.log);
}

/// Whether every model that is to be served is.
pub(crate) fn ready(app: &App) -> Result<(), Refusal> {
    if app.draining.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Refusal::new(503, "draining", "the server is shutting down", "send requests to another server"));
    }
    match app.entries.iter().find(|entry| entry.current().is_none() && !entry.is_unloaded()) {
        Some(entry) => Err(out_of_service(entry)),
        None => Ok(()),
    }
}

/// Lets a worker answer a body.
pub(crate) async fn ask(
    app: &App,
    of: Target,
    body: Body,
    (head, deadline): (Instant, Instant),
    work: Work,
    ticket: Option<Ticket>,
) -> Result<Inferred, Refusal> {
    let (reply, answered) = oneshot::channel();
    let candidates = match work {
        Work::Rank([BodyForm::Json, _]) => estimate(&body.bytes),
        // Eight bytes a value, more or less.
        Work::Rank([BodyForm::Arrow, _]) | Work::Infer(_) | Work::Message => body.bytes.len() / (8 * of.width()),
    };
    let candidates = candidates.clamp(1, app.settings.max_candidates);
    let most = app.settings.max_candidates;
    app.queue.push(Job { body, of, candidates, most, came: Instant::now(), head, deadline, work, ticket, reply })?;
    match timeout_at(deadline.into(), answered).await {
        Err(_) => Err(late()),
        Ok(Err(_)) => {
            Err(Refusal::new(500, "internal", "the worker is gone", "this is a mistake of the server; report it"))
        }
        Ok(Ok(answer)) => answer,
    }
}
