//! Threads that help a request while most workers have none: it is answered sooner then, and nobody waits for it. With more requests each
//! is run by its own worker alone, so that they do not fight for cores.

use std::sync::{Arc, Mutex, TryLockError};

use pleiad_rank::with_help;

use crate::error::{Error, Result};

/// The threads, for one request at a time; none where there is one worker.
pub(crate) struct Helpers {
    pool: Option<Mutex<Arc<rayon::ThreadPool>>>,
}

impl Helpers {
    /// One thread fewer than there are workers, since the worker of a request computes too.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads.
    pub(crate) fn start(workers: usize) -> Result<Self> {
        if workers < 2 {
            return Ok(Self { pool: None });
        }
        let builder = rayon::ThreadPoolBuilder::new().num_threads(workers - 1);
        let pool = builder.thread_name(|helper| format!("pleiad-helper-{helper}")).build();
        let failed =
            |error: rayon::ThreadPoolBuildError| Error::Start { what: "threads that help", reason: error.to_string() };
        Ok(Self { pool: Some(Mutex::new(Arc::new(pool.map_err(failed)?))) })
    }

    /// Does `work` on this thread, with the help of the others unless another request has it. The result is the same.
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        match self.pool.as_ref().map(Mutex::try_lock) {
            Some(Ok(pool)) => with_help(&pool, work),
            // A request panicked with their help, and was answered; the threads are as good as before.
            Some(Err(TryLockError::Poisoned(pool))) => with_help(&pool.into_inner(), work),
            Some(Err(TryLockError::WouldBlock)) | None => work(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn is_lent(helpers: &Helpers) -> bool {
        helpers.pool.as_ref().is_some_and(|pool| pool.try_lock().is_err())
    }

    #[test]
    fn one_request_at_a_time_is_helped() {
        let helpers = Helpers::start(3).unwrap();
        assert!(helpers.run(|| is_lent(&helpers) && helpers.run(|| is_lent(&helpers))));
        assert!(!is_lent(&helpers));
        assert!(Helpers::start(1).unwrap().run(|| true));
    }

    #[test]
    fn a_panic_takes_no_threads_away() {
        let helpers = Helpers::start(2).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| helpers.run(|| panic!("a mistake"))));
        assert!(panicked.is_err());
        assert_eq!(helpers.run(|| 7), 7);
    }
}
