//! [`Socket`] and [`Reads`]: a connection that does not wait for ever, neither for a client that reads nothing nor for the head of a
//! request. TLS comes between the two: bytes are taken below it, heads are begun above it.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// What is known of the requests of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Requests whose head is there.
    pub(crate) started: AtomicU64,
    /// Requests that are answered, or given up.
    pub(crate) finished: AtomicU64,
}

impl Pace {
    pub(crate) fn is_busy(&self) -> bool {
        self.started.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }
}

type Timer = Pin<Box<Sleep>>;

/// A TCP stream whose client has to take bytes in time.
pub(crate) struct Socket {
    stream: TcpStream,
    patience: Duration,
    /// Runs while the client takes no bytes.
    write: Option<Timer>,
    /// Bytes that all connections have written.
    written: Arc<AtomicU64>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, patience: Duration, written: Arc<AtomicU64>) -> Self {
        Self { stream, patience, write: None, written }
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = result {
            self.write = None;
            if let Ok(bytes) = &result {
                self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
            }
            return Poll::Ready(result);
        }
        let timer = self.write.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.wrote(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A stream whose client has to send a head in time, once it has begun. Between requests there is no limit here.
pub(crate) struct Reads<S> {
    stream: S,
    patience: Duration,
    pace: Arc<Pace>,
    /// Runs since the first bytes of a head came, with the requests that were started then.
    head: Option<(Timer, u64)>,
}

impl<S> Reads<S> {
    pub(crate) fn new(stream: S, patience: Duration, pace: Arc<Pace>) -> Self {
        Self { stream, patience, pace, head: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Reads<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (before, started) = (buffer.filled().len(), this.pace.started.load(Ordering::Relaxed));
        if this.pace.is_busy() || this.head.as_ref().is_some_and(|(_, since)| *since != started) {
            this.head = None;
        }
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                let some = result.is_ok() && buffer.filled().len() > before;
                if some && !this.pace.is_busy() && this.head.is_none() {
                    this.head = Some((Box::pin(sleep(this.patience)), started));
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                let Some((timer, _)) = &mut this.head else { return Poll::Pending };
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reads<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
