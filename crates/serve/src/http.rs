//! Addresses, and what is answered at each.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use pleiad_data::nearest;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::body::{self, Budget};
use crate::metrics::{Metrics, ModelNow, Now};
use crate::queue::{Job, Queue, Work, estimate, late};
use crate::refusal::Refusal;
use crate::registry::Entry;
use crate::route::{PATHS, Route};
use crate::server::Log;
use crate::settings::{Control, Settings};
use crate::shown::{changed, shown};
use crate::socket::Pace;
use crate::v2;

/// How long a request may take, in milliseconds.
const DEADLINE: &str = "pleiad-deadline-ms";

/// The longest time that a request may ask for.
const LONGEST: Duration = Duration::from_secs(3600);

/// Of an answer, and of a refusal.
const JSON: &str = "application/json";

/// The length of the JSON in front of the bytes of tensors.
const JSON_LENGTH: &str = "inference-header-content-length";

/// The description of everything here.
const OPENAPI: &str = include_str!("openapi.json");

/// What all connections share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    /// The first one is the one of `/v1/rank`.
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) draining: AtomicBool,
    pub(crate) in_flight: AtomicUsize,
    /// Bytes that were written to all clients.
    pub(crate) written: Arc<AtomicU64>,
    pub(crate) log: Arc<dyn Log>,
}

/// A request that is being answered.
struct Flight<'a> {
    app: &'a App,
    pace: &'a Pace,
}

impl<'a> Flight<'a> {
    fn new(app: &'a App, pace: &'a Pace) -> Self {
        app.in_flight.fetch_add(1, Ordering::Relaxed);
        pace.started.fetch_add(1, Ordering::Relaxed);
        Self { app, pace }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.pace.finished.fetch_add(1, Ordering::Relaxed);
        self.app.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer before it is sent.
pub(crate) struct Reply {
    pub(crate) body: Vec<u8>,
    pub(crate) content: &'static str,
    /// Length of the JSON, where the bytes of tensors come behind it.
    pub(crate) json: Option<usize>,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        Self::text(value.to_string(), JSON)
    }

    fn text(text: String, content: &'static str) -> Self {
        Self { body: text.into_bytes(), content, json: None }
    }
}

/// Answers a request; what is wrong with it is an answer, too.
pub(crate) async fn handle(
    app: Arc<App>,
    pace: Arc<Pace>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let came = Instant::now();
    let _flight = Flight::new(&app, &pace);
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let route = Route::of(&path);
    // Whoever runs the server has to see without a token that it lives.
    let who = match route {
        Some(Route::Live | Route::Ready) => Ok(None),
        _ => app.settings.access.tokens.who(request.headers()),
    };
    let (label, answered) = match (route, who) {
        (_, Err(refusal)) => {
            // The client is still sending its body, and reads the answer behind it.
            if !request.headers().contains_key(header::EXPECT) {
                body::throw_away(request.into_body()).await;
            }
            (route.map_or("unknown", |route| route.label().0), Err(refusal))
        }
        (None, _) => ("unknown", Err(unknown(&path))),
        (Some(route), _) => {
            let (label, wanted) = route.label();
            let is_right = method == wanted || (wanted == Method::GET && method == Method::HEAD);
            match is_right {
                true => (label, answer(&app, route, peer, came, request).await),
                false => {
                    let message = format!("{path} takes {wanted}, not {method}");
                    let methods = if wanted == Method::GET { "GET, HEAD" } else { "POST" };
                    (label, Err(Refusal::new(405, "method", message, format!("send it as {wanted}")).allowing(methods)))
                }
            }
        }
    };
    let status = answered.as_ref().map_or_else(|refusal| refusal.status, |_| 200);
    app.metrics.answered(label, status, came.elapsed());
    Ok(respond(answered, &path, &app))
}

fn unknown(path: &str) -> Refusal {
    let hint = nearest(path, PATHS).map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Refusal::new(
        404,
        "no_such_path",
        format!("there is nothing at {path}{hint}"),
        format!("there are {}", PATHS.join(", ")),
    )
}

fn respond(answered: Result<Reply, Refusal>, path: &str, app: &App) -> Response<Full<Bytes>> {
    let (mut json, mut allow, mut challenge) = (None, None, None);
    let (status, body, content, retry, close) = match answered {
        Ok(reply) => {
            json = reply.json;
            (200, reply.body, reply.content, None, false)
        }
        Err(refusal) => {
            (allow, challenge) = (refusal.allow, refusal.challenge);
            let body = if path.starts_with("/v2") { v2::refusal(&refusal) } else { refusal.to_json() };
            (refusal.status, body, JSON, refusal.retry_after, refusal.close)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    if let Some(methods) = allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    if let Some(challenge) = challenge {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(length) = json {
        headers.insert(header::HeaderName::from_static(JSON_LENGTH), HeaderValue::from(length));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
    if let Some(seconds) = retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if close || app.draining.load(Ordering::Relaxed) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer(
    app: &Arc<App>,
    route: Route<'_>,
    peer: SocketAddr,
    came: Instant,
    request: Request<Incoming>,
) -> Result<Reply, Refusal> {
    match route {
        Route::Root => Ok(Reply::json(&json!({
            "server": "pleiad", "version": env!("CARGO_PKG_VERSION"), "paths": PATHS,
        }))),
        Route::Live => Ok(Reply::json(&json!({ "live": true }))),
        Route::Ready => ready(app),
        Route::Metrics => Ok(Reply::text(metrics(app), "text/plain; version=0.0.4; charset=utf-8")),
        Route::OpenApi => Ok(Reply::text(OPENAPI.to_owned(), JSON)),
        Route::Models => {
            let models: Vec<Value> = app.entries.iter().map(|entry| shown(entry)).collect();
            Ok(Reply::json(&json!({ "models": models })))
        }
        Route::Model(name) => Ok(Reply::json(&shown(find(app, Some(name))?))),
        Route::Rank(name) => {
            let entry = Arc::clone(find(app, name)?);
            ask(app, entry, came, request, Work::Rank).await
        }
        Route::Reload(name) | Route::Load(name) => {
            let entry = Arc::clone(find(app, Some(name))?);
            allowed(app, peer, request.headers())?;
            reload(app, entry).await
        }
        Route::Server => Ok(v2::server()),
        Route::Metadata(name) => {
            let entry = find(app, Some(name))?;
            v2::metadata(entry).ok_or_else(|| loading(entry))
        }
        Route::ModelReady(name) => match find(app, Some(name))? {
            entry if entry.current().is_some() => Ok(Reply::json(&json!({ "name": name, "ready": true }))),
            entry => Err(loading(entry)),
        },
        Route::Infer(name) => {
            let entry = Arc::clone(find(app, Some(name))?);
            let json = json_length(request.headers())?;
            ask(app, entry, came, request, Work::Infer(json)).await
        }
        Route::Index => Ok(v2::index(app)),
        Route::Rollback(name) => {
            let entry = find(app, Some(name))?;
            allowed(app, peer, request.headers())?;
            let Some(change) = entry.roll_back() else {
                let message = format!("model {name:?} has no previous version");
                return Err(Refusal::new(409, "no_previous", message, "a version is kept when another one is loaded"));
            };
            app.log.note(&format!("model {name:?}: rolled back to version {}", change.version));
            Ok(Reply::json(&changed(entry, &change)))
        }
    }
}

/// The model of a name, or the first one.
fn find<'a>(app: &'a App, name: Option<&str>) -> Result<&'a Arc<Entry>, Refusal> {
    let found = match name {
        None => app.entries.first(),
        Some(name) => app.entries.iter().find(|entry| entry.spec.name == name),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = app.entries.iter().map(|entry| entry.spec.name.as_str()).collect();
        let name = name.unwrap_or_default();
        let hint =
            nearest(name, names.iter().copied()).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        let message = format!("there is no model {name:?}{hint}");
        Refusal::new(404, "no_such_model", message, format!("the models are {}", names.join(", ")))
    })
}

/// Whether who asks may change what is served. A page that a browser on this machine shows may not: browsers name its origin.
fn allowed(app: &App, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refusal> {
    let may = match app.settings.control {
        Control::Anyone => true,
        Control::Loopback => peer.ip().to_canonical().is_loopback(),
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

fn ready(app: &App) -> Result<Reply, Refusal> {
    if app.draining.load(Ordering::Relaxed) {
        return Err(Refusal::new(503, "draining", "the server is shutting down", "send requests to another server"));
    }
    match app.entries.iter().find(|entry| entry.current().is_none()) {
        Some(entry) => Err(loading(entry)),
        None => Ok(Reply::json(&json!({ "ready": true }))),
    }
}

fn loading(entry: &Entry) -> Refusal {
    let message = format!("model {:?} is being loaded and checked", entry.spec.name);
    Refusal::new(503, "loading", message, "try again when /v1/health/ready says so").after(1)
}

fn metrics(app: &App) -> String {
    let (queued, queue_limit) = app.queue.waiting();
    let models = app.entries.iter().map(|entry| ModelNow {
        name: &entry.spec.name,
        counted: &entry.counted,
        served: entry.current(),
    });
    app.metrics.page(&Now {
        queued,
        queue_limit,
        in_flight: app.in_flight.load(Ordering::Relaxed),
        body_bytes: app.budget.used(),
        ready: ready(app).is_ok(),
        models: models.collect(),
    })
}

async fn reload(app: &Arc<App>, entry: Arc<Entry>) -> Result<Reply, Refusal> {
    let loader = Arc::clone(&entry);
    let loaded = tokio::task::spawn_blocking(move || loader.load()).await;
    match loaded {
        Ok(Ok(change)) => {
            if change.changed {
                app.log.note(&format!("model {:?}: version {} is served", entry.spec.name, change.version));
            }
            Ok(Reply::json(&changed(&entry, &change)))
        }
        Ok(Err(error)) => {
            app.log.warn(&format!("{error}; the version before is served on"));
            let version = entry.current().map_or_else(String::new, |served| served.version().to_owned());
            let advice = format!("put a sound model there and reload; version {version} is served on");
            Err(Refusal::new(422, "model_refused", error.to_string(), advice))
        }
        Err(error) => {
            let advice = "this is a mistake of the server; report it; the version before is served on";
            Err(Refusal::new(500, "internal", error.to_string(), advice))
        }
    }
}

/// Lets a worker answer the body of a request.
async fn ask(
    app: &Arc<App>,
    entry: Arc<Entry>,
    came: Instant,
    request: Request<Incoming>,
    work: Work,
) -> Result<Reply, Refusal> {
    let deadline = came + deadline(request.headers(), app.settings.timeout)?;
    let Some(served) = entry.current() else { return Err(loading(&entry)) };
    let expects = request.headers().contains_key(header::EXPECT);
    let until = (came + app.settings.patience).into();
    let body = body::read(request.into_body(), app.settings.max_body, expects, until, &app.budget).await?;
    let (reply, answered) = oneshot::channel();
    let candidates = match work {
        Work::Rank => estimate(&body.bytes),
        // Eight bytes a value, more or less.
        Work::Infer(_) => body.bytes.len() / (8 * served.columns().names.len().max(1)),
    };
    let candidates = candidates.clamp(1, app.settings.max_candidates);
    let most = app.settings.max_candidates;
    app.queue.push(Job { body, entry, served, candidates, most, came: Instant::now(), deadline, work, reply })?;
    match timeout_at(deadline.into(), answered).await {
        Err(_) => Err(late()),
        Ok(Err(_)) => {
            Err(Refusal::new(500, "internal", "the worker is gone", "this is a mistake of the server; report it"))
        }
        Ok(Ok(answer)) => answer.map(|answer| Reply { body: answer.body, content: JSON, json: answer.json }),
    }
}

/// The length of the JSON in front of the bytes of tensors, where it is said.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let Some(value) = headers.get(JSON_LENGTH) else { return Ok(None) };
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
        let message = format!("the header {JSON_LENGTH} is {value:?}");
        Refusal::new(400, "bad_header", message, "give a whole number of bytes")
    })
}

/// How long a request may take.
fn deadline(headers: &HeaderMap, default: Duration) -> Result<Duration, Refusal> {
    let Some(value) = headers.get(DEADLINE) else { return Ok(default) };
    match value.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
        Some(milliseconds @ 1..) => Ok(Duration::from_millis(milliseconds).min(LONGEST)),
        _ => {
            let message = format!("the header {DEADLINE} is {value:?}");
            Err(Refusal::new(400, "bad_header", message, "give whole milliseconds, 1 or more"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_every_address_with_its_method() {
        let description: Value = serde_json::from_str(OPENAPI).unwrap();
        let described: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
        let mut paths = PATHS.to_vec();
        paths.sort_unstable();
        let mut sorted = described.clone();
        sorted.sort();
        assert_eq!(sorted, paths);
        for path in described {
            let (_, method) = Route::of(&path.replace("{name}", "x")).unwrap().label();
            let method = method.as_str().to_lowercase();
            assert!(description["paths"][path].get(&method).is_some(), "{path} has no {method}");
        }
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_deadline_is_whole_milliseconds() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(DEADLINE.parse().unwrap(), HeaderValue::from_static(value))]);
            deadline(&headers, LONGEST).map_err(|refusal| refusal.status)
        };
        assert_eq!(of("50"), Ok(Duration::from_millis(50)));
        for bad in ["0", "-1", "1.5", "soon", ""] {
            assert_eq!(of(bad), Err(400), "{bad}");
        }
        assert_eq!(deadline(&HeaderMap::new(), Duration::from_secs(2)), Ok(Duration::from_secs(2)));
    }
}
