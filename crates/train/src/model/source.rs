//! [`Source`]: files given on the command line.

use std::path::Path;

use pleiad_data::read::{DataFile, expand};
use pleiad_data::schema::Files;

use crate::error::Result;

/// Data files to measure a model on or to predict for.
#[derive(Debug, Clone)]
pub struct Source {
    pub(crate) files: Vec<DataFile>,
}

impl Source {
    /// Paths, folders and globs, relative to the working directory; `-` is the standard input.
    ///
    /// # Errors
    /// [`crate::Error::Data`] if a pattern matches no file, or a folder holds none.
    pub fn new(patterns: &[String]) -> Result<Self> {
        Ok(Self { files: expand(Path::new(""), &Files::Many(patterns.to_vec()), None)? })
    }
}
