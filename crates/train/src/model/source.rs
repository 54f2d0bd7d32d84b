//! [`Source`]: files given on the command line.

use std::path::{Path, PathBuf};

use pleiad_data::read::expand;
use pleiad_data::schema::Files;

use crate::error::Result;

/// Data files to measure a model on or to predict for.
#[derive(Debug, Clone)]
pub struct Source {
    pub(crate) paths: Vec<PathBuf>,
}

impl Source {
    /// Paths and globs, relative to the working directory.
    ///
    /// # Errors
    /// [`crate::Error::Data`] if a pattern matches no file.
    pub fn new(patterns: &[String]) -> Result<Self> {
        Ok(Self { paths: expand(Path::new(""), &Files::Many(patterns.to_vec()))? })
    }
}
