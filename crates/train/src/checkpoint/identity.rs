//! [`Identity`]: what a run is, so that it is not resumed as another.

use std::fmt;
use std::path::Path;

use pleiad_model::ModelConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh64::xxh64;

use crate::config::Config;
use crate::error::{Error, Result};

/// Everything in a configuration that has a say in the weights, resolved: defaults filled in, `--set` applied, the
/// chosen model as `[model]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Identity(Value);

impl Identity {
    pub(crate) fn of(config: &Config, model: &ModelConfig, init: Option<&Path>) -> Result<Self> {
        let encode = |e: serde_json::Error| Error::Encode { reason: e.to_string() };
        let mut config = serde_json::to_value(config).map_err(encode)?;
        if let Value::Object(config) = &mut config {
            let mut model = serde_json::to_value(model).map_err(encode)?;
            if let Value::Object(model) = &mut model {
                // What gates were before there was a choice: runs of that time go on with it.
                for (key, before) in [("gate_start", "normal"), ("gate_rate", "same")] {
                    if model.get(key).is_some_and(|value| value == before) {
                        model.shift_remove(key);
                    }
                }
                if model.get("interaction").is_some_and(|crosses| crosses["kind"] == "none") {
                    model.shift_remove("interaction");
                }
            }
            config.insert("model".to_owned(), model);
            // The model has it.
            config.shift_remove("interaction");
            // None of these changes a weight.
            config.remove("compare");
            config.remove("rank");
            if let Some(Value::Object(data)) = config.get_mut("data") {
                data.shift_remove("cache");
            }
            if let Some(Value::Object(train)) = config.get_mut("train") {
                train.remove("checkpoint");
                train.remove("evaluation_batch_size");
                // Not always there: the order of the others must not depend on them.
                train.shift_remove("table_folder");
                train.shift_remove("explain");
            }
            if let Some(init) = init {
                config.insert("--init".to_owned(), init.display().to_string().into());
            }
        }
        Ok(Self(config))
    }

    /// XXH64 of it, in hexadecimal.
    pub(crate) fn hash(&self) -> String {
        format!("{:016x}", xxh64(self.0.to_string().as_bytes(), 0))
    }

    /// Refuses a run that began as another. The error names every difference.
    pub(crate) fn check(&self, begun: &Self, run: &Path) -> Result<()> {
        let differences = compare(&begun.0, &self.0);
        if differences.is_empty() {
            return Ok(());
        }
        let differences = differences.iter().map(|difference| format!("  {difference}")).collect();
        Err(Error::Differs { path: run.to_path_buf(), differences })
    }

    /// Refuses a finished run of another configuration.
    pub(crate) fn check_hash(&self, begun: &str, run: &Path) -> Result<()> {
        if self.hash() == begun {
            return Ok(());
        }
        let differences = vec!["  it is complete; name another folder for this one".to_owned()];
        Err(Error::Differs { path: run.to_path_buf(), differences })
    }
}

/// A key that two configurations have otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The key, with dots.
    pub(crate) key: String,
    /// Its value in the one that something was begun with, as it is written.
    pub(crate) begun: String,
    /// Its value now.
    pub(crate) now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: it has {}, this one {}", self.key, self.begun, self.now)
    }
}

/// Every difference of two values.
pub(crate) fn compare(begun: &Value, now: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare_below("", begun, now, &mut differences);
    differences
}

fn compare_below(path: &str, begun: &Value, now: &Value, differences: &mut Vec<Difference>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (begun, now) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                compare_below(&below(key), &of(a), &of(b), differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare_below(&below(&i.to_string()), a, b, differences);
            }
        }
        (a, b) if a == b => {}
        (a, b) => differences.push(Difference { key: path.to_owned(), begun: shown(a), now: shown(b) }),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_told_key_by_key() {
        let begun = Identity(json!({ "train": { "epochs": 3, "seed": 1 }, "task": [{ "name": "a" }] }));
        let now = Identity(json!({ "train": { "epochs": 4, "clip_norm": 1.0 }, "task": [{ "name": "a" }] }));
        begun.check(&begun, Path::new("run")).unwrap();
        let message = now.check(&begun, Path::new("run")).unwrap_err().to_string();
        assert!(message.contains("  train.epochs: it has 3, this one 4"), "{message}");
        assert!(message.contains("  train.seed: it has 1, this one nothing"), "{message}");
        assert!(message.contains("  train.clip_norm: it has nothing, this one 1.0"), "{message}");
        assert!(!message.contains("task"), "{message}");
    }

    #[test]
    fn a_run_from_before_there_was_a_choice_of_gates_goes_on_as_it_began() {
        let level = "{ task_experts = 1, shared_experts = 1, widths = [2] }";
        let config: Config = toml::from_str(
            "[data]\ntrain = 'x.csv'\n[[feature]]\ncolumns = ['a']\nkind = 'numeric'\n\
             [[task]]\nname = 't'\nkind = 'binary'\nlabel = 't'\n[model]\nkind = 'hard-sharing'\nbottom = [2]",
        )
        .unwrap();
        let of = |keys: &str| {
            let model: ModelConfig = toml::from_str(&format!("kind = 'ple'\nlevels = [{level}]\n{keys}")).unwrap();
            Identity::of(&config, &model, None).unwrap()
        };
        let mut before = of("");
        let model = before.0["model"].as_object_mut().unwrap();
        model.shift_remove("gate_start").unwrap();
        model.shift_remove("gate_rate").unwrap();
        let same = of("gate_start = 'normal'\ngate_rate = 'same'");
        same.check(&before, Path::new("run")).unwrap();
        assert_eq!(same.hash(), before.hash());
        let message = of("").check(&before, Path::new("run")).unwrap_err().to_string();
        assert!(message.contains("  model.gate_start: it has nothing, this one \"zero\""), "{message}");
        assert!(message.contains("  model.gate_rate: it has nothing, this one \"scaled\""), "{message}");
    }

    #[test]
    fn crosses_are_a_part_of_the_model_wherever_they_are_written() {
        let text = "[data]\ntrain = 'x.csv'\n[[feature]]\ncolumns = ['a']\nkind = 'numeric'\n\
                    [[task]]\nname = 't'\nkind = 'binary'\nlabel = 't'\n[model]\nkind = 'hard-sharing'\nbottom = [2]\n";
        let of = |more: &str| {
            let text = format!("{text}{more}");
            let file = crate::ConfigFile::parse(Path::new("run.toml"), text, &[]).unwrap();
            Identity::of(&file.config, file.model(None).unwrap(), None).unwrap()
        };
        let (plain, crossed) = (of(""), of("[interaction]\nkind = 'cross'"));
        assert_eq!(crossed, of("interaction = { kind = 'cross', layers = 2 }"));
        assert_eq!(plain.hash(), of("[interaction]\nkind = 'none'").hash());
        assert_eq!(plain.hash(), of("interaction = { kind = 'none' }\n[interaction]\nkind = 'cross'").hash());
        let message = crossed.check(&plain, Path::new("run")).unwrap_err().to_string();
        let told = "  model.interaction: it has nothing, this one {\"kind\":\"cross\",\"layers\":2}";
        assert!(message.contains(told), "{message}");
        assert_eq!(message.matches("it has").count(), 1, "{message}");
    }

    #[test]
    fn the_hash_tells_configurations_apart() {
        let (a, b) = (Identity(json!({ "a": 1 })), Identity(json!({ "a": 2 })));
        assert_eq!(a.hash(), Identity(json!({ "a": 1 })).hash());
        assert_ne!(a.hash(), b.hash());
        assert!(a.check_hash(&b.hash(), Path::new("run")).is_err());
    }
}
