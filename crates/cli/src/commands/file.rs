//! Files of text that a command writes: whole, or not there.

use std::io::{ErrorKind, Write};
use std::path::Path;

use pleiad_data::disk::temporary_file;

use crate::exit::Failure;

/// What becomes of a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfThere {
    /// It gives way.
    Replace,
    /// It stays, and nothing is written.
    Refuse,
}

/// The refusal of a file that is there.
pub(super) fn exists(path: &Path) -> Failure {
    Failure::usage(format!("{} exists; name another file with --out, or remove it", path.display()))
}

/// Writes a file.
pub(super) fn write(path: &Path, bytes: &[u8], if_there: IfThere) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The system's own words come with a temporary name.
    let failed = |error: std::io::Error| Failure::run(format!("{}: {}", path.display(), error.kind()));
    let mut file = temporary_file(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    let written = match if_there {
        IfThere::Replace => file.persist(path),
        IfThere::Refuse => file.persist_noclobber(path),
    };
    match written {
        Ok(_) => Ok(()),
        Err(error) if if_there == IfThere::Refuse && error.error.kind() == ErrorKind::AlreadyExists => {
            Err(exists(path))
        }
        Err(error) => Err(failed(error.error)),
    }
}
