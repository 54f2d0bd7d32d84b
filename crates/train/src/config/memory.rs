//! Whether a configured model fits in memory. The error names the key that makes it large.

use pleiad_data::schema::{Feature, FeatureKind};
use pleiad_engine::check_memory;
use pleiad_model::Graph;

use super::tree::PathStep;
use super::{ConfigFile, TrainConfig, provisional_layout};
use crate::error::Result;

impl ConfigFile {
    /// Refuses a model that, as far as it is known without a look at the data, needs more memory than is free.
    ///
    /// # Errors
    /// [`crate::Error::Config`] at the key that makes it large.
    pub fn check_memory(&self, name: Option<&str>) -> Result<()> {
        let graph = self.model(name)?.build(&provisional_layout(&self.schema), &self.schema.task_specs());
        let graph = graph.map_err(|error| self.model_error(name, error))?;
        self.check_memory_of(name, &graph, 1)
    }

    /// [`ConfigFile::check_memory`] of a graph over the inputs of the data, with as many rows in a batch as there will be.
    pub(crate) fn check_memory_of(&self, name: Option<&str>, graph: &Graph, rows: u64) -> Result<()> {
        let train = TrainConfig { optimizer: self.optimizer(name), ..self.config.train.clone() };
        let batch = usize::try_from(rows).unwrap_or(usize::MAX).min(train.batch_size);
        let error = match check_memory(graph, &train.engine_options(), batch) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let path = match &error {
            pleiad_engine::Error::ModelTooLarge { largest, .. } => {
                self.path_in_model(name, &self.model(name)?.key_of(largest))
            }
            pleiad_engine::Error::TablesTooLarge { largest, .. } => self.path_of_table(largest),
            _ => Vec::new(),
        };
        Err(self.error_at(&path, error.to_string()))
    }

    /// The `[[feature]]` block that has the table, if it is known.
    fn path_of_table(&self, table: &str) -> Vec<PathStep> {
        let of_table = |feature: &&Feature| match &feature.read {
            FeatureKind::Categorical { table: own, .. } => table == own || table.ends_with(&format!(".{own}")),
            _ => false,
        };
        let Some(feature) = self.schema.features.iter().find(of_table) else { return Vec::new() };
        let Some(block) = self.block_of(feature) else { return Vec::new() };
        vec![PathStep::from("feature"), PathStep::from(block), PathStep::from("encoding")]
    }
}
