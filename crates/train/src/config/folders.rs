//! Folders that a configuration asks for, looked at before rows are read rather than when they are needed.

use std::fs;

use super::ConfigFile;
use super::tree::PathStep;
use crate::error::Result;

impl ConfigFile {
    /// Makes `[train] table_folder` where it is not there, and writes in it to see that this can be done.
    ///
    /// # Errors
    /// [`crate::Error::Config`] at the key if it cannot.
    pub fn make_table_folder(&self) -> Result<()> {
        let Some(folder) = &self.config.train.table_folder else { return Ok(()) };
        let written = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder).map(drop));
        written.map_err(|error| {
            // The system's own words come with a temporary name.
            let message = format!("cannot write to the folder {}: {}; name another", folder.display(), error.kind());
            self.error_at(&[PathStep::from("train"), PathStep::from("table_folder")], message)
        })
    }
}
