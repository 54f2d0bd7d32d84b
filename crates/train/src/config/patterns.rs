//! Patterns of column names, which the training files have to resolve.

use std::path::Path;

use pleiad_data::read::{Field, Source, expand, refuse_pipes};
use pleiad_data::schema::{FeatureBlock, find_columns};

use super::Config;
use crate::error::Result;

impl Config {
    /// Puts the columns of the first training file in the place of patterns. Opens no file where there are none. `path` is
    /// that of the configuration; rows in memory have these `columns`.
    pub(super) fn find_columns(&mut self, path: &Path, columns: Option<&[String]>) -> Result<()> {
        if !self.features.iter().any(FeatureBlock::has_pattern) {
            return Ok(());
        }
        if let Some(columns) = columns {
            return Ok(find_columns(&mut self.features, columns)?);
        }
        let base = path.parent().unwrap_or(Path::new(""));
        let Some(train) = &self.data.train else { return Ok(()) };
        let files = expand(base, train, self.data.format)?;
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
            memory: None,
        };
        let Some(first) = source.files.first() else { return Ok(()) };
        let header: Vec<String> = source.fields(first)?.into_iter().map(|Field { name, .. }| name).collect();
        Ok(find_columns(&mut self.features, &header)?)
    }
}
