//! Tables of models: `[model]` and each `[[compare.model]]`.

use pleiad_model::{Error, ModelConfig};
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::compare::NamedModel;
use super::tree::{PathStep, parse_path};

/// Why the table of a model makes no model.
#[derive(Debug)]
pub(super) struct ModelRefusal {
    /// The key at fault, from the table on; empty where serde speaks of the table's keys.
    pub(super) key: Vec<PathStep>,
    /// What is wrong, in our words or in serde's.
    pub(super) message: String,
}

/// The path of the model that the node at `path` is of, if it is of one.
pub(super) fn table_of(path: &[PathStep]) -> Option<&[PathStep]> {
    let key = |at: usize, name: &str| path.get(at) == Some(&PathStep::from(name));
    if key(0, "model") {
        path.get(..1)
    } else if key(0, "compare") && key(1, "model") {
        path.get(..3)
    } else {
        None
    }
}

/// What `pleiad_model` says of the model in a table; `None` if it takes it.
pub(super) fn refusal(table: &Spanned<DeValue<'_>>) -> Option<ModelRefusal> {
    let mut keys = Map::<String, Value>::deserialize(ValueDeserializer::from(table.clone())).ok()?;
    NamedModel::OWN_KEYS.iter().for_each(|key| drop(keys.remove(*key)));
    match ModelConfig::from_table(keys).err()? {
        Error::Config { key, message } => Some(ModelRefusal { key: parse_path(&key).unwrap_or_default(), message }),
        Error::Keys { message, .. } => Some(ModelRefusal { key: Vec::new(), message }),
        other => Some(ModelRefusal { key: Vec::new(), message: other.to_string() }),
    }
}
