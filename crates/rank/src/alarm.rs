//! [`Alarm`]: something that is allowed and hardly ever meant.
//!
//! [`crate::values`] finds those in the values of features, since every use of a model can meet them. The crate of training
//! finds all others. Each threshold stands beside the check that uses it, and in `docs/warnings.md`.

use serde::{Deserialize, Serialize};

/// Something that is allowed and hardly ever meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// What it is.
    pub kind: AlarmKind,
    /// The gate, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// The expert, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert: Option<String>,
    /// The task, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The feature, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// The figure that raised it: the highest weight of an expert that a gate does not use, the mean weight of one that a
    /// gate uses alone, the spread of a dead expert's output, the largest standard deviation of a gate's weights, a
    /// share of rows or values, a metric, or a setting.
    pub value: f64,
    /// Rows that were looked at; 0 for a setting.
    pub rows: u64,
    /// What was seen and what to do, in a sentence.
    pub text: String,
}

impl Alarm {
    /// An alarm that names nothing yet.
    #[must_use]
    pub fn new(kind: AlarmKind, value: f64, rows: u64, text: String) -> Self {
        // JSON has no word for what is no number.
        let value = if value.is_finite() { value } else { f64::MAX.copysign(value) };
        Self { kind, gate: None, expert: None, task: None, feature: None, value, rows, text }
    }

    /// The same, about a gate.
    #[must_use]
    pub fn of_gate(self, gate: &str) -> Self {
        Self { gate: Some(gate.to_owned()), ..self }
    }

    /// The same, about an expert.
    #[must_use]
    pub fn of_expert(self, expert: &str) -> Self {
        Self { expert: Some(expert.to_owned()), ..self }
    }

    /// The same, about a task.
    #[must_use]
    pub fn of_task(self, task: &str) -> Self {
        Self { task: Some(task.to_owned()), ..self }
    }

    /// The same, about a feature.
    #[must_use]
    pub fn of_feature(self, feature: &str) -> Self {
        Self { feature: Some(feature.to_owned()), ..self }
    }
}

/// Kinds of alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlarmKind {
    /// A gate gives an expert less than 1 % on every row, or nearly all weight to one expert.
    Collapsed,
    /// An expert gives the same output for every row, or no gate gives it 1 % on any row.
    DeadExpert,
    /// A gate gives every row the same weights.
    StaticGate,
    /// A task predicts nearly one number for all rows.
    ConstantPrediction,
    /// A task predicts worse than one number for all rows would.
    WorseThanConstant,
    /// A learning rate or a task's weight is 0, or becomes so.
    NothingToLearn,
    /// A task's weight grows beyond what single precision holds.
    HugeWeight,
    /// The warm-up of the learning rate is longer than the training.
    LongWarmup,
    /// Squares in the optimizer have overflowed, so that weights stand still.
    Overflow,
    /// No weight has moved in an epoch.
    StillWeights,
    /// Rows without a label of an event that a structure predicts over all rows.
    UnlabelledFunnel,
    /// A later event of a funnel without the earlier one.
    BrokenFunnel,
    /// A file that is read as training rows more than once.
    RepeatedFiles,
    /// Rows that are both in the training files and in another split's.
    SharedRows,
    /// Many values of a feature are unknown to its vocabulary.
    UnknownValues,
    /// A feature has no value in many rows.
    MissingValues,
    /// Numeric features are large beside 1 after their transforms.
    LargeInput,
    /// A numeric feature has one value in all training rows.
    ConstantFeature,
    /// Values far away press all others of a numeric feature together when it is scaled.
    PressedValues,
    /// Values of a numeric feature lie far from those that its transforms were fitted on.
    FarValues,
}

impl AlarmKind {
    /// In words, such as `collapsed gate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Collapsed => "collapsed gate",
            Self::DeadExpert => "dead expert",
            Self::StaticGate => "gate that ignores the row",
            Self::ConstantPrediction => "one prediction for all rows",
            Self::WorseThanConstant => "worse than a constant",
            Self::NothingToLearn => "nothing to learn with",
            Self::HugeWeight => "huge weight",
            Self::LongWarmup => "long warm-up",
            Self::Overflow => "overflow in the optimizer",
            Self::StillWeights => "weights that do not move",
            Self::UnlabelledFunnel => "labels that a funnel lacks",
            Self::BrokenFunnel => "labels against the funnel",
            Self::RepeatedFiles => "files that are read twice",
            Self::SharedRows => "rows in two splits",
            Self::UnknownValues => "unknown values",
            Self::MissingValues => "missing values",
            Self::LargeInput => "large inputs",
            Self::ConstantFeature => "constant feature",
            Self::PressedValues => "values pressed together",
            Self::FarValues => "values out of range",
        }
    }
}

/// A share as people read it: `99.5 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    match 100.0 * share {
        whole if whole >= 99.995 || whole == 0.0 => format!("{whole:.0} %"),
        small if small < 1.0 => format!("{small:.2} %"),
        other => format!("{other:.1} %"),
    }
}
