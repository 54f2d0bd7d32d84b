//! [`measure`]: what the server's answers cost their clients, by an open loop.
//!
//! Requests come at the times of a Poisson process, whether earlier ones are answered or not, and each latency counts from the
//! time at which its request was to come: who waits behind a slow answer is counted as waiting. Server and clients run in one
//! process and share its processors, as they do on a small machine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pleiad_data::EncodedStream;
use pleiad_data::read::{Cell, Column};
use pleiad_rank::{Interrupt, Model, Source};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::app::ARROW;
use crate::columns::Columns;
use crate::drawn::{Candidates, body};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::registry::ModelSpec;
use crate::served::BodyForm;
use crate::server::run;
use crate::settings::{Batching, Settings};

/// Rows of the file that candidates are drawn from.
const ROWS: usize = 50_000;

/// Different bodies of each list length.
const BODIES: usize = 64;

/// Connections: so many requests may be on their way.
const CONNECTIONS: usize = 48;

/// Seed of bodies and of times.
const SEED: u64 = 1;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The model.
    pub model: ModelSpec,
    /// Rows that candidates are drawn from.
    pub data: Source,
    /// Columns that all candidates of a request share.
    pub shared: Vec<String>,
    /// How they are written.
    pub form: Candidates,
    /// Candidates of a request.
    pub lists: Vec<usize>,
    /// Loads, as shares of the one that saturates.
    pub loads: Vec<f64>,
    /// Which requests are predicted together.
    pub batching: Option<Batching>,
    /// How long each point is measured.
    pub time: Duration,
    /// Requests that are ranked at the same time.
    pub workers: usize,
}

/// One point: a list length under a load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadFigures {
    /// Candidates of a request.
    pub candidates: usize,
    /// The load as a share of the one that saturates; `None` of that one, where each client sends when it is answered.
    pub load: Option<f64>,
    /// Requests that were answered in a second.
    pub per_second: f64,
    /// Requests that were answered.
    pub requests: usize,
    /// Requests that were not answered with a ranking.
    pub failed: usize,
    /// Latencies in milliseconds: median, and those that 1 % and 0.1 % of the requests exceed.
    pub p50: f64,
    /// See `p50`.
    pub p99: f64,
    /// See `p50`.
    pub p999: f64,
}

/// Serves the model, and measures each list length: what saturates the server, then each load.
///
/// # Errors
/// Those of [`run`], and [`Error::Load`] where rows or connections fail. A raised `interrupt` ends it with the points that are whole.
pub fn measure(
    options: &LoadOptions,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(&LoadFigures),
) -> Result<Vec<LoadFigures>> {
    let (_, bodies) = bodies(options)?;
    let of_list = |bodies: Vec<Vec<u8>>| bodies.into_iter().map(|body| request(&body, options.form.form())).collect();
    let bodies: Vec<Vec<Vec<u8>>> = bodies.into_iter().map(of_list).collect();
    let (send, started) = channel();
    let end = Interrupt::default();
    let settings = Settings {
        listen: "127.0.0.1:0".to_owned(),
        workers: options.workers,
        max_candidates: options.lists.iter().copied().max().unwrap_or(1).max(1),
        max_body: 1 << 30,
        queue: usize::MAX,
        batching: options.batching,
        watch: None,
        timeout: Duration::from_secs(3600),
        ..Settings::default()
    };
    let spec = options.model.clone();
    let ending = end.clone();
    let server = std::thread::spawn(move || run(settings, vec![spec], &[], &ending, Arc::new(Started::new(send))));
    let measured = (|| {
        let Some(address) = ready(&started) else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for (&list, bodies) in options.lists.iter().zip(&bodies) {
            let full = point(address, list, bodies, None, options, f64::INFINITY, interrupt)?;
            if interrupt.raised().is_some() {
                return Ok(all);
            }
            tell(&full);
            let most = full.per_second;
            all.push(full);
            for &load in &options.loads {
                let figures = point(address, list, bodies, Some(load), options, most * load, interrupt)?;
                if interrupt.raised().is_some() {
                    return Ok(all);
                }
                tell(&figures);
                all.push(figures);
            }
        }
        Ok(all)
    })();
    end.flag().store(1, Ordering::Relaxed);
    match server.join() {
        Ok(ended) => ended.and(measured),
        Err(_) => Err(Error::Load { reason: "the server ended by a mistake of its own".to_owned() }),
    }
}

/// The model, and of each list length the bodies of requests.
pub(crate) fn bodies(options: &LoadOptions) -> Result<(Model, Vec<Vec<Vec<u8>>>)> {
    let failed = |source| Error::Model { name: options.model.name.clone(), source: Box::new(source) };
    let model = Model::open(&options.model.path).map_err(failed)?;
    let rows = rows(&model, &options.data).map_err(failed)?;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = |list| (0..list).map(|_| rows[rng.random_range(0..rows.len())].clone()).collect();
    let mut of_list = |&list: &usize| (0..BODIES).map(|_| body(drawn(list), &options.shared, options.form)).collect();
    let bodies = options.lists.iter().map(&mut of_list).collect::<Result<_>>()?;
    Ok((model, bodies))
}

/// Hands the address on, and that the model is there.
struct Started {
    send: Mutex<Sender<Option<SocketAddr>>>,
}

impl Started {
    fn new(send: Sender<Option<SocketAddr>>) -> Self {
        Self { send: Mutex::new(send) }
    }

    fn say(&self, what: Option<SocketAddr>) {
        let _ = self.send.lock().unwrap_or_else(PoisonError::into_inner).send(what);
    }
}

impl Log for Started {
    fn listening(&self, _: &str, address: SocketAddr) {
        self.say(Some(address));
    }
    fn note(&self, _: &str) {
        self.say(None);
    }
    fn warn(&self, _: &str) {}
}

/// The address once the model is served; `None` where the server ends before.
fn ready(started: &Receiver<Option<SocketAddr>>) -> Option<SocketAddr> {
    let address = started.recv().ok()??;
    started.recv().ok().map(|_| address)
}

/// The first rows of a source by the columns of the model.
fn rows(model: &Model, data: &Source) -> pleiad_rank::Result<Vec<Map<String, Value>>> {
    let names = Columns::new(model.encoder().schema()).names;
    let mut wanted = data.options(model.encoder())?;
    wanted.extras.clone_from(&names);
    let mut stream = EncodedStream::open(model.encoder(), &wanted)?;
    let mut rows = Vec::new();
    for encoded in stream.by_ref() {
        let encoded = encoded?;
        for row in 0..encoded.batch.rows {
            let fields = names.iter().zip(&encoded.extras).map(|(name, column)| (name.clone(), json(column, row)));
            rows.push(fields.collect());
        }
        if rows.len() >= ROWS {
            break;
        }
    }
    match rows.is_empty() {
        true => Err(pleiad_rank::Read::no_rows(data, stream.skipped())),
        false => Ok(rows),
    }
}

fn json(column: &Column, row: usize) -> Value {
    match (column, column.cell(row)) {
        (Column::List(list), Cell::List) => list.range(row).map(|at| json(list.values(), at)).collect(),
        (_, Cell::Missing | Cell::List) => Value::Null,
        (_, Cell::Text(text)) => json!(text),
        (_, Cell::Int(value)) => json!(value),
        (_, Cell::UInt(value)) => json!(value),
        (_, Cell::Float(value)) => json!(value),
        (_, Cell::Bool(value)) => json!(value),
        (_, cell @ (Cell::Decimal(_) | Cell::Time(_))) => json!(cell.to_string()),
    }
}

/// The bytes of a request with this body.
fn request(body: &[u8], form: BodyForm) -> Vec<u8> {
    let content = match form {
        BodyForm::Json => String::new(),
        BodyForm::Arrow => format!("content-type: {ARROW}\r\naccept: {ARROW}\r\n"),
    };
    let length = body.len();
    let head = format!("POST /v1/rank HTTP/1.1\r\nhost: x\r\n{content}content-length: {length}\r\n\r\n");
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    request
}

/// Measures one point; an infinite `rate` sends as soon as it is answered.
fn point(
    address: SocketAddr,
    candidates: usize,
    bodies: &[Vec<u8>],
    load: Option<f64>,
    options: &LoadOptions,
    rate: f64,
    interrupt: &Interrupt,
) -> Result<LoadFigures> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + 1);
    let mut times = Vec::new();
    let mut at = 0.0;
    while rate.is_finite() && at < options.time.as_secs_f64() {
        at -= (1.0 - rng.random::<f64>()).ln() / rate;
        times.push(Duration::from_secs_f64(at));
    }
    let connections = if rate.is_finite() { CONNECTIONS } else { 2 * options.workers };
    let next = AtomicUsize::new(0);
    let begin = Instant::now();
    let client = || -> io::Result<(Vec<f64>, usize)> {
        let mut connection = BufReader::new(TcpStream::connect(address)?);
        connection.get_ref().set_nodelay(true)?;
        let (mut latencies, mut failed) = (Vec::new(), 0);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if interrupt.raised().is_some() {
                return Ok((latencies, failed));
            }
            let due = match times.get(number) {
                Some(&due) => begin + due,
                None if rate.is_finite() || begin.elapsed() >= options.time => return Ok((latencies, failed)),
                None => Instant::now(),
            };
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.get_mut().write_all(&bodies[number % bodies.len()])?;
            match answer(&mut connection)? {
                200 => latencies.push(due.elapsed().as_secs_f64() * 1e3),
                _ => failed += 1,
            }
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join()).collect()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for result in results {
        let reason = match result {
            Ok(Ok((own, own_failed))) => {
                latencies.extend(own);
                failed += own_failed;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a client ended by a mistake of its own".to_owned(),
        };
        return Err(Error::Load { reason });
    }
    latencies.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let last = latencies.len().saturating_sub(1);
        latencies.get(((latencies.len() as f64 * share) as usize).min(last)).copied().unwrap_or(f64::NAN)
    };
    Ok(LoadFigures {
        candidates,
        load,
        per_second: latencies.len() as f64 / seconds,
        requests: latencies.len(),
        failed,
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
    })
}

/// Reads an answer to its end, and gives its status.
fn answer(connection: &mut BufReader<TcpStream>) -> io::Result<u16> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the server's answer is cut off");
    let (mut line, mut length, mut status) = (String::new(), 0, None);
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(damaged());
        }
        match status {
            None => status = Some(line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(damaged)?),
            Some(status) if line.trim_end().is_empty() => {
                io::copy(&mut connection.by_ref().take(length), &mut io::sink())?;
                return Ok(status);
            }
            Some(_) => {
                let value = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
                length = value.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(length);
            }
        }
    }
}
