//! `[[task]]`: what is to be predicted, on which rows, with which weight in the joint loss.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess};
use serde::{Deserialize, Serialize};

use super::objective::{LabelTransform, LossConfig, Objective, SampledConfig};
use super::scalar::Scalar;
use super::task_kind::TaskKind;
use super::untagged::{self, Untagged};
use crate::compare::Comparand;

/// What model, engine and metrics need to know of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Name of the task, unique; also the name of its prediction column.
    pub name: String,
    /// What it predicts.
    pub kind: TaskKind,
    /// Its loss, and how its predictions are read.
    #[serde(default, skip_serializing_if = "Objective::is_default")]
    pub objective: Objective,
    /// Whether its rows have weights.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weighted: bool,
}

impl TaskSpec {
    /// A task with the loss of its kind, whose rows count alike.
    pub fn new(name: impl Into<String>, kind: TaskKind) -> Self {
        Self { name: name.into(), kind, objective: Objective::default(), weighted: false }
    }
}

/// One `[[task]]` block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// Name of the task; names its prediction column and its weights' tensors.
    pub name: String,
    /// What it predicts.
    pub kind: TaskKind,
    /// Where the truth stands. A row whose label is missing is not in the task's sample space, unless said otherwise.
    pub label: LabelConfig,
    /// The rows of the task's sample space; all rows, if left out.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Where>,
    /// Weight in the joint loss.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: TaskWeight,
    /// Another loss than that of the kind: `"focal"` of a binary task, `"huber"` of a regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossConfig>,
    /// Binary: weight of positive rows in the loss. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_weight: Option<f64>,
    /// Binary: which share of the negative rows the log keeps. Predictions and metrics are those of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<SampledConfig>,
    /// Column of what each row counts in the task's loss and metrics, times `weight` of `[data]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_weight: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl TaskConfig {
    /// What model, engine and metrics need to know; that `[data]` gives rows weights is for [`super::Schema::task_specs`] to
    /// add.
    #[must_use]
    pub fn spec(&self) -> TaskSpec {
        let weighted = self.row_weight.is_some();
        TaskSpec { name: self.name.clone(), kind: self.kind, objective: self.objective(), weighted }
    }

    /// Its loss, and how its predictions are read.
    #[must_use]
    pub fn objective(&self) -> Objective {
        let Self { loss, positive_weight, sampled, ref label, .. } = *self;
        Objective { loss, transform: label.transform, positive_weight, negatives: sampled.map(|s| s.negatives) }
    }
}

/// `label = { column = .., positive = .., missing = .., transform = .. }`, or the name of the column alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schemars(transform = or_a_column)]
pub struct LabelConfig {
    /// The column.
    pub column: String,
    /// Binary: the value that counts as 1; every other counts as 0. Without it the column holds 0/1 or true/false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<Scalar>,
    /// What a row of the sample space without a label counts as: a log that leaves what did not happen empty means 0.
    /// Without it such a row is in no sample space of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<f64>,
    /// Regression: what the label is trained as. Predictions and metrics stay in the label's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<LabelTransform>,
}

impl LabelConfig {
    /// Whether two labels of one column are positive in the same rows. Without `positive` those of 1 are.
    #[must_use]
    pub fn has_same_positive(&self, other: &Self) -> bool {
        let comparand = |label: &Self| Comparand::new(label.positive.as_ref().unwrap_or(&Scalar::Integer(1)));
        comparand(self).is_same(&comparand(other))
    }

    /// Whether its positive rows are those with this value.
    #[must_use]
    pub fn has_positive(&self, value: &Scalar) -> bool {
        let own = self.positive.as_ref().unwrap_or(&Scalar::Integer(1));
        Comparand::new(own).is_same(&Comparand::new(value))
    }
}

fn or_a_column(schema: &mut schemars::Schema) {
    let table = std::mem::take(schema);
    let column =
        serde_json::json!({ "description": "The column, which holds 0/1, true/false or numbers.", "type": "string" });
    *schema = schemars::json_schema!({ "anyOf": [column, table] });
}

impl Serialize for LabelConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // That of `remote = "Self"`: always a table, so that a name changes no identity.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for LabelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl<'de> Untagged<'de> for LabelConfig {
    const EXPECTING: &'static str =
        "the name of a column or { column = .., positive = .., missing = .., transform = .. }";

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        Ok(Self { column: value.to_owned(), positive: None, missing: None, transform: None })
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map))
    }
}

/// `where = { column = .., equals = .. }`: exactly one of `equals`, `not_equals` and `in`. A row whose value is missing
/// is in none of the three. A value that no value of the column can equal, as it is of another type, is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Where {
    /// The column.
    pub column: String,
    /// Rows with this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Scalar>,
    /// Rows with another value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_equals: Option<Scalar>,
    /// Rows with one of these values.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<Scalar>>,
}

impl Where {
    /// The one value that it asks for, if it asks for one.
    #[must_use]
    pub fn value(&self) -> Option<&Scalar> {
        match (&self.equals, self.any_of.as_deref()) {
            (Some(value), _) | (None, Some([value])) => Some(value),
            _ => None,
        }
    }

    /// The values that the column is compared with, each with its key.
    pub(crate) fn scalars(&self) -> impl Iterator<Item = (&'static str, &Scalar)> {
        let equals = self.equals.iter().map(|value| ("where.equals", value));
        let not_equals = self.not_equals.iter().map(|value| ("where.not_equals", value));
        let any_of = self.any_of.iter().flatten().map(|value| ("where.in", value));
        equals.chain(not_equals).chain(any_of)
    }
}

/// Weight of a task in the joint loss: a number, or a number that changes, `w_t = initial * ratio^t` (equation 10
/// of [the PLE paper](https://doi.org/10.1145/3383313.3412236)).
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum TaskWeight {
    /// The same all the time.
    Constant(f64),
    /// Changes by a constant ratio.
    Changing(ChangingWeight),
}

impl Default for TaskWeight {
    fn default() -> Self {
        Self::Constant(1.0)
    }
}

impl TaskWeight {
    /// The weight before training step `step` (from 0) in epoch `epoch` (from 0).
    #[must_use]
    pub fn at(&self, step: u64, epoch: u64) -> f64 {
        match self {
            Self::Constant(weight) => *weight,
            Self::Changing(ChangingWeight { initial, ratio, every }) => {
                let t = match every {
                    Every::Step => step,
                    Every::Epoch => epoch,
                };
                initial * ratio.powf(t as f64)
            }
        }
    }
}

/// `weight = { initial = .., ratio = .., every = .. }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangingWeight {
    /// Weight at the start, w_k0.
    pub initial: f64,
    /// Factor per step or epoch, gamma_k.
    pub ratio: f64,
    /// What t counts. Default: training steps, as in the paper.
    #[serde(default)]
    pub every: Every,
}

/// What t of `w_t = initial * ratio^t` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Training steps.
    #[default]
    Step,
    /// Epochs.
    Epoch,
}

impl Serialize for TaskWeight {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Constant(weight) => serializer.serialize_f64(*weight),
            Self::Changing(weight) => weight.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TaskWeight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl<'de> Untagged<'de> for TaskWeight {
    const EXPECTING: &'static str = "a number or { initial = .., ratio = .., every = \"step\" | \"epoch\" }";

    fn from_integer<E: de::Error>(value: i64) -> Result<Self, E> {
        Ok(Self::Constant(value as f64))
    }

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        let expecting = Self::EXPECTING;
        Err(E::custom(format!("expected {expecting}; a column of weights of rows is row_weight = \"{value}\"")))
    }

    fn from_float<E: de::Error>(value: f64) -> Result<Self, E> {
        Ok(Self::Constant(value))
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        ChangingWeight::deserialize(MapAccessDeserializer::new(map)).map(Self::Changing)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> TaskConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn positive_values_are_the_same_in_other_words() {
        let label = |positive: &str| -> LabelConfig {
            #[derive(Deserialize)]
            struct LabelKeys {
                label: LabelConfig,
            }
            toml::from_str::<LabelKeys>(&format!("label = {{ column = 'y' {positive} }}")).unwrap().label
        };
        let of = |value: &str| label(&format!(", positive = {value}"));
        for one in ["1", "1.0", "true", "'1'", "'1.0'"] {
            assert!(label("").has_same_positive(&of(one)) && of(one).has_same_positive(&label("")), "{one}");
        }
        for other in ["0", "2", "false", "'yes'", "''"] {
            assert!(!label("").has_same_positive(&of(other)) && !of("'no'").has_same_positive(&of(other)), "{other}");
            assert!(of(other).has_same_positive(&of(other)));
        }
        assert!(of("2026-01-06").has_same_positive(&of("'2026-01-06 00:00:00'")));
    }

    #[test]
    fn all_keys_read_and_write() {
        let task = parse(
            "name = 'share'\nkind = 'binary'\nlabel = { column = 's', positive = 'yes' }\n\
             where = { column = 'click', in = [1, true, 'x'] }\n\
             weight = { initial = 2, ratio = 0.5, every = 'epoch' }",
        );
        let filter = task.filter.as_ref().unwrap();
        assert_eq!(filter.any_of.as_ref().unwrap()[..2], [Scalar::Integer(1), Scalar::Bool(true)]);
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<TaskConfig>(&json).unwrap(), task);
    }

    #[test]
    fn a_column_is_its_label() {
        let short = parse("name = 'a'\nkind = 'binary'\nlabel = 'rich'");
        assert_eq!(short, parse("name = 'a'\nkind = 'binary'\nlabel = { column = 'rich' }"));
        assert_eq!(serde_json::to_value(&short).unwrap()["label"], serde_json::json!({ "column": "rich" }));
        let error = |label: &str| {
            toml::from_str::<TaskConfig>(&format!("name = 'a'\nkind = 'binary'\nlabel = {label}"))
                .unwrap_err()
                .to_string()
        };
        assert!(error("3").contains("expected the name of a column or {"), "{}", error("3"));
        assert!(error("{ colum = 'rich' }").contains("unknown field `colum`"), "{}", error("{ colum = 'rich' }"));
        let schema = serde_json::to_value(schemars::schema_for!(LabelConfig)).unwrap();
        assert_eq!(schema["anyOf"][0]["type"], "string", "{schema}");
        assert_eq!(schema["anyOf"][1]["properties"]["column"]["type"], "string", "{schema}");
    }

    #[test]
    fn weights_follow_equation_10() {
        let constant = parse("name = 'a'\nkind = 'binary'\nlabel = { column = 'a' }\nweight = 3").weight;
        assert_eq!(constant.at(7, 2), 3.0);
        let step =
            parse("name = 'a'\nkind = 'binary'\nlabel = { column = 'a' }\nweight = { initial = 2, ratio = 0.5 }");
        assert_eq!((step.weight.at(0, 9), step.weight.at(3, 9)), (2.0, 0.25));
        let epoch = TaskWeight::Changing(ChangingWeight { initial: 2.0, ratio: 0.5, every: Every::Epoch });
        assert_eq!((epoch.at(9, 0), epoch.at(9, 1)), (2.0, 1.0));
    }
}
