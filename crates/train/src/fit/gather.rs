//! [`Gatherer`]: an epoch's batches out of rows in memory, made ahead of the steps that need them.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::{Builder, Scope};

use pleiad_data::Batch;

use crate::error::{Error, Result};

/// Batches that wait for their step; one more is in the making.
const READY: usize = 2;

/// Batches of an epoch in its order.
///
/// A batch takes its rows from all over the log, column by column: nearly every number is in no cache, so that a thread
/// mostly waits for memory, which it can do while others compute.
pub(super) struct Gatherer {
    ready: Receiver<Batch>,
    /// Batches that have been trained on, to be filled again.
    used: Sender<Batch>,
}

impl Gatherer {
    /// Begins to gather the rows of `order`, `size` at a time (the last batch may be smaller). `empty` is a batch with the
    /// columns of `rows`.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        rows: &'scope Batch,
        order: Vec<usize>,
        size: usize,
        empty: Batch,
    ) -> Result<Self> {
        let ((sender, ready), (used, again)) = (sync_channel(READY), channel::<Batch>());
        let work = move || {
            for index in order.chunks(size) {
                let mut batch = again.try_recv().unwrap_or_else(|_| empty.clone());
                batch.gather_from(rows, index);
                // A send fails once nobody trains any more.
                if sender.send(batch).is_err() {
                    return;
                }
            }
        };
        Builder::new().name("pleiad-batches".to_owned()).spawn_scoped(scope, work).map_err(|source| {
            Error::Data(pleiad_data::Error::Io { path: "a thread to gather rows with".into(), source })
        })?;
        Ok(Self { ready, used })
    }

    /// Replaces `batch` by the next one; leaves it as it is after the last.
    pub(super) fn next(&self, batch: &mut Batch) {
        if let Ok(next) = self.ready.recv() {
            // The thread may have ended, with no use for it.
            let _ = self.used.send(std::mem::replace(batch, next));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Batch {
        Batch { rows: count, numeric: (0..count).map(|i| i as f32).collect(), ..Batch::default() }
    }

    #[test]
    fn batches_come_in_order_and_are_used_again() {
        let rows = rows(100);
        let order: Vec<usize> = (0..100).rev().collect();
        std::thread::scope(|scope| {
            let gatherer = Gatherer::start(scope, &rows, order, 8, Batch::default()).unwrap();
            let (mut batch, mut seen) = (Batch::default(), Vec::new());
            for step in 0..13 {
                gatherer.next(&mut batch);
                assert_eq!(batch.rows, if step < 12 { 8 } else { 4 });
                seen.extend_from_slice(&batch.numeric);
            }
            assert!(seen.iter().rev().zip(&rows.numeric).all(|(a, b)| a == b) && seen.len() == 100);
            gatherer.next(&mut batch);
            assert_eq!(batch.rows, 4);
        });
    }

    #[test]
    fn whoever_stops_training_ends_the_work() {
        let rows = rows(100);
        std::thread::scope(|scope| {
            let gatherer = Gatherer::start(scope, &rows, (0..100).collect(), 1, Batch::default()).unwrap();
            gatherer.next(&mut Batch::default());
        });
    }
}
