//! Patterns of column names, which the training files have to resolve.

use std::path::Path;

use pleiad_data::read::{Field, Source, expand, refuse_pipes};
use pleiad_data::schema::{FeatureBlock, find_columns};

use super::Config;
use crate::error::Result;

impl Config {
    /// Puts the columns of the first training file in the place of patterns. Opens no file where there are none. `path` is
    /// that of the configuration.
    pub(super) fn find_columns(&mut self, path: &Path) -> Result<()> {
        if !self.features.iter().any(FeatureBlock::has_pattern) {
            return Ok(());
        }
        let base = path.parent().unwrap_or(Path::new(""));
        let files = expand(base, &self.data.train, self.data.format)?;
        refuse_pipes(
            &files,
            "a pattern in `columns` needs a look at it first; name the columns, or write it to a file",
        )?;
        let source = Source {
            files,
            format: self.data.format,
            otherwise: None,
            csv: self.data.csv.resolve()?,
            by_configuration: true,
            others: Vec::new(),
            stop: None,
        };
        let Some(first) = source.files.first() else { return Ok(()) };
        let header: Vec<String> = source.fields(first)?.into_iter().map(|Field { name, .. }| name).collect();
        Ok(find_columns(&mut self.features, &header)?)
    }
}
