//! Addresses, and what is answered at each.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use pleiad_data::nearest;
use serde_json::{Value, json};

use crate::app::{ARROW, App, Flight, JSON, LONGEST, Reply};
use crate::audit::Asker;
use crate::body::{Body, Unread};
use crate::metrics::{ModelNow, Now};
use crate::models::{allowed, ask, find, ranking, ready, reload, reroute, roll_back, served, unload, weigh};
use crate::page;
use crate::queue::{Target, Work};
use crate::refusal::Refusal;
use crate::request_log::Ticket;
use crate::route::{PATHS, Route};
use crate::sample;
use crate::served::BodyForm;
use crate::shown::{changed, shown};
use crate::socket::Pace;
use crate::{statistics, v2};

/// How long a request may take, in milliseconds.
const DEADLINE: &str = "pleiad-deadline-ms";

/// The forms of a body and of its answer: Arrow where the headers name it, else JSON.
fn forms(headers: &HeaderMap) -> [BodyForm; 2] {
    let form = |name| {
        let names = headers.get_all(name).into_iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        let mut kinds = names.filter_map(|name| name.split(|&byte| byte == b';').next().map(<[u8]>::trim_ascii));
        if kinds.any(|kind| kind.eq_ignore_ascii_case(ARROW.as_bytes())) { BodyForm::Arrow } else { BodyForm::Json }
    };
    [form(header::CONTENT_TYPE), form(header::ACCEPT)]
}

/// What a request is called in the log of requests.
const REQUEST_ID: &str = "pleiad-request-id";

/// The length of the JSON in front of the bytes of tensors.
const JSON_LENGTH: &str = "inference-header-content-length";

/// The description of everything here.
const OPENAPI: &str = include_str!("openapi.json");

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
        // The page says nothing of the models: it asks for a token itself, since a browser can send none at first.
        Some(Route::Root) if page::is_wanted(request.headers()) => Ok(None),
        _ => app.settings.access.tokens.who(request.headers()),
    };
    let who = who.map(|token| Asker { token: token.map(str::to_owned), peer });
    let (Parts { headers, .. }, incoming) = request.into_parts();
    let mut body = Unread::new(incoming, &headers);
    let (label, answered) = match (route, who) {
        (_, Err(refusal)) => (route.map_or("unknown", |route| route.label().0), Err(refusal)),
        (None, Ok(_)) => ("unknown", Err(unknown(&path))),
        (Some(route), Ok(who)) => {
            let (label, wanted) = route.label();
            let is_right = method == wanted || (wanted == Method::GET && method == Method::HEAD);
            match is_right {
                true => (label, answer(&app, route, &who, came, &headers, &mut body).await),
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
    let is_read = body.end().await;
    Ok(respond(answered, &path, !is_read, &app))
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

/// `closes` says that the connection is of no use any more.
fn respond(answered: Result<Reply, Refusal>, path: &str, closes: bool, app: &App) -> Response<Full<Bytes>> {
    let (mut json, mut logged_as, mut allow, mut challenge) = (None, None, None, None);
    let (status, body, content, retry, close) = match answered {
        Ok(reply) => {
            (json, logged_as) = (reply.json, reply.logged_as);
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
    if content == page::HTML {
        page::guard(headers);
    }
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
    if let Some(id) = logged_as.and_then(|id| HeaderValue::from_maybe_shared(Bytes::from(id)).ok()) {
        headers.insert(header::HeaderName::from_static(REQUEST_ID), id);
    }
    if let Some(seconds) = retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if close || closes || app.draining.load(Ordering::Relaxed) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer(
    app: &Arc<App>,
    route: Route<'_>,
    who: &Asker,
    came: Instant,
    headers: &HeaderMap,
    body: &mut Unread,
) -> Result<Reply, Refusal> {
    match route {
        Route::Root if page::is_wanted(headers) => Ok(Reply::text(page::text(), page::HTML)),
        Route::Root => Ok(Reply::json(&json!({
            "server": "pleiad", "version": env!("CARGO_PKG_VERSION"), "paths": PATHS,
        }))),
        Route::Live => Ok(Reply::json(&json!({ "live": true }))),
        Route::Ready => ready(app).map(|()| Reply::json(&json!({ "ready": true }))),
        Route::Metrics => Ok(Reply::text(metrics(app), "text/plain; version=0.0.4; charset=utf-8")),
        Route::Slow => Ok(Reply::json(&app.slow.shown())),
        Route::OpenApi => Ok(Reply::text(OPENAPI.to_owned(), JSON)),
        Route::Models => {
            let models: Vec<Value> = app.entries.iter().map(|entry| shown(entry)).collect();
            Ok(Reply::json(&json!({ "models": models })))
        }
        Route::Model(name) => Ok(Reply::json(&shown(find(app, Some(name))?))),
        Route::Sample(name) => {
            let entry = find(app, Some(name))?;
            let served = served(entry, None)?;
            if !app.settings.sample {
                return Err(sample::hidden());
            }
            sample::body(served.model()).map(|body| Reply::json(&body))
        }
        Route::Recent => Ok(Reply::json(&json!(app.metrics.recent.figures()))),
        Route::Rank(name, label) => {
            let of = ranking(app, name, label)?;
            let forms = forms(headers);
            worked(app, of, came, (headers, body), Work::Rank(forms)).await
        }
        Route::Routes => Ok(Reply::json(&app.routes.shown())),
        Route::Reroute(name) => {
            app.routes.named(name)?;
            allowed(app, who, headers)?;
            let body = read(app, came, body).await?;
            reroute(app, name, body, who).await.map(|change| Reply::json(&change))
        }
        Route::Reload(name) | Route::Load(name) => {
            let entry = find(app, Some(name))?;
            allowed(app, who, headers)?;
            reload(app, entry, who).await.map(|change| Reply::json(&changed(entry, &change)))
        }
        Route::Score(name) => {
            let entry = find(app, Some(name))?;
            allowed(app, who, headers)?;
            let body = read(app, came, body).await?;
            weigh(app, entry, &body.bytes, who).await.map(|change| Reply::json(&change))
        }
        Route::Unload(name) => {
            let entry = find(app, Some(name))?;
            allowed(app, who, headers)?;
            unload(app, entry, who).await.map(|()| Reply::json(&json!({ "model": name, "unloaded": true })))
        }
        Route::Server => Ok(v2::server()),
        Route::Metadata(name, version) => {
            let entry = find(app, Some(name))?;
            served(entry, version).map(|served| Reply::json(&v2::metadata(entry, &served)))
        }
        Route::ModelReady(name, version) => {
            served(find(app, Some(name))?, version)?;
            Ok(Reply::json(&json!({ "name": name, "ready": true })))
        }
        Route::Infer(name, version) => {
            let entry = Arc::clone(find(app, Some(name))?);
            let json = json_length(headers)?;
            let served = served(&entry, version)?;
            worked(app, Target::Model(entry, served), came, (headers, body), Work::Infer(json)).await
        }
        Route::Statistics(name, version) => {
            v2::statistics(app, name, version).map(|models| Reply::json(&statistics::in_json(&models)))
        }
        Route::Index => v2::index_of(app, &read(app, came, body).await?.bytes),
        Route::Rollback(name) => {
            let entry = find(app, Some(name))?;
            allowed(app, who, headers)?;
            let change = roll_back(app, entry, who)?;
            Ok(Reply::json(&changed(entry, &change)))
        }
    }
}

/// The body of a request.
async fn read(app: &App, came: Instant, body: &mut Unread) -> Result<Body, Refusal> {
    let until = (came + app.settings.patience).into();
    body.read(app.settings.max_body, until, &app.budget).await
}

/// Lets a worker answer the body of a request.
async fn worked(
    app: &App,
    of: Target,
    came: Instant,
    (headers, body): (&HeaderMap, &mut Unread),
    work: Work,
) -> Result<Reply, Refusal> {
    let deadline = came + deadline(headers, app.settings.timeout)?;
    let body = read(app, came, body).await?;
    let ticket = match (work, &app.request_log) {
        (Work::Rank(_), Some(log)) => log.ticket(),
        _ => None,
    };
    let logged_as = ticket.as_ref().map(|Ticket { id, .. }| id.clone());
    let answer = ask(app, of, body, (came, deadline), work, ticket).await?;
    let content = if matches!(work, Work::Rank([_, BodyForm::Arrow])) { ARROW } else { JSON };
    Ok(Reply { body: answer.body, content, json: answer.json, logged_as })
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
        logs: app.request_log.is_some(),
        batches: app.queue.batches(),
        models: models.collect(),
        routes: &app.routes,
    })
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
            let (_, method) = Route::of(&path.replace("{name}", "x").replace("{version}", "1").replace("{label}", "y"))
                .unwrap()
                .label();
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
