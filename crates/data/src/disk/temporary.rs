//! Names for incomplete files and folders, and [`sweep`], which removes those that killed processes left.
//!
//! The process that makes such a file or folder holds a lock on it until the process ends: if the lock can be
//! taken, there is no owner. On file systems without locks, or without locks on folders, age decides.

use std::fs::{self, DirEntry, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use tempfile::{Builder, NamedTempFile, TempDir};

use super::identity::is_at;

const PREFIX: &str = ".pleiad-";
const SUFFIX: &str = ".tmp";

/// After so long without a change, a file or folder that cannot be locked has no owner any more.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// Names that are lost to sweepers, one after the other, before that is an error. A sweeper that never rests, on a busy machine,
/// takes most names in the moment before they are locked.
const TRIES: usize = 1000;

/// A folder under a temporary name, which is removed with this value.
#[derive(Debug)]
pub struct TemporaryFolder {
    /// Before the lock, so that it is removed while it is held.
    folder: TempDir,
    _held: Option<File>,
}

impl TemporaryFolder {
    /// A folder in `parent` that its owner alone may read.
    ///
    /// # Errors
    /// If none can be made there.
    pub fn private(parent: &Path) -> io::Result<Self> {
        Self::of(&builder(), parent)
    }

    /// A folder in `parent` that may be read by whom the process's mask lets read.
    ///
    /// # Errors
    /// If none can be made there.
    pub fn ordinary(parent: &Path) -> io::Result<Self> {
        let mut builder = builder();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        Self::of(&builder, parent)
    }

    fn of(builder: &Builder<'_, '_>, parent: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let folder = builder.tempdir_in(parent)?;
            // Elsewhere a folder cannot be opened like a file.
            let opened = if cfg!(unix) { File::open(folder.path()).map(Some) } else { Ok(None) };
            match opened {
                Ok(None) => return Ok(Self { folder, _held: None }),
                Ok(Some(file)) => {
                    if let Some(held) = hold(file, folder.path()) {
                        return Ok(Self { folder, _held: held });
                    }
                }
                // Swept before it was locked.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(swept(parent))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// It has another name now: nothing is to be removed.
    pub fn was_renamed(self) {
        let _ = self.folder.keep();
    }
}

/// A file in `folder` under a temporary name, which is removed with the value unless it is given another name. It may be
/// read by whom the process's mask lets read.
///
/// # Errors
/// If none can be made there.
pub fn temporary_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = builder();
    // Temporary files are private by default, but this one becomes an ordinary file: leave it to the umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    for _ in 0..TRIES {
        let file = builder.tempfile_in(folder)?;
        match file.as_file().try_lock() {
            Ok(()) if !is_at(file.as_file(), file.path()) => {}
            Err(TryLockError::WouldBlock) => {}
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
    Err(swept(folder))
}

/// Without a lock a file or folder would be taken for that of a dead process.
fn swept(folder: &Path) -> io::Error {
    io::Error::other(format!(
        "each of {TRIES} temporary names in {} was removed by another process before it could be locked",
        folder.display()
    ))
}

fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    builder
}

/// Locks what was just made; `Some(None)` where there are no locks, `None` if a sweeper was faster.
fn hold(file: File, path: &Path) -> Option<Option<File>> {
    match file.try_lock() {
        Ok(()) => is_at(&file, path).then_some(Some(file)),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(_)) => Some(None),
    }
}

/// What to do with a file or folder under a temporary name that cannot be locked, so that its owner is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlockable {
    /// Remove it: the caller has locked the folder, and everything in it belongs to the folder.
    Remove,
    /// Remove it once nothing in it has changed for a day.
    RemoveOld,
}

/// Whether a name is one that is given to what is not complete.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX) && name.len() > PREFIX.len() + SUFFIX.len()
}

/// Removes what killed processes left in `folder` under temporary names. Files of a running process stay. Files that
/// cannot be removed stay, too, without an error.
pub fn sweep(folder: &Path, unlockable: Unlockable) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_temporary(&entry.file_name().to_string_lossy()) {
            sweep_entry(&entry, unlockable);
        }
    }
}

fn sweep_entry(entry: &DirEntry, unlockable: Unlockable) {
    // Neither a link nor a pipe is ours, and opening a pipe would wait for its other end.
    let Ok(kind) = entry.file_type() else { return };
    let path = entry.path();
    if !kind.is_dir() && !kind.is_file() {
        return;
    }
    let file = File::open(&path);
    let is_dead = match file.as_ref().map(File::try_lock) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock)) => false,
        // It cannot be opened, or not be locked.
        Err(_) | Ok(Err(TryLockError::Error(_))) => unlockable == Unlockable::Remove || is_old(&path),
    };
    if is_dead {
        // The lock is held until it is gone.
        let _ = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
    drop(file);
}

/// Whether neither it nor anything in it has changed for a day.
fn is_old(path: &Path) -> bool {
    let age = path.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    age.is_some_and(|age| age > FORGOTTEN) && inside.into_iter().all(|entry| is_old(&entry.path()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_lives_stays_and_what_is_dead_goes() {
        let root = tempfile::tempdir().unwrap();
        let folder = TemporaryFolder::private(root.path()).unwrap();
        let file = temporary_file(root.path()).unwrap();
        fs::create_dir_all(root.path().join(".pleiad-dead.tmp/inside")).unwrap();
        fs::write(root.path().join(".pleiad-file.tmp"), "rows").unwrap();
        for not_ours in ["rows.tmp", ".pleiad-rows.csv", ".pleiad-.tmp", ".pleiad.tmp"] {
            fs::write(root.path().join(not_ours), "").unwrap();
        }
        sweep(root.path(), Unlockable::RemoveOld);
        assert!(folder.path().is_dir() && file.path().is_file());
        assert_eq!(names(root.path()).len(), 6, "{:?}", names(root.path()));
        let path = folder.path().to_path_buf();
        drop(folder);
        assert!(!path.exists());
        file.persist(root.path().join("rows.csv")).unwrap();
        sweep(root.path(), Unlockable::Remove);
        assert_eq!(names(root.path()), [".pleiad-.tmp", ".pleiad-rows.csv", ".pleiad.tmp", "rows.csv", "rows.tmp"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let kept = root.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        let link = root.path().join(".pleiad-link.tmp");
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        sweep(root.path(), Unlockable::Remove);
        assert!(kept.join("file").exists() && link.exists());
    }

    /// Sweepers at work beside those who make, fill and rename.
    #[test]
    fn nothing_is_swept_that_is_being_written() {
        /// Ends the sweeper however the test ends: a scope waits for its threads.
        struct Done<'a>(&'a std::sync::atomic::AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let root = tempfile::tempdir().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(root.path(), Unlockable::RemoveOld);
                }
            });
            let _done = Done(&done);
            for i in 0..200 {
                let folder = TemporaryFolder::ordinary(root.path()).unwrap();
                fs::write(folder.path().join("file"), "").unwrap();
                fs::rename(folder.path(), root.path().join(format!("folder-{i}"))).unwrap();
                folder.was_renamed();
                let file = temporary_file(root.path()).unwrap();
                file.persist(root.path().join(format!("file-{i}"))).unwrap();
            }
        });
        assert_eq!(names(root.path()).len(), 400);
    }
}
