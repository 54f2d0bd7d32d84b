//! Opens a data file once: a [`Pipe`] gives its bytes to only one reader, and the reader may have
//! to wait.
//!
//! A reader that waits for a pipe checks a [`Stop`] meanwhile, so that a signal ends the wait. Files on a disk are
//! read directly.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempPath;

use super::data_file::DataFile;
use super::endings::format_of;
use super::failures::{Stopped, explain};
use super::{Source, forms};
use crate::error::{Error, Result};
use crate::schema::Format;

/// A number other than 0 in here asks to stop.
pub type StopFlag = Arc<AtomicUsize>;

/// First bytes of a file that are looked at.
pub(super) const START: usize = 512;

/// Whether reading is to end before the end of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    /// The caller asks for it.
    pub(super) asked: Option<StopFlag>,
    /// No reader takes the rows any more.
    pub(super) unheard: Arc<AtomicBool>,
}

impl Stop {
    fn is_raised(&self) -> bool {
        self.unheard.load(Ordering::Relaxed)
            || self.asked.as_ref().is_some_and(|asked| asked.load(Ordering::Relaxed) != 0)
    }
}

/// A file that is open.
pub(super) enum OpenFile {
    /// It can be read anywhere, and opened again.
    File(File),
    /// It is read once, from its beginning to its end. The first bytes have been read already.
    Pipe { start: Vec<u8>, rest: Pipe },
}

/// What waits for bytes, or for a process that writes them.
pub(super) struct Pipe {
    #[cfg_attr(not(unix), expect(dead_code, reason = "only where one can wait for a file and look up"))]
    stop: Stop,
    file: File,
}

impl Read for Pipe {
    #[cfg(unix)]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let a_moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if self.stop.is_raised() {
                return Err(io::Error::other(Stopped));
            }
            let ready = poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&a_moment));
            match ready {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match self.file.read(into) {
                Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => {}
                read => return read,
            }
        }
    }

    #[cfg(not(unix))]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

/// Opens a file. Of a pipe the first bytes are waited for.
pub(super) fn open(file: &DataFile, stop: &Stop) -> Result<OpenFile> {
    let read_error = |source| Error::Read { path: file.path.clone(), source };
    if !is_pipe(file) {
        return open_file(&file.path).map(OpenFile::File);
    }
    let handle = if file.is_standard_input { standard_input() } else { open_pipe(&file.path) };
    let mut pipe = Pipe { stop: stop.clone(), file: handle.map_err(read_error)? };
    let mut start = Vec::new();
    (&mut pipe).take(START as u64).read_to_end(&mut start).map_err(|error| explain(&file.path, error))?;
    Ok(OpenFile::Pipe { start, rest: pipe })
}

/// Opens a file on a disk, refusing directories, which would open and then fail in odd ways.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let read_error = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_error)?;
    if file.metadata().map_err(read_error)?.is_dir() {
        let source = io::Error::other("it is a directory; name its files with a glob such as \"logs/*.parquet\"");
        return Err(read_error(source));
    }
    Ok(file)
}

/// Whether a file gives its bytes but once. Looking does not open it.
pub(crate) fn is_pipe(file: &DataFile) -> bool {
    file.is_standard_input || file.path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Refuses pipes, for `reason`.
///
/// # Errors
/// [`Error::Pipe`] with the first of them.
pub fn refuse_pipes<'f>(files: impl IntoIterator<Item = &'f DataFile>, reason: &str) -> Result<()> {
    match files.into_iter().find(|file| is_pipe(file)) {
        None => Ok(()),
        Some(pipe) => Err(Error::Pipe { path: pipe.path.clone(), reason: reason.to_owned() }),
    }
}

/// What two names of one pipe have in common.
pub(crate) fn identity(file: &DataFile) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = match file.is_standard_input {
            true => standard_input().and_then(|input| input.metadata()),
            false => file.path.metadata(),
        };
        found.ok().map(|found| (found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    file.is_standard_input.then_some((0, 0))
}

#[cfg(unix)]
fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(windows)]
fn standard_input() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    io::stdin().as_handle().try_clone_to_owned().map(File::from)
}

/// Opens a pipe without a wait for its writer: the first read waits.
#[cfg(unix)]
fn open_pipe(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(not(unix))]
fn open_pipe(path: &Path) -> io::Result<File> {
    File::open(path)
}

impl OpenFile {
    /// The format: the one that is given, by the ending, the one of files without one, and else for a pipe by its first
    /// bytes.
    pub(super) fn format(&mut self, path: &Path, source: &Source) -> Result<Format> {
        let named = source.format.or_else(|| format_of(path)).or(source.otherwise);
        match (named, self) {
            (Some(format), _) => Ok(format),
            (None, Self::Pipe { start, .. }) => Ok(forms::format(start)),
            (None, Self::File(file)) => {
                let mut start = Vec::new();
                file.take(START as u64)
                    .read_to_end(&mut start)
                    .map_err(|source| Error::Read { path: path.to_owned(), source })?;
                let by_configuration = source.by_configuration;
                let unnamed = || Error::UnknownFormat { path: path.to_owned(), by_configuration };
                Err(forms::unnamed(path, &start).unwrap_or_else(unnamed))
            }
        }
    }

    /// The bytes from the beginning.
    pub(super) fn into_read(self) -> Box<dyn Read + Send> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Pipe { start, rest } => Box::new(Cursor::new(start).chain(rest)),
        }
    }

    /// A file that can be read anywhere and opened again under the other path: of a pipe a copy, which goes with the path.
    pub(super) fn into_file(self, path: &Path) -> Result<(File, ReopenAt)> {
        if let Self::File(file) = self {
            return Ok((file, ReopenAt::Own(Arc::from(path))));
        }
        let io = |source| Error::Io { path: std::env::temp_dir(), source };
        let mut copy = tempfile::Builder::new().prefix("pleiad-").tempfile().map_err(io)?;
        let mut bytes = self.into_read();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match bytes.read(&mut buffer).map_err(|error| explain(path, error))? {
                0 => break,
                read => io::Write::write_all(&mut copy, &buffer[..read]).map_err(io)?,
            }
        }
        let (mut file, place) = copy.into_parts();
        io::Seek::rewind(&mut file).map_err(io)?;
        Ok((file, ReopenAt::Copy(place)))
    }
}

/// Where a file can be opened again.
pub(super) enum ReopenAt {
    /// At its path.
    Own(Arc<Path>),
    /// Where it was copied to.
    Copy(TempPath),
}

impl ReopenAt {
    pub(super) fn open(&self) -> Result<File> {
        match self {
            Self::Own(path) => open_file(path),
            Self::Copy(path) => open_file(path),
        }
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn fifo() -> (tempfile::TempDir, DataFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.csv");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        (folder, DataFile::from(path))
    }

    #[test]
    fn a_writer_that_comes_late_and_writes_in_parts_is_read_to_its_end() {
        let (_folder, file) = fifo();
        let path = file.path.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(150));
            let mut pipe = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            for part in ["x,", "y\n", "1,2\n"] {
                pipe.write_all(part.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        let mut text = String::new();
        open(&file, &Stop::default()).unwrap().into_read().read_to_string(&mut text).unwrap();
        writer.join().unwrap();
        assert_eq!(text, "x,y\n1,2\n");
    }

    #[test]
    fn a_wait_for_a_writer_ends_when_it_is_to() {
        for by_flag in [true, false] {
            let (_folder, file) = fifo();
            let flag = StopFlag::default();
            let stop = Stop { asked: Some(Arc::clone(&flag)), ..Stop::default() };
            let heard = Arc::clone(&stop.unheard);
            let begin = Instant::now();
            let waiting = std::thread::spawn(move || open(&file, &stop).err());
            std::thread::sleep(Duration::from_millis(50));
            if by_flag {
                flag.store(15, Ordering::Relaxed)
            } else {
                heard.store(true, Ordering::Relaxed)
            }
            assert!(matches!(waiting.join().unwrap(), Some(Error::Stopped { .. })));
            assert!(begin.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn a_copy_of_a_pipe_can_be_opened_again() {
        let (_folder, file) = fifo();
        let path = file.path.clone();
        let writer = std::thread::spawn(move || std::fs::write(path, vec![7u8; 100_000]).unwrap());
        let (mut copy, place) = open(&file, &Stop::default()).unwrap().into_file(&file.path).unwrap();
        writer.join().unwrap();
        let mut bytes = Vec::new();
        copy.read_to_end(&mut bytes).unwrap();
        place.open().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 200_000);
    }
}
