//! `[train] joint_loss`: how the tasks' losses are weighed, and how their gradients become one.

use std::borrow::Cow;
use std::fmt;

use pleiad_model::Graph;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::check::{Issue, above_zero, fits_f32, not_negative};

/// `[train] joint_loss`: the two are independent of one another and go together in any combination. Whatever is chosen,
/// the `weight` of each `[[task]]` multiplies the weight that a method gives.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JointLossConfig {
    /// What multiplies the tasks' own weights.
    pub weighting: Weighting,
    /// What becomes of the tasks' gradients where more than one task reaches a parameter.
    pub gradient: GradientMethod,
}

/// `weighting`: a name, or a table with the name as its `kind` and the method's constants beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Weighting {
    /// 1: the tasks' own weights alone (static or equation 10).
    #[default]
    Static,
    /// [`pleiad_model::objective::weighting::Uncertainty`].
    Uncertainty(UncertaintyConfig),
    /// [`pleiad_model::objective::weighting::DynamicAverage`].
    Dwa(DwaConfig),
    /// [`pleiad_model::objective::weighting::GradNorm`].
    GradNorm(GradNormConfig),
}

/// `{ kind = "uncertainty", .. }`
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UncertaintyConfig {
    /// Learning rate of the Adam that moves `log sigma^2`; that of `[train] optimizer`, unless given. The schedule
    /// multiplies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub learning_rate: Option<f64>,
}

/// `{ kind = "dwa", .. }`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DwaConfig {
    /// The larger, the more alike are the weights; above 0. Default: 2, as in the paper.
    #[schemars(range(min = 0.0))]
    pub temperature: f64,
}

impl Default for DwaConfig {
    fn default() -> Self {
        Self { temperature: 2.0 }
    }
}

/// `{ kind = "gradnorm", .. }`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GradNormConfig {
    /// How strongly tasks that learn slowly are pushed, 0 or above; 0 asks for gradients of equal size.
    #[schemars(range(min = 0.0))]
    pub alpha: f64,
    /// Learning rate of the Adam that moves the weights, above 0. The schedule multiplies it.
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
}

impl Default for GradNormConfig {
    fn default() -> Self {
        Self { alpha: 1.5, learning_rate: 0.025 }
    }
}

/// `gradient`: a name, or a table with the name as its `kind` and the method's constants beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum GradientMethod {
    /// Their sum.
    #[default]
    Sum,
    /// [`pleiad_model::objective::conflict::pcgrad`].
    PcGrad,
    /// [`pleiad_model::objective::conflict::cagrad`].
    CaGrad(CaGradConfig),
}

/// `{ kind = "cagrad", .. }`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CaGradConfig {
    /// How far from the mean gradient the step may lie, in lengths of the mean; 0 or above.
    #[schemars(range(min = 0.0))]
    pub c: f64,
}

impl Default for CaGradConfig {
    fn default() -> Self {
        Self { c: 0.4 }
    }
}

impl JointLossConfig {
    /// Whether every step needs each task's gradient by itself.
    #[must_use]
    pub fn by_task(&self) -> bool {
        self.gradient != GradientMethod::Sum || matches!(self.weighting, Weighting::GradNorm(_))
    }

    /// The same without what acts on shared parameters: the sum of gradients, and static weights for GradNorm's. What
    /// [`check_joint_loss`] refuses becomes what it takes.
    #[must_use]
    pub fn without_shared_parts(self) -> Self {
        let weighting = match self.weighting {
            Weighting::GradNorm(_) => Weighting::Static,
            other => other,
        };
        Self { weighting, gradient: GradientMethod::Sum }
    }

    /// Refuses constants that no training could use.
    pub(super) fn check(&self) -> Result<(), Issue> {
        match self.weighting {
            Weighting::Static => {}
            Weighting::Uncertainty(UncertaintyConfig { learning_rate }) => {
                let key = "train.joint_loss.weighting.learning_rate";
                learning_rate.map_or(Ok(()), |rate| above_zero(key, rate).and_then(|()| fits_f32(key, rate)))?;
            }
            Weighting::Dwa(DwaConfig { temperature }) => {
                above_zero("train.joint_loss.weighting.temperature", temperature)?;
            }
            Weighting::GradNorm(GradNormConfig { alpha, learning_rate }) => {
                not_negative("train.joint_loss.weighting.alpha", alpha)?;
                fits_f32("train.joint_loss.weighting.alpha", alpha)?;
                above_zero("train.joint_loss.weighting.learning_rate", learning_rate)?;
                fits_f32("train.joint_loss.weighting.learning_rate", learning_rate)?;
            }
        }
        if let GradientMethod::CaGrad(CaGradConfig { c }) = self.gradient {
            not_negative("train.joint_loss.gradient.c", c)?;
            fits_f32("train.joint_loss.gradient.c", c)?;
        }
        Ok(())
    }
}

/// Why a joint loss cannot be had for a graph: its method acts on what tasks share, and they share nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JointLossRefusal {
    /// The key, relative to `[train]`: `joint_loss.weighting` or `joint_loss.gradient`.
    pub key: &'static str,
    /// Name of the method.
    pub method: &'static str,
    /// Tasks of the graph.
    pub tasks: usize,
}

impl fmt::Display for JointLossRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, method, tasks } = self;
        let why = match tasks {
            1 => "there is one task",
            _ => "in this model no parameter is reached by more than one task",
        };
        let instead = if *key == KEY_OF_GRADIENT { "\"sum\"" } else { "\"static\", \"uncertainty\" or \"dwa\"" };
        write!(
            f,
            "{method:?} acts on the parameters that tasks share, and {why}; choose {instead}, or a structure that shares"
        )
    }
}

const KEY_OF_WEIGHTING: &str = "joint_loss.weighting";
const KEY_OF_GRADIENT: &str = "joint_loss.gradient";

/// Refuses a method that acts on shared parameters for a graph that has none (single-task networks, or one task). All
/// other methods work with every graph. Where an error is not wanted, [`JointLossConfig::without_shared_parts`] gives the
/// configuration without such a method.
///
/// # Errors
/// [`JointLossRefusal`] says which key, and why.
pub fn check_joint_loss(config: &JointLossConfig, graph: &Graph) -> Result<(), JointLossRefusal> {
    if !config.by_task() || graph.reach().shares_anything() {
        return Ok(());
    }
    let key = if config.gradient == GradientMethod::Sum { KEY_OF_WEIGHTING } else { KEY_OF_GRADIENT };
    let method = if key == KEY_OF_GRADIENT { config.gradient.name() } else { config.weighting.name() };
    Err(JointLossRefusal { key, method, tasks: graph.outputs.len() })
}

impl Weighting {
    const NAMES: &'static [&'static str] = &["static", "uncertainty", "dwa", "gradnorm"];

    /// Its `kind`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Uncertainty(_) => "uncertainty",
            Self::Dwa(_) => "dwa",
            Self::GradNorm(_) => "gradnorm",
        }
    }
}

impl GradientMethod {
    const NAMES: &'static [&'static str] = &["sum", "pcgrad", "cagrad"];

    /// Its `kind`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::PcGrad => "pcgrad",
            Self::CaGrad(_) => "cagrad",
        }
    }
}

/// The tagged forms. The bare names are read as tables with nothing beside `kind`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum WeightingTable {
    Static {},
    Uncertainty(UncertaintyConfig),
    Dwa(DwaConfig),
    GradNorm(GradNormConfig),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum GradientTable {
    Sum {},
    PcGrad {},
    CaGrad(CaGradConfig),
}

impl From<WeightingTable> for Weighting {
    fn from(table: WeightingTable) -> Self {
        match table {
            WeightingTable::Static {} => Self::Static,
            WeightingTable::Uncertainty(config) => Self::Uncertainty(config),
            WeightingTable::Dwa(config) => Self::Dwa(config),
            WeightingTable::GradNorm(config) => Self::GradNorm(config),
        }
    }
}

impl From<GradientTable> for GradientMethod {
    fn from(table: GradientTable) -> Self {
        match table {
            GradientTable::Sum {} => Self::Sum,
            GradientTable::PcGrad {} => Self::PcGrad,
            GradientTable::CaGrad(config) => Self::CaGrad(config),
        }
    }
}

impl Serialize for Weighting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Static => WeightingTable::Static {},
            Self::Uncertainty(config) => WeightingTable::Uncertainty(config),
            Self::Dwa(config) => WeightingTable::Dwa(config),
            Self::GradNorm(config) => WeightingTable::GradNorm(config),
        }
        .serialize(serializer)
    }
}

impl Serialize for GradientMethod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Sum => GradientTable::Sum {},
            Self::PcGrad => GradientTable::PcGrad {},
            Self::CaGrad(config) => GradientTable::CaGrad(config),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Weighting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable::<WeightingTable>::new(Self::NAMES)).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for GradientMethod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable::<GradientTable>::new(Self::NAMES)).map(Self::from)
    }
}

/// Reads a table, or a name as the table that has it as its `kind` and nothing else.
struct NameOrTable<T> {
    names: &'static [&'static str],
    table: std::marker::PhantomData<T>,
}

impl<T> NameOrTable<T> {
    fn new(names: &'static [&'static str]) -> Self {
        Self { names, table: std::marker::PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for NameOrTable<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name ({}) or a table with a `kind`", self.names.join(", "))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<T, E> {
        if !self.names.contains(&name) {
            return Err(E::unknown_variant(name, self.names));
        }
        let kind = std::iter::once((StrDeserializer::<E>::new("kind"), StrDeserializer::<E>::new(name)));
        T::deserialize(MapAccessDeserializer::new(serde::de::value::MapDeserializer::new(kind)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A name or a table, for the JSON Schema.
fn name_or(names: &[&str], table: &Schema) -> Schema {
    schemars::json_schema!({ "anyOf": [{ "type": "string", "enum": names }, table] })
}

impl JsonSchema for Weighting {
    fn schema_name() -> Cow<'static, str> {
        "Weighting".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        name_or(Self::NAMES, &generator.subschema_for::<WeightingTable>())
    }
}

impl JsonSchema for GradientMethod {
    fn schema_name() -> Cow<'static, str> {
        "GradientMethod".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        name_or(Self::NAMES, &generator.subschema_for::<GradientTable>())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JointLossConfig, String> {
        toml::from_str(text).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn names_and_tables_say_the_same() {
        assert_eq!(parse("").unwrap(), JointLossConfig::default());
        assert_eq!(parse("weighting = 'static'\ngradient = 'sum'").unwrap(), JointLossConfig::default());
        for (name, table) in [
            ("weighting = 'uncertainty'", "weighting = { kind = 'uncertainty' }"),
            ("weighting = 'dwa'", "weighting = { kind = 'dwa', temperature = 2.0 }"),
            ("weighting = 'gradnorm'", "weighting = { kind = 'gradnorm', alpha = 1.5, learning_rate = 0.025 }"),
            ("gradient = 'pcgrad'", "gradient = { kind = 'pcgrad' }"),
            ("gradient = 'cagrad'", "gradient = { kind = 'cagrad', c = 0.4 }"),
        ] {
            let config = parse(name).unwrap();
            assert_eq!(config, parse(table).unwrap());
            assert_ne!(config, JointLossConfig::default());
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<JointLossConfig>(&json).unwrap(), config, "{json}");
        }
        let config = parse("weighting = { kind = 'uncertainty', learning_rate = 1 }").unwrap();
        assert_eq!(config.weighting, Weighting::Uncertainty(UncertaintyConfig { learning_rate: Some(1.0) }));
    }

    #[test]
    fn unknown_words_and_keys_are_named() {
        for (text, expected) in [
            ("weighting = 'gradnrm'", "unknown variant `gradnrm`, expected one of `static`, `uncertainty`, `dwa`"),
            ("gradient = { kind = 'mgda' }", "unknown variant `mgda`"),
            ("gradient = { kind = 'pcgrad', c = 1.0 }", "unknown field `c`"),
            ("weighting = { kind = 'dwa', temprature = 1.0 }", "unknown field `temprature`, expected `temperature`"),
            ("weighting = { alpha = 1.0 }", "missing field `kind`"),
            ("weighting = 3", "expected a name (static, uncertainty, dwa, gradnorm) or a table with a `kind`"),
            ("wighting = 'dwa'", "unknown field `wighting`"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn what_acts_on_shared_parameters_can_be_taken_out() {
        let all = parse("weighting = 'gradnorm'\ngradient = 'cagrad'").unwrap();
        assert!(all.by_task());
        assert_eq!(all.without_shared_parts(), JointLossConfig::default());
        let some = parse("weighting = 'dwa'\ngradient = 'pcgrad'").unwrap().without_shared_parts();
        assert_eq!(some, parse("weighting = 'dwa'").unwrap());
        assert!(!some.by_task());
    }
}
