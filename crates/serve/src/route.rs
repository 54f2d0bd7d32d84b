//! [`Route`]: what an address asks for.

use hyper::Method;

/// What an address asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Root,
    Live,
    Ready,
    Metrics,
    OpenApi,
    Slow,
    Models,
    Model(&'p str),
    Sample(&'p str),
    Recent,
    /// By the first model, or by a model, a route, or an arm of a route.
    Rank(Option<&'p str>, Option<&'p str>),
    Routes,
    Reroute(&'p str),
    Reload(&'p str),
    Rollback(&'p str),
    Score(&'p str),
    /// Of the Open Inference Protocol.
    Server,
    Metadata(&'p str, Option<&'p str>),
    ModelReady(&'p str, Option<&'p str>),
    Infer(&'p str, Option<&'p str>),
    /// Of a model, and of a version of it.
    Statistics(Option<&'p str>, Option<&'p str>),
    Index,
    Load(&'p str),
    Unload(&'p str),
}

/// The addresses as they are written for people.
pub(crate) const PATHS: [&str; 32] = [
    "/v1/rank",
    "/v1/models",
    "/v1/models/{name}",
    "/v1/models/{name}/rank",
    "/v1/models/{name}/labels/{label}/rank",
    "/v1/models/{name}/sample",
    "/v1/models/{name}/reload",
    "/v1/models/{name}/rollback",
    "/v1/models/{name}/score",
    "/v1/routes",
    "/v1/routes/{name}",
    "/v1/health/live",
    "/v1/health/ready",
    "/v1/openapi.json",
    "/v1/recent",
    "/v1/slow",
    "/metrics",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/{name}",
    "/v2/models/{name}/ready",
    "/v2/models/{name}/infer",
    "/v2/models/{name}/stats",
    "/v2/models/{name}/versions/{version}",
    "/v2/models/{name}/versions/{version}/ready",
    "/v2/models/{name}/versions/{version}/infer",
    "/v2/models/{name}/versions/{version}/stats",
    "/v2/models/stats",
    "/v2/repository/index",
    "/v2/repository/models/{name}/load",
    "/v2/repository/models/{name}/unload",
];

impl<'p> Route<'p> {
    pub(crate) fn of(path: &'p str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match parts.as_slice() {
            [""] => Self::Root,
            ["v1" | "v2", "health", "live"] => Self::Live,
            ["v1" | "v2", "health", "ready"] => Self::Ready,
            ["metrics"] => Self::Metrics,
            ["v1", "openapi.json"] => Self::OpenApi,
            ["v1", "slow"] => Self::Slow,
            ["v1", "models"] => Self::Models,
            ["v1", "models", name] => Self::Model(name),
            ["v1", "models", name, "sample"] => Self::Sample(name),
            ["v1", "recent"] => Self::Recent,
            ["v1", "rank"] => Self::Rank(None, None),
            ["v1", "models", name, "rank"] => Self::Rank(Some(name), None),
            ["v1", "models", name, "labels", label, "rank"] => Self::Rank(Some(name), Some(label)),
            ["v1", "routes"] => Self::Routes,
            ["v1", "routes", name] => Self::Reroute(name),
            ["v1", "models", name, "reload"] => Self::Reload(name),
            ["v1", "models", name, "rollback"] => Self::Rollback(name),
            ["v1", "models", name, "score"] => Self::Score(name),
            ["v2"] => Self::Server,
            ["v2", "models", "stats"] => Self::Statistics(None, None),
            ["v2", "models", name, rest @ ..] => {
                let (version, rest) = match rest {
                    ["versions", version, rest @ ..] => (Some(*version), rest),
                    rest => (None, rest),
                };
                match rest {
                    [] => Self::Metadata(name, version),
                    ["ready"] => Self::ModelReady(name, version),
                    ["infer"] => Self::Infer(name, version),
                    ["stats"] => Self::Statistics(Some(name), version),
                    _ => return None,
                }
            }
            ["v2", "repository", "index"] => Self::Index,
            ["v2", "repository", "models", name, "load"] => Self::Load(name),
            ["v2", "repository", "models", name, "unload"] => Self::Unload(name),
            _ => return None,
        })
    }

    /// Its name in metrics, and its method.
    pub(crate) fn label(self) -> (&'static str, Method) {
        match self {
            Self::Root => ("root", Method::GET),
            Self::Live => ("live", Method::GET),
            Self::Ready => ("ready", Method::GET),
            Self::Metrics => ("metrics", Method::GET),
            Self::OpenApi => ("openapi", Method::GET),
            Self::Slow => ("slow", Method::GET),
            Self::Models => ("models", Method::GET),
            Self::Model(_) => ("model", Method::GET),
            Self::Sample(_) => ("sample", Method::GET),
            Self::Recent => ("recent", Method::GET),
            Self::Rank(..) => ("rank", Method::POST),
            Self::Routes => ("routes", Method::GET),
            Self::Reroute(_) => ("reroute", Method::POST),
            Self::Reload(_) => ("reload", Method::POST),
            Self::Rollback(_) => ("rollback", Method::POST),
            Self::Score(_) => ("score", Method::POST),
            Self::Server => ("server", Method::GET),
            Self::Metadata(..) => ("metadata", Method::GET),
            Self::ModelReady(..) => ("model_ready", Method::GET),
            Self::Infer(..) => ("infer", Method::POST),
            Self::Statistics(..) => ("statistics", Method::GET),
            Self::Index => ("index", Method::POST),
            Self::Load(_) => ("load", Method::POST),
            Self::Unload(_) => ("unload", Method::POST),
        }
    }
}
