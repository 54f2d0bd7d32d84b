//! How training says what it does.

use pleiad_model::graph::Summary;

use super::history::EpochRecord;
use crate::counts::SplitRows;

/// Something that happened in training.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Rows of a synthetic log are being written.
    Generated {
        /// Rows so far.
        rows: u64,
    },
    /// Rows are being read.
    Loading(pleiad_data::Progress),
    /// What became of the cache of encoded rows.
    Cache(&'a pleiad_data::CacheUse),
    /// All rows are read.
    Loaded(&'a SplitRows),
    /// A model is built.
    Built {
        /// Its graph's size and cost.
        summary: &'a Summary,
    },
    /// Training starts, or goes on after a resume.
    Start {
        /// Epochs in all.
        epochs: u64,
        /// Training rows of an epoch.
        rows: u64,
        /// Rows read before a resume, over all epochs.
        done: u64,
    },
    /// A training step is done.
    Step {
        /// The epoch, from 1.
        epoch: u64,
        /// Rows of the epoch read so far.
        rows: u64,
    },
    /// An epoch is done and measured.
    Epoch {
        /// What it gave.
        record: &'a EpochRecord,
        /// Whether it is the best so far.
        best: bool,
    },
    /// The saved model is being explained.
    Explaining {
        /// Rows predicted so far.
        rows: u64,
        /// Rows in all.
        of: u64,
    },
    /// Something that the user should know and that is no error.
    Warning(&'a str),
}

/// The receiver of events. This crate prints nothing.
pub trait Observer: Send {
    /// Called from the thread that trains; what it takes is lost to training.
    fn event(&mut self, event: &Event<'_>);
}

/// Ignores every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event<'_>) {}
}
