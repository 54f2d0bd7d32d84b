//! [`Lock`] and [`FolderLock`]: one writer at a time. A lock ends with its process, however the
//! process ends.
//!
//! The folder itself is locked, where the system can do that, and a file in it, which names the holder and which every
//! system can lock. If a user removes the file, the folder stays locked.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::identity::is_at;

/// The file in a folder whose lock is the folder's. It goes when its holder ends in order; left by one that was killed,
/// it means nothing.
pub const LOCK_FILE: &str = "pleiad.lock";

/// Tries to take a lock that is held: a process that only asks for the holder has the lock for a
/// moment.
const TRIES: usize = 6;
const PAUSE: Duration = Duration::from_millis(15);

/// Lock files that go away while they are taken, one after the other, before that is found strange.
const MOST_TRIES: usize = 200;

/// More than any holder writes of itself.
const HOLDER_BYTES: u64 = 1 << 14;

/// Who holds a lock, as it wrote into the lock's file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// What it does, such as `pleiad train`.
    pub command: String,
    /// Number of its process.
    pub process: Option<u32>,
    /// The machine that it runs on.
    pub host: Option<String>,
    /// Since when, as RFC 3339 in UTC.
    pub since: Option<String>,
}

impl Holder {
    fn this_process(command: &str) -> Self {
        let since: DateTime<Utc> = SystemTime::now().into();
        Self {
            command: command.to_owned(),
            process: Some(std::process::id()),
            host: host(),
            since: Some(since.to_rfc3339_opts(SecondsFormat::Secs, true)),
        }
    }

    fn read(file: File) -> Self {
        let mut text = String::new();
        // A holder that has not written anything yet, or whose file cannot be read, is one without a name.
        let read = file.take(HOLDER_BYTES).read_to_string(&mut text);
        read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(process) = self.process else { return f.write_str("another process") };
        write!(f, "`{}` (process {process}", self.command)?;
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        if let Some(since) = &self.since {
            write!(f, ", since {since}")?;
        }
        f.write_str(")")
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Refusal {
    /// Another process has it.
    Held {
        /// What is locked.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// Its file cannot be made.
    Io(io::Error),
    /// Something else has the name of its file.
    NoFile {
        /// The name.
        path: PathBuf,
        /// What is there: `a folder`.
        what: &'static str,
    },
    /// The folder that was locked is not there any more, or another one is.
    Gone,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A lock that this process holds. Dropping it removes its file.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Or why the file system has no locks.
    held: Result<File, String>,
}

impl Lock {
    /// Takes the lock of the file at `path`, which is created. `command` says to other processes what
    /// is being done.
    ///
    /// Where the file system has no locks there is one in name only: see [`Lock::missing`].
    ///
    /// # Errors
    /// [`Refusal::Held`] at once if another has it; [`Refusal::NoFile`] if something else is there; [`Refusal::Io`] if the
    /// file cannot be made.
    pub fn take(path: &Path, command: &str) -> Result<Self, Refusal> {
        let path = path.to_path_buf();
        // The target of a link is no lock, and opening a pipe may wait for its other end.
        if let Ok(found) = fs::symlink_metadata(&path)
            && !found.is_file()
        {
            let what = if found.is_dir() { "a folder" } else { "a link, a pipe or a device" };
            return Err(Refusal::NoFile { path, what });
        }
        let (mut taken, mut gone) = (0, 0);
        loop {
            let file = lock_file().open(&path)?;
            match file.try_lock() {
                // Else its last holder removed it after it was opened here: another file has the name now, or none.
                Ok(()) if gone == MOST_TRIES || is_at(&file, &path) => {
                    introduce(&file, &Holder::this_process(command));
                    return Ok(Self { path, held: Ok(file) });
                }
                Ok(()) => gone += 1,
                Err(TryLockError::WouldBlock) if taken < TRIES => {
                    taken += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(Refusal::Held { holder: Holder::read(file), path }),
                Err(TryLockError::Error(error)) => {
                    // It is empty, so it was made here.
                    if file.metadata().is_ok_and(|found| found.len() == 0) {
                        let _ = fs::remove_file(&path);
                    }
                    return Ok(Self { path, held: Err(error.to_string()) });
                }
            }
        }
    }

    /// Why there is no lock in fact: what the file system said when it was asked for one.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.held.as_ref().err().map(String::as_str)
    }

    /// Whether the lock's file is where it was.
    fn is_in_place(&self) -> bool {
        self.held.as_ref().map_or(true, |file| is_at(file, &self.path))
    }

    /// The process that holds the lock of the file at `path`, if one does.
    #[must_use]
    pub fn holder(path: &Path) -> Option<Holder> {
        let file = File::open(path).ok()?;
        for _ in 0..TRIES {
            match file.try_lock_shared() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Ok(()) | Err(TryLockError::Error(_)) => return None,
            }
        }
        Some(Holder::read(file))
    }

    /// Removes the file of a lock without a holder: the holder was killed.
    pub fn sweep(path: &Path) {
        if let Ok(file) = File::open(path)
            && file.try_lock().is_ok()
            && is_at(&file, path)
        {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held. A process that has opened it already sees afterwards that it has no name any more.
        if let Ok(file) = &self.held
            && is_at(file, &self.path)
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// How a lock's file is opened. The target of a link is not a lock, and must not be written to.
fn lock_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options
}

/// Says in the file who holds its lock. That it cannot be said (a full disk) is no reason not to go on.
fn introduce(mut file: &File, holder: &Holder) {
    if let Ok(mut text) = serde_json::to_vec(holder) {
        text.push(b'\n');
        let _ = file.set_len(0).and_then(|()| file.write_all(&text));
    }
}

/// The machine's name, where it is easily found.
fn host() -> Option<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok())?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// A folder that this process alone writes. Dropping it frees the folder, and removes it if it was made by taking the lock
/// and nothing was written into it.
#[derive(Debug)]
pub struct FolderLock {
    folder: PathBuf,
    lock: Mutex<Option<Lock>>,
    /// The folder itself, where a folder can be opened, and locked where it can be: as long as it is open, no other one has
    /// its number.
    opened: Option<File>,
    command: String,
    /// Folders that were made for it, outermost first.
    made: Vec<PathBuf>,
}

impl FolderLock {
    /// Takes the lock of a folder, whichever way leads to it; it is made where it is not there.
    ///
    /// # Errors
    /// [`Refusal::Held`] if another process writes it or a folder that it lies in; [`Refusal::Io`] if it cannot be made or
    /// not be written to.
    pub fn take(folder: &Path, command: &str) -> Result<Self, Refusal> {
        let mut this = Self {
            folder: folder.to_path_buf(),
            lock: Mutex::default(),
            opened: None,
            command: command.to_owned(),
            made: Vec::new(),
        };
        let (opened, lock) = this.lock()?;
        *this.slot() = Some(lock);
        this.opened = opened;
        // After its own lock: of two processes that take one folder each, inside of one another, one sees the other.
        match Self::holder_above(folder) {
            Some((path, holder)) => Err(Refusal::Held { path, holder }),
            None => Ok(this),
        }
    }

    /// Who writes a folder in which `path` lies or would lie, and which folder that is.
    #[must_use]
    pub fn holder_above(path: &Path) -> Option<(PathBuf, Holder)> {
        let whole = std::path::absolute(path).ok()?;
        let inside = match fs::canonicalize(&whole) {
            Ok(own) => own.parent()?.to_path_buf(),
            // What is not there yet will lie in the innermost folder that is.
            Err(_) => whole.ancestors().skip(1).find_map(|above| fs::canonicalize(above).ok())?,
        };
        inside.ancestors().find_map(|above| Some((above.to_path_buf(), Self::holder(above)?)))
    }

    /// The process that writes a folder, if one does, as the file in it says.
    #[must_use]
    pub fn holder(folder: &Path) -> Option<Holder> {
        Lock::holder(&folder.join(LOCK_FILE))
    }

    /// The folder, opened and locked; `None` if it went away, or another took its place. Where it cannot be locked, it is
    /// opened alone: there is the file in it.
    fn hold(&self) -> Result<Option<File>, Refusal> {
        let opened = match File::open(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        for _ in 0..TRIES {
            match opened.try_lock() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(is_at(&opened, &self.folder).then_some(opened)),
            }
        }
        // Its file may have been removed.
        Err(Refusal::Held { path: self.folder.clone(), holder: Self::holder(&self.folder).unwrap_or_default() })
    }

    /// What to say where the file system has no locks.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let slot = self.slot();
        let reason = slot.as_ref()?.missing()?;
        let folder = self.folder.display();
        Some(format!(
            "{folder} cannot be locked ({reason}): nothing keeps a second process from writing there at the same time"
        ))
    }

    /// Looks whether the folder is still the one that was locked, before more is written into it. Where the lock's file
    /// alone has been removed, the lock is taken again.
    ///
    /// # Errors
    /// [`Refusal::Gone`] if the folder was removed or replaced, and those of [`FolderLock::take`].
    pub fn renew(&self) -> Result<(), Refusal> {
        if self.opened.as_ref().is_some_and(|opened| !is_at(opened, &self.folder)) {
            return Err(Refusal::Gone);
        }
        let mut slot = self.slot();
        if !slot.as_ref().is_some_and(Lock::is_in_place) {
            *slot = Some(self.within(Lock::take(&self.folder.join(LOCK_FILE), &self.command))?);
        }
        Ok(())
    }

    /// Puts the folder `new` in the place of the locked one, which has nothing in it but the lock and goes.
    ///
    /// # Errors
    /// If it cannot be moved there.
    pub fn give_way(self, new: &Path) -> io::Result<()> {
        // What a link leads to is replaced, not the link.
        let folder = fs::canonicalize(&self.folder)?;
        if super::exchange(new, &folder)? {
            // The locked one has the other name now.
            return fs::remove_dir_all(new);
        }
        *self.slot() = None;
        fs::remove_dir(&folder)?;
        fs::rename(new, &folder)
    }

    /// The folder, where it can be opened, and the lock of the file in it. The folder comes first: a process that does
    /// not get it leaves the file alone.
    fn lock(&mut self) -> Result<(Option<File>, Lock), Refusal> {
        let file = self.folder.join(LOCK_FILE);
        for _ in 0..MOST_TRIES {
            self.make()?;
            // A folder that is gone was another process's, which has removed it since.
            let opened = if cfg!(unix) {
                let Some(opened) = self.hold()? else { continue };
                Some(opened)
            } else {
                None
            };
            match Lock::take(&file, &self.command) {
                Err(Refusal::Io(error)) if error.kind() == ErrorKind::NotFound => {}
                taken => return Ok((opened, self.within(taken)?)),
            }
        }
        Err(Refusal::Io(ErrorKind::NotFound.into()))
    }

    /// A refusal that names the folder rather than the file in it.
    fn within(&self, taken: Result<Lock, Refusal>) -> Result<Lock, Refusal> {
        taken.map_err(|refusal| match refusal {
            Refusal::Held { holder, .. } => Refusal::Held { path: self.folder.clone(), holder },
            refusal => refusal,
        })
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Lock>> {
        // What a thread that panicked left in it is a lock all the same.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the folder and those that it lies in.
    fn make(&mut self) -> io::Result<()> {
        let missing: Vec<&Path> =
            self.folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.is_dir()).collect();
        for path in missing.into_iter().rev() {
            match fs::create_dir(path) {
                Ok(()) => self.made.push(path.to_path_buf()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
                // Another process is making or removing them as well: the next attempt finds what it leaves.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !path.exists() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        drop(self.slot().take());
        // Folders with something in them are not removed, which is all that may fail here.
        for path in self.made.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refusal(folder: &Path) -> (PathBuf, Holder) {
        match FolderLock::take(folder, "pleiad two") {
            Err(Refusal::Held { path, holder }) => (path, holder),
            other => panic!("{other:?}"),
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let precious = root.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        fs::create_dir(root.path().join("run")).unwrap();
        std::os::unix::fs::symlink(&precious, root.path().join("run").join(LOCK_FILE)).unwrap();
        assert!(matches!(FolderLock::take(&root.path().join("run"), "pleiad one"), Err(Refusal::NoFile { .. })));
        assert_eq!(fs::read_to_string(precious).unwrap(), "kept");
    }

    #[test]
    fn a_folder_has_one_writer_and_names_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        let lock = FolderLock::take(&folder, "pleiad one").unwrap();
        assert_eq!(lock.warning(), None);
        let (path, holder) = refusal(&folder);
        assert_eq!(path, folder);
        assert_eq!((holder.command.as_str(), holder.process), ("pleiad one", Some(std::process::id())));
        let text = holder.to_string();
        assert!(
            text.starts_with("`pleiad one` (process ") && text.contains(", since 2") && text.ends_with("Z)"),
            "{text}"
        );
        // Nor a folder in it, whose holder is the one above.
        let (path, _) = refusal(&folder.join("c/d"));
        assert_eq!(path, folder.canonicalize().unwrap());
        assert!(!folder.join("c").exists(), "a refusal leaves nothing");
        drop(lock);
        assert!(!root.path().join("a").exists(), "folders that were made and stayed empty go");
        assert_eq!(FolderLock::holder(&folder), None);
    }

    /// As a user may who clears up by hand.
    #[cfg(unix)]
    #[test]
    fn the_file_of_a_lock_may_be_removed_and_nobody_else_gets_in() {
        let root = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(root.path(), "pleiad one").unwrap();
        let file = root.path().join(LOCK_FILE);
        for _ in 0..2 {
            fs::remove_file(&file).unwrap();
            let (path, holder) = refusal(root.path());
            assert_eq!((path.as_path(), holder), (root.path(), Holder::default()));
            assert!(!file.exists(), "who is refused leaves no file");
            lock.renew().unwrap();
            assert_eq!(refusal(root.path()).1.command, "pleiad one");
        }
        drop(lock);
        drop(FolderLock::take(root.path(), "pleiad two").unwrap());
    }

    #[test]
    fn a_folder_in_the_place_of_a_lock_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(LOCK_FILE);
        fs::create_dir(&file).unwrap();
        match FolderLock::take(root.path(), "x") {
            Err(Refusal::NoFile { path, what: "a folder" }) => assert_eq!(path, file),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_there_or_has_something_in_it_stays() {
        let root = tempfile::tempdir().unwrap();
        let empty = root.path().join("empty");
        fs::create_dir(&empty).unwrap();
        drop(FolderLock::take(&empty, "x").unwrap());
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
        let made = root.path().join("made");
        let lock = FolderLock::take(&made, "x").unwrap();
        fs::write(made.join("file"), "").unwrap();
        drop(lock);
        assert!(made.join("file").exists() && !made.join(LOCK_FILE).exists());
    }

    #[test]
    fn a_lock_file_without_a_holder_means_nothing() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(LOCK_FILE);
        for text in ["", "{\"process\":1,\"command\":\"x\"}", "\u{0}\u{1}"] {
            fs::write(&file, text).unwrap();
            assert_eq!(FolderLock::holder(root.path()), None);
            let lock = FolderLock::take(root.path(), "x").unwrap();
            Lock::sweep(&file);
            assert!(file.exists(), "held");
            drop(lock);
            assert!(!file.exists());
        }
        fs::write(&file, "").unwrap();
        Lock::sweep(&file);
        assert!(!file.exists());
    }

    #[cfg(unix)]
    #[test]
    fn every_way_to_a_folder_leads_to_the_same_lock() {
        let root = tempfile::tempdir().unwrap();
        let (folder, link) = (root.path().join("folder"), root.path().join("link"));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let _lock = FolderLock::take(&link, "x").unwrap();
        refusal(&folder);
        refusal(&root.path().join("folder/../link/."));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_replaced_under_its_writer_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("folder");
        let lock = FolderLock::take(&folder, "x").unwrap();
        lock.renew().unwrap();
        // The file alone: the lock is taken again.
        fs::remove_file(folder.join(LOCK_FILE)).unwrap();
        lock.renew().unwrap();
        refusal(&folder);
        fs::rename(&folder, root.path().join("aside")).unwrap();
        assert!(matches!(lock.renew(), Err(Refusal::Gone)));
        let other = FolderLock::take(&folder, "other").unwrap();
        assert!(matches!(lock.renew(), Err(Refusal::Gone)));
        drop(lock);
        assert!(folder.join(LOCK_FILE).exists(), "another's lock stays");
        drop(other);
    }

    #[test]
    fn a_finished_folder_takes_the_place_of_the_locked_one() {
        let root = tempfile::tempdir().unwrap();
        let (out, new) = (root.path().join("out"), root.path().join("new"));
        let lock = FolderLock::take(&out, "x").unwrap();
        fs::create_dir(&new).unwrap();
        fs::write(new.join("file"), "text").unwrap();
        lock.give_way(&new).unwrap();
        assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "text");
        assert!(!out.join(LOCK_FILE).exists() && !new.exists());
    }

    /// Many threads take and free one lock that is not there in between.
    #[test]
    fn two_never_hold_it_at_a_time() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        let (inside, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..60 {
                        match FolderLock::take(&folder, "x") {
                            Ok(lock) => {
                                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                                taken.fetch_add(1, Ordering::SeqCst);
                                inside.fetch_sub(1, Ordering::SeqCst);
                                drop(lock);
                            }
                            Err(Refusal::Held { .. }) => {}
                            Err(refusal) => panic!("{refusal:?}"),
                        }
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }
}
