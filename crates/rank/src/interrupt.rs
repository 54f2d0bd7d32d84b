//! [`Interrupt`]: the request to stop work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A wish to stop, raised from a signal handler or another thread. Work ends after the step at hand.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// The flag itself, 0 until someone stores another number (of the signal) in it.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.0)
    }

    /// The number stored, if any.
    #[must_use]
    pub fn raised(&self) -> Option<usize> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal),
        }
    }
}
