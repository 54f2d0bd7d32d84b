//! `pleiad serve`: ranks candidates by saved models, over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use pleiad_serve::{Access, Batching, Control, Error, Log, ModelSpec, RequestLogSettings, Settings, Tokens};
use serde_json::json;

use crate::exit::Failure;
use crate::output::{Format, print};
use crate::{Global, signals, stderr};

/// Rank candidates by saved models, over HTTP
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  pleiad serve run/model
  pleiad serve video=runs/video/model feed=published/feed --http 0.0.0.0:8443 \\
    --tls-cert server.pem --tls-key server.key --token-file tokens

  curl http://127.0.0.1:8080/v1/rank -d '{
      \"request\": {\"user_country\": \"NG\"},
      \"rows\": [{\"id\": \"v1\", \"video_seconds\": 30}, {\"id\": \"v2\", \"video_seconds\": 95}],
      \"top\": 10}'

MODEL is PATH or NAME=PATH: a model's folder, a link to one, or a file whose text is the
path of one. A model that changes there is opened, verified by its golden rows and then
served, without a pause; one that is damaged is refused, and the former is served on.
SIGTERM and SIGINT end the server once it has answered what it has begun (exit code 0).")]
pub(crate) struct Serve {
    /// Models; /v1/rank asks the first, /v1/models/NAME/rank any
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<String>,
    /// Host and port to listen on; port 0 takes a free one
    #[arg(long, visible_alias = "listen", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: String,
    /// Host and port of the Open Inference Protocol over gRPC; without it there is none
    #[arg(long, value_name = "ADDR")]
    grpc: Option<String>,
    /// Certificates in PEM, the server's own first: connections are by TLS
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Access")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Access")]
    tls_key: Option<PathBuf>,
    /// Answer those alone that send `authorization: Bearer TOKEN`, with a token of this file:
    /// a line each, TOKEN or NAME=TOKEN
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    token_file: Option<PathBuf>,
    /// Answer other machines without a token
    #[arg(long, conflicts_with = "token_file", help_heading = "Access")]
    no_token: bool,
    /// Change [rank] of every model, such as rank.score.click=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Routes: names whose requests are split over models and scores, in TOML
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// Look for changed models so often; 0 never
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    watch: Duration,
    /// Let a new version rank so many of the last requests before it is served; 0 none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000), default_value_t = 16)]
    warm: u16,
    /// Who may reload, roll back, unload and change the score
    #[arg(long, value_enum, default_value_t = Who::Loopback)]
    control: Who,
    /// Append each change of a model to this file, a line of JSON: who, what, from, to
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Do not show the rows of the training log that a model keeps as its sample
    #[arg(long)]
    no_sample: bool,
    /// Log requests with what they were answered: Parquet in a folder of each model, which `pleiad train` and
    /// `pleiad replay` read
    #[arg(long, value_name = "DIR", help_heading = "Log of requests")]
    request_log: Option<PathBuf>,
    /// Share of the requests that are logged, each as a whole
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "1", requires = "request_log", help_heading = "Log of requests")]
    log_share: f64,
    /// Complete a file of the log at so many candidates
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 1_000_000, requires = "request_log", help_heading = "Log of requests")]
    log_rows: u64,
    /// Complete a file of the log that is so old
    #[arg(long, value_name = "SECONDS", value_parser = positive, default_value = "300", requires = "request_log", help_heading = "Log of requests")]
    log_age: Duration,
    /// Longest body of a request
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1024), default_value_t = 8, help_heading = "Limits")]
    max_body: u32,
    /// Most candidates of a request
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), default_value_t = 10_000, help_heading = "Limits")]
    max_candidates: u32,
    /// Candidates that may wait for a thread; requests beyond are refused with 429
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value_t = 20_000, help_heading = "Limits")]
    queue: u32,
    /// Let a request wait so long for others, to predict them together; 0 not at all
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
    batch_wait: Duration,
    /// Most candidates that are predicted together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000), default_value_t = Batching::CANDIDATES, requires = "batch_wait")]
    batch_candidates: u32,
    /// Connections at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), default_value_t = 1024, help_heading = "Limits")]
    connections: u32,
    /// Time of a request, where its header pleiad-deadline-ms says nothing
    #[arg(long, value_name = "SECONDS", value_parser = positive, default_value = "10", help_heading = "Limits")]
    timeout: Duration,
    /// Keep requests that take longer, with the time of each stage, for /v1/slow
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0.1")]
    slow: Duration,
    /// Time of a client to send a head or a body, or to read an answer on
    #[arg(long, value_name = "SECONDS", value_parser = positive, default_value = "10", help_heading = "Limits")]
    patience: Duration,
    /// Time that a connection may stay open without a request
    #[arg(long, value_name = "SECONDS", value_parser = positive, default_value = "75", help_heading = "Limits")]
    idle: Duration,
    /// Time to answer what has begun, once the server is to end
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30", help_heading = "Limits")]
    drain: Duration,
}

/// Who may change what is served.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Who {
    /// Programs on this machine
    Loopback,
    /// Whoever can connect
    Anyone,
    /// No client
    Nobody,
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a time is from 0 to 86400 seconds".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share is above 0 and at most 1".to_owned()),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        time if time >= Duration::from_millis(1) => Ok(time),
        _ => Err("this time is from 0.001 to 86400 seconds".to_owned()),
    }
}

impl Serve {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let interrupt = signals::interrupt()?;
        let models = self.models.iter().map(|given| ModelSpec::parse(given)).collect::<Result<Vec<_>, _>>()?;
        let settings = Settings {
            listen: self.http,
            grpc: self.grpc,
            access: Access {
                tls: self.tls_cert.zip(self.tls_key),
                tokens: self.token_file.as_deref().map(Tokens::read).transpose()?.unwrap_or_default(),
                open: self.no_token,
            },
            workers: rayon::current_num_threads(),
            max_body: (self.max_body as usize) << 20,
            max_candidates: self.max_candidates as usize,
            queue: self.queue as usize,
            batching: (!self.batch_wait.is_zero())
                .then_some(Batching { wait: self.batch_wait, candidates: self.batch_candidates as usize }),
            connections: self.connections as usize,
            timeout: self.timeout,
            slow: self.slow,
            routes: self.routes,
            audit: self.audit,
            sample: !self.no_sample,
            patience: self.patience,
            idle: self.idle,
            drain: self.drain,
            request_log: self.request_log.map(|folder| RequestLogSettings {
                folder,
                share: self.log_share,
                rows: self.log_rows,
                age: self.log_age,
            }),
            warm: self.warm.into(),
            watch: (!self.watch.is_zero()).then_some(self.watch),
            control: match self.control {
                Who::Loopback => Control::Loopback,
                Who::Anyone => Control::Anyone,
                Who::Nobody => Control::Nobody,
            },
        };
        pleiad_serve::run(settings, models, &self.set, &interrupt, Arc::new(Says { format: global.format }))?;
        Ok(())
    }
}

/// The address on standard output, the rest on standard error.
struct Says {
    format: Format,
}

impl Log for Says {
    fn listening(&self, scheme: &str, address: SocketAddr) {
        let address = format!("{scheme}://{address}");
        let written = match self.format {
            Format::Text => print(&format!("listening on {address}")),
            Format::Json => print(&json!({ "listening": address }).to_string()),
        };
        // Who closed standard output does not want to know.
        let _ = written;
    }

    fn note(&self, text: &str) {
        stderr::note(text);
    }

    fn warn(&self, text: &str) {
        stderr::warning(text);
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Model { source, .. } => (*source).into(),
            Error::Name { .. }
            | Error::Pointer { .. }
            | Error::Tls { .. }
            | Error::Tokens { .. }
            | Error::Routes { .. }
            | Error::Audit { .. }
            | Error::Exposed { .. } => Self::usage(error.to_string()),
            other => Self::run(other.to_string()),
        }
    }
}
