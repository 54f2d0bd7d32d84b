//! [`exchange()`]: two paths change places in one step.

use std::io;
use std::path::Path;

/// Exchanges the targets of two paths in one step: a reader finds one or the other at any moment. `false` where the
/// system or the file system has no such step; nothing has changed then.
///
/// # Errors
/// If one of them is not there, or may not be moved.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub fn exchange(a: &Path, b: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    // The last one is what sandboxes say of calls that they do not know; if it is meant, plain renames fail as well.
    const CANNOT: [Errno; 5] = [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::PERM];
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(error) if CANNOT.contains(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Exchanges what two paths lead to: this system has no such step.
///
/// # Errors
/// None.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub fn exchange(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_change_places() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        for path in [&a, &b] {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("name"), path.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        assert!(exchange(&a, &b).unwrap());
        assert_eq!(std::fs::read_to_string(a.join("name")).unwrap(), "b");
        assert_eq!(std::fs::read_to_string(b.join("name")).unwrap(), "a");
        assert!(exchange(&a, &folder.path().join("c")).is_err());
        assert!(a.join("name").exists());
    }
}
