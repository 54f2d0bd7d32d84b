//! [`PerTask`]: a setting for all tasks at once, or one for each.

use std::collections::BTreeMap;

use pleiad_data::TaskSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Unexpected;
use serde::{Deserialize, Deserializer, Serialize};
use serde_untagged::UntaggedEnumVisitor;

use crate::error::{Error, Result};

/// One value for every task (`tower = [32]`), or values by name (`tower = { default = [32], completion = [64, 32] }`).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PerTask<T> {
    /// The same for every task.
    All(T),
    /// By name; `default` is for tasks that are not named.
    Each(BTreeMap<String, T>),
}

/// Name of the entry for tasks that are not named.
const DEFAULT: &str = "default";

impl<T> PerTask<T> {
    /// The value of a task, or of another module such as `shared`.
    ///
    /// # Errors
    /// [`Error::Config`] at `key` if neither the task nor a default is named.
    pub fn get(&self, name: &str, key: &str) -> Result<&T> {
        match self {
            Self::All(value) => Ok(value),
            Self::Each(values) => values.get(name).or_else(|| values.get(DEFAULT)).ok_or_else(|| Error::Config {
                key: key.to_owned(),
                message: format!("says nothing of {name:?}: name it, or add a {DEFAULT:?}"),
            }),
        }
    }

    /// The same names with `f` of every value.
    #[must_use]
    pub fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> PerTask<U> {
        match self {
            Self::All(value) => PerTask::All(f(value)),
            Self::Each(values) => PerTask::Each(values.iter().map(|(name, value)| (name.clone(), f(value))).collect()),
        }
    }

    /// Refuses names that are neither a task nor one of `others`.
    ///
    /// # Errors
    /// [`Error::Config`] at `key` with the nearest name.
    pub fn check_names(&self, tasks: &[TaskSpec], others: &[&str], key: &str) -> Result<()> {
        let Self::Each(values) = self else { return Ok(()) };
        let known = || tasks.iter().map(|t| t.name.as_str()).chain(others.iter().copied()).chain([DEFAULT]);
        match values.keys().find(|name| !known().any(|k| k == *name)) {
            Some(name) => Err(unknown_task(name, known(), key)),
            None => Ok(()),
        }
    }
}

/// Position of the task called `name`.
///
/// # Errors
/// [`Error::Config`] at `key` with the nearest name.
pub(super) fn position_of(name: &str, tasks: &[TaskSpec], key: &str) -> Result<usize> {
    let known = tasks.iter().map(|task| task.name.as_str());
    tasks.iter().position(|task| task.name == name).ok_or_else(|| unknown_task(name, known, key))
}

fn unknown_task<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone, key: &str) -> Error {
    let message = match pleiad_data::nearest(name, known.clone()) {
        Some(near) => format!("names the unknown task {name:?}; did you mean {near:?}?"),
        None => format!("names the unknown task {name:?}; there are: {}", known.collect::<Vec<_>>().join(", ")),
    };
    Error::Config { key: key.to_owned(), message }
}

impl<T: Default> Default for PerTask<T> {
    fn default() -> Self {
        Self::All(T::default())
    }
}

impl<'de> Deserialize<'de> for PerTask<usize> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a count, or a table of counts by task")
            .u64(|n| usize::try_from(n).map(Self::All).map_err(|_| no_count(Unexpected::Unsigned(n))))
            .i64(|n| usize::try_from(n).map(Self::All).map_err(|_| no_count(Unexpected::Signed(n))))
            .map(|map| map.deserialize().map(Self::Each))
            .deserialize(deserializer)
    }
}

/// In serde's own form, which can be led back to the key.
fn no_count<E: serde::de::Error>(found: Unexpected<'_>) -> E {
    E::invalid_value(found, &"a count, or a table of counts by task")
}

impl<'de> Deserialize<'de> for PerTask<Vec<usize>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a list of widths, or a table of such lists by task")
            .seq(|seq| seq.deserialize().map(Self::All))
            .map(|map| map.deserialize().map(Self::Each))
            .deserialize(deserializer)
    }
}

impl<T: JsonSchema> JsonSchema for PerTask<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("PerTask_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "object", "additionalProperties": one }] })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::TaskKind;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct TowerKeys {
        experts: PerTask<usize>,
        tower: PerTask<Vec<usize>>,
    }

    fn tasks() -> Vec<TaskSpec> {
        ["click", "share"].map(|name| TaskSpec::new(name, TaskKind::Binary)).to_vec()
    }

    #[test]
    fn one_value_or_many() {
        let keys: TowerKeys = toml::from_str("experts = 2\ntower = { default = [32], share = [64, 32] }").unwrap();
        assert_eq!(keys.experts.get("click", "experts").unwrap(), &2);
        assert_eq!(keys.tower.get("click", "tower").unwrap(), &[32]);
        assert_eq!(keys.tower.get("share", "tower").unwrap(), &[64, 32]);
    }

    #[test]
    fn a_task_that_is_not_named_needs_a_default() {
        let keys: TowerKeys = toml::from_str("experts = { click = 2 }\ntower = []").unwrap();
        let error = keys.experts.get("share", "task_experts").unwrap_err().to_string();
        assert!(error.contains("task_experts") && error.contains("\"share\"") && error.contains("default"), "{error}");
    }

    #[test]
    fn an_unknown_task_is_refused_with_the_nearest() {
        let keys: TowerKeys = toml::from_str("experts = { clic = 2, share = 1 }\ntower = []").unwrap();
        let error = keys.experts.check_names(&tasks(), &[], "task_experts").unwrap_err().to_string();
        assert!(error.contains("\"clic\"") && error.contains("\"click\""), "{error}");
    }

    #[test]
    fn other_types_are_refused() {
        for text in [
            "experts = -1\ntower = []",
            "experts = \"2\"\ntower = []",
            "experts = 2\ntower = 64",
            "experts = 1.5\ntower = []",
        ] {
            assert!(toml::from_str::<TowerKeys>(text).is_err(), "{text}");
        }
    }
}
