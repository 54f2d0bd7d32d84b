//! `[compare]`: several models on the same rows.

use std::borrow::Cow;
use std::fmt;

use pleiad_data::suggest;
use pleiad_engine::optim::OptimizerConfig;
use pleiad_model::ModelConfig;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::check::{Issue, check_option};
use super::joint_loss::JointLossConfig;
use super::tree::PathStep;

/// `[compare]`: which models are compared, over which seeds, against which one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareConfig {
    /// Seeds that every model is trained with; they take the place of `[train] seed`.
    #[serde(default = "three_seeds")]
    pub seeds: Vec<u64>,
    /// Name of the model that gains are measured against.
    pub baseline: String,
    /// Whether the widths of the other models are scaled until they have as many parameters as the baseline.
    #[serde(default)]
    pub match_parameters: bool,
    /// `[[compare.model]]`.
    #[serde(default, rename = "model")]
    pub models: Vec<NamedModel>,
}

fn three_seeds() -> Vec<u64> {
    vec![1, 2, 3]
}

/// An entry of `[[compare.model]]`: a name, and perhaps an optimizer and a joint loss of its own, beside the keys of `[model]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedModel {
    /// What tables and `train --model` call it.
    pub name: String,
    /// Takes the place of `[train] optimizer` for this model.
    pub optimizer: Option<OptimizerConfig>,
    /// Takes the place of `[train] joint_loss` for this model.
    pub joint_loss: Option<JointLossConfig>,
    /// Its structure.
    pub model: ModelConfig,
}

impl CompareConfig {
    /// Refuses a comparison that has no models, no seeds, or no baseline.
    pub(super) fn check(&self) -> Result<(), Issue> {
        if self.models.is_empty() {
            return Err(Issue::new("compare", "compares nothing; add a [[compare.model]] with a name and a kind"));
        }
        let names: Vec<&str> = self.models.iter().map(|m| m.name.as_str()).collect();
        for (i, model) in self.models.iter().enumerate() {
            if let Some(optimizer) = &model.optimizer {
                check_option(&format!("compare.model.{i}.optimizer"), optimizer.validate())?;
            }
            let Some(joint_loss) = &model.joint_loss else { continue };
            joint_loss.check().map_err(|issue| Issue {
                path: [PathStep::from("compare"), PathStep::from("model"), PathStep::from(i)]
                    .into_iter()
                    .chain(issue.path.into_iter().skip_while(|step| *step == PathStep::from("train")))
                    .collect(),
                ..issue
            })?;
        }
        for (i, name) in names.iter().enumerate() {
            let at =
                || vec![PathStep::from("compare"), PathStep::from("model"), PathStep::from(i), PathStep::from("name")];
            if name.trim().is_empty() {
                return Err(Issue::at(at(), "a model needs a name that can be read"));
            }
            if names[..i].contains(name) {
                return Err(Issue::at(at(), format!("the name {name:?} is given twice")));
            }
        }
        if self.seeds.is_empty() {
            return Err(Issue::new("compare.seeds", "needs at least one seed"));
        }
        for (i, seed) in self.seeds.iter().enumerate() {
            if self.seeds[..i].contains(seed) {
                let at = vec![PathStep::from("compare"), PathStep::from("seeds"), PathStep::from(i)];
                return Err(Issue::at(at, format!("the seed {seed} is given twice; it would count one run as two")));
            }
        }
        if !names.contains(&self.baseline.as_str()) {
            let suggestion = suggest(&self.baseline, &names);
            return Err(Issue::new(
                "compare.baseline",
                format!("there is no [[compare.model]] {:?}{suggestion}", self.baseline),
            ));
        }
        Ok(())
    }
}

impl NamedModel {
    /// Keys of the table that are not the model's.
    pub(super) const OWN_KEYS: [&str; 3] = ["name", "optimizer", "joint_loss"];
}

impl Serialize for NamedModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            optimizer: &'a Option<OptimizerConfig>,
            #[serde(skip_serializing_if = "Option::is_none")]
            joint_loss: &'a Option<JointLossConfig>,
            #[serde(flatten)]
            model: &'a ModelConfig,
        }
        let Self { name, optimizer, joint_loss, model } = self;
        Flat { name, optimizer, joint_loss, model }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NamedModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedModelVisitor)
    }
}

/// Not `#[serde(flatten)]`: with it, an unknown key of the model would give no error.
struct NamedModelVisitor;

impl<'de> Visitor<'de> for NamedModelVisitor {
    type Value = NamedModel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with a name and the keys of a model")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NamedModel, A::Error> {
        let (mut name, mut optimizer, mut joint_loss) = (None, None, None);
        let keys = WithoutOwnKeys { map, name: &mut name, optimizer: &mut optimizer, joint_loss: &mut joint_loss };
        let model = ModelConfig::deserialize(MapAccessDeserializer::new(keys))?;
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        Ok(NamedModel { name, optimizer, joint_loss, model })
    }
}

/// A map that keeps `name`, `optimizer` and `joint_loss` for itself.
struct WithoutOwnKeys<'n, A> {
    map: A,
    name: &'n mut Option<String>,
    optimizer: &'n mut Option<OptimizerConfig>,
    joint_loss: &'n mut Option<JointLossConfig>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutOwnKeys<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            let Some(key) = self.map.next_key::<Cow<'de, str>>()? else { return Ok(None) };
            match &*key {
                "name" => *self.name = Some(self.map.next_value()?),
                "optimizer" => *self.optimizer = Some(self.map.next_value()?),
                "joint_loss" => *self.joint_loss = Some(self.map.next_value()?),
                _ => return seed.deserialize(serde::de::value::CowStrDeserializer::new(key)).map(Some),
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl JsonSchema for NamedModel {
    fn schema_name() -> Cow<'static, str> {
        "NamedModel".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let optimizer = generator.subschema_for::<OptimizerConfig>().to_value();
        let joint_loss = generator.subschema_for::<JointLossConfig>().to_value();
        let mut schema = ModelConfig::json_schema(generator);
        let structures = schema.get_mut("oneOf").and_then(serde_json::Value::as_array_mut);
        for structure in structures.into_iter().flatten() {
            if let Some(properties) = structure.get_mut("properties").and_then(|p| p.as_object_mut()) {
                properties.insert("name".to_owned(), serde_json::json!({ "type": "string" }));
                properties.insert("optimizer".to_owned(), optimizer.clone());
                properties.insert("joint_loss".to_owned(), joint_loss.clone());
            }
            if let Some(required) = structure.get_mut("required").and_then(|r| r.as_array_mut()) {
                required.push("name".into());
            }
        }
        schema
    }
}
