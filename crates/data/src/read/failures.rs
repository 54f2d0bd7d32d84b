//! What an error while bytes are read means.

use std::io;
use std::path::Path;

use crate::error::Error;

/// Largest window of a zstd frame: what `zstd -d` takes without an option, too.
pub(super) const MAX_WINDOW: u64 = 1 << 27;

/// Why a wait ended; see [`is_stopped`].
#[derive(Debug, thiserror::Error)]
#[error("asked to stop")]
pub(super) struct Stopped;

/// Whether an error of reading is none of the file's.
fn is_stopped(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
}

/// The error of a zstd frame that asks for too much memory; `what` is what it asks for.
pub(super) fn too_large(path: &Path, what: &str) -> Error {
    Error::OtherForm {
        path: path.to_owned(),
        form: format!("compressed by zstd with {what}, and Pleiad takes at most {} MiB", MAX_WINDOW >> 20),
        advice: "compress it again without --long or --ultra, after `zstd -d --long=31`".to_owned(),
    }
}

/// What an error while reading a stream means.
pub(super) fn explain(path: &Path, source: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    if is_stopped(&source) {
        return Error::Stopped { rows: 0 };
    }
    let text = source.to_string();
    // zstd's own words for frames that its settings refuse.
    if text.contains("requires too much memory") {
        return too_large(path, "a larger window");
    }
    if text.contains("Dictionary mismatch") {
        let advice = "Pleiad has no dictionary to read it with: compress it again without one".to_owned();
        return Error::OtherForm {
            path: path.to_owned(),
            form: "compressed by zstd with a dictionary".to_owned(),
            advice,
        };
    }
    let reason = match source.kind() {
        UnexpectedEof => "ends too early: the file is cut off; copy or download it again".to_owned(),
        _ if text.contains("Unknown frame descriptor") => {
            "is damaged, or compressed by something else than zstd (files of lz4 may begin like those of zstd)"
                .to_owned()
        }
        InvalidData | InvalidInput | Other => format!("is damaged: {source}"),
        _ => return Error::Read { path: path.to_owned(), source },
    };
    Error::Damaged { path: path.to_owned(), reason }
}
