//! [`CacheUse`]: what became of a cache.

use std::fmt;
use std::path::PathBuf;

/// What became of the cache of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheUse {
    /// Rows were read from it.
    Used {
        /// Its folder.
        folder: PathBuf,
    },
    /// Rows were read from their files and kept in it.
    Built {
        /// Its folder.
        folder: PathBuf,
        /// Why what was there could not be used.
        why: String,
    },
    /// Rows were read from their files and could not be kept.
    NotKept {
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        why: String,
    },
    /// Rows are in a temporary folder, which goes with them.
    Temporary {
        /// The folder.
        folder: PathBuf,
    },
}

impl fmt::Display for CacheUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used { folder } => write!(f, "encoded rows are those of {}", folder.display()),
            Self::Built { folder, why } => write!(f, "encoded rows are kept in {} ({why})", folder.display()),
            Self::NotKept { folder, why } => write!(f, "encoded rows are not kept in {}: {why}", folder.display()),
            Self::Temporary { folder } => write!(f, "encoded rows are in {} for this run", folder.display()),
        }
    }
}
