//! The threads that compute. A process that was forked has none of its parent's, so each process has a pool of its own.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::PyResult;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::RunError;

/// The pool of this process and of a number of threads; 0 takes all cores.
type Pools = Vec<(u32, usize, Arc<ThreadPool>)>;

static POOLS: Mutex<Pools> = Mutex::new(Vec::new());

/// Runs `work` on `threads` threads; on as many as there are cores if `None`.
pub(crate) fn install<R: Send>(threads: Option<usize>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    Ok(pool(threads.unwrap_or(0))?.install(work))
}

fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let process = std::process::id();
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    // The threads of a parent process are not here. Nothing may wait for them, so their pool is left as it is.
    for (_, _, forked) in pools.extract_if(.., |(of, _, _)| *of != process) {
        std::mem::forget(forked);
    }
    if let Some((_, _, pool)) = pools.iter().find(|(_, of, _)| *of == threads) {
        return Ok(Arc::clone(pool));
    }
    let pool = started(threads)?;
    pools.push((process, threads, Arc::clone(&pool)));
    Ok(pool)
}

/// A new pool of its own.
pub(crate) fn started(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let built = ThreadPoolBuilder::new().num_threads(threads).thread_name(|at| format!("pleiad-{at}")).build();
    Ok(Arc::new(built.map_err(|error| RunError::new_err(format!("cannot start threads: {error}")))?))
}
