//! The score of requests that a server has logged: [`Scoring`] is what a log says of it beside the exponents, so that logged
//! predictions are scored again without the model. [`columns`] has the names of the log's own columns.

use std::collections::BTreeMap;

use pleiad_data::Schema;
use serde::{Deserialize, Serialize};

use super::{Scorer, conditions, factors, refuse};
use crate::config::{RankConfig, RankFusion, RankTransform};
use crate::error::Result;

/// Names of the columns that a log of requests has beside those that the model reads. All begin with [`columns::PREFIX`].
pub mod columns {
    /// What all of them begin with.
    pub const PREFIX: &str = "pleiad_";
    /// The request, a text that no other request has.
    pub const REQUEST: &str = "pleiad_request";
    /// When it was ranked: milliseconds, UTC.
    pub const TIME: &str = "pleiad_time";
    /// The model's name in the server.
    pub const MODEL: &str = "pleiad_model";
    /// Its version.
    pub const VERSION: &str = "pleiad_version";
    /// The arm of a route that answered, where one did.
    pub const LABEL: &str = "pleiad_label";
    /// The candidate's id as a text, where the request gave one.
    pub const CANDIDATE: &str = "pleiad_candidate";
    /// Its place in the request, from 0.
    pub const INDEX: &str = "pleiad_index";
    /// Its place in the answer, from 1; missing behind the last one that was answered.
    pub const RANK: &str = "pleiad_rank";
    /// Its score.
    pub const SCORE: &str = "pleiad_score";
    /// The number that the transform read, where the score has a transform.
    pub const NUMBER: &str = "pleiad_number";
    /// [`super::Scoring`] as JSON.
    pub const SCORING: &str = "pleiad_scoring";
    /// With the name of a task behind it: what the task predicts.
    pub const PREDICTION: &str = "pleiad_prediction_";
    /// With the name of a task behind it: its exponent, missing for a task that does not count.
    pub const EXPONENT: &str = "pleiad_exponent_";
}

/// `[rank]` but for the exponents, with what the model's schema says of conditions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// The model's tasks, in its order.
    pub tasks: Vec<String>,
    /// How tasks come together.
    #[serde(default)]
    pub fusion: RankFusion,
    /// Whether predictions of a task with a `where` are multiplied by those of the tasks whose events it asks for.
    #[serde(default)]
    pub joint: bool,
    /// By task, these tasks, the nearest first. A task without an entry has a condition that no task predicts.
    #[serde(default)]
    pub given: BTreeMap<String, Vec<String>>,
    /// By task, the least that p_k counts as.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floor: BTreeMap<String, f64>,
    /// By task, the most that it counts as.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cap: BTreeMap<String, f64>,
    /// The factor f(x)^power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<RankTransform>,
}

impl Scoring {
    /// That of a model's `[rank]`.
    #[must_use]
    pub fn of(rank: &RankConfig, schema: &Schema) -> Self {
        let name = |task: &usize| schema.tasks.get(*task).map(|task| task.name.clone());
        let given = |at: usize| {
            let given = conditions(schema, at).ok()?;
            Some((name(&at)?, given.iter().filter_map(name).collect()))
        };
        let given = (0..schema.tasks.len()).filter_map(given).collect();
        let tasks = schema.tasks.iter().map(|task| task.name.clone()).collect();
        let RankConfig { fusion, joint, floor, cap, transform, .. } = rank.clone();
        Self { tasks, fusion, joint, given, floor, cap, transform }
    }

    /// The same with what another `[rank]` says.
    #[must_use]
    pub fn with(&self, rank: &RankConfig) -> Self {
        let RankConfig { fusion, joint, floor, cap, transform, .. } = rank.clone();
        Self { fusion, joint, floor, cap, transform, ..self.clone() }
    }

    /// `[rank]` with these exponents; floors and caps of other tasks are left out.
    #[must_use]
    pub fn rank(&self, score: &BTreeMap<String, f64>) -> RankConfig {
        let bounds = |of: &BTreeMap<String, f64>| {
            of.iter()
                .filter(|(task, _)| score.contains_key(*task))
                .map(|(task, bound)| (task.clone(), *bound))
                .collect()
        };
        RankConfig {
            score: score.clone(),
            fusion: self.fusion,
            joint: self.joint,
            floor: bounds(&self.floor),
            cap: bounds(&self.cap),
            transform: self.transform.clone(),
        }
    }
}

impl Scorer {
    /// A scorer of logged predictions `[T][B]` in the order of the scoring's tasks. The numbers of a transform are the logged ones. It
    /// gives the bits that the model's own scorer gives.
    ///
    /// # Errors
    /// [`crate::Error::Rank`], as [`Scorer::new`].
    pub fn of_log(score: &BTreeMap<String, f64>, scoring: &Scoring) -> Result<Self> {
        let tasks = &scoring.tasks;
        let names: Vec<&str> = tasks.iter().map(String::as_str).collect();
        let at = |name: &String| names.iter().position(|task| task == name);
        let given = |task: usize| {
            if !scoring.joint {
                return Ok(Vec::new());
            }
            let of = tasks.get(task).and_then(|name| scoring.given.get(name));
            match of.map(|given| given.iter().map(at).collect::<Option<Vec<_>>>()) {
                Some(Some(given)) => Ok(given),
                _ => {
                    let name = tasks.get(task).map_or("", String::as_str);
                    let problem = format!(
                        "the prediction of task {name:?} is one under a condition that no logged task predicts"
                    );
                    refuse(&["joint"], problem)
                }
            }
        };
        let factors = factors(&scoring.rank(score), &names, &given)?;
        if let Some(transform) = scoring.transform.as_ref().filter(|transform| !transform.power.is_finite()) {
            let problem = format!("the exponent must be a finite number, not {}", transform.power);
            return refuse(&["transform", "power"], problem);
        }
        Ok(Self { factors, fusion: scoring.fusion, transform: scoring.transform.clone(), feature: None })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{predictions, schema};
    use super::*;

    #[test]
    fn logged_predictions_give_the_same_bits() {
        let schema = schema();
        for rank in [
            "score = { click = 1.0, share = 0.5 }",
            "score = { click = 1.0, hours = 0.5 }\njoint = true\nfloor = { hours = 0.2 }\ncap = { hours = 0.25 }",
            "score = { hours = 2 }\nfusion = 'sum'\ntransform = { column = 'length', kind = 'log1p', power = 0.3 }",
        ] {
            let rank: RankConfig = toml::from_str(rank).unwrap();
            let scoring = Scoring::of(&rank, &schema);
            let text = serde_json::to_string(&scoring).unwrap();
            let scoring: Scoring = serde_json::from_str(&text).unwrap();
            assert_eq!(scoring.rank(&rank.score), rank);
            let own = Scorer::new(&rank, &schema).unwrap().score(&predictions(), &[2.0, 5.0], 0).unwrap();
            let logged = Scorer::of_log(&rank.score, &scoring).unwrap();
            assert_eq!(logged.score(&predictions(), &[2.0, 5.0], 0).unwrap(), own);
        }
    }

    #[test]
    fn what_the_log_cannot_score_is_said() {
        let schema = schema();
        let rank: RankConfig = toml::from_str("score = { click = 1.0 }\njoint = true").unwrap();
        let scoring = Scoring::of(&rank, &schema);
        let fails = |task: &str| Scorer::of_log(&[(task.to_owned(), 1.0)].into(), &scoring).unwrap_err().to_string();
        assert!(fails("odd").contains("no logged task predicts"), "{}", fails("odd"));
        assert!(fails("clic").contains("did you mean `click`?"), "{}", fails("clic"));
    }
}
