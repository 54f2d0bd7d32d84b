//! Flushes to disk, against power cuts: the names in folders as well as the contents of files.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Brings the names in a folder to disk, where system, file system and the folder's rights allow it. A file that was renamed
/// into it may otherwise be gone after a power cut, although its content was written.
///
/// # Errors
/// What the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        return match synced.map_err(|error| (error.kind(), error)) {
            Err((ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported, _)) | Ok(()) => Ok(()),
            Err((_, error)) => Err(error),
        };
    }
    Ok(())
}

/// Creates a folder and all that it lies in, and brings the names of those that are new to disk.
///
/// # Errors
/// What the system says.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    let new: Vec<PathBuf> = folder.ancestors().take_while(|path| !path.exists()).map(Path::to_path_buf).collect();
    fs::create_dir_all(folder)?;
    new.iter().filter_map(|path| path.parent()).try_for_each(sync_folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_created_once_and_files_are_no_folders() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        create_folders(&deep).unwrap();
        create_folders(&deep).unwrap();
        assert!(deep.is_dir());
        sync_folder(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        assert!(create_folders(&deep.join("file/d")).is_err());
        assert_eq!(sync_folder(&deep.join("none")).is_err(), cfg!(unix));
    }
}
