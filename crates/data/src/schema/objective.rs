//! [`Objective`]: the training target of a task's output, and how a prediction follows from the
//! output.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess};
use serde::{Deserialize, Serialize};

use super::task_kind::TaskKind;
use super::untagged::{self, Untagged};
use crate::error::Problem;

/// What a task has beside its kind: its loss, and how the network's number becomes a prediction. The default is that of
/// the kind. It is saved with the model.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// Another loss than that of the task's kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossConfig>,
    /// What labels are trained as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<LabelTransform>,
    /// Weight of positive rows in the loss of a binary task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_weight: Option<f64>,
    /// Share of the negative rows that the log of a binary task keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negatives: Option<f64>,
}

/// `sampled = { negatives = 0.1 }`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SampledConfig {
    /// Share of the task's negative rows that the log keeps, above 0 and at most 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub negatives: f64,
}

/// `loss`: a name, or a table with the name as its `kind` and the loss's constants beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LossConfig {
    /// For binary tasks: rows that are predicted well have a small loss.
    Focal(FocalConfig),
    /// For regression tasks: the loss of large errors grows linearly, not with their square.
    Huber(HuberConfig),
}

/// `{ kind = "focal", .. }`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FocalConfig {
    /// How little rows lose that are predicted well, 0 or above; 0 leaves the cross-entropy. Default: 2, as in the paper.
    #[schemars(range(min = 0.0))]
    pub gamma: f64,
    /// Weight of positive rows, that of negative ones is `1 - alpha`; above 0 and below 1. Default: 0.25, as in the paper.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
}

impl Default for FocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: 0.25 }
    }
}

/// `{ kind = "huber", .. }`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HuberConfig {
    /// Up to where an error loses by its square, in the label's unit (after its transform); above 0. Default: 1.
    #[schemars(range(min = 0.0))]
    pub delta: f64,
}

impl Default for HuberConfig {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

/// What a regression's label is trained as. Predictions and metrics are in the label's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelTransform {
    /// ln(1 + y); a row with y <= -1 is bad. The prediction is `exp(z) - 1`.
    Log1p,
}

/// Largest gamma: beyond it every row that is not quite wrong loses nothing.
const MAX_GAMMA: f64 = 100.0;

impl Objective {
    /// Whether it is that of the task's kind.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what a task of that kind cannot have: the key, and why.
    ///
    /// # Errors
    /// The first key that cannot be.
    pub fn check(&self, kind: TaskKind) -> Result<(), (&'static str, Problem)> {
        let pointless = |reason: &str| Problem::Pointless { reason: reason.to_owned() };
        let bound = |found: f64, must: String| Problem::Bound { must, found: found.to_string() };
        let largest = f64::from(f32::MAX);
        match (self.loss, kind) {
            (Some(LossConfig::Focal(_)), TaskKind::Regression) => {
                return Err((
                    "loss",
                    pointless("\"focal\" is a loss of binary tasks; a regression may have \"huber\""),
                ));
            }
            (Some(LossConfig::Huber(_)), TaskKind::Binary) => {
                return Err((
                    "loss",
                    pointless("\"huber\" is a loss of regressions; a binary task may have \"focal\""),
                ));
            }
            (Some(LossConfig::Focal(FocalConfig { gamma, alpha })), _) => {
                if !(0.0..=MAX_GAMMA).contains(&gamma) {
                    return Err(("loss.gamma", bound(gamma, format!("be a number from 0 to {MAX_GAMMA}"))));
                }
                if !(alpha > 0.0 && alpha < 1.0) {
                    return Err(("loss.alpha", bound(alpha, "lie above 0 and below 1".to_owned())));
                }
            }
            (Some(LossConfig::Huber(HuberConfig { delta })), _) => {
                if !(delta > 0.0 && delta <= largest) {
                    return Err(("loss.delta", bound(delta, "be a number above 0, and at most 3.4e38".to_owned())));
                }
            }
            (None, _) => {}
        }
        if self.transform.is_some() && kind == TaskKind::Binary {
            return Err(("label.transform", pointless("a binary label is 0 or 1; regressions take it")));
        }
        match self.negatives {
            Some(_) if kind == TaskKind::Regression => {
                return Err(("sampled", pointless("a regression has no negative rows; binary tasks take it")));
            }
            Some(share) if !((1e-9..=1.0).contains(&share)) => {
                return Err(("sampled.negatives", bound(share, "be a share from 1e-9 to 1".to_owned())));
            }
            _ => {}
        }
        match self.positive_weight {
            Some(_) if kind == TaskKind::Regression => {
                Err(("positive_weight", pointless("a regression has no positive rows; binary tasks take it")))
            }
            Some(weight) if !(weight > 0.0 && weight <= largest) => {
                Err(("positive_weight", bound(weight, "be a number above 0, and at most 3.4e38".to_owned())))
            }
            _ => Ok(()),
        }
    }
}

impl LossConfig {
    const NAMES: &'static [&'static str] = &["focal", "huber"];
}

/// The tagged form. A bare name is read as a table with nothing beside `kind`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum LossTable {
    Focal(FocalConfig),
    Huber(HuberConfig),
}

impl From<LossTable> for LossConfig {
    fn from(table: LossTable) -> Self {
        match table {
            LossTable::Focal(config) => Self::Focal(config),
            LossTable::Huber(config) => Self::Huber(config),
        }
    }
}

impl Serialize for LossConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Focal(config) => LossTable::Focal(config),
            Self::Huber(config) => LossTable::Huber(config),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LossConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl<'de> Untagged<'de> for LossConfig {
    const EXPECTING: &'static str =
        "\"focal\", \"huber\", { kind = \"focal\", gamma = .., alpha = .. } or { kind = \"huber\", delta = .. }";

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        match value {
            "focal" => Ok(Self::Focal(FocalConfig::default())),
            "huber" => Ok(Self::Huber(HuberConfig::default())),
            other => Err(E::unknown_variant(other, Self::NAMES)),
        }
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        LossTable::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
    }
}

impl JsonSchema for LossConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Loss".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let table = generator.subschema_for::<LossTable>();
        schemars::json_schema!({
            "description": "A name, or a table with it as `kind` and the loss's constants.",
            "anyOf": [{ "enum": Self::NAMES }, table]
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct LossKeys {
        loss: LossConfig,
    }

    fn parse(text: &str) -> Result<LossConfig, String> {
        toml::from_str::<LossKeys>(&format!("loss = {text}")).map(|keys| keys.loss).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_is_a_table_with_the_defaults() {
        for (text, loss) in [
            ("'focal'", LossConfig::Focal(FocalConfig { gamma: 2.0, alpha: 0.25 })),
            ("{ kind = 'focal', gamma = 1 }", LossConfig::Focal(FocalConfig { gamma: 1.0, alpha: 0.25 })),
            ("'huber'", LossConfig::Huber(HuberConfig { delta: 1.0 })),
            ("{ kind = 'huber', delta = 0.5 }", LossConfig::Huber(HuberConfig { delta: 0.5 })),
        ] {
            assert_eq!(parse(text), Ok(loss), "{text}");
            let json = serde_json::to_string(&loss).unwrap();
            assert_eq!(serde_json::from_str::<LossConfig>(&json).unwrap(), loss, "{json}");
        }
        for (text, says) in [
            ("'hinge'", "unknown variant `hinge`"),
            ("{ kind = 'focal', delta = 1 }", "unknown field `delta`"),
            ("{ kind = 'hinge' }", "unknown variant `hinge`"),
            ("3", "expected \"focal\", \"huber\""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let schema = serde_json::to_value(schemars::schema_for!(LossConfig)).unwrap().to_string();
        assert!(schema.contains("gamma") && schema.contains("delta") && schema.contains("focal"), "{schema}");
    }

    #[test]
    fn what_a_kind_of_task_cannot_have_is_refused_with_its_key() {
        use TaskKind::{Binary, Regression};
        let focal = |gamma, alpha| Some(LossConfig::Focal(FocalConfig { gamma, alpha }));
        let huber = |delta| Some(LossConfig::Huber(HuberConfig { delta }));
        let of = |loss| Objective { loss, ..Objective::default() };
        let weighed = |weight| Objective { positive_weight: Some(weight), ..Objective::default() };
        let sampled = |share| Objective { negatives: Some(share), ..Objective::default() };
        let log = Objective { transform: Some(LabelTransform::Log1p), ..of(huber(1.0)) };
        for (objective, kind, key) in [
            (Objective::default(), Binary, None),
            (of(focal(0.0, 0.5)), Binary, None),
            (of(focal(2.0, 0.25)), Regression, Some("loss")),
            (of(focal(-1.0, 0.25)), Binary, Some("loss.gamma")),
            (of(focal(f64::NAN, 0.25)), Binary, Some("loss.gamma")),
            (of(focal(101.0, 0.25)), Binary, Some("loss.gamma")),
            (of(focal(2.0, 1.0)), Binary, Some("loss.alpha")),
            (of(huber(1.0)), Binary, Some("loss")),
            (of(huber(0.0)), Regression, Some("loss.delta")),
            (of(huber(f64::INFINITY)), Regression, Some("loss.delta")),
            (log, Regression, None),
            (Objective { loss: None, ..log }, Binary, Some("label.transform")),
            (weighed(10.0), Binary, None),
            (weighed(10.0), Regression, Some("positive_weight")),
            (weighed(0.0), Binary, Some("positive_weight")),
            (weighed(1e39), Binary, Some("positive_weight")),
            (sampled(0.1), Binary, None),
            (sampled(1.0), Binary, None),
            (sampled(0.1), Regression, Some("sampled")),
            (sampled(0.0), Binary, Some("sampled.negatives")),
            (sampled(1.5), Binary, Some("sampled.negatives")),
            (sampled(f64::NAN), Binary, Some("sampled.negatives")),
        ] {
            assert_eq!(objective.check(kind).err().map(|(key, _)| key), key, "{objective:?} {kind:?}");
        }
    }
}
