//! A ranking server over saved models.
//!
//! [`run`] listens, loads and verifies models ([`ModelSpec`]), ranks what comes and ends in order. [`Served`] is one model that
//! answers one body, for programs that have no need of HTTP. What stands in which file:
//!
//! ```text
//! server    from the first connection to the last answer   queue     what waits for the workers (estimate)
//! worker    from the queue to an answer (together)         ranking   a rank request on its way (encoded)
//! socket    time limits of a connection                    registry  models: opened, replaced, put back (shown)
//! body      bodies into memory, within limits              served    a body into an answer
//! http      answers at addresses (route)                   request   JSON into cells (value)
//! columns   what a model reads                             cells     cells into Arrow columns
//! infer     the Open Inference Protocol (tensor)           v2        its addresses
//! refusal   why there is no answer, as JSON                metrics   what /metrics says
//! explain   why a candidate stands where it does          recent    the last minute in figures
//! page      the page at / (page/)                         sample    a body to try a model with
//! load      what answers cost (in_process, drawn)         settings  how to listen, and what to refuse
//! tls       certificates and their key                     tokens    who may ask
//! models    found, asked and changed by requests           statistics what the protocol counts
//! slow      the last requests that took long              audit     who changed what is served
//! weights   of the score, changed meanwhile (weighted)     answer    what is asked for and answered
//! app       what connections share                         stages    how long the parts of a request took
//! log       what a server says beside its answers          names     of models and clients
//! arrow_body candidates as Arrow IPC, in and out
//! request_log requests and answers as Parquet (request_log/)
//! grpc      the protocol over HTTP/2 (proto)               message   its inference (frame)
//! routes    requests split over models and scores          shadow    rankings beside the answers (steps)
//! warm      requests that a new version ranks first
//! drift     predictions of late beside those of training   helpers   threads for a request while few ask
//! ```
//!
//! Threads of `tokio` move bytes and never compute: a request is parsed, encoded, predicted and ordered by one worker; its
//! prediction is shared with `helpers` while most workers have no request.

#![forbid(unsafe_code)]

mod answer;
mod app;
mod arrow_body;
mod audit;
mod body;
mod cells;
mod columns;
mod drawn;
mod drift;
mod encoded;
mod error;
mod estimate;
mod explain;
mod frame;
mod grpc;
mod helpers;
mod http;
mod in_process;
mod infer;
mod load;
mod log;
mod message;
mod metrics;
mod models;
mod names;
mod page;
mod proto;
mod queue;
mod ranking;
mod recent;
mod refusal;
mod registry;
mod request;
mod request_log;
mod route;
mod routes;
mod sample;
mod served;
mod server;
mod settings;
mod shadow;
mod shown;
mod slow;
mod socket;
mod stages;
mod statistics;
mod steps;
mod tensor;
mod tls;
mod together;
mod tokens;
mod v2;
mod value;
mod warm;
mod weighted;
mod weights;
mod worker;

pub use columns::Columns;
pub use drawn::Candidates;
pub use error::{Error, FilePlace, Result};
pub use in_process::{StageFigures, measure_in_process};
pub use infer::Inferred;
pub use load::{LoadFigures, LoadOptions, measure};
pub use log::Log;
pub use refusal::{Grounds, Place, Refusal};
pub use registry::ModelSpec;
pub use request::RankRequest;
pub use request_log::RequestLogSettings;
pub use routes::{check_route, check_routes};
pub use served::{BodyForm, Served};
pub use server::run;
pub use settings::{Access, Batching, Control, Settings};
pub use stages::{Stage, Stages};
pub use tokens::Tokens;
