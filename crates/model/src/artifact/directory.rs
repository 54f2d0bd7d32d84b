//! Directories that are written completely or not at all, and replace an existing one in one step.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pleiad_data::disk::{self, TemporaryFolder, Unlockable};

use super::{FILES, MODEL, document};
use crate::error::{Error, Result};

/// Attempts, where other processes make and remove the same directory.
const TRIES: usize = 16;

/// Puts what `fill` writes into an empty directory in the place of `dir`, which must not exist, be empty, or be an
/// artifact.
pub(super) fn replace(dir: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    // What a link points to is replaced, not the link.
    let dir = &if dir.is_symlink() { fs::canonicalize(dir).map_err(|e| failed(dir, e))? } else { dir.to_owned() };
    replaceable(dir)?;
    let Some(name) = dir.file_name() else {
        return Err(Error::Occupied { path: dir.clone(), reason: "it has no name of its own".to_owned() });
    };
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    disk::create_folders(parent).map_err(|e| failed(parent, e))?;

    // What a killed process left beside it.
    disk::sweep(parent, Unlockable::RemoveOld);
    let temporary = TemporaryFolder::ordinary(parent).map_err(|e| failed(parent, e))?;
    fill(temporary.path())?;
    sync(temporary.path())?;
    let former = parent.join(hidden(name, ".former"));
    put(temporary, dir, &former, &disk::exchange)?;
    // Left by a crash where there is no exchange; `dir` has been written again since.
    if former.exists() {
        let _ = fs::remove_dir_all(&former);
    }
    sync(parent)
}

/// Gives a complete directory its name, over the one that is there, if there is one.
fn put(
    temporary: TemporaryFolder,
    dir: &PathBuf,
    former: &Path,
    exchange: &dyn Fn(&Path, &Path) -> io::Result<bool>,
) -> Result<()> {
    for tried in 1.. {
        let result = if replaceable(dir)? {
            match exchange(temporary.path(), dir) {
                // The former one has the temporary name now, and goes with it.
                Ok(true) => return Ok(()),
                Ok(false) => swap(temporary.path(), dir, former),
                Err(error) => Err(error),
            }
        } else {
            fs::rename(temporary.path(), dir)
        };
        // Another process has put one there since, or taken it away.
        let moved = [io::ErrorKind::AlreadyExists, io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotFound];
        match result {
            Ok(()) => break,
            Err(error) if tried < TRIES && moved.contains(&error.kind()) => {}
            Err(error) => return Err(failed(dir, error)),
        }
    }
    temporary.was_renamed();
    Ok(())
}

/// Two renames instead of an exchange. Between them `dir` is not there, and a crash leaves the former one at `former`.
fn swap(new: &Path, dir: &Path, former: &Path) -> io::Result<()> {
    if former.exists() {
        fs::remove_dir_all(former)?;
    }
    fs::rename(dir, former)?;
    if let Err(error) = fs::rename(new, dir) {
        fs::rename(former, dir)?;
        return Err(error);
    }
    // The new one stands; a former one that cannot be removed is no reason to call it failed.
    let _ = fs::remove_dir_all(former);
    Ok(())
}

/// Removes what versions before this one left beside an artifact when they were killed: `.NAME.former`, and `.NAME.` with
/// six letters or digits, with nothing in them but an artifact's files.
pub(super) fn sweep_beside(dir: &Path) {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else { return };
    let prefix = hidden(name, ".").to_string_lossy().into_owned();
    let of_artifact = |path: &Path| {
        let mut entries = fs::read_dir(path).into_iter().flatten();
        entries.all(|entry| entry.is_ok_and(|entry| FILES.iter().any(|file| entry.file_name() == *file)))
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else { continue };
        let is_ours = rest == "former" || (rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) && of_artifact(&entry.path()) {
            // Whoever cannot remove it has no use for its absence either.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), action: "write", source }
}

/// `.name` followed by `ending`.
fn hidden(name: &OsStr, ending: &str) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(ending);
    hidden
}

/// Whether something stands at `dir`; an error if it is not ours to replace.
fn replaceable(dir: &PathBuf) -> Result<bool> {
    let occupied = |reason: String| Err(Error::Occupied { path: dir.clone(), reason });
    match fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(dir, error)),
        Ok(metadata) if !metadata.is_dir() => return occupied("it is a file".to_owned()),
        Ok(_) => {}
    }
    let mut empty = true;
    for entry in fs::read_dir(dir).map_err(|e| failed(dir, e))? {
        let name = entry.map_err(|e| failed(dir, e))?.file_name();
        if !FILES.iter().any(|file| name == *file) {
            return occupied(format!("it is a directory that holds {}", name.display()));
        }
        empty = false;
    }
    if !empty && !document::is_ours(&dir.join(MODEL)) {
        return occupied("it is a directory without a model.json of Pleiad".to_owned());
    }
    Ok(true)
}

/// Makes the names in a directory last through a power cut, where the system can.
fn sync(dir: &Path) -> Result<()> {
    disk::sync_folder(dir).map_err(|e| failed(dir, e))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Where the system has no exchange, two renames do, and nothing stays.
    #[test]
    fn without_an_exchange_there_are_two_renames() {
        let root = tempfile::tempdir().unwrap();
        let (dir, former) = (root.path().join("model"), root.path().join(".model.former"));
        // Left by a crash between the two.
        fs::create_dir(&former).unwrap();
        for text in ["one", "two", "three"] {
            let new = TemporaryFolder::ordinary(root.path()).unwrap();
            let model = format!(r#"{{"format":"pleiad-model","format_version":1,"text":"{text}"}}"#);
            fs::write(new.path().join(MODEL), &model).unwrap();
            put(new, &dir, &former, &|_, _| Ok(false)).unwrap();
            assert_eq!(fs::read_to_string(dir.join(MODEL)).unwrap(), model);
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
