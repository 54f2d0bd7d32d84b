//! [`Gatherer`]: an epoch's batches out of rows in memory, each made beside the step before it.

use std::sync::Arc;

use pleiad_data::{Batch, PackedRows};
use rayon::in_place_scope;

/// Batches of an epoch in its order.
///
/// A batch takes its rows from all over the log, column by column. That is work for the pool's threads, of which one takes
/// it up while another begins the step: a thread of its own would take a core from one of them in the middle of a shard,
/// and all others would wait for that one.
pub(super) struct Gatherer<'r> {
    rows: Arc<PackedRows<'r>>,
    order: Vec<usize>,
    size: usize,
    /// First row of `order` that is in no batch yet.
    at: usize,
    /// The batch that comes next; no row after the last one.
    next: Batch,
}

impl<'r> Gatherer<'r> {
    /// Batches of the rows of `order`, `size` at a time (the last one may be smaller). `empty` is a batch with the columns
    /// of `rows`.
    pub(super) fn new(rows: Arc<PackedRows<'r>>, order: Vec<usize>, size: usize, empty: Batch) -> Self {
        let mut gatherer = Self { rows, order, size, at: 0, next: empty };
        gatherer.gather();
        gatherer
    }

    /// Replaces `batch` by the next one; leaves it as it is after the last.
    pub(super) fn next(&mut self, batch: &mut Batch) {
        self.gather();
        if self.next.rows > 0 {
            std::mem::swap(batch, &mut self.next);
            self.next.clear();
        }
    }

    /// Runs `work`, and gathers the next batch meanwhile.
    pub(super) fn beside<R>(&mut self, work: impl FnOnce() -> R) -> R {
        in_place_scope(|scope| {
            scope.spawn(|_| self.gather());
            work()
        })
    }

    /// Fills the batch that comes next, if it is still empty.
    fn gather(&mut self) {
        if self.next.rows > 0 {
            return;
        }
        let end = self.order.len().min(self.at.saturating_add(self.size));
        self.rows.gather(&self.order[self.at..end], &mut self.next);
        self.at = end;
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
    fn batches_come_in_order_whether_or_not_there_is_work_beside() {
        let rows = rows(100);
        for beside in [false, true] {
            let mut gatherer =
                Gatherer::new(Arc::new(PackedRows::new(&rows)), (0..100).rev().collect(), 8, Batch::default());
            let (mut batch, mut seen) = (Batch::default(), Vec::new());
            for step in 0..13 {
                gatherer.next(&mut batch);
                assert_eq!(batch.rows, if step < 12 { 8 } else { 4 });
                let mut look = || seen.extend_from_slice(&batch.numeric);
                if beside { gatherer.beside(look) } else { look() }
            }
            assert!(seen.iter().rev().zip(&rows.numeric).all(|(a, b)| a == b) && seen.len() == 100);
            gatherer.next(&mut batch);
            assert_eq!(batch.rows, 4);
        }
    }

    #[test]
    fn work_gives_what_it_gives_and_may_fail() {
        let rows = rows(10);
        let mut gatherer = Gatherer::new(Arc::new(PackedRows::new(&rows)), (0..10).collect(), 4, Batch::default());
        assert_eq!(gatherer.beside(|| Err::<(), _>(7)), Err(7));
        let mut batch = Batch::default();
        gatherer.next(&mut batch);
        assert_eq!(batch.numeric, [0.0, 1.0, 2.0, 3.0], "a batch that was not taken waits");
    }
}
