//! [`Reused`]: memory that threads pass on, so that the system does not allocate new pages for every part of a
//! file.

use std::sync::{Mutex, PoisonError};

/// What was given back and waits for the next one who needs it.
#[derive(Debug)]
pub(super) struct Reused<T> {
    idle: Mutex<Vec<T>>,
}

impl<T> Default for Reused<T> {
    fn default() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }
}

impl<T> Reused<T> {
    /// The one that came last, much of which may still be in a cache.
    pub(super) fn take(&self) -> Option<T> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps it for the next.
    pub(super) fn give_back(&self, memory: T) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_last_goes_first() {
        let reused = Reused::default();
        assert_eq!(reused.take(), None);
        reused.give_back(1);
        reused.give_back(2);
        assert_eq!([reused.take(), reused.take(), reused.take()], [Some(2), Some(1), None]);
    }
}
