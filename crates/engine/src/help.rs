//! Threads of another pool that help the calling thread to predict.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;

thread_local! {
    static HELP: RefCell<Option<Arc<ThreadPool>>> = const { RefCell::new(None) };
}

/// Does `work` here. Predictions in it are computed by this thread and, beside it, by those of `pool`, in the place of the pool that this
/// thread belongs to. The bits are the same.
///
/// For servers whose threads each run a request of their own: a thread that runs the only one may be helped. Were the request handed to
/// another pool as a whole, it would wait for two threads that wake one after the other.
pub fn with_help<R>(pool: &Arc<ThreadPool>, work: impl FnOnce() -> R) -> R {
    let before = HELP.replace(Some(Arc::clone(pool)));
    let _guard = Guard(before);
    work()
}

/// Puts back what was there before, after a panic too.
struct Guard(Option<Arc<ThreadPool>>);

impl Drop for Guard {
    fn drop(&mut self) {
        HELP.set(self.0.take());
    }
}

/// The pool that helps this thread.
pub(crate) fn help() -> Option<Arc<ThreadPool>> {
    HELP.with_borrow(Clone::clone)
}

/// What `run` makes of `0 .. n`, in this order. The caller takes the next number whenever it has done one, and so do the threads of `pool`.
pub(crate) fn shared<R: Send>(pool: &ThreadPool, n: usize, run: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(n)));
    let take = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= n {
                return;
            }
            let result = run(at);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    pool.in_place_scope(|scope| {
        for _ in 0..pool.current_num_threads().min(n.saturating_sub(1)) {
            scope.spawn(|_| take());
        }
        take();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn pool() -> Arc<ThreadPool> {
        Arc::new(rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap())
    }

    #[test]
    fn every_part_is_done_once_and_in_order() {
        let pool = pool();
        for n in [0, 1, 2, 3, 100] {
            assert_eq!(shared(&pool, n, |at| 3 * at), (0..n).map(|at| 3 * at).collect::<Vec<_>>());
        }
    }

    #[test]
    fn help_ends_with_the_work_even_after_a_panic() {
        let pool = pool();
        assert!(help().is_none());
        with_help(&pool, || assert!(help().is_some()));
        assert!(help().is_none());
        assert!(catch_unwind(AssertUnwindSafe(|| with_help(&pool, || panic!("a mistake")))).is_err());
        assert!(help().is_none());
    }

    #[test]
    fn a_panic_of_a_part_comes_back_and_the_pool_goes_on() {
        let pool = pool();
        let panicked = catch_unwind(AssertUnwindSafe(|| shared(&pool, 50, |at| assert!(at != 40, "a mistake"))));
        assert!(panicked.is_err());
        assert_eq!(shared(&pool, 2, |at| at), [0, 1]);
    }
}
