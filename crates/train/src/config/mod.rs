//! The one TOML file of a training: [`ConfigFile`] reads it, [`Config`] is its content.
//!
//! What stands in `[data]`, `[[feature]]` and `[[task]]` is described in `pleiad_data`, the keys of `[model]` beside each
//! structure in `pleiad_model`, optimizers and schedules in `pleiad_engine`; here they become one file. Every message
//! has file, line, column and the line itself, whichever crate finds the error.

mod best_epoch;
mod check;
mod compare;
mod document;
mod explain;
mod explanation;
mod folders;
mod foreign;
mod init;
mod joint_loss;
mod memory;
mod metrics;
mod models;
mod patterns;
mod selection;
mod source;
mod train;
mod tree;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use best_epoch::BestEpoch;
pub use compare::{CompareConfig, NamedModel};
pub use explanation::{ExplainConfig, ExplainShare};
pub use joint_loss::{
    CaGradConfig, DwaConfig, GradNormConfig, GradientMethod, JointLossConfig, JointLossRefusal, UncertaintyConfig,
    Weighting, check_joint_loss,
};
pub use metrics::MetricsConfig;
use pleiad_data::schema::{Block, DataConfig, Encoding, FeatureBlock, FeatureKind, Schema, TaskConfig};
use pleiad_data::{Input, InputLayout, Pooling, nearest};
use pleiad_engine::optim::OptimizerConfig;
use pleiad_model::{Interaction, ModelConfig};
use pleiad_rank::{RankConfig, Scorer};
use schemars::JsonSchema;
pub use selection::Selection;
use serde::{Deserialize, Serialize};
pub use train::{AverageConfig, CheckpointConfig, EarlyStopping, TrainConfig};

use self::check::Issue;
use self::document::Document;
use self::source::ConfigText;
use self::tree::{PathStep, parse_path};
use crate::error::{ConfigError, Error, Place, Result};
use crate::metrics::Measures;

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[data]`.
    pub data: DataConfig,
    /// `[[feature]]`, in the order in which the model reads them.
    #[serde(default, rename = "feature")]
    pub features: Vec<FeatureBlock>,
    /// `[[task]]`.
    #[serde(default, rename = "task")]
    pub tasks: Vec<TaskConfig>,
    /// `[interaction]`: crosses of features below every model that says nothing of them itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction: Option<Interaction>,
    /// `[model]`; may be missing where `[[compare.model]]` has models to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
    /// `[train]`.
    #[serde(default)]
    pub train: TrainConfig,
    /// `[metrics]`.
    #[serde(default, skip_serializing_if = "is_plain")]
    pub metrics: MetricsConfig,
    /// `[compare]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<CompareConfig>,
    /// `[rank]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<RankConfig>,
}

impl Config {
    /// The JSON Schema of a configuration, for editors and validators.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// What models are measured by.
    #[must_use]
    pub fn measures(&self) -> Measures {
        self.metrics.measures()
    }

    /// Gives the crosses of `[interaction]` to every model that says nothing of them.
    fn share_interaction(&mut self) {
        let Some(interaction) = self.interaction else { return };
        let named = self.compare.iter_mut().flat_map(|compare| &mut compare.models).map(|named| &mut named.model);
        self.model.iter_mut().chain(named).for_each(|model| model.inherit(interaction));
    }

    /// Says of every model what the tasks say where the file says nothing.
    fn complete_models(&mut self, schema: &Schema) {
        let tasks = schema.task_specs();
        let named = self.compare.iter_mut().flat_map(|compare| &mut compare.models).map(|named| &mut named.model);
        self.model.iter_mut().chain(named).for_each(|model| *model = model.completed(&tasks));
    }

    /// Everything that can be checked without a look at the data.
    fn check(&self) -> Result<Schema, Issue> {
        let schema = Schema::resolve(&self.data, &self.features, &self.tasks);
        let schema = schema.and_then(|schema| schema.with_groups(self.metrics.groups())).map_err(schema_issue)?;
        let specs = schema.task_specs();
        self.metrics.check(&specs)?;
        self.train.check(&specs, &self.metrics.measures())?;
        if self.train.early_stopping.is_some() && self.data.valid.is_none() {
            let message = "it needs validation rows, and [data] has none: add valid = { fraction = 0.1 } or a file there, or \
                           remove early_stopping";
            return Err(Issue::new("train.early_stopping", message));
        }
        if let Some(compare) = &self.compare {
            compare.check()?;
        }
        if let Some(rank) = &self.rank {
            Scorer::new(rank, &schema).map_err(rank_issue)?;
        }
        Ok(schema)
    }
}

fn rank_issue(error: pleiad_rank::Error) -> Issue {
    match error {
        pleiad_rank::Error::Rank { key, problem } => {
            Issue::at(key.iter().map(|part| PathStep::from(part.as_str())).collect(), problem)
        }
        other => Issue::new("rank", other.to_string()),
    }
}

/// What says what a file without the block says is not written, so that such configurations keep their identity.
fn is_plain(metrics: &MetricsConfig) -> bool {
    *metrics == MetricsConfig::default()
}

fn schema_issue(error: pleiad_data::Error) -> Issue {
    let pleiad_data::Error::Schema { place, problem } = error else {
        return Issue::at(Vec::new(), error.to_string());
    };
    let mut path = match place.block {
        Block::Data => vec![PathStep::from("data")],
        Block::Feature(index) => vec![PathStep::from("feature"), PathStep::from(index)],
        Block::Task(index) => vec![PathStep::from("task"), PathStep::from(index)],
        Block::Root => Vec::new(),
    };
    path.extend(place.key.and_then(|key| parse_path(&key).ok()).unwrap_or_default());
    Issue::at(path, problem.to_string())
}

/// A configuration with the file that it was read from.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// What the file, and every `--set`, says.
    pub config: Config,
    /// The data, features and tasks it describes, checked and with ranges of columns expanded.
    pub schema: Schema,
    source: ConfigText,
}

impl ConfigFile {
    /// Reads a file and applies every `KEY=VALUE` of `sets` to it, in order.
    ///
    /// A key is a path with dots, with numbers for the elements of arrays: `train.epochs`, `feature.0.embedding`. A
    /// value is TOML; what is not TOML is a text.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn load(path: &Path, sets: &[String]) -> Result<Self> {
        let fail = |message: String| ConfigError { file: path.to_path_buf(), place: Place::File, key: None, message };
        let bytes = std::fs::read(path).map_err(|e| fail(format!("cannot read the configuration: {e}")))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            fail(format!("a configuration is UTF-8 text; byte {} is not", e.utf8_error().valid_up_to()))
        })?;
        Self::parse(path, text, sets)
    }

    /// Like [`ConfigFile::load`] for a text at hand; `path` names it in errors, and relative paths in it are relative
    /// to the folder of `path`.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(path: &Path, text: String, sets: &[String]) -> Result<Self> {
        Self::read(ConfigText::new(path.to_path_buf(), text, sets), None)
    }

    /// A configuration that a program has put together, for rows that it hands over: `[data] train` is missing, and splits that
    /// are handed over, too, are `{ memory = true }`. Errors speak of it as of a file named `configuration` that has
    /// the text of [`ConfigFile::text`].
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn in_memory(config: &Config) -> Result<Self> {
        let text = toml::to_string(config).map_err(|error| Error::Encode { reason: error.to_string() })?;
        Self::parse_in_memory(text, &[])
    }

    /// [`ConfigFile::in_memory`] of a text that a program has written; patterns of columns are looked for in `columns`, those of
    /// the rows.
    ///
    /// # Errors
    /// As there.
    pub fn parse_in_memory(text: String, columns: &[String]) -> Result<Self> {
        Self::read(ConfigText::new(PathBuf::from("configuration"), text, &[]), Some(columns))
    }

    fn read(source: ConfigText, in_memory: Option<&[String]>) -> Result<Self> {
        let path = source.file.clone();
        let (mut config, schema) = {
            let document = Document::parse(&source)?;
            let read = |root| Config::deserialize(toml::de::ValueDeserializer::from(root));
            let mut config = read(document.root().clone())
                .map_err(|e| document.explain(&e, &|root| read(root).err().map(|e| e.message().to_owned())))?;
            config.share_interaction();
            if in_memory.is_none() {
                config.data.check_files().map_err(|error| {
                    let issue = schema_issue(error);
                    document.error(&issue.path, issue.message)
                })?;
            }
            config.find_columns(&path, in_memory).map_err(|error| match error {
                Error::Data(error @ pleiad_data::Error::Schema { .. }) => {
                    let issue = schema_issue(error);
                    document.error(&issue.path, issue.message).into()
                }
                error => error,
            })?;
            let schema = config.check().map_err(|issue| document.error(&issue.path, issue.message))?;
            config.complete_models(&schema);
            (config, schema)
        };
        if let (Some(folder), Some(base)) = (&mut config.train.table_folder, path.parent()) {
            *folder = base.join(&*folder);
        }
        let file = Self { config, schema, source };
        file.try_models()?;
        Ok(file)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.source.file
    }

    /// Its text, as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// Every `--set`, in order.
    pub fn sets(&self) -> impl Iterator<Item = &str> {
        self.source.sets().map(|(_, set)| set)
    }

    /// The folder that relative paths are relative to.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.source.file.parent().map(Path::to_path_buf).unwrap_or_default()
    }

    /// The model to train: `[model]`, or the `[[compare.model]]` of that name.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such model, or none was named where there is no `[model]`.
    pub fn model(&self, name: Option<&str>) -> Result<&ModelConfig> {
        let models = self.config.compare.as_ref().map_or(&[][..], |c| &c.models);
        let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).collect();
        match (name, &self.config.model) {
            (None, Some(model)) => Ok(model),
            (None, None) if names.is_empty() => {
                Err(self.source.error(None, "there is no [model]: name its kind, as in kind = \"ple\"").into())
            }
            (None, None) => Err(self
                .source
                .error(None, format!("there is no [model]; choose with --model one of {}", quoted(&names)))
                .into()),
            (Some(name), _) => models.iter().find(|m| m.name == name).map(|m| &m.model).ok_or_else(|| {
                let there = if names.is_empty() { "there are none".to_owned() } else { quoted(&names) };
                let near =
                    nearest(name, names.iter().copied()).map_or(String::new(), |n| format!("; did you mean {n:?}?"));
                self.source.error(None, format!("--model {name:?} is none of [[compare.model]]{near} ({there})")).into()
            }),
        }
    }

    /// Builds every model over the inputs as far as they are known without a look at the data, so that a model that
    /// cannot be is refused before hours are spent on reading.
    fn try_models(&self) -> Result<()> {
        let layout = provisional_layout(&self.schema);
        let tasks = self.schema.task_specs();
        let try_model = |name: Option<&str>, model: &ModelConfig| match model.build(&layout, &tasks) {
            Ok(_) => self.check_entire_space(name, model),
            Err(error) => Err(self.model_error(name, error)),
        };
        self.config.model.iter().try_for_each(|model| try_model(None, model))?;
        let named = self.config.compare.iter().flat_map(|compare| &compare.models);
        named.into_iter().try_for_each(|named| try_model(Some(&named.name), &named.model))
    }

    /// Refuses a sample space for a task whose structure has to learn it from all rows.
    fn check_entire_space(&self, name: Option<&str>, model: &ModelConfig) -> Result<()> {
        let sampled = |task: &TaskConfig| task.sampled.is_some() && model.entire_space().contains(&task.name);
        if let Some(at) = self.config.tasks.iter().position(sampled) {
            let (kind, task) = (model.kind(), &self.config.tasks[at].name);
            let message = format!(
                "{kind:?} makes a product of probabilities over all rows of {task:?}, which those of sampled rows are not: train \
                 on the whole log, or choose another structure"
            );
            return Err(
                self.error_at(&[PathStep::from("task"), PathStep::from(at), PathStep::from("sampled")], message)
            );
        }
        let space_of_its_own = |task: &TaskConfig| task.filter.is_some() && model.entire_space().contains(&task.name);
        let Some(at) = self.config.tasks.iter().position(space_of_its_own) else { return Ok(()) };
        let model = match name {
            None => format!("the model (kind {:?})", model.kind()),
            Some(name) => format!("compare.model {name:?} (kind {:?})", model.kind()),
        };
        let message = format!(
            "{model} predicts {:?} as a probability over all rows and has to learn it from all rows: remove `where`, and \
             let the label be 0, not missing, in rows without the event (label.missing = 0 takes empty ones for 0)",
            self.config.tasks[at].name
        );
        Err(self.error_at(&[PathStep::from("task"), PathStep::from(at), PathStep::from("where")], message))
    }

    /// Refuses a `[train] joint_loss` that has nothing to act on in the model that was chosen with
    /// [`ConfigFile::model`]; see [`check_joint_loss`].
    ///
    /// # Errors
    /// [`Error::Config`] at the key of the method.
    pub fn check_joint_loss(&self, name: Option<&str>) -> Result<()> {
        let tasks = self.schema.task_specs();
        let graph = self.model(name)?.build(&provisional_layout(&self.schema), &tasks);
        let graph = graph.map_err(|error| self.model_error(name, error))?;
        check_joint_loss(&self.joint_loss(name), &graph).map_err(|refusal| {
            let base = match self.named(name).filter(|(_, model)| model.joint_loss.is_some()) {
                Some((at, _)) => format!("compare.model.{at}"),
                None => "train".to_owned(),
            };
            let path = parse_path(&format!("{base}.{}", refusal.key)).unwrap_or_default();
            self.error_at(&path, refusal.to_string())
        })
    }

    /// The joint loss of the model that was chosen with [`ConfigFile::model`]: its own, or that of `[train]`.
    #[must_use]
    pub fn joint_loss(&self, name: Option<&str>) -> JointLossConfig {
        let own = self.named(name).and_then(|(_, model)| model.joint_loss);
        own.unwrap_or(self.config.train.joint_loss)
    }

    /// The configuration with another joint loss and seed in `[train]`, whose best epoch is kept, and the optimizer of the model
    /// that was chosen with [`ConfigFile::model`]: what holds for one model of a comparison.
    pub(crate) fn for_model(
        &self,
        name: Option<&str>,
        joint_loss: JointLossConfig,
        best_epoch: BestEpoch,
        seed: u64,
    ) -> Config {
        let (train, optimizer, best_epoch) = (&self.config.train, self.optimizer(name), Some(best_epoch));
        let train = TrainConfig { joint_loss, best_epoch, seed, optimizer, ..train.clone() };
        Config { train, ..self.config.clone() }
    }

    /// The optimizer of the model that was chosen with [`ConfigFile::model`]: its own, or that of `[train]`.
    fn optimizer(&self, name: Option<&str>) -> OptimizerConfig {
        self.named(name).and_then(|(_, model)| model.optimizer).unwrap_or(self.config.train.optimizer)
    }

    /// The `[[compare.model]]` of that name, and its position.
    fn named(&self, name: Option<&str>) -> Option<(usize, &NamedModel)> {
        let models = self.config.compare.as_ref().map_or(&[][..], |c| &c.models);
        models.iter().enumerate().find(|(_, model)| Some(model.name.as_str()) == name)
    }

    /// An error about the model that was chosen with [`ConfigFile::model`], with the line of the key that it names.
    #[must_use]
    pub fn model_error(&self, name: Option<&str>, error: pleiad_model::Error) -> Error {
        let mut path = self.path_of_model(name);
        let message = match error {
            pleiad_model::Error::TooManyParts { ref scope, .. } => {
                let key = self.model(name).map(|model| model.key_of(scope)).unwrap_or_default();
                path.extend(parse_path(&key).unwrap_or_default());
                error.to_string()
            }
            pleiad_model::Error::Config { key, message } => {
                path = self.path_in_model(name, &key);
                message
            }
            pleiad_model::Error::FieldWidths { ref feature, .. } => {
                path = self.path_of_embedding(feature);
                error.to_string()
            }
            pleiad_model::Error::DropoutRate { rate, .. } => {
                path.push(PathStep::from("dropout"));
                format!("must be at least 0 and below 1, not {rate}")
            }
            error => error.to_string(),
        };
        self.error_at(&path, message)
    }

    /// Where the model stands that was chosen with [`ConfigFile::model`].
    fn path_of_model(&self, name: Option<&str>) -> Vec<PathStep> {
        let Some(name) = name else { return vec![PathStep::from("model")] };
        let models = self.config.compare.as_ref().map_or(&[][..], |c| &c.models);
        let index = models.iter().position(|m| m.name == name).unwrap_or_default();
        vec![PathStep::from("compare"), PathStep::from("model"), PathStep::from(index)]
    }

    /// Where a key of the model stands that was chosen with [`ConfigFile::model`]; `[interaction]` may stand for all models.
    fn path_in_model(&self, name: Option<&str>, key: &str) -> Vec<PathStep> {
        let (mut path, below) = (self.path_of_model(name), parse_path(key).unwrap_or_default());
        if below.first() == Some(&PathStep::from("interaction")) {
            path.push(PathStep::from("interaction"));
            if !self.says(&path) {
                return below;
            }
            path.pop();
        }
        path.extend(below);
        path
    }

    /// Where the width of a feature's embedding stands.
    fn path_of_embedding(&self, feature: &str) -> Vec<PathStep> {
        let found = self.schema.features.iter().find(|known| known.name == feature);
        let Some(block) = found.and_then(|feature| self.block_of(feature)) else {
            return vec![PathStep::from("feature")];
        };
        let path = |key: &str| parse_path(&format!("feature.{block}.{key}")).unwrap_or_default();
        let beside = path("exact.embedding");
        if self.says(&beside) && feature.ends_with(".exact") { beside } else { path("embedding") }
    }

    /// Whether something stands in the file, or in a `--set`, at this path.
    fn says(&self, path: &[PathStep]) -> bool {
        Document::parse(&self.source).is_ok_and(|document| document.node(path).is_some())
    }

    /// An error about the configuration as a whole.
    #[must_use]
    pub fn error(&self, message: String) -> Error {
        self.source.error(None, message).into()
    }

    /// An error about a text that stands somewhere in the configuration, such as the name of a column.
    #[must_use]
    pub fn error_about(&self, text: &str, message: String) -> Error {
        let place = Document::parse(&self.source).ok().and_then(|document| document.find_string(text));
        let file = self.source.file.clone();
        Error::Config(ConfigError { file, place: place.unwrap_or(Place::File), key: None, message })
    }

    fn error_at(&self, path: &[PathStep], message: String) -> Error {
        Error::Config(match Document::parse(&self.source) {
            Ok(document) => document.error(path, message),
            Err(error) => error,
        })
    }
}

/// The inputs of a schema. Tables whose size is not configured have one row: how many they will have is known after a look
/// at the data.
fn provisional_layout(schema: &Schema) -> InputLayout {
    let (mut column, mut slot) = (0, 0);
    let mut table_of = |name: &str, table: &str, rows: u64, dim: usize, pooling: Option<Pooling>| {
        slot += 1;
        Input::Categorical { name: name.to_owned(), slot: slot - 1, table: table.to_owned(), rows, dim, pooling }
    };
    let mut inputs = Vec::new();
    for feature in &schema.features {
        let input = match &feature.read {
            FeatureKind::Numeric { .. } | FeatureKind::Pieces { .. } => {
                // There are fewer pieces if there are fewer values; only the data says that.
                let count = if let FeatureKind::Pieces { pieces, .. } = feature.read { pieces } else { 1 };
                inputs.extend(
                    (column..column + count).map(|column| Input::Numeric { name: feature.name.clone(), column }),
                );
                column += count;
                continue;
            }
            FeatureKind::Periodic { frequencies, sigma, embedding, .. } => {
                let (name, sigma) = (feature.name.clone(), *sigma as f32);
                inputs.push(Input::Periodic { name, column, frequencies: *frequencies, sigma, dim: *embedding });
                column += 1;
                continue;
            }
            FeatureKind::Categorical { encoding, embedding, table, multiple } => {
                let rows = match encoding {
                    Encoding::Hash(rows) | Encoding::IntegerHash(rows) | Encoding::Ids(rows) => *rows,
                    Encoding::Vocabulary(_) | Encoding::Exact(_) => 1,
                };
                table_of(&feature.name, table, rows, *embedding, multiple.as_ref().map(|multiple| multiple.pooling))
            }
            FeatureKind::Bucketized { embedding, table, .. } => table_of(&feature.name, table, 1, *embedding, None),
        };
        inputs.push(input);
    }
    InputLayout { attention: schema.attention(), ..InputLayout::new(inputs) }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
