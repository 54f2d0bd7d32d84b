//! [`Gatherer`]: an epoch's batches out of rows in memory, each made beside the step before it.

use std::sync::Arc;

use pleiad_data::{Batch, PackedRows};

/// Batches of an epoch in its order.
///
/// A batch takes its rows from all over the log. That is work for the pool's threads, of which the first that is through with
/// its part of a step takes it up: a thread of its own would take a core from one of them in the middle of a shard, and all
/// others would wait for that one.
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
        gatherer.ahead();
        gatherer
    }

    /// Replaces `batch` by the next one; leaves it as it is after the last.
    pub(super) fn next(&mut self, batch: &mut Batch) {
        self.ahead();
        if self.next.rows > 0 {
            std::mem::swap(batch, &mut self.next);
            self.next.clear();
        }
    }

    /// Fills the batch that comes next, if it is still empty.
    pub(super) fn ahead(&mut self) {
        if self.next.rows > 0 {
            return;
        }
        let end = self.order.len().min(self.at.saturating_add(self.size));
        self.rows.gather(&self.order[self.at..end], &mut self.next);
        self.at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Batch {
        Batch { rows: count, numeric: (0..count).map(|i| i as f32).collect(), ..Batch::default() }
    }

    #[test]
    fn batches_come_in_order_whether_or_not_they_are_made_ahead() {
        let rows = rows(100);
        let packed = Arc::new(PackedRows::new(&rows));
        for times in 0..3 {
            let mut gatherer = Gatherer::new(Arc::clone(&packed), (0..100).rev().collect(), 8, Batch::default());
            let (mut batch, mut seen) = (Batch::default(), Vec::new());
            for step in 0..13 {
                gatherer.next(&mut batch);
                assert_eq!(batch.rows, if step < 12 { 8 } else { 4 });
                (0..times).for_each(|_| gatherer.ahead());
                seen.extend_from_slice(&batch.numeric);
            }
            assert!(seen.iter().rev().zip(&rows.numeric).all(|(a, b)| a == b) && seen.len() == 100);
            gatherer.next(&mut batch);
            assert_eq!(batch.rows, 4, "there is none after the last");
        }
    }
}
