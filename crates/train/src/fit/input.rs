//! [`EpochRows`]: the batches of an epoch in its order, from rows in memory or on disk.

use std::sync::Arc;

use pleiad_data::{Ahead, Batch, PackedRows, RequestColumns, StoredRows};

use super::gather::Gatherer;
use super::order::{epoch_order, request_order};
use super::windows::Windows;
use crate::config::TrainConfig;
use crate::error::Result;
use crate::rows::Rows;

/// Batches that are made ahead of the step that needs them.
const BATCHES_AHEAD: usize = 4;

/// Windows that wait while one is cut into batches: none, so that with the one that is being read two are in memory.
const WINDOWS_WAITING: usize = 0;

/// Rows that batches are made of.
pub(super) enum EpochRows<'a> {
    Memory {
        rows: Arc<PackedRows<'a>>,
        /// Rows in the sample space of any task: the union that training runs on.
        union: Vec<usize>,
        /// Whether each row begins a request; empty where no feature belongs to requests.
        begins: Vec<bool>,
    },
    Stored {
        rows: &'a StoredRows,
        window: usize,
        /// For each block, its rows in the union.
        labelled: Vec<usize>,
    },
}

/// The batches of an epoch, made beside the steps.
pub(super) enum Batches<'a> {
    Memory(Gatherer<'a>),
    Stored(Ahead<Batch>),
}

impl<'a> EpochRows<'a> {
    pub(super) fn new(rows: Rows<'a>, of_requests: &RequestColumns) -> Self {
        match rows {
            Rows::Memory(rows) => {
                let union = (0..rows.rows).filter(|&row| rows.is_labelled(row)).collect();
                let begins = if of_requests.is_empty() { Vec::new() } else { of_requests.begins(rows) };
                Self::Memory { rows: Arc::new(PackedRows::new(rows)), union, begins }
            }
            Rows::Stored { rows, window } => Self::Stored { rows, window, labelled: rows.labelled_rows().collect() },
        }
    }

    /// Rows of an epoch.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Memory { union, .. } => union.len(),
            Self::Stored { labelled, .. } => labelled.iter().sum(),
        }
    }

    /// A batch with the columns of these rows, and no row.
    pub(super) fn empty(&self) -> Result<Batch> {
        match self {
            Self::Memory { rows, .. } => Ok(rows.rows().slice(0..0)),
            Self::Stored { rows, .. } => Ok(rows.sample(0)?),
        }
    }

    /// Begins an epoch, `step` steps of which are done.
    pub(super) fn begin(&self, config: &TrainConfig, epoch: u64, step: u64) -> Result<Batches<'a>> {
        let TrainConfig { seed, shuffle, batch_size, .. } = *config;
        let (empty, done) = (self.empty()?, usize::try_from(step).unwrap_or(usize::MAX).saturating_mul(batch_size));
        match self {
            Self::Memory { rows, union, begins } => {
                let order: Vec<usize> = if begins.is_empty() {
                    epoch_order(union.len(), shuffle, seed, epoch).into_iter().map(|i| union[i]).collect()
                } else {
                    request_order(union, begins, shuffle, seed, epoch)
                };
                let order = order.into_iter().skip(done).collect();
                Ok(Batches::Memory(Gatherer::new(Arc::clone(rows), order, batch_size, empty)))
            }
            Self::Stored { rows, window, labelled } => {
                let windows = Windows::new(labelled, *window, shuffle, seed, epoch);
                Ok(Batches::Stored(stream(rows, windows, done, batch_size, empty)?))
            }
        }
    }
}

impl Batches<'_> {
    /// Replaces `into` by the epoch's next batch.
    pub(super) fn next(&mut self, into: &mut Batch) -> Result<()> {
        match self {
            Self::Memory(batches) => batches.next(into),
            Self::Stored(batches) => {
                if let Some(batch) = batches.next() {
                    *into = batch?;
                }
            }
        }
        Ok(())
    }

    /// Makes the next batch, if no other thread does.
    pub(super) fn ahead(&mut self) {
        match self {
            Self::Memory(batches) => batches.ahead(),
            // They have threads of their own, which decode.
            Self::Stored(_) => {}
        }
    }
}

/// The rows of a window in memory, and the order in which they are trained on.
struct Window {
    rows: Batch,
    order: Vec<usize>,
}

/// Batches of an epoch from its row `done` on. One thread reads windows, another one cuts them into batches.
fn stream(rows: &StoredRows, windows: Windows, done: usize, batch_size: usize, empty: Batch) -> Result<Ahead<Batch>> {
    let windows = Arc::new(windows);
    let (mut next, mut skip) = windows.find(done);
    let (rows, layout) = (rows.clone(), empty.clone());
    let read = move || {
        if next == windows.count() {
            return Ok(None);
        }
        let mut window = Window { rows: layout.clone(), order: Vec::new() };
        for &block in windows.blocks(next) {
            let block = rows.read(block)?;
            let before = window.rows.rows;
            window.order.extend((0..block.rows).filter(|&row| block.is_labelled(row)).map(|row| before + row));
            window.rows.append(&block);
        }
        windows.arrange(next, &mut window.order);
        window.order.drain(..std::mem::take(&mut skip));
        next += 1;
        Ok(Some(window))
    };
    let mut windows = Ahead::start("pleiad-windows", WINDOWS_WAITING, read)?;
    let mut current = Window { rows: empty.clone(), order: Vec::new() };
    let mut at = 0;
    let cut = move || {
        let mut batch = empty.clone();
        while batch.rows < batch_size {
            if at == current.order.len() {
                // Let go before the next one comes: there are two windows in memory, not three.
                current = Window { rows: empty.clone(), order: Vec::new() };
                at = 0;
                match windows.next().transpose()? {
                    Some(window) => current = window,
                    None => break,
                }
            }
            let end = current.order.len().min(at + batch_size - batch.rows);
            batch.extend_from(&current.rows, &current.order[at..end]);
            at = end;
        }
        Ok((batch.rows > 0).then_some(batch))
    };
    Ok(Ahead::start("pleiad-batches", BATCHES_AHEAD, cut)?)
}
