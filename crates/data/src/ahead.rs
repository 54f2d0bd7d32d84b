//! [`Ahead`]: work on a separate thread, so that the caller does not wait for its results.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::error::{Error, Result};

/// What a closure gives, made on a thread of its own and handed over in order. After an error it ends.
pub struct Ahead<T> {
    items: Option<Receiver<Result<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts to call `make` until it gives `None` or fails. `waiting` results may be ready; one more is at hand.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        name: &str,
        waiting: usize,
        mut make: impl FnMut() -> Result<Option<T>> + Send + 'static,
    ) -> Result<Self> {
        let (sender, items) = sync_channel(waiting);
        let work = move || {
            while let Some(item) = make().transpose() {
                let failed = item.is_err();
                // A send fails once the receiver is gone.
                if sender.send(item).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map_err(|source| Error::Io { path: "a thread to read with".into(), source })?;
        Ok(Self { items: Some(items), thread: Some(thread) })
    }

    fn take(&mut self) -> Result<Option<T>> {
        let Some(items) = &self.items else { return Ok(None) };
        if let Ok(item) = items.recv() {
            return item.map(Some);
        }
        self.items = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => {
                let source = std::io::Error::other("the reading thread failed");
                Err(Error::Io { path: "the encoded rows".into(), source })
            }
            _ => Ok(None),
        }
    }
}

impl<T: Send + 'static> Iterator for Ahead<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.take();
        if next.is_err() {
            self.items = None;
        }
        next.transpose()
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        // The thread has to see that the receiver is gone before it is waited for.
        self.items = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_end_with_an_error() {
        let mut count = 0;
        let make = move || {
            count += 1;
            if count < 4 { Ok(Some(count)) } else { Err(Error::Stopped { rows: 9 }) }
        };
        let mut ahead = Ahead::start("test", 1, make).unwrap();
        assert_eq!([(); 3].map(|()| ahead.next().unwrap().unwrap()), [1, 2, 3]);
        assert!(matches!(ahead.next(), Some(Err(Error::Stopped { rows: 9 }))));
        assert!(ahead.next().is_none());
    }

    #[test]
    fn a_panic_is_an_error() {
        let mut ahead = Ahead::<()>::start("test", 0, || std::panic::resume_unwind(Box::new("gone"))).unwrap();
        assert!(ahead.next().unwrap().is_err());
        assert!(ahead.next().is_none());
    }

    #[test]
    fn whoever_stops_listening_ends_the_work() {
        let mut ahead = Ahead::start("test", 2, || Ok(Some(1))).unwrap();
        assert_eq!(ahead.next().unwrap().unwrap(), 1);
        drop(ahead);
    }
}
