//! [`ReadAhead`]: reading on a separate thread, beside decoding and encoding.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rayon::prelude::*;

use super::piece::{Numbering, Piece, Split};
use super::{Chunk, RowReader};
use crate::error::{Error, Result};

/// Pieces that may wait; together with those being worked on they bound the memory.
const WAITING: usize = 8;

/// The chunks of a [`RowReader`], read on a thread of its own. The order is that of the rows.
pub struct ReadAhead {
    pieces: Option<Receiver<Result<Piece>>>,
    thread: Option<JoinHandle<()>>,
    /// Ends a wait of the thread for a pipe.
    unheard: Arc<AtomicBool>,
    numbering: Numbering,
    /// An error that came behind pieces of its group.
    failed: Option<Error>,
}

impl ReadAhead {
    /// Starts to read.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(mut rows: RowReader) -> Result<Self> {
        let (sender, pieces) = sync_channel(WAITING);
        let unheard = Arc::clone(&rows.stop.unheard);
        let read = move || {
            while let Some(piece) = rows.next_piece().transpose() {
                let failed = piece.is_err();
                // A send fails once the receiver is gone.
                if sender.send(piece).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("pleiad-read".to_owned())
            .spawn(read)
            .map_err(|source| Error::Io { path: "a thread to read with".into(), source })?;
        let (pieces, thread) = (Some(pieces), Some(thread));
        Ok(Self { pieces, thread, unheard, numbering: Numbering::default(), failed: None })
    }
}

impl ReadAhead {
    /// The next chunks, at least one: those of the pieces that are there already, of at most `most` of them, or twice as
    /// many where they are lines. They are decoded on all threads. `None` after the last.
    ///
    /// # Errors
    /// The reader's; chunks before it have been given out.
    pub fn next_group(&mut self, most: usize) -> Result<Option<Vec<Chunk>>> {
        loop {
            if let Some(error) = self.failed.take() {
                self.pieces = None;
                return Err(error);
            }
            let Some(pieces) = self.receive(most)? else { return Ok(None) };
            let split: Vec<Result<Split>> = pieces.into_par_iter().map(Piece::split).collect();
            let mut chunks = Vec::new();
            for split in split {
                match split {
                    Ok(split) => chunks.extend(self.numbering.number(split)),
                    Err(error) => {
                        self.failed = Some(error);
                        break;
                    }
                }
            }
            // Empty lines are no rows.
            if !chunks.is_empty() {
                return Ok(Some(chunks));
            }
        }
    }

    /// The next pieces, at least one.
    fn receive(&mut self, most: usize) -> Result<Option<Vec<Piece>>> {
        let Some(pieces) = &self.pieces else {
            return Ok(None);
        };
        let mut group = match pieces.recv() {
            Ok(first) => vec![first?],
            Err(_) => return self.finish().map(|()| None),
        };
        // Lines are little work: with two such pieces for every thread, threads wait for one another half as often.
        let room =
            |group: &[Piece]| group.iter().map(|piece| if piece.is_lines() { 1 } else { 2 }).sum::<usize>() < 2 * most;
        while room(&group) {
            match pieces.try_recv() {
                Ok(Ok(piece)) => group.push(piece),
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Ok(Some(group))
    }

    /// Distinguishes the end of the rows from the end of the thread.
    fn finish(&mut self) -> Result<()> {
        self.pieces = None;
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
        // The reader has to see that the receiver is gone before it is waited for.
        self.unheard.store(true, Ordering::Relaxed);
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
