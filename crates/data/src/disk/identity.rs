//! [`FolderIdentity`]: whether a path still leads to the same folder.

use std::fs::{self, File, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// Distinguishes a folder from another one that replaces it. While its files were read one by one, the folder was not
/// replaced if this is the same before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderIdentity {
    number: Option<(u64, u64)>,
    modified: Option<SystemTime>,
}

impl FolderIdentity {
    /// Identity of the folder at `path`; `None` if it cannot be read.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { number: number(&metadata), modified: metadata.modified().ok() })
    }
}

/// Whether `path` leads to the open file or folder `file`. Where the system has no numbers for files it is taken to.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let Ok(there) = fs::metadata(path) else { return false };
    file.metadata().is_ok_and(|open| number(&open) == number(&there))
}

/// Device and number of a file.
#[cfg(unix)]
fn number(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> Option<(u64, u64)> {
    None
}
