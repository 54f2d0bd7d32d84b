//! [`Input`]: the batches of an epoch in its order, from memory or from disk.

use std::sync::Arc;

use pleiad_data::{Ahead, Batch, StoredRows};

use super::order::epoch_order;
use super::windows::Windows;
use crate::config::TrainConfig;
use crate::error::Result;
use crate::rows::Rows;

/// Batches that are made ahead of the step that needs them.
const BATCHES_AHEAD: usize = 4;

/// Windows that wait while one is cut into batches: none, so that with the one that is being read two are in memory.
const WINDOWS_WAITING: usize = 0;

/// Where batches come from.
pub(super) enum Input<'a> {
    Memory {
        rows: &'a Batch,
        /// Rows in the sample space of any task: the union that training runs on.
        union: Vec<usize>,
        /// The epoch's order of the union.
        order: Vec<usize>,
    },
    Stored {
        rows: &'a StoredRows,
        window: usize,
        /// For each block, its rows in the union.
        labelled: Vec<usize>,
        /// The epoch at hand.
        batches: Option<Ahead<Batch>>,
    },
}

impl<'a> Input<'a> {
    pub(super) fn new(rows: Rows<'a>) -> Self {
        match rows {
            Rows::Memory(rows) => {
                let union = (0..rows.rows).filter(|&row| rows.is_labelled(row)).collect();
                Self::Memory { rows, union, order: Vec::new() }
            }
            Rows::Stored { rows, window } => {
                Self::Stored { rows, window, labelled: rows.labelled_rows().collect(), batches: None }
            }
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
            Self::Memory { rows, .. } => Ok(rows.slice(0..0)),
            Self::Stored { rows, .. } => Ok(rows.sample(0)?),
        }
    }

    /// Begins an epoch, `step` steps of which are done.
    pub(super) fn begin(&mut self, config: &TrainConfig, epoch: u64, step: u64) -> Result<()> {
        let TrainConfig { seed, shuffle, batch_size, .. } = *config;
        let empty = self.empty()?;
        match self {
            Self::Memory { union, order, .. } => *order = epoch_order(union.len(), shuffle, seed, epoch),
            Self::Stored { rows, window, labelled, batches } => {
                // The epoch before has ended, or there was none in this process.
                *batches = None;
                let windows = Windows::new(labelled, *window, shuffle, seed, epoch);
                let done = usize::try_from(step).unwrap_or(usize::MAX).saturating_mul(batch_size);
                *batches = Some(stream(rows, windows, done, batch_size, empty)?);
            }
        }
        Ok(())
    }

    /// Replaces the rows of `into` by rows `from..to` of the epoch, which follow those of the last call.
    pub(super) fn next(&mut self, from: usize, to: usize, into: &mut Batch, index: &mut Vec<usize>) -> Result<()> {
        match self {
            Self::Memory { rows, union, order } => {
                index.clear();
                index.extend(order[from..to].iter().map(|&i| union[i]));
                into.gather_from(rows, index);
            }
            Self::Stored { batches, .. } => {
                if let Some(batch) = batches.as_mut().and_then(Iterator::next) {
                    *into = batch?;
                }
                debug_assert_eq!(into.rows, to - from);
            }
        }
        Ok(())
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
