//! [`ReadAhead`]: reading on a thread of its own, so that decompressing and splitting run beside encoding.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use super::{Chunk, Rows};
use crate::error::{Error, Result};

/// Chunks that may wait; together with those being worked on they bound the memory.
const WAITING: usize = 4;

/// The chunks of a [`Rows`], read on a thread of its own. The order is that of the rows.
pub struct ReadAhead {
    chunks: Option<Receiver<Result<Chunk>>>,
    thread: Option<JoinHandle<()>>,
    /// An error that came behind chunks of its group.
    failed: Option<Error>,
}

impl ReadAhead {
    /// Starts to read.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(mut rows: Rows) -> Result<Self> {
        let (sender, chunks) = sync_channel(WAITING);
        let read = move || {
            while let Some(chunk) = rows.next_chunk().transpose() {
                let failed = chunk.is_err();
                // A send fails once nobody listens any more.
                if sender.send(chunk).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("pleiad-read".to_owned())
            .spawn(read)
            .map_err(|source| Error::Io { path: "a thread to read with".into(), source })?;
        Ok(Self { chunks: Some(chunks), thread: Some(thread), failed: None })
    }
}

impl ReadAhead {
    /// The next chunks, at least one and at most `most`: those that are there already. `None` after the last.
    ///
    /// # Errors
    /// The reader's; chunks before it have been given out.
    pub fn next_group(&mut self, most: usize) -> Result<Option<Vec<Chunk>>> {
        if let Some(error) = self.failed.take() {
            self.chunks = None;
            return Err(error);
        }
        let Some(chunks) = &self.chunks else {
            return Ok(None);
        };
        let mut group = match chunks.recv() {
            Ok(first) => vec![first?],
            Err(_) => return self.finish().map(|()| None),
        };
        while group.len() < most {
            match chunks.try_recv() {
                Ok(Ok(chunk)) => group.push(chunk),
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Some(group))
    }

    /// Tells an end of the rows from an end of the thread.
    fn finish(&mut self) -> Result<()> {
        self.chunks = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => {
                let source = std::io::Error::other("the reading thread failed");
                Err(Error::Io { path: "the data".into(), source })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // The reader has to see that nobody listens before it is waited for.
        self.chunks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
