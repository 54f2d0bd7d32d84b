//! [`Settings`]: how a server listens, and what it refuses.

use std::path::PathBuf;
use std::time::Duration;

use crate::request_log::RequestLogSettings;
use crate::tokens::Tokens;

/// How a server listens, and what it refuses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host and port; port 0 takes a free one.
    pub listen: String,
    /// Host and port of gRPC; without them there is none.
    pub grpc: Option<String>,
    /// Certificates and tokens.
    pub access: Access,
    /// Requests that are ranked at the same time, each by a thread.
    pub workers: usize,
    /// Longest body, in bytes.
    pub max_body: usize,
    /// Most candidates of a request.
    pub max_candidates: usize,
    /// Candidates that may wait.
    pub queue: usize,
    /// Which requests are predicted together; `None` none.
    pub batching: Option<Batching>,
    /// Connections at the same time; more wait to be accepted.
    pub connections: usize,
    /// How long a request may take from its head on, if it does not say itself.
    pub timeout: Duration,
    /// Requests that take longer are kept for `/v1/slow`.
    pub slow: Duration,
    /// How long a client may take for a head or a body, and how long it may leave an answer unread.
    pub patience: Duration,
    /// How long a connection may be open without a request.
    pub idle: Duration,
    /// How long requests are waited for when the server is to end.
    pub drain: Duration,
    /// How often the folders of models are looked at; `None` never.
    pub watch: Option<Duration>,
    /// Recorded requests of a model at the most, which a new version ranks before it is served.
    pub warm: usize,
    /// A file of routes; without one there are none.
    pub routes: Option<PathBuf>,
    /// A file to which changes of models are appended, a line of JSON each.
    pub audit: Option<PathBuf>,
    /// Where requests are logged; `None` nowhere.
    pub request_log: Option<RequestLogSettings>,
    /// Whether `/v1/models/NAME/sample` shows rows of the training log.
    pub sample: bool,
    /// Who may reload and roll back.
    pub control: Control,
}

/// Requests that wait for others, to be predicted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// How long a request waits; half of the time that it has at the most.
    pub wait: Duration,
    /// Most candidates of all of them.
    pub candidates: usize,
}

impl Batching {
    /// Most candidates where nothing is said.
    pub const CANDIDATES: u32 = 512;
}

/// How requests come and who may ask.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The certificate chain and its private key, as PEM files; without them connections are not encrypted.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Tokens; without any everybody who can connect may ask.
    pub tokens: Tokens,
    /// Whether other machines may ask without a token.
    pub open: bool,
}

/// Who may reload and roll back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Programs on this machine.
    Loopback,
    /// Whoever can connect.
    Anyone,
    /// Nobody.
    Nobody,
}

impl Settings {
    /// Memory that the bodies of all requests may take together.
    pub(crate) fn bodies(&self) -> usize {
        (256 << 20).max(self.max_body.saturating_mul(4))
    }

    /// Memory that bodies which wait for shadows may take together.
    pub(crate) fn shadow_bodies(&self) -> usize {
        self.bodies() / 8
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            grpc: None,
            access: Access::default(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            max_body: 8 << 20,
            max_candidates: 10_000,
            queue: 20_000,
            batching: None,
            connections: 1024,
            timeout: Duration::from_secs(10),
            slow: Duration::from_millis(100),
            patience: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(30),
            watch: Some(Duration::from_secs(1)),
            warm: 16,
            routes: None,
            audit: None,
            request_log: None,
            sample: true,
            control: Control::Loopback,
        }
    }
}
