//! `optimizer = { kind = "adam", ... }`: the optimizers by configuration. Formulas are at [`super::StepRule`].

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// An optimizer and its constants, as configured.
///
/// ```
/// # use pleiad_engine::optim::OptimizerConfig;
/// let adam: OptimizerConfig = serde_json::from_str(r#"{ "kind": "adam", "learning_rate": 0.01 }"#).unwrap();
/// assert_eq!(adam.learning_rate(), 0.01);
/// assert_eq!(adam.slots(), 2);
/// // A name alone is the table with nothing but that kind.
/// let adam: OptimizerConfig = serde_json::from_str(r#""adam""#).unwrap();
/// assert_eq!(adam.learning_rate(), 0.001);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[schemars(transform = or_a_name)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent, with momentum if asked for.
    Sgd(SgdConfig),
    /// Adam (Kingma and Ba 2015).
    Adam(AdamConfig),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW(AdamWConfig),
    /// Adagrad (Duchi et al. 2011).
    Adagrad(AdagradConfig),
}

/// Names of all kinds.
const NAMES: &[&str] = &["sgd", "adam", "adamw", "adagrad"];

/// A name stands for a kind whose keys all have defaults.
fn or_a_name(schema: &mut schemars::Schema) {
    if let Some(kinds) = schema.get_mut("oneOf").and_then(|kinds| kinds.as_array_mut()) {
        let name = schemars::json_schema!({
            "description": "A kind with its defaults.",
            "type": "string",
            "enum": ["adam", "adamw", "adagrad"],
        });
        kinds.push(name.to_value());
    }
}

impl Serialize for OptimizerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        // That of `remote = "Self"`: always a table, so that a name changes no identity.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for OptimizerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = OptimizerConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name (adam, adamw, adagrad) or a table with a `kind`")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> std::result::Result<OptimizerConfig, E> {
        match name {
            "adam" => Ok(OptimizerConfig::Adam(AdamConfig::default())),
            "adamw" => Ok(OptimizerConfig::AdamW(AdamWConfig::default())),
            "adagrad" => Ok(OptimizerConfig::Adagrad(AdagradConfig::default())),
            "sgd" => Err(E::custom("sgd has no default rate: write { kind = \"sgd\", learning_rate = 0.1 }")),
            _ => Err(E::unknown_variant(name, NAMES)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<OptimizerConfig, A::Error> {
        Self::Value::deserialize(MapAccessDeserializer::new(map))
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(AdamConfig::default())
    }
}

/// Constants of SGD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    /// Learning rate, at least 0.
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
    /// Share of the last step's direction that is kept, in [0, 1); 0 keeps no state.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub momentum: f64,
    /// Nesterov's momentum: the step looks one step ahead. Needs `momentum` above 0.
    #[serde(default)]
    pub nesterov: bool,
    /// Weight decay, at least 0.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether weights shrink by themselves (`w *= 1 - learning_rate * weight_decay`) rather than through the
    /// gradient (L2).
    #[serde(default)]
    pub decoupled: bool,
}

/// Constants of Adam.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate, at least 0.
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
    /// Decay of the running mean of the gradient and of its square, each in [0, 1).
    pub betas: [f64; 2],
    /// Added to the denominator after bias correction; above 0.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    /// Weight decay, at least 0.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether weights shrink by themselves, as in AdamW, rather than through the gradient (L2).
    pub decoupled: bool,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

/// Constants of AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Learning rate, at least 0.
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
    /// Decay of the running mean of the gradient and of its square, each in [0, 1).
    pub betas: [f64; 2],
    /// Added to the denominator after bias correction; above 0.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    /// Decoupled weight decay, at least 0.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// Constants of Adagrad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdagradConfig {
    /// Learning rate, at least 0.
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
    /// Added to the denominator; above 0.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    /// What the sum of squared gradients starts with, at least 0.
    #[schemars(range(min = 0.0))]
    pub initial_accumulator: f64,
    /// Weight decay, at least 0.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether weights shrink by themselves (`w *= 1 - learning_rate * weight_decay`) rather than through the
    /// gradient (L2).
    pub decoupled: bool,
}

impl Default for AdagradConfig {
    fn default() -> Self {
        Self { learning_rate: 0.01, epsilon: 1e-10, initial_accumulator: 0.0, weight_decay: 0.0, decoupled: false }
    }
}

impl OptimizerConfig {
    /// Weight decay.
    #[must_use]
    pub fn weight_decay(&self) -> f64 {
        match self {
            Self::Sgd(c) => c.weight_decay,
            Self::Adam(c) => c.weight_decay,
            Self::AdamW(c) => c.weight_decay,
            Self::Adagrad(c) => c.weight_decay,
        }
    }

    /// The configured learning rate, before any schedule.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(c) => c.learning_rate,
            Self::Adam(c) => c.learning_rate,
            Self::AdamW(c) => c.learning_rate,
            Self::Adagrad(c) => c.learning_rate,
        }
    }

    /// Number of state values that each weight carries, 0 to [`super::MAX_SLOTS`].
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slot_names().len()
    }

    /// What each state value is called in checkpoints.
    #[must_use]
    pub fn slot_names(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(c) if c.momentum == 0.0 => &[],
            Self::Sgd(_) => &["momentum"],
            Self::Adam(_) | Self::AdamW(_) => &["mean", "square"],
            Self::Adagrad(_) => &["square_sum"],
        }
    }

    /// What every state value starts with.
    #[must_use]
    pub fn initial_state(&self) -> f32 {
        match self {
            Self::Adagrad(c) => c.initial_accumulator as f32,
            Self::Sgd(_) | Self::Adam(_) | Self::AdamW(_) => 0.0,
        }
    }

    /// Refuses constants that no training could use.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the first bad key, its value and what is expected.
    pub fn validate(&self) -> Result<()> {
        not_negative("learning_rate", self.learning_rate())?;
        match self {
            Self::Sgd(c) => {
                below_one("momentum", c.momentum)?;
                if c.nesterov && c.momentum == 0.0 {
                    return Err(Error::option("nesterov", true, "`momentum` above 0 beside it"));
                }
                not_negative("weight_decay", c.weight_decay)
            }
            Self::Adam(AdamConfig { betas, epsilon, weight_decay, .. })
            | Self::AdamW(AdamWConfig { betas, epsilon, weight_decay, .. }) => {
                below_one("betas[0]", betas[0])?;
                below_one("betas[1]", betas[1])?;
                above_zero("epsilon", *epsilon)?;
                not_negative("weight_decay", *weight_decay)
            }
            Self::Adagrad(c) => {
                above_zero("epsilon", c.epsilon)?;
                not_negative("initial_accumulator", c.initial_accumulator)?;
                not_negative("weight_decay", c.weight_decay)
            }
        }
    }
}

/// Constants are computed in f64 and applied in f32: what overflows there is as useless as an infinity.
fn not_negative(key: &'static str, value: f64) -> Result<()> {
    if value >= 0.0 && (value as f32).is_finite() {
        return Ok(());
    }
    Err(Error::option(key, value, "a finite number, 0 or above"))
}

/// What vanishes in f32 would let a weight without gradient become 0 / 0.
fn above_zero(key: &'static str, value: f64) -> Result<()> {
    if value as f32 > 0.0 && (value as f32).is_finite() {
        return Ok(());
    }
    Err(Error::option(key, value, "a finite number above 0 (and not below 1e-45)"))
}

fn below_one(key: &'static str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::option(key, value, "a number from 0 up to, but without, 1"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(json: &str) -> OptimizerConfig {
        serde_json::from_str(json).unwrap()
    }

    fn refusal(json: &str) -> String {
        parse(json).validate().unwrap_err().to_string()
    }

    #[test]
    fn keys_left_out_have_the_documented_values() {
        assert_eq!(parse(r#"{"kind": "adam"}"#), OptimizerConfig::Adam(AdamConfig::default()));
        assert_eq!(parse(r#"{"kind": "adamw"}"#), OptimizerConfig::AdamW(AdamWConfig::default()));
        assert_eq!(parse(r#"{"kind": "adagrad"}"#), OptimizerConfig::Adagrad(AdagradConfig::default()));
        let sgd = SgdConfig { learning_rate: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0, decoupled: false };
        assert_eq!(parse(r#"{"kind": "sgd", "learning_rate": 0.1}"#), OptimizerConfig::Sgd(sgd));
        assert_eq!(OptimizerConfig::default().learning_rate(), 1e-3);
    }

    #[test]
    fn a_name_is_its_table() {
        for name in ["adam", "adamw", "adagrad"] {
            let (short, long) = (parse(&format!("{name:?}")), parse(&format!("{{\"kind\": {name:?}}}")));
            assert_eq!(short, long);
            assert_eq!(serde_json::to_value(short).unwrap()["kind"], name);
        }
        let error = |json: &str| serde_json::from_str::<OptimizerConfig>(json).unwrap_err().to_string();
        assert!(error("\"sgd\"").contains("learning_rate = 0.1"), "{}", error("\"sgd\""));
        assert!(error("\"adem\"").contains("unknown variant `adem`"), "{}", error("\"adem\""));
        assert!(error("3").contains("a name (adam, adamw, adagrad) or a table with a `kind`"), "{}", error("3"));
        let schema = serde_json::to_string(&schemars::schema_for!(OptimizerConfig)).unwrap();
        assert!(schema.contains(r#""enum":["adam","adamw","adagrad"]"#), "{schema}");
    }

    #[test]
    fn what_is_written_reads_back() {
        for json in [
            r#"{"kind": "sgd", "learning_rate": 0.5, "momentum": 0.9, "nesterov": true, "decoupled": true}"#,
            r#"{"kind": "adam", "learning_rate": 0.01, "betas": [0.8, 0.99], "epsilon": 1e-7}"#,
            r#"{"kind": "adamw", "weight_decay": 0.1}"#,
            r#"{"kind": "adagrad", "initial_accumulator": 0.1}"#,
        ] {
            let config = parse(json);
            config.validate().unwrap();
            assert_eq!(parse(&serde_json::to_string(&config).unwrap()), config);
        }
    }

    #[test]
    fn unknown_keys_and_kinds_are_refused_by_name() {
        let error = |json: &str| serde_json::from_str::<OptimizerConfig>(json).unwrap_err().to_string();
        let message = error(r#"{"kind": "adam", "lr": 0.1}"#);
        assert!(message.contains("`lr`") && message.contains("`learning_rate`"), "{message}");
        let message = error(r#"{"kind": "adamw", "decoupled": false}"#);
        assert!(message.contains("`decoupled`"), "{message}");
        let message = error(r#"{"kind": "adem"}"#);
        assert!(message.contains("`adem`") && message.contains("`adam`"), "{message}");
        let message = error(r#"{"kind": "sgd"}"#);
        assert!(message.contains("learning_rate"), "{message}");
    }

    #[test]
    fn useless_constants_are_refused_with_key_and_value() {
        for (json, key, value) in [
            (r#"{"kind": "sgd", "learning_rate": -0.1}"#, "`learning_rate`", "-0.1"),
            (r#"{"kind": "sgd", "learning_rate": 1e300}"#, "`learning_rate`", "1e300"),
            (r#"{"kind": "sgd", "learning_rate": 1, "momentum": 1.0}"#, "`momentum`", "1"),
            (r#"{"kind": "sgd", "learning_rate": 1, "nesterov": true}"#, "`nesterov`", "true"),
            (r#"{"kind": "sgd", "learning_rate": 1, "weight_decay": -1}"#, "`weight_decay`", "-1"),
            (r#"{"kind": "adam", "betas": [1.0, 0.999]}"#, "`betas[0]`", "1"),
            (r#"{"kind": "adamw", "betas": [0.9, -0.5]}"#, "`betas[1]`", "-0.5"),
            (r#"{"kind": "adam", "epsilon": 0}"#, "`epsilon`", "0"),
            (r#"{"kind": "adam", "epsilon": 1e-60}"#, "`epsilon`", "1e-60"),
            (r#"{"kind": "adagrad", "initial_accumulator": -2}"#, "`initial_accumulator`", "-2"),
        ] {
            let message = refusal(json);
            assert!(message.contains(key) && message.contains(value), "{json}: {message}");
        }
        for bad in [f64::NAN, f64::INFINITY] {
            let config = OptimizerConfig::Adam(AdamConfig { learning_rate: bad, ..AdamConfig::default() });
            assert!(config.validate().is_err(), "{bad}");
        }
    }

    #[test]
    fn schema_allows_the_tag_beside_the_keys_and_nothing_else() {
        let schema = schemars::schema_for!(OptimizerConfig);
        let text = serde_json::to_string(&schema).unwrap();
        let adam =
            schema.as_value()["oneOf"].as_array().unwrap().iter().find(|v| v["properties"]["kind"]["const"] == "adam");
        let adam = adam.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(adam["additionalProperties"], false);
        assert!(adam["properties"]["betas"].is_object(), "{text}");
    }
}
