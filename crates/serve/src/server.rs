//! [`run`]: a server from its first connection to its last answer.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pleiad_rank::Interrupt;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::audit::{Audit, ModelChange};
use crate::body::Budget;
use crate::error::{Error, Result};
use crate::grpc;
use crate::helpers::Helpers;
use crate::http::handle;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::registry::{Change, Entry, ModelSpec};
use crate::request_log::RequestLog;
use crate::routes::{Routes, RoutesFile};
use crate::settings::Settings;
use crate::slow::Slow;
use crate::socket::{Pace, Reads, Socket};
use crate::tls;
use crate::warm::WarmUp;
use crate::worker::{self, Workers};

/// How often signals and the end of loading are looked for.
const TICK: Duration = Duration::from_millis(20);

/// Once no request is being answered and nothing is written for so long, open connections are taken to be idle.
const QUIET: Duration = Duration::from_millis(500);

/// For so long after the signal open connections are kept, and each answer says that it is the last one: whoever is about to send a
/// request on one finds it open.
const LAST_CALL: Duration = Duration::from_millis(300);

/// The longest head of a request.
const HEAD_BYTES: usize = 64 << 10;

/// The log of requests has so long to complete its files, however short --drain is.
const LEAST_TO_WRITE: Duration = Duration::from_secs(5);

/// Calls of gRPC at the same time on one connection.
const CALLS: u32 = 128;

/// Serves models until `interrupt` is raised, then answers what it has begun and ends. `sets` are changes of every model's
/// `[rank]`, such as `rank.score.click=2`.
///
/// # Errors
/// [`Error::Listen`], [`Error::Model`] for a model that cannot be used from the start, and [`Error::Cut`].
pub fn run(
    settings: Settings,
    models: Vec<ModelSpec>,
    sets: &[String],
    interrupt: &Interrupt,
    log: Arc<dyn Log>,
) -> Result<()> {
    let mut names = BTreeSet::new();
    if let Some(twice) = models.iter().find(|model| !names.insert(model.name.clone())) {
        let reason = format!("there is another one named {:?}; give NAME=PATH", twice.name);
        return Err(Error::Name { given: twice.path.display().to_string(), reason });
    }
    let files = settings.access.tls.as_ref();
    let tls = |protocol: &[u8]| files.map(|(cert, key)| tls::acceptor(cert, key, protocol)).transpose();
    let mut wanted = vec![(Speech::Http, settings.listen.clone(), tls(b"http/1.1")?)];
    if let Some(grpc) = &settings.grpc {
        wanted.push((Speech::Grpc, grpc.clone(), tls(b"h2")?));
    }
    let audit = Audit::open(settings.audit.as_deref())?;
    let request_log = settings.request_log.clone();
    let request_log = request_log.map(|settings| RequestLog::start(settings, Arc::clone(&log))).transpose()?;
    let workers = settings.workers.max(1);
    let metrics = Arc::new(Metrics::new());
    let queue = Arc::new(Queue::new(settings.queue, workers, settings.batching));
    let slow = Arc::new(Slow::new(settings.slow));
    let entry = |model| Arc::new(Entry::new(model, sets, settings.warm));
    let entries: Vec<Arc<Entry>> = models.into_iter().map(entry).collect();
    let names: Vec<&str> = entries.iter().map(|entry| entry.spec.name.as_str()).collect();
    let file = settings.routes.as_deref().map(|path| RoutesFile::read(path, &names)).transpose()?;
    let routes = Arc::new(Routes::new(file, &entries)?);
    let pools = worker::start(Workers {
        queue: Arc::clone(&queue),
        metrics: Arc::clone(&metrics),
        slow: Arc::clone(&slow),
        shadows: Budget::new(settings.shadow_bodies()),
        helpers: Helpers::start(workers)?,
    })?;
    let app = Arc::new(App {
        entries,
        routes,
        queue,
        metrics,
        slow,
        audit,
        request_log,
        budget: Budget::new(settings.bodies()),
        draining: AtomicBool::new(false),
        in_flight: AtomicUsize::new(0),
        written: Arc::new(AtomicU64::new(0)),
        log,
        settings,
    });
    let failed = |error: std::io::Error| Error::Start { what: "threads for connections", reason: error.to_string() };
    let threads = (workers / 4).clamp(1, 4);
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads).thread_name("pleiad-io").enable_io().enable_time().build();
    let runtime = runtime.map_err(failed)?;
    let served = runtime.block_on(serve(&app, wanted, interrupt));
    app.queue.close();
    runtime.shutdown_background();
    drop(pools);
    end_log(&app);
    served
}

/// Lets the log of requests complete its files.
fn end_log(app: &App) {
    let Some(log) = &app.request_log else { return };
    // A disk that hangs must not keep the server for ever.
    if !log.end(app.settings.drain.max(LEAST_TO_WRITE)) {
        app.log.warn("the log of requests was not completed in the time of --drain; its open files are lost");
    }
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http,
    Grpc,
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    speech: Speech,
    tls: Option<TlsAcceptor>,
}

impl Door {
    async fn open(app: &App, speech: Speech, address: String, tls: Option<TlsAcceptor>) -> Result<Self> {
        let failed = |source| Error::Listen { address: address.clone(), source };
        let listener = TcpListener::bind(&address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        check_access(app, bound)?;
        Ok(Self { listener, speech, tls })
    }

    fn say(&self, log: &dyn Log) {
        let scheme = match (self.speech, self.tls.is_some()) {
            (Speech::Http, false) => "http",
            (Speech::Http, true) => "https",
            (Speech::Grpc, false) => "grpc",
            (Speech::Grpc, true) => "grpcs",
        };
        if let Ok(bound) = self.listener.local_addr() {
            log.listening(scheme, bound);
        }
    }
}

async fn serve(
    app: &Arc<App>,
    wanted: Vec<(Speech, String, Option<TlsAcceptor>)>,
    interrupt: &Interrupt,
) -> Result<()> {
    app.entries.iter().try_for_each(|entry| entry.check_path())?;
    let mut doors = Vec::new();
    for (speech, address, tls) in wanted {
        doors.push(Door::open(app, speech, address, tls).await?);
    }
    doors.iter().for_each(|door| door.say(&*app.log));
    let (drain, drained) = watch::channel(false);
    let (refuse, refused) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let places = Arc::new(Semaphore::new(app.settings.connections.max(1)));
    let accept = |door| {
        let (app, places, open) = (Arc::clone(app), Arc::clone(&places), Arc::clone(&open));
        tokio::spawn(accept(app, door, places, refused.clone(), drained.clone(), open))
    };
    let accepting: Vec<_> = doors.into_iter().map(accept).collect();
    let loader = Arc::clone(app);
    let mut loading = Some(tokio::task::spawn_blocking(move || load(&loader)));
    let watching = Arc::new(AtomicBool::new(true));
    while interrupt.raised().is_none() {
        if let Some(loaded) = loading.take_if(|loading| loading.is_finished()) {
            match loaded.await {
                Ok(loaded) => loaded?,
                Err(error) => return Err(Error::Start { what: "loading", reason: error.to_string() }),
            }
            watch_models(app, &watching)?;
        }
        sleep(TICK).await;
    }
    watching.store(false, Ordering::Relaxed);
    app.draining.store(true, Ordering::Relaxed);
    app.log.note("draining: requests that have begun are answered, no new connection is taken");
    let _ = refuse.send(true);
    for accepting in accepting {
        let _ = accepting.await;
    }
    let begin = Instant::now();
    while open.load(Ordering::Relaxed) > 0 && begin.elapsed() < LAST_CALL {
        sleep(TICK / 4).await;
    }
    let _ = drain.send(true);
    drain_all(app, &open).await
}

/// Refuses to answer other machines without a token, unless that is wanted.
fn check_access(app: &App, bound: SocketAddr) -> Result<()> {
    let access = &app.settings.access;
    if bound.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if access.tokens.is_empty() && !access.open {
        return Err(Error::Exposed { address: bound.to_string() });
    }
    if access.tls.is_none() && !access.tokens.is_empty() {
        app.log.warn(&format!(
            "tokens come to {bound} in readable form; give --tls-cert and --tls-key, or let a proxy in front have TLS"
        ));
    }
    Ok(())
}

/// Opens every model. One that cannot be used from the start ends the server.
fn load(app: &App) -> Result<()> {
    for entry in &app.entries {
        let change = entry.load()?;
        let (name, version, time) = (&entry.spec.name, &change.version, change.milliseconds);
        app.log.note(&format!("model {name:?}: version {version} is served; opened and verified in {time} ms"));
    }
    app.routes.check_scores()
}

/// Says that another version is served, and what it refuses of what was answered before.
pub(crate) fn say_served(app: &App, entry: &Entry, change: &Change) {
    let (name, version) = (&entry.spec.name, &change.version);
    app.log.note(&format!("model {name:?}: version {version} is served"));
    if let WarmUp { ranked, refused, refusal: Some(refusal) } = &change.warmed {
        app.log.warn(&format!(
            "model {name:?}: version {version} refuses {refused} of the last {} recorded requests, which versions before it \
             answered: {refusal}; POST /v1/models/{name}/rollback takes the version before",
            ranked + refused
        ));
    }
}

/// Looks at the folders of models until told to end.
fn watch_models(app: &Arc<App>, watching: &Arc<AtomicBool>) -> Result<()> {
    let Some(every) = app.settings.watch else { return Ok(()) };
    let (app, watching) = (Arc::clone(app), Arc::clone(watching));
    let look = move || {
        let mut before = vec![None; app.entries.len()];
        loop {
            let mut slept = Duration::ZERO;
            while slept < every {
                let part = TICK.min(every - slept);
                std::thread::sleep(part);
                slept += part;
                if !watching.load(Ordering::Relaxed) {
                    return;
                }
            }
            for (entry, before) in app.entries.iter().zip(&mut before) {
                let from = entry.current().map(|served| served.version().to_owned());
                match entry.load_if_changed(before) {
                    None => {}
                    Some(Ok(change)) if !change.changed => {}
                    Some(Ok(change)) => {
                        say_served(&app, entry, &change);
                        let (model, to) = (&entry.spec.name, json!(change.version));
                        let change = ModelChange { model, what: "reload", from: json!(from), to };
                        app.audit.write(None, change, &*app.log);
                    }
                    Some(Err(error)) => app.log.warn(&format!("{error}; the version before is served on")),
                }
            }
        }
    };
    let started = std::thread::Builder::new().name("pleiad-watch".to_owned()).spawn(look);
    started.map(|_| ()).map_err(|error| Error::Start { what: "watching models", reason: error.to_string() })
}

/// Takes connections until told to take no more; those that were there before are taken, too.
async fn accept(
    app: Arc<App>,
    door: Door,
    places: Arc<Semaphore>,
    mut refused: watch::Receiver<bool>,
    drained: watch::Receiver<bool>,
    open: Arc<AtomicUsize>,
) {
    let mut refused = pin!(async move {
        let _ = refused.wait_for(|refused| *refused).await;
    });
    let mut last = false;
    loop {
        let mut place = pin!(Arc::clone(&places).acquire_owned());
        let mut free = None;
        // A place, then a connection; none of both once there are no more to be taken.
        let accepted = poll_fn(|cx| {
            last = last || refused.as_mut().poll(cx).is_ready();
            if free.is_none() {
                match place.as_mut().poll(cx) {
                    Poll::Ready(Ok(place)) => free = Some(place),
                    Poll::Ready(Err(_)) => return Poll::Ready(None),
                    Poll::Pending if last => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            }
            match door.listener.poll_accept(cx) {
                Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
                Poll::Pending if last => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        match accepted.await {
            None => return,
            Some(Ok((stream, peer))) => {
                let (app, speech, tls) = (Arc::clone(&app), door.speech, door.tls.clone());
                let (drained, open) = (drained.clone(), Arc::clone(&open));
                open.fetch_add(1, Ordering::Relaxed);
                app.metrics.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let _place = free;
                    connection(&app, stream, (speech, tls), peer, drained).await;
                    open.fetch_sub(1, Ordering::Relaxed);
                    app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
                });
            }
            // Such as too many open files: others have to end first.
            Some(Err(_)) if last => return,
            Some(Err(_)) => sleep(TICK).await,
        }
    }
}

async fn connection(
    app: &Arc<App>,
    stream: TcpStream,
    (speech, tls): (Speech, Option<TlsAcceptor>),
    peer: SocketAddr,
    drained: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let patience = app.settings.patience;
    let socket = Socket::new(stream, patience, Arc::clone(&app.written));
    let Some(tls) = tls else { return speak(app, socket, speech, peer, drained).await };
    match timeout(patience, tls.accept(socket)).await {
        Ok(Ok(socket)) => speak(app, socket, speech, peer, drained).await,
        // Such as a client that does not trust the certificate, or that speaks no TLS.
        _ => _ = app.metrics.handshakes_failed.fetch_add(1, Ordering::Relaxed),
    }
}

/// Answers the requests of a connection.
async fn speak<S>(app: &Arc<App>, socket: S, speech: Speech, peer: SocketAddr, mut drained: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pace = Arc::new(Pace::default());
    let told = async move {
        let _ = drained.wait_for(|drained| *drained).await;
    };
    match speech {
        Speech::Http => {
            let socket = Reads::new(socket, app.settings.patience, Arc::clone(&pace));
            let service = service_fn(|request| handle(Arc::clone(app), Arc::clone(&pace), peer, request));
            let mut http = http1::Builder::new();
            // A client may shut its side down once its request is sent.
            http.timer(TokioTimer::new())
                .header_read_timeout(app.settings.idle)
                .half_close(true)
                .max_buf_size(HEAD_BYTES);
            let serving = pin!(http.serve_connection(TokioIo::new(socket), service));
            until_told(serving, told, |serving| serving.graceful_shutdown()).await;
        }
        Speech::Grpc => {
            let (own, calls) = (Arc::clone(app), Arc::clone(&pace));
            let service = service_fn(move |request| grpc::handle(Arc::clone(&own), Arc::clone(&calls), peer, request));
            let mut http = http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new()).max_header_list_size(HEAD_BYTES as u32).max_concurrent_streams(CALLS);
            // Who is silent is asked whether it is there.
            http.keep_alive_interval(app.settings.idle).keep_alive_timeout(app.settings.patience);
            let serving = pin!(http.serve_connection(TokioIo::new(socket), service));
            let idle = async {
                // Over with the server, or without a call for so long.
                let mut told = pin!(told);
                let mut finished = 0;
                while timeout(app.settings.idle, told.as_mut()).await.is_err() {
                    let now = pace.finished.load(Ordering::Relaxed);
                    if now == finished && !pace.is_busy() {
                        return;
                    }
                    finished = now;
                }
            };
            // Once it is told it has the time to say goodbye, and to take its answers.
            let ended = until_told(serving, idle, |serving| serving.graceful_shutdown());
            ended.await;
        }
    }
}

/// Runs a connection until it ends however it does: the client is gone, or was too slow. It is shut down once it is `told`.
async fn until_told<C: Future>(mut serving: Pin<&mut C>, told: impl Future<Output = ()>, shut: impl Fn(Pin<&mut C>)) {
    let mut told = pin!(told);
    let mut is_told = false;
    poll_fn(|cx| {
        if !is_told && told.as_mut().poll(cx).is_ready() {
            is_told = true;
            shut(serving.as_mut());
        }
        serving.as_mut().poll(cx).map(|_| ())
    })
    .await;
}

/// Waits for what has begun.
async fn drain_all(app: &App, open: &AtomicUsize) -> Result<()> {
    let limit = Instant::now() + app.settings.drain;
    let (mut written, mut quiet_since) = (app.written.load(Ordering::Relaxed), Instant::now());
    while open.load(Ordering::Relaxed) > 0 && Instant::now() < limit {
        let now = app.written.load(Ordering::Relaxed);
        if app.in_flight.load(Ordering::Relaxed) > 0 || now != written {
            (written, quiet_since) = (now, Instant::now());
        }
        if quiet_since.elapsed() >= QUIET {
            break;
        }
        sleep(TICK / 4).await;
    }
    match app.in_flight.load(Ordering::Relaxed) {
        0 => Ok(()),
        requests => Err(Error::Cut { requests, seconds: app.settings.drain.as_secs() }),
    }
}
