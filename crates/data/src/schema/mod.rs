//! The description of a log: which columns are read ([`FeatureBlock`]), what is predicted ([`TaskConfig`]), where the
//! rows are ([`DataConfig`]); and [`Schema`], the result once ranges are expanded and everything is checked.
//!
//! Nothing here opens a file.

mod check;
mod columns;
mod data;
mod feature;
mod groups;
mod objective;
mod patterns;
mod scalar;
mod task;
mod task_kind;
mod untagged;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use columns::MAX_RANGE;
pub use data::{
    CsvConfig, DEFAULT_WINDOW, DataConfig, Files, Format, OnBadRow, PartConfig, SplitConfig, Stream, WindowConfig,
};
pub use feature::{
    AttentionConfig, Encoding, ExactConfig, FeatureBlock, FeatureKindConfig, Missing, Per, PeriodicConfig, Transform,
    VocabularyConfig,
};
pub use groups::Groups;
pub use objective::{FocalConfig, HuberConfig, LabelTransform, LossConfig, Objective, SampledConfig};
pub use patterns::find_columns;
pub use scalar::Scalar;
pub use task::{ChangingWeight, Every, LabelConfig, TaskConfig, TaskSpec, TaskWeight, Where};
pub use task_kind::TaskKind;

pub use crate::error::{Block, KeyPlace, Problem};
use crate::error::{Error, Result};
use crate::layout::{Attention, Pooling};

/// A checked description of rows: how files are written, every feature, every task. It is saved with the model and is
/// all that is needed, beside what an encoder has fitted, to read rows again.
///
/// Made by [`Schema::resolve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Format of the training files, if the configuration sets it; files without a known ending have it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How CSV files are written; column ranges are expanded.
    pub csv: CsvConfig,
    /// What to do about a row that cannot be read.
    pub on_bad_row: OnBadRow,
    /// The features, in configuration order.
    pub features: Vec<Feature>,
    /// The tasks, in configuration order.
    pub tasks: Vec<TaskConfig>,
    /// Column of what each row counts in losses and metrics; `None` where all count alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Column of the request of each row; `None` where rows have nothing in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Rows that are measured together, such as those of one user; `None` where no metric asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
}

/// One feature: one way to read a column, which may have several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Its name, unique.
    pub name: String,
    /// Its column; `None` where it has the feature's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// How it is read.
    pub read: FeatureKind,
    /// What has one value of it.
    #[serde(default, skip_serializing_if = "Per::is_row")]
    pub per: Per,
}

impl Feature {
    /// The column that it reads.
    #[must_use]
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }
}

/// How a feature is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureKind {
    /// One number.
    Numeric {
        /// Steps in the order they are applied.
        transform: Vec<Transform>,
        /// What stands for a missing value.
        missing: Missing,
    },
    /// A number, piece by piece (piecewise linear encoding; Gorishniy et al., *On Embeddings for Numerical Features in Tabular
    /// Deep Learning*, NeurIPS 2022). Of boundaries b_0 < ... < b_T, piece t is
    /// `max(0, min(1, (x - b_(t-1)) / (b_t - b_(t-1))))`. Each is an input of its own; all have the feature's name.
    Pieces {
        /// Pieces, at the most: there are fewer where there are fewer values.
        pieces: usize,
        /// What stands for a missing value.
        missing: Missing,
    },
    /// A number, embedded by learned waves ([`PeriodicConfig`]).
    Periodic {
        /// Steps in the order they are applied.
        transform: Vec<Transform>,
        /// What stands for a missing value.
        missing: Missing,
        /// Waves.
        frequencies: usize,
        /// Standard deviation of their frequencies at the start.
        sigma: f64,
        /// Width of the embedding.
        embedding: usize,
    },
    /// A category, embedded.
    Categorical {
        /// How a value becomes a table row.
        encoding: Encoding,
        /// Width of the embedding.
        embedding: usize,
        /// Name of the embedding table.
        table: String,
        /// How several values are read; `None` for a single one.
        multiple: Option<Multiple>,
    },
    /// A number whose bucket is embedded. Row 0 of the table stands for a missing value, row 1 for the first bucket.
    Bucketized {
        /// The buckets.
        buckets: Buckets,
        /// Width of the embedding.
        embedding: usize,
        /// Name of the embedding table.
        table: String,
    },
}

/// How several values in one row are read and pooled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multiple {
    /// Between two values where the column is a text.
    pub separator: String,
    /// How the values' embeddings become one.
    pub pooling: Pooling,
    /// What weighs them instead, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<AttentionConfig>,
}

/// The buckets of a bucketized number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Buckets {
    /// Given boundaries.
    Boundaries(Vec<f64>),
    /// This many, by quantiles of the training rows.
    Quantiles(usize),
}

impl Schema {
    /// Expands and checks a configuration.
    ///
    /// # Errors
    /// [`Error::Schema`] with block and key, on the first thing that cannot be.
    pub fn resolve(data: &DataConfig, features: &[FeatureBlock], tasks: &[TaskConfig]) -> Result<Self> {
        check::data(data)?;
        let csv = data.csv.resolve()?;
        let (resolved, blocks) = check::expand(features)?;
        let (tasks, weight, groups) = (tasks.to_vec(), data.weight.clone(), None);
        let (format, on_bad_row, request) = (data.format, data.on_bad_row, data.request.clone());
        let schema = Self { format, csv, on_bad_row, features: resolved, tasks, weight, request, groups };
        schema.check(&blocks)?;
        Ok(schema)
    }

    /// The schema with groups of rows that are measured together.
    ///
    /// # Errors
    /// [`Error::Schema`] for a group without a column, and ranks that no metric can have.
    pub fn with_groups(self, groups: Option<Groups>) -> Result<Self> {
        groups.as_ref().map_or(Ok(()), Groups::check)?;
        Ok(Self { groups, ..self })
    }

    /// Checks a schema that comes from elsewhere, such as a saved model. `blocks` has the configuration block of
    /// each feature, for messages.
    pub(crate) fn check(&self, blocks: &[usize]) -> Result<()> {
        check::csv(&self.csv)?;
        check::features(&self.features, blocks)?;
        check::attention(&self.features, blocks)?;
        check::requests(self.request.as_deref(), &self.features, blocks)?;
        check::tasks(&self.tasks)?;
        self.groups.as_ref().map_or(Ok(()), Groups::check)?;
        check::leakage(&self.features, blocks, &self.tasks)
    }

    /// The lists whose values another feature weighs, in the order of the features.
    #[must_use]
    pub fn attention(&self) -> Vec<Attention> {
        let of = |feature: &Feature| {
            let FeatureKind::Categorical { multiple: Some(multiple), .. } = &feature.read else { return None };
            let AttentionConfig { target, widths } = multiple.attention.clone()?;
            Some(Attention { feature: feature.name.clone(), target, widths })
        };
        self.features.iter().filter_map(of).collect()
    }

    /// What model, engine and metrics need to know of the tasks, in configuration order.
    #[must_use]
    pub fn task_specs(&self) -> Vec<TaskSpec> {
        let of_rows = self.weight.is_some();
        let spec = |task: &TaskConfig| TaskSpec { weighted: of_rows || task.row_weight.is_some(), ..task.spec() };
        self.tasks.iter().map(spec).collect()
    }
}

fn problem(block: Block, key: &str, problem: Problem) -> Error {
    let place = if key.is_empty() { KeyPlace::block(block) } else { KeyPlace::new(block, key) };
    Error::Schema { place, problem }
}
