//! Equation 1 of the paper, or a weighted sum: [`Scorer`] makes one score of the predictions of all tasks.

pub mod logged;
pub mod shares;

use pleiad_data::schema::{FeatureKind, Schema, TaskConfig};
use pleiad_data::{TaskKind, suggest};
use pleiad_engine::Predictions;

use crate::config::{RankConfig, RankFusion, RankTransform};
use crate::error::{Error, Result};

/// [`RankConfig`] for the tasks and features of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Scorer {
    factors: Vec<Factor>,
    fusion: RankFusion,
    transform: Option<RankTransform>,
    /// The feature that the transform reads; `None` too where its numbers come from elsewhere.
    feature: Option<usize>,
}

/// One task's factor, `min(max(p_k, floor), cap)^power`; in a sum its term, with `power` the factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// The task's number.
    pub task: usize,
    name: String,
    /// The exponent w_k.
    pub power: f64,
    /// Tasks whose predictions make this one's a probability over all rows: p_k is the product of all of them.
    pub given: Vec<usize>,
    /// The least that p_k counts as.
    pub floor: Option<f64>,
    /// The most that p_k counts as.
    pub cap: Option<f64>,
}

impl Factor {
    /// p_k as it counts. What is no number stays none.
    fn bounded(&self, prediction: f64) -> f64 {
        match (self.floor, self.cap) {
            (Some(floor), _) if prediction < floor => floor,
            (_, Some(cap)) if prediction > cap => cap,
            _ => prediction,
        }
    }
}

impl Scorer {
    /// Finds the tasks and the column that `[rank]` names.
    ///
    /// # Errors
    /// [`Error::Rank`] with the key: no task or one that does not exist, an exponent that is no number, a column that no
    /// feature reads as a number, and with `joint` a condition that is the event of no task.
    pub fn new(rank: &RankConfig, schema: &Schema) -> Result<Self> {
        let names: Vec<&str> = schema.tasks.iter().map(|task| task.name.as_str()).collect();
        let given = |task: usize| if rank.joint { conditions(schema, task) } else { Ok(Vec::new()) };
        let factors = factors(rank, &names, &given)?;
        let transform = rank.transform.as_ref().map(|transform| {
            if !transform.power.is_finite() {
                let problem = format!("the exponent must be a finite number, not {}", transform.power);
                return refuse(&["transform", "power"], problem);
            }
            let numeric = |kind: &FeatureKind| !matches!(kind, FeatureKind::Categorical { .. });
            let features = schema.features.iter().enumerate().filter(|(_, feature)| numeric(&feature.read));
            let mut of_column = features.clone().filter(|(_, feature)| feature.column() == transform.column);
            // The first that has something to put in the place of a missing value, if one has.
            let fills = |kind: &FeatureKind| match kind {
                FeatureKind::Numeric { missing, .. }
                | FeatureKind::Pieces { missing, .. }
                | FeatureKind::Periodic { missing, .. } => !matches!(missing, pleiad_data::schema::Missing::Error),
                _ => false,
            };
            let filling = of_column.clone().find(|(_, feature)| fills(&feature.read));
            match filling.or_else(|| of_column.next()) {
                Some((at, _)) => Ok((at, transform.clone())),
                None => {
                    let known: Vec<&str> = features.map(|(_, feature)| feature.column()).collect();
                    let column = &transform.column;
                    let problem = format!("no feature reads column {column:?} as a number{}", suggest(column, &known));
                    refuse(&["transform", "column"], problem)
                }
            }
        });
        let (feature, transform) = transform.transpose()?.unzip();
        Ok(Self { factors, fusion: rank.fusion, transform, feature })
    }

    /// The factor of each task that counts, in the order of the tasks.
    #[must_use]
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// How tasks come together.
    #[must_use]
    pub fn fusion(&self) -> RankFusion {
        self.fusion
    }

    /// The factor that depends on a column.
    #[must_use]
    pub fn transform(&self) -> Option<&RankTransform> {
        self.transform.as_ref()
    }

    /// The feature whose numbers the transform reads.
    #[must_use]
    pub fn feature(&self) -> Option<usize> {
        self.feature
    }

    /// Scores `[B]` of predictions `[T][B]`, computed in 64 bits. `numbers` is `[B]`, the column of the transform before
    /// any other, or empty where there is none; `before` rows came before these.
    ///
    /// # Errors
    /// [`Error::NonFiniteScore`] for the first row whose score is infinite or no number: a negative prediction of a
    /// regression under an exponent that is no whole number, 0 under a negative one, a number that is missing.
    pub fn score(&self, predictions: &Predictions, numbers: &[f64], before: u64) -> Result<Vec<f64>> {
        let rows = predictions.tasks.first().map_or(0, Vec::len);
        (0..rows)
            .map(|row| {
                let score = self.row(predictions, numbers, row);
                if score.is_finite() {
                    Ok(score)
                } else {
                    Err(self.no_number(predictions, numbers, row, before, score))
                }
            })
            .collect()
    }

    /// The score of a row.
    fn row(&self, predictions: &Predictions, numbers: &[f64], row: usize) -> f64 {
        let of = |task: usize| predictions.tasks.get(task).map_or(f64::NAN, |task| f64::from(task[row]));
        let bounded = |factor: &Factor| {
            let given: f64 = factor.given.iter().map(|&task| of(task)).product();
            factor.bounded(of(factor.task) * given)
        };
        let factors = self.factors.iter();
        let tasks: f64 = match self.fusion {
            RankFusion::Product => factors.map(|factor| bounded(factor).powf(factor.power)).product(),
            RankFusion::Sum => factors.map(|factor| factor.power * bounded(factor)).sum(),
        };
        let Some(transform) = &self.transform else { return tasks };
        let x = numbers.get(row).copied().unwrap_or(f64::NAN);
        tasks * transform.kind.apply(x).powf(transform.power)
    }

    fn no_number(&self, predictions: &Predictions, numbers: &[f64], row: usize, before: u64, value: f64) -> Error {
        let of = |task: usize| predictions.tasks.get(task).map_or(f64::NAN, |task| f64::from(task[row]));
        let mut factors: Vec<String> = self
            .factors
            .iter()
            .map(|factor| {
                let given: String = factor.given.iter().map(|&task| format!(" * {}", of(task))).collect();
                let floor = factor.floor.map(|floor| format!(", at least {floor}")).unwrap_or_default();
                let cap = factor.cap.map(|cap| format!(", at most {cap}")).unwrap_or_default();
                let sign = if self.fusion == RankFusion::Sum { " * " } else { "^" };
                format!("{} = ({}{given}{floor}{cap}){sign}{}", factor.name, of(factor.task), factor.power)
            })
            .collect();
        let x = numbers.get(row).copied().unwrap_or(f64::NAN);
        factors.extend(self.transform.iter().map(|transform| {
            let shown = if x.is_nan() { "missing".to_owned() } else { x.to_string() };
            format!("{}({} = {shown})^{}", transform.kind.name(), transform.column, transform.power)
        }));
        let advice = if self.transform.is_some() && x.is_nan() {
            "give the column a value in every row, or its feature `missing = \"mean\"`"
        } else {
            "set the least that counts, such as rank.floor.TASK=0.001, or change the exponents of [rank]"
        };
        Error::NonFiniteScore { row: before + row as u64 + 1, value, factors: factors.join(", "), advice }
    }
}

/// The factors that `[rank]` asks for, in the order of the tasks; `given` has the conditions of a task.
fn factors(rank: &RankConfig, names: &[&str], given: &dyn Fn(usize) -> Result<Vec<usize>>) -> Result<Vec<Factor>> {
    if rank.score.is_empty() {
        return refuse(&["score"], "names no task; without one every row has the same score".to_owned());
    }
    let mut factors = Vec::new();
    for (name, &power) in &rank.score {
        let key = ["score", name.as_str()];
        let Some(task) = names.iter().position(|task| *task == name) else {
            return refuse(&key, format!("there is no task {name:?}{}", suggest(name, names)));
        };
        if !power.is_finite() {
            let what = if rank.fusion == RankFusion::Sum { "factor" } else { "exponent" };
            return refuse(&key, format!("the {what} must be a finite number, not {power}"));
        }
        let given = given(task)?;
        let [floor, cap] = [&rank.floor, &rank.cap].map(|bounds| bounds.get(name).copied());
        factors.push(Factor { task, name: name.clone(), power, given, floor, cap });
    }
    let bounds = rank.floor.iter().map(|bound| ("floor", bound)).chain(rank.cap.iter().map(|bound| ("cap", bound)));
    for (kind, (name, &bound)) in bounds {
        let key = [kind, name.as_str()];
        if !rank.score.contains_key(name) {
            let known: Vec<&str> = rank.score.keys().map(String::as_str).collect();
            return refuse(&key, format!("`score` has no task {name:?}{}", suggest(name, &known)));
        }
        if !(bound.is_finite() && bound >= 0.0) {
            return refuse(&key, format!("must be a finite number, 0 or above, not {bound}"));
        }
        if let Some(floor) = rank.floor.get(name).filter(|&&floor| kind == "cap" && bound < floor) {
            return refuse(&key, format!("{bound} is below the task's floor of {floor}"));
        }
    }
    // In the order of the tasks, so that a product is rounded alike however they are written.
    factors.sort_by_key(|factor| factor.task);
    Ok(factors)
}

/// The tasks whose events the `where` of a task asks for, the nearest first: that of its own, of that one, and so on.
fn conditions(schema: &Schema, task: usize) -> Result<Vec<usize>> {
    let mut given = Vec::new();
    let mut at = task;
    while let Some(filter) = &schema.tasks[at].filter {
        let is_event = |other: &TaskConfig| {
            other.kind == TaskKind::Binary
                && other.label.column == filter.column
                && filter.value().is_some_and(|value| other.label.has_positive(value))
        };
        let name = &schema.tasks[at].name;
        match schema.tasks.iter().position(is_event) {
            Some(parent) if parent == task || given.contains(&parent) => {
                return refuse(
                    &["joint"],
                    format!("the conditions of task {name:?} lead back to it: {:?}", filter.column),
                );
            }
            Some(parent) => {
                given.push(parent);
                at = parent;
            }
            None => {
                return refuse(
                    &["joint"],
                    format!(
                        "the prediction of task {name:?} is one under a condition on column {:?}, and no binary task predicts that \
                     event; add such a task, or leave joint out",
                        filter.column
                    ),
                );
            }
        }
    }
    Ok(given)
}

fn refuse<T>(key: &[&str], problem: String) -> Result<T> {
    let key = ["rank"].iter().chain(key).map(|&part| part.to_owned()).collect();
    Err(Error::Rank { key, problem })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::schema::{DataConfig, FeatureBlock};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Parts {
        data: DataConfig,
        feature: Vec<FeatureBlock>,
        task: Vec<TaskConfig>,
    }

    const SCHEMA: &str = r#"
        [data]
        train = "x.csv"
        [[feature]]
        columns = ["seconds", "length"]
        kind = "numeric"
        [[feature]]
        columns = ["user"]
        kind = "categorical"
        encoding = { hash = 10 }
        embedding = 2
        [[task]]
        name = "click"
        kind = "binary"
        label = "clicked"
        [[task]]
        name = "share"
        kind = "binary"
        label = { column = "shared", positive = "yes" }
        where = { column = "clicked", equals = true }
        [[task]]
        name = "hours"
        kind = "regression"
        label = "hours"
        where = { column = "shared", in = ["yes"] }
        [[task]]
        name = "odd"
        kind = "binary"
        label = "odd"
        where = { column = "clicked", not_equals = 0 }
    "#;

    pub(super) fn schema() -> Schema {
        let Parts { data, feature, task } = toml::from_str(SCHEMA).unwrap();
        Schema::resolve(&data, &feature, &task).unwrap()
    }

    pub(super) fn scorer(rank: &str) -> Result<Scorer, String> {
        let rank: RankConfig = toml::from_str(rank).map_err(|error| error.to_string())?;
        Scorer::new(&rank, &schema()).map_err(|error| error.to_string())
    }

    pub(super) fn predictions() -> Predictions {
        Predictions { tasks: vec![vec![0.5, 0.25], vec![0.2, 0.4], vec![3.0, 1.5], vec![0.1, 0.9]] }
    }

    #[test]
    fn the_score_is_the_product_of_powers() {
        let plain = scorer("score = { click = 1.0, share = 0.5 }").unwrap();
        let scores = plain.score(&predictions(), &[], 0).unwrap();
        for (score, (click, share)) in scores.iter().zip([(0.5f64, 0.2f32), (0.25, 0.4)]) {
            assert!((score - click * f64::from(share).sqrt()).abs() < 1e-15);
        }
        let transform = "score = { hours = 2 }\ntransform = { column = 'length', kind = 'log1p', power = 0.3 }";
        let scored = scorer(transform).unwrap();
        assert_eq!(scored.feature(), Some(1));
        let scores = scored.score(&predictions(), &[10.0, 0.0], 0).unwrap();
        assert!((scores[0] - 9.0 * 11f64.ln().powf(0.3)).abs() < 1e-12 && scores[1] == 0.0, "{scores:?}");
        let sigmoid = scorer("score = { click = 0 }\ntransform = { column = 'seconds', kind = 'sigmoid' }").unwrap();
        assert_eq!(sigmoid.score(&predictions(), &[0.0, 800.0], 0).unwrap(), [0.5, 1.0]);
    }

    #[test]
    fn joint_probabilities_go_along_the_funnel() {
        let joint = scorer("score = { hours = 1 }\njoint = true").unwrap();
        let scores = joint.score(&predictions(), &[], 0).unwrap();
        let by_hand = [(3.0f32, 0.2f32, 0.5f32), (1.5, 0.4, 0.25)];
        for (score, (hours, share, click)) in scores.iter().zip(by_hand) {
            assert!((score - f64::from(hours) * f64::from(share) * f64::from(click)).abs() < 1e-15, "{scores:?}");
        }
        let error = scorer("score = { odd = 1 }\njoint = true").unwrap_err();
        assert!(
            error.starts_with("rank.joint: the prediction of task \"odd\"") && error.contains("\"clicked\""),
            "{error}"
        );
        // Only what counts has to be known.
        assert!(scorer("score = { share = 1 }\njoint = true").is_ok());
    }

    #[test]
    fn what_is_not_there_is_told_with_its_key() {
        for (rank, says) in [
            ("score = {}", "rank.score: names no task"),
            ("score = { clik = 1 }", "rank.score.clik: there is no task \"clik\"; did you mean `click`?"),
            ("score = { click = nan }", "rank.score.click: the exponent must be a finite number"),
            (
                "score = { click = 1 }\ntransform = { column = 'user', kind = 'log1p' }",
                "no feature reads column \"user\"",
            ),
            ("score = { click = 1 }\ntransform = { column = 'lenght', kind = 'log1p' }", "did you mean `length`?"),
            (
                "score = { click = 1 }\ntransform = { column = 'length', kind = 'log1p', power = inf }",
                "rank.transform.power",
            ),
        ] {
            let error = scorer(rank).unwrap_err();
            assert!(error.contains(says), "{rank}: {error}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_row_and_factors() {
        let scored = scorer("score = { hours = 0.5, click = -1 }").unwrap();
        let mut bad = predictions();
        bad.tasks[2][1] = -1.0;
        let error = scored.score(&bad, &[], 10).unwrap_err().to_string();
        assert_eq!(
            error,
            "the score of row 12 is NaN: click = (0.25)^-1, hours = (-1)^0.5; set the least that counts, such as \
             rank.floor.TASK=0.001, or change the exponents of [rank]"
        );
        bad.tasks[0][0] = 0.0;
        let error = scored.score(&bad, &[], 0).unwrap_err().to_string();
        assert!(error.starts_with("the score of row 1 is inf: click = (0)^-1"), "{error}");
        let missing = scorer("score = { click = 1 }\ntransform = { column = 'seconds', kind = 'identity' }").unwrap();
        let error = missing.score(&predictions(), &[1.0, f64::NAN], 0).unwrap_err().to_string();
        assert!(error.contains("row 2") && error.contains("identity(seconds = missing)^1"), "{error}");
    }

    #[test]
    fn a_prediction_below_its_floor_counts_as_the_floor() {
        let scored = scorer("score = { hours = 0.5, click = 1 }\nfloor = { hours = 0.25 }").unwrap();
        let mut low = predictions();
        low.tasks[2] = vec![-1.0, 4.0];
        assert_eq!(scored.score(&low, &[], 0).unwrap(), [0.5 * 0.5, 0.25 * 2.0]);
        low.tasks[2][0] = f32::NAN;
        let error = scored.score(&low, &[], 0).unwrap_err().to_string();
        assert!(error.contains("hours = (NaN, at least 0.25)^0.5"), "{error}");
        // With joint it is the product along the funnel that is raised.
        let joint = scorer("score = { hours = 1 }\nfloor = { hours = 1.25 }\njoint = true").unwrap();
        assert_eq!(joint.score(&predictions(), &[], 0).unwrap(), [1.25, 1.25]);
        for (rank, says) in [
            (
                "score = { hours = 1 }\nfloor = { click = 1 }",
                "rank.floor.click: `score` has no task \"click\"; known: hours",
            ),
            (
                "score = { hours = 1 }\nfloor = { hours = -1 }",
                "rank.floor.hours: must be a finite number, 0 or above, not -1",
            ),
            ("score = { hours = 1 }\nfloor = { hours = inf }", "rank.floor.hours: must be a finite number"),
        ] {
            let error = scorer(rank).unwrap_err();
            assert!(error.contains(says), "{rank}: {error}");
        }
    }

    #[test]
    fn a_sum_weighs_predictions() {
        let sum = scorer("score = { click = 2.0, share = -0.5 }\nfusion = 'sum'").unwrap();
        let by_hand = [2.0 * 0.5 - 0.5 * f64::from(0.2f32), 2.0 * 0.25 - 0.5 * f64::from(0.4f32)];
        assert_eq!(sum.score(&predictions(), &[], 0).unwrap(), by_hand);
        let rank =
            "score = { hours = 2 }\nfusion = 'sum'\ntransform = { column = 'seconds', kind = 'identity', power = 2 }";
        assert_eq!(scorer(rank).unwrap().score(&predictions(), &[3.0, 1.0], 0).unwrap(), [54.0, 3.0]);
        let mut bad = predictions();
        bad.tasks[0][0] = f32::NAN;
        let error = sum.score(&bad, &[], 0).unwrap_err().to_string();
        assert!(error.contains("click = (NaN) * 2, share = (0.2") && error.contains(") * -0.5"), "{error}");
        let error = scorer("score = { click = inf }\nfusion = 'sum'").unwrap_err();
        assert!(error.contains("the factor must be a finite number"), "{error}");
        assert!(scorer("score = { click = 1 }\nfusion = 'max'").unwrap_err().contains("unknown variant"));
    }

    #[test]
    fn a_prediction_above_its_cap_counts_as_the_cap() {
        let capped = scorer("score = { hours = 1 }\nfloor = { hours = 2.0 }\ncap = { hours = 2.5 }").unwrap();
        assert_eq!(capped.score(&predictions(), &[], 0).unwrap(), [2.5, 2.0]);
        let mut bad = predictions();
        bad.tasks[2][0] = f32::NAN;
        let error = capped.score(&bad, &[], 0).unwrap_err().to_string();
        assert!(error.contains("hours = (NaN, at least 2, at most 2.5)^1"), "{error}");
        for (rank, says) in [
            ("score = { hours = 1 }\ncap = { click = 1 }", "rank.cap.click: `score` has no task \"click\""),
            ("score = { hours = 1 }\ncap = { hours = nan }", "rank.cap.hours: must be a finite number"),
            (
                "score = { hours = 1 }\nfloor = { hours = 2 }\ncap = { hours = 1.5 }",
                "rank.cap.hours: 1.5 is below the task's floor of 2",
            ),
        ] {
            let error = scorer(rank).unwrap_err();
            assert!(error.contains(says), "{rank}: {error}");
        }
    }

    proptest! {
        /// Ordering by the score is ordering by the weighted sum of logarithms.
        #[test]
        fn the_order_is_that_of_the_weighted_logarithms(
            rows in prop::collection::vec((0.001f32..1.0, 0.001f32..1.0), 2..20),
            powers in (0.0f64..3.0, -2.0f64..2.0),
        ) {
            let rank = format!("score = {{ click = {:?}, share = {:?} }}", powers.0, powers.1);
            let tasks = vec![
                rows.iter().map(|row| row.0).collect::<Vec<_>>(),
                rows.iter().map(|row| row.1).collect(),
                vec![1.0; rows.len()],
                vec![1.0; rows.len()],
            ];
            let scores = scorer(&rank).unwrap().score(&Predictions { tasks }, &[], 0).unwrap();
            for (score, (click, share)) in scores.iter().zip(&rows) {
                let logarithm = powers.0 * f64::from(*click).ln() + powers.1 * f64::from(*share).ln();
                prop_assert!((score.ln() - logarithm).abs() < 1e-9);
            }
        }
    }
}
