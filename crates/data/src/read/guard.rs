//! [`guarded`]: calls into decoders that may panic on damaged files.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use crate::error::{Error, Result};

thread_local! {
    /// Whether this thread is inside of a decoder, whose panics are reported as errors.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call into a decoder. Damaged files make the libraries fail with an error, but for a few fields that they
/// trust; a panic out of those is an error of the file as well, and nothing is printed of it.
///
/// # Errors
/// [`Error::Damaged`] with the path, for an error and for a panic.
pub fn guarded<T, E: std::fmt::Display>(path: &Path, call: impl FnOnce() -> Result<T, E>) -> Result<T> {
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason: format!("is damaged: {reason}") };
    silence();
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(false);
    match result {
        Ok(result) => result.map_err(|error| damaged(error.to_string())),
        Err(_) => Err(damaged("its contents contradict each other".to_owned())),
    }
}

/// Puts a hook before the one that is there, which sees every panic but a guarded one.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_file_and_the_next_call_works() {
        let path = Path::new("log.parquet");
        let error = guarded(path, || -> Result<(), String> { panic!("capacity overflow") }).unwrap_err();
        assert_eq!(error.to_string(), "log.parquet is damaged: its contents contradict each other");
        assert!(!GUARDED.get(), "panics elsewhere are shown again");
        assert_eq!(guarded(path, || Ok::<_, String>(3)).unwrap(), 3);
        assert_eq!(
            guarded(path, || Err::<(), _>("bad footer")).unwrap_err().to_string(),
            "log.parquet is damaged: bad footer"
        );
    }
}
