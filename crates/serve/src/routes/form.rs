//! What a file or a call says of a route, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pleiad_data::suggest;
use serde::{Deserialize, Serialize};

use super::buckets::BUCKETS;
use crate::names::is_name;

/// The most arms and shadows of a route.
const MOST: usize = 64;

/// The longest salt, and the longest name of a field.
const LONGEST: usize = 200;

/// TaskExponents of the score by task.
pub(crate) type TaskExponents = BTreeMap<String, f64>;

/// A route: requests of one name, split over arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteForm {
    /// It answers at `/v1/models/NAME/rank`.
    #[serde(default)]
    pub(crate) name: String,
    /// The field of `request` whose value decides the arm; without it, chance does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// Another salt gives another assignment; the route's name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) salt: Option<String>,
    /// The label that answers for an arm whose model is not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fallback: Option<String>,
    pub(crate) arm: Vec<ArmForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) shadow: Vec<ShadowForm>,
}

/// A part of the requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArmForm {
    pub(crate) label: String,
    pub(crate) model: String,
    /// From 0 to 1.
    pub(crate) share: f64,
    /// TaskExponents above those of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<TaskExponents>,
}

/// A model that ranks some requests, too, and whose answers are thrown away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShadowForm {
    pub(crate) model: String,
    /// From 0 to 1.
    pub(crate) share: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<TaskExponents>,
}

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    At(usize),
}

/// What is wrong, and where in the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) path: Vec<Step>,
    pub(crate) message: String,
}

impl Problem {
    /// As `arm[1].share` has it.
    pub(crate) fn key(&self) -> String {
        let mut key = String::new();
        for step in &self.path {
            match step {
                Step::Key(name) if key.is_empty() => key.push_str(name),
                Step::Key(name) => key.push_str(&format!(".{name}")),
                Step::At(at) => key.push_str(&format!("[{at}]")),
            }
        }
        key
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "{}: {}", self.key(), self.message),
        }
    }
}

/// What is wrong at a path of keys and numbers.
macro_rules! problem {
    ([$($step:expr),*], $($message:tt)*) => {
        Err(Problem { path: vec![$(Step::from($step)),*], message: format!($($message)*) })
    };
}
pub(crate) use problem;

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(at: usize) -> Self {
        Self::At(at)
    }
}

/// A share in buckets.
pub(crate) fn in_buckets(share: f64) -> usize {
    (share * BUCKETS as f64).round() as usize
}

impl RouteForm {
    /// What is wrong with it on a server with these models.
    pub(crate) fn check(&self, models: &[&str]) -> Result<(), Problem> {
        if self.name.is_empty() {
            return problem!([], "missing key `name`; the route answers at /v1/models/NAME/rank");
        }
        if !is_name(&self.name) {
            let name = &self.name;
            return problem!(["name"], "{name:?} can be no name in an address; take letters, digits, -, _ and .");
        }
        if models.contains(&self.name.as_str()) {
            return problem!(["name"], "there is a model {:?}, which answers at this address; take another", self.name);
        }
        for (key, text) in [("by", &self.by), ("salt", &self.salt)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > LONGEST) {
                return problem!([key], "must have 1 to {LONGEST} bytes");
            }
        }
        if self.salt.is_some() && self.by.is_none() {
            return problem!(["salt"], "changes what `by` assigns, and there is no `by`; name a field with `by`");
        }
        for (key, count) in [("arm", self.arm.len()), ("shadow", self.shadow.len())] {
            if count > MOST {
                return problem!([key], "{count} are given, and {MOST} are the most");
            }
        }
        if self.arm.is_empty() {
            return problem!(["arm"], "there is none; give at least one, with label, model and share");
        }
        let mut labels = BTreeSet::new();
        for (at, arm) in self.arm.iter().enumerate() {
            if !is_name(&arm.label) {
                let label = &arm.label;
                return problem!(
                    ["arm", at, "label"],
                    "{label:?} can be no part of an address; take letters and digits"
                );
            }
            if !labels.insert(arm.label.as_str()) {
                return problem!(["arm", at, "label"], "there is another arm {:?}; take another label", arm.label);
            }
            check_part(("arm", at), &arm.model, arm.share, arm.score.as_ref(), models)?;
        }
        let sum: usize = self.arm.iter().map(|arm| in_buckets(arm.share)).sum();
        if sum != BUCKETS {
            let sum = sum as f64 / BUCKETS as f64;
            return problem!(["arm"], "the shares of all arms add up to {sum}; they must add up to 1");
        }
        if let Some(fallback) = &self.fallback
            && !labels.contains(fallback.as_str())
        {
            let known: Vec<&str> = labels.into_iter().collect();
            return problem!(["fallback"], "there is no arm {fallback:?}{}", suggest(fallback, &known));
        }
        let mut shadows = BTreeSet::new();
        for (at, shadow) in self.shadow.iter().enumerate() {
            check_part(("shadow", at), &shadow.model, shadow.share, shadow.score.as_ref(), models)?;
            if !shadows.insert(shadow.model.as_str()) {
                return problem!(
                    ["shadow", at, "model"],
                    "{:?} shadows this route already; give it once",
                    shadow.model
                );
            }
        }
        Ok(())
    }
}

/// What arms and shadows have in common.
fn check_part(
    (list, at): (&str, usize),
    model: &str,
    share: f64,
    score: Option<&TaskExponents>,
    models: &[&str],
) -> Result<(), Problem> {
    if !models.contains(&model) {
        return problem!([list, at, "model"], "there is no model {model:?}{}", suggest(model, models));
    }
    if !(0.0..=1.0).contains(&share) {
        return problem!([list, at, "share"], "{share} is no share; give a part of 1, such as 0.1 for 10 %");
    }
    let buckets = share * BUCKETS as f64;
    if (buckets - buckets.round()).abs() > 1e-6 {
        return problem!([list, at, "share"], "{share} is no multiple of {}", 1.0 / BUCKETS as f64);
    }
    if let Some(score) = score {
        if score.is_empty() {
            return problem!([list, at, "score"], "names no task; leave it out for the model's own score");
        }
        if let Some((task, exponent)) = score.iter().find(|(_, exponent)| !exponent.is_finite()) {
            return problem!([list, at, "score", task.as_str()], "must be a finite number, not {exponent}");
        }
    }
    Ok(())
}

/// What serde says, in the words of a configuration, with the name that is nearest to an unknown key.
pub(crate) fn plain(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(key) = quoted.next()
    {
        let known: Vec<&str> = quoted.collect();
        return format!("unknown key `{key}`{}", suggest(key, &known));
    }
    match message.strip_prefix("missing field") {
        Some(rest) => format!("missing key{rest}"),
        None => message.to_owned(),
    }
}
