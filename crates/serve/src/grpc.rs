//! The Open Inference Protocol over gRPC, and its health check: single calls over HTTP/2.
//!
//! A message has a head of five bytes, whether it is compressed (none is) and its length; an answer ends with trailers that say how
//! it went. That is all of gRPC that single calls need.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use pleiad_data::nearest;
use prost::Message;
use serde_json::Value;

use crate::app::{App, Flight, LONGEST};
use crate::audit::Asker;
use crate::body;
use crate::frame::{HEAD, framed};
use crate::message::MessageHead;
use crate::models::{allowed, ask, find, ready as all_ready, reload, served, unload};
use crate::proto::health::health_check_response::ServingStatus;
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::proto::inference::model_metadata_response::TensorMetadata;
use crate::proto::inference::repository_index_response::ModelIndex;
use crate::proto::inference::{
    ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ModelStatisticsRequest,
    ModelStatisticsResponse, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveResponse,
    ServerMetadataResponse, ServerReadyResponse,
};
use crate::queue::{Target, Work};
use crate::refusal::Refusal;
use crate::socket::Pace;
use crate::v2;

/// Of requests and of answers.
const CONTENT: &str = "application/grpc";

/// How long a call may take: a number of up to eight digits and a unit.
const TIMEOUT: &str = "grpc-timeout";

/// How it went: a number of gRPC's list, and words.
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// An answer and its trailers.
pub(crate) type Answered = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Health,
    Live,
    Ready,
    ModelReady,
    Server,
    Metadata,
    Infer,
    Statistics,
    Index,
    Load,
    Unload,
}

impl Call {
    const ALL: [(Self, &'static str, &'static str); 11] = [
        (Self::Health, "/grpc.health.v1.Health/Check", "grpc_health"),
        (Self::Live, "/inference.GRPCInferenceService/ServerLive", "grpc_live"),
        (Self::Ready, "/inference.GRPCInferenceService/ServerReady", "grpc_ready"),
        (Self::ModelReady, "/inference.GRPCInferenceService/ModelReady", "grpc_model_ready"),
        (Self::Server, "/inference.GRPCInferenceService/ServerMetadata", "grpc_server"),
        (Self::Metadata, "/inference.GRPCInferenceService/ModelMetadata", "grpc_model"),
        (Self::Infer, "/inference.GRPCInferenceService/ModelInfer", "grpc_infer"),
        (Self::Statistics, "/inference.GRPCInferenceService/ModelStatistics", "grpc_statistics"),
        (Self::Index, "/inference.GRPCInferenceService/RepositoryIndex", "grpc_index"),
        (Self::Load, "/inference.GRPCInferenceService/RepositoryModelLoad", "grpc_load"),
        (Self::Unload, "/inference.GRPCInferenceService/RepositoryModelUnload", "grpc_unload"),
    ];
}

/// Answers a call; what is wrong with it is an answer, too.
pub(crate) async fn handle(
    app: Arc<App>,
    pace: Arc<Pace>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Answered>, Infallible> {
    let came = Instant::now();
    let _flight = Flight::new(&app, &pace);
    let is_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(CONTENT.as_bytes()));
    if !is_grpc || request.method() != Method::POST {
        app.metrics.answered("grpc_unknown", 415, came.elapsed());
        let mut response = Response::new(Full::new(Bytes::new()).with_trailers(ready(None)));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Ok(response);
    }
    let path = request.uri().path();
    let found = Call::ALL.iter().find(|(_, name, _)| *name == path);
    let label = found.map_or("grpc_unknown", |(_, _, label)| label);
    let answered = match found {
        Some((call, _, _)) => answer(&app, *call, peer, came, request).await,
        None => {
            let hint = nearest(path, Call::ALL.iter().map(|(_, name, _)| *name));
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            Err(Refusal::new(501, "no_such_call", format!("there is no call {path}{hint}"), "see docs/serving.md"))
        }
    };
    let status = answered.as_ref().map_or_else(|refusal| refusal.status, |_| 200);
    app.metrics.answered(label, status, came.elapsed());
    Ok(respond(answered))
}

fn respond(answered: Result<Vec<u8>, Refusal>) -> Response<Answered> {
    let mut trailers = HeaderMap::new();
    let body = match answered {
        Ok(body) => {
            trailers.insert(STATUS, HeaderValue::from(0));
            body
        }
        Err(refusal) => {
            trailers.insert(STATUS, HeaderValue::from(status(&refusal)));
            let message = escaped(&format!("{}; {}", refusal.message, refusal.advice));
            if let Ok(message) = HeaderValue::try_from(message) {
                trailers.insert(MESSAGE, message);
            }
            Vec::new()
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)).with_trailers(ready(Some(Ok(trailers)))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    response
}

/// The number in gRPC's list that says what a refusal says.
fn status(refusal: &Refusal) -> u16 {
    match (refusal.status, refusal.code) {
        (_, "deadline") | (408, _) => 4,
        (400 | 422, _) => 3,
        (401, _) => 16,
        (403, _) => 7,
        (404, _) => 5,
        (409, _) => 9,
        (413 | 429, _) => 8,
        (501, _) => 12,
        (503, _) => 14,
        _ => 13,
    }
}

/// A text as trailers have it: all but printable ASCII as `%XX`, at most some thousand bytes.
fn escaped(text: &str) -> String {
    const LONGEST_TEXT: usize = 2000;
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        if escaped.len() >= LONGEST_TEXT {
            break;
        }
    }
    escaped
}

/// The message of a body, behind its head.
fn unframed(body: &[u8]) -> Result<&[u8], Refusal> {
    let broken = |message: String| {
        Refusal::new(400, "malformed_message", message, "send one message of gRPC behind its head of five bytes")
    };
    let Some(([compressed, length @ ..], message)) = body.split_first_chunk::<HEAD>() else {
        return Err(broken(format!("the body has {} bytes", body.len())));
    };
    if *compressed != 0 {
        let message = "the message is compressed";
        return Err(Refusal::new(501, "compressed", message, "send it as it is"));
    }
    let length = u32::from_be_bytes(*length) as usize;
    match length == message.len() {
        true => Ok(message),
        false => Err(broken(format!("a message of {length} bytes has {}", message.len()))),
    }
}

/// How long a call may take.
fn deadline(headers: &HeaderMap, default: Duration) -> Result<Duration, Refusal> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(default) };
    let of = |text: &str| {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let count: u64 = (digits.len() <= 8).then(|| digits.parse().ok())??;
        Some(match unit {
            "H" => Duration::from_secs(count.checked_mul(3600)?),
            "M" => Duration::from_secs(count.checked_mul(60)?),
            "S" => Duration::from_secs(count),
            "m" => Duration::from_millis(count),
            "u" => Duration::from_micros(count),
            "n" => Duration::from_nanos(count),
            _ => return None,
        })
    };
    value.to_str().ok().and_then(of).map(|time| time.min(LONGEST)).ok_or_else(|| {
        let message = format!("the header {TIMEOUT} is {value:?}");
        Refusal::new(400, "bad_header", message, "give a number and a unit, such as 500m for 500 milliseconds")
    })
}

async fn answer(
    app: &Arc<App>,
    call: Call,
    peer: SocketAddr,
    came: Instant,
    request: Request<Incoming>,
) -> Result<Vec<u8>, Refusal> {
    let (head, incoming) = request.into_parts();
    let token = match call {
        Call::Health | Call::Live | Call::Ready => None,
        _ => app.settings.access.tokens.who(&head.headers)?.map(str::to_owned),
    };
    let who = Asker { token, peer };
    let deadline = came + deadline(&head.headers, app.settings.timeout)?;
    let until = (came + app.settings.patience).into();
    let body = body::read(incoming, app.settings.max_body.saturating_add(HEAD), false, until, &app.budget).await?;
    let message = unframed(&body.bytes)?;
    match call {
        Call::Health => {
            // It has one name for all that is served.
            read::<HealthCheckRequest>(message)?;
            let status = if all_ready(app).is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing };
            Ok(framed(&HealthCheckResponse { status: status.into() }))
        }
        Call::Live => Ok(framed(&ServerLiveResponse { live: true })),
        Call::Ready => Ok(framed(&ServerReadyResponse { ready: all_ready(app).is_ok() })),
        Call::Server => Ok(framed(&ServerMetadataResponse {
            name: v2::NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: v2::EXTENSIONS.map(str::to_owned).to_vec(),
        })),
        Call::ModelReady => {
            let asked: ModelReadyRequest = read(message)?;
            let entry = find(app, Some(&asked.name));
            let ready = entry.and_then(|entry| served(entry, version(&asked.version))).is_ok();
            Ok(framed(&ModelReadyResponse { ready }))
        }
        Call::Metadata => {
            let asked: ModelMetadataRequest = read(message)?;
            let entry = find(app, Some(&asked.name))?;
            served(entry, version(&asked.version)).map(|served| framed(&metadata(&v2::metadata(entry, &served))))
        }
        Call::Infer => {
            let asked = MessageHead::of(message)?;
            let entry = Arc::clone(find(app, Some(asked.model))?);
            let served = served(&entry, version(asked.version))?;
            ask(app, Target::Model(entry, served), body, (came, deadline), Work::Message, None)
                .await
                .map(|answer| answer.body)
        }
        Call::Statistics => {
            let asked: ModelStatisticsRequest = read(message)?;
            let model_stats = v2::statistics(app, version(&asked.name), version(&asked.version))?;
            Ok(framed(&ModelStatisticsResponse { model_stats }))
        }
        Call::Index => {
            let asked: RepositoryIndexRequest = read(message)?;
            let models = v2::index(app, asked.ready).into_iter();
            let models = models.map(|v2::Indexed { name, version, state, reason }| ModelIndex {
                name,
                version,
                state: state.to_owned(),
                reason,
            });
            Ok(framed(&RepositoryIndexResponse { models: models.collect() }))
        }
        Call::Load => {
            let asked: RepositoryModelLoadRequest = read(message)?;
            let entry = find(app, Some(&asked.model_name))?;
            allowed(app, &who, &head.headers)?;
            reload(app, entry, &who).await.map(|_| framed(&RepositoryModelLoadResponse {}))
        }
        Call::Unload => {
            let asked: RepositoryModelUnloadRequest = read(message)?;
            let entry = find(app, Some(&asked.model_name))?;
            allowed(app, &who, &head.headers)?;
            unload(app, entry, &who).await.map(|()| framed(&RepositoryModelUnloadResponse {}))
        }
    }
}

/// A text that is not given is empty.
fn version(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn read<M: Message + Default>(message: &[u8]) -> Result<M, Refusal> {
    M::decode(message).map_err(|error| {
        Refusal::new(400, "malformed_message", error.to_string(), "send a message of inference.GRPCInferenceService")
    })
}

/// The metadata of HTTP as a message.
fn metadata(json: &Value) -> ModelMetadataResponse {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    let tensor = |tensor: &Value| TensorMetadata {
        name: text(&tensor["name"]),
        datatype: text(&tensor["datatype"]),
        shape: tensor["shape"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect(),
    };
    ModelMetadataResponse {
        name: text(&json["name"]),
        versions: list("versions").iter().map(text).collect(),
        platform: text(&json["platform"]),
        inputs: list("inputs").iter().map(tensor).collect(),
        outputs: list("outputs").iter().map(tensor).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_whole_message() {
        let frame = framed(&ServerLiveResponse { live: true });
        assert_eq!(frame, [0, 0, 0, 0, 2, 8, 1]);
        assert_eq!(unframed(&frame).unwrap(), [8, 1]);
        let status = |body: &[u8]| unframed(body).map_err(|refusal| status(&refusal)).err();
        assert_eq!(status(&[]), Some(3));
        assert_eq!(status(&frame[..6]), Some(3));
        assert_eq!(status(&[frame.as_slice(), &[0]].concat()), Some(3));
        assert_eq!(status(&[1, 0, 0, 0, 0]), Some(12));
    }

    #[test]
    fn a_timeout_has_a_unit() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(TIMEOUT.parse().unwrap(), HeaderValue::from_static(value))]);
            deadline(&headers, Duration::ZERO).map_err(|refusal| refusal.status)
        };
        assert_eq!(of("50m"), Ok(Duration::from_millis(50)));
        assert_eq!(of("2S"), Ok(Duration::from_secs(2)));
        assert_eq!(of("99999999H"), Ok(LONGEST));
        for bad in ["", "m", "50", "-1m", "1x", "123456789m", "1.5S"] {
            assert_eq!(of(bad), Err(400), "{bad}");
        }
    }

    #[test]
    fn words_are_printable() {
        assert_eq!(escaped("é 50 %\n"), "%C3%A9 50 %25%0A");
        assert!(escaped(&"x".repeat(9999)).len() <= 2000);
    }
}
