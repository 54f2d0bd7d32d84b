//! Directories that are written whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{FILES, MODEL, document};
use crate::error::{Error, Result};

/// Puts what `fill` writes into an empty directory in the place of `dir`, which must not exist, be empty, or be an
/// artifact.
pub(super) fn replace(dir: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    // What a link points to is replaced, not the link.
    let dir = &if dir.is_symlink() { fs::canonicalize(dir).map_err(|e| failed(dir, e))? } else { dir.to_owned() };
    let exists = replaceable(dir)?;
    let Some(name) = dir.file_name() else {
        return Err(Error::Occupied { path: dir.clone(), reason: "it has no name of its own".to_owned() });
    };
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| failed(parent, e))?;

    let mut builder = tempfile::Builder::new();
    let prefix = hidden(name, ".");
    builder.prefix(&prefix);
    // The usual mode of a directory, which the process's umask narrows; a temporary one would be its owner's alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let temporary = builder.tempdir_in(parent).map_err(|e| failed(parent, e))?;
    fill(temporary.path())?;
    sync(temporary.path())?;

    if exists {
        let former = parent.join(hidden(name, ".former"));
        // Left by a crash between the two renames below; `dir` has been written again since.
        if former.exists() {
            fs::remove_dir_all(&former).map_err(|e| failed(&former, e))?;
        }
        fs::rename(dir, &former).map_err(|e| failed(dir, e))?;
        if let Err(error) = fs::rename(temporary.path(), dir) {
            fs::rename(&former, dir).map_err(|e| failed(&former, e))?;
            return Err(failed(dir, error));
        }
        // The new artifact stands; a former one that cannot be removed is no reason to call it failed.
        let _ = fs::remove_dir_all(&former);
    } else {
        fs::rename(temporary.path(), dir).map_err(|e| failed(dir, e))?;
    }
    // Renamed: nothing is left at the temporary path to be removed.
    let _ = temporary.keep();
    sync(parent)
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
    if cfg!(unix) {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| failed(dir, e))?;
    }
    Ok(())
}
