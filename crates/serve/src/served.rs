//! [`Served`]: a model with all that it takes to answer a rank request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use pleiad_data::FeatureCount;
use pleiad_rank::cells::Cell;
use pleiad_rank::{Model, RankFusion, Scorer};
use serde::{Serialize, Serializer};

use crate::answer::{Asked, Predicted, Ranked};
use crate::arrow_body;
use crate::cells::batch;
use crate::columns::Columns;
use crate::drift::{Drift, DriftFigures};
use crate::explain;
use crate::refusal::Refusal;
use crate::request::RankRequest;
use crate::request_log::Answered;
use crate::routes::TaskExponents;
use crate::stages::{Laps, Stage, Stages};
use crate::statistics::Statistics;
use crate::steps::Kept;
use crate::weighted::Weighted;

/// A model that answers rank requests: [`Served::rank`] takes a body and gives one, from any number of threads at once.
#[derive(Debug)]
pub struct Served {
    name: String,
    version: String,
    model: Model,
    columns: Columns,
    tallies: Vec<Tally>,
    drift: Drift,
    pub(crate) statistics: Statistics,
    pub(crate) weights: RwLock<Option<Arc<Weighted>>>,
}

/// Values of one feature over all requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) values: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) missing: AtomicU64,
}

impl Tally {
    fn add(&self, count: &FeatureCount) {
        for (sum, more) in
            [(&self.values, count.values), (&self.unknown, count.unknown), (&self.missing, count.missing)]
        {
            if more > 0 {
                sum.fetch_add(more, Ordering::Relaxed);
            }
        }
    }
}

impl Served {
    /// A model under a name; `version` distinguishes it from others of that name.
    #[must_use]
    pub fn new(name: String, version: String, model: Model) -> Self {
        let columns = Columns::new(model.encoder().schema());
        let tallies = model.encoder().schema().features.iter().map(|_| Tally::default()).collect();
        let drift = Drift::new(model.training_predictions().map_or(0, <[_]>::len));
        let (statistics, weights) = (Statistics::default(), RwLock::default());
        Self { name, version, model, columns, tallies, drift, statistics, weights }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its answers call its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Adds the counts of rows that were predicted, and their predictions.
    pub(crate) fn count(&self, counts: &[FeatureCount], predictions: &[Vec<f32>]) {
        self.tallies.iter().zip(counts).for_each(|(tally, count)| tally.add(count));
        self.drift.add(self.model.training_predictions().unwrap_or_default(), predictions);
    }

    /// How the predictions of each task lie of late; nothing of a model that says nothing of its training.
    pub(crate) fn drift(&self) -> Vec<DriftFigures> {
        let names: Vec<&str> = self.model.tasks().iter().map(|task| task.name.as_str()).collect();
        self.drift.figures(self.model.training_predictions().unwrap_or_default(), &names)
    }

    /// Counts of each feature, with its name.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.model.encoder().schema().features.iter().map(|feature| feature.name.as_str()).zip(&self.tallies)
    }

    /// Ranks the candidates of a body, at most `most` of them: by score, the highest first; equal ones in the order in which
    /// they were sent. `stages` hears how long each stage took, and the number of candidates.
    ///
    /// # Errors
    /// Whatever the body lacks; nothing of it is ranked then.
    pub fn rank(&self, body: &[u8], most: usize, stages: &mut Stages) -> Result<Vec<u8>, Refusal> {
        self.rank_as(body, [BodyForm::Json; 2], most, stages)
    }

    /// The same of a body of the first form, answered in the second one.
    ///
    /// # Errors
    /// As there.
    pub fn rank_as(
        &self,
        body: &[u8],
        forms: [BodyForm; 2],
        most: usize,
        stages: &mut Stages,
    ) -> Result<Vec<u8>, Refusal> {
        self.rank_for(body, forms, most, stages, Wish::default())
    }

    /// The same as an arm of a route wishes it.
    pub(crate) fn rank_for(
        &self,
        body: &[u8],
        [sent, wanted]: [BodyForm; 2],
        most: usize,
        stages: &mut Stages,
        wish: Wish<'_>,
    ) -> Result<Vec<u8>, Refusal> {
        let mut laps = Laps::new();
        let asked = match sent {
            BodyForm::Json => self.asked(body, most)?,
            BodyForm::Arrow => arrow_body::asked(body, &self.columns, most)?,
        };
        stages.candidates = asked.candidates;
        let explains = asked.explain;
        if explains {
            if wanted == BodyForm::Arrow {
                let message = "an answer in Arrow explains nothing";
                return Err(Refusal::new(400, "bad_request", message, "accept JSON, or leave `explain` out"));
            }
            explain::check(asked.candidates.min(asked.top))?;
        }
        let own = self.own_score(wish.score, asked.score)?;
        let of_request = |column: &str| self.columns.index(column).is_some_and(|at| asked.in_request[at]);
        let refuse = |error: pleiad_rank::Error| Refusal::of_rank(&error, &of_request);
        let weighted = self.weighted();
        let scorer = match (&own, &weighted) {
            (Some(own), _) => &own.scorer,
            (None, Some(weighted)) => &weighted.scorer,
            (None, None) => self.model.scorer().map_err(refuse)?,
        };
        let tasks: Vec<&str> = self.model.tasks().iter().map(|task| task.name.as_str()).collect();
        let answer = |ranked: &[Ranked<'_>], counts: &[FeatureCount]| {
            let answer = Answer {
                model: &self.name,
                version: &self.version,
                label: wish.label,
                candidates: asked.candidates,
                explains: explains.then(|| scorer.fusion()),
                ranked: (wanted == BodyForm::Json).then_some(ranked),
                unknown: self.named(counts, |count| count.unknown),
                missing: self.named(counts, |count| count.missing),
                ignored: &asked.ignored,
            };
            let message = |error: serde_json::Error| {
                Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it")
            };
            match wanted {
                BodyForm::Json => serde_json::to_vec(&answer).map_err(message),
                BodyForm::Arrow => arrow_body::answer(ranked, &tasks, serde_json::to_string(&answer).map_err(message)?),
            }
        };
        laps.add(stages, Stage::Decode);
        let Some(records) = asked.records else { return answer(&[], &[]) };
        let rows = self.model.encode(&records).map_err(refuse)?;
        laps.add(stages, Stage::Encode);
        let predictions = self.model.predict_sharing(&rows, &self.shared(&asked.in_request)).map_err(refuse)?;
        laps.add(stages, Stage::Predict);
        let scores = scorer.score(&predictions, &rows.numbers, 0).map_err(refuse)?;
        let order = ordered(&scores, asked.top);
        laps.add(stages, Stage::Score);
        self.count(&rows.counts, &predictions.tasks);
        let mut explained = Vec::new().into_iter();
        if explains {
            let of = explain::candidates(&self.model, scorer, &records, &order, &predictions, &rows, &refuse)?;
            explained = of.into_iter();
            laps.add(stages, Stage::Explain);
        }
        let ranked: Vec<Ranked<'_>> = order
            .into_iter()
            .map(|index| Ranked {
                index,
                id: asked.ids.get(index).filter(|id| **id != Cell::Null),
                score: scores[index],
                predictions: Predicted { tasks: &tasks, values: &predictions.tasks, index },
                explain: explained.next().map(Box::new),
            })
            .collect();
        let written = answer(&ranked, &rows.counts);
        laps.add(stages, Stage::Write);
        let answered = if wish.logged.is_some() { &ranked[..] } else { &[] };
        let order: Vec<usize> = answered.iter().map(|one| one.index).collect();
        drop(ranked);
        if let Some(kept) = wish.kept {
            *kept = Kept { predictions: predictions.tasks.clone(), scores: scores.clone() };
        }
        if let Some(logged) = wish.logged.filter(|_| written.is_ok()) {
            let weighted = own.as_ref().or(weighted.as_deref());
            *logged = Some(Answered {
                records,
                ids: asked.ids.iter().map(id_text).collect(),
                label: wish.label.map(str::to_owned),
                rank: weighted.map_or_else(|| self.model.rank().cloned().unwrap_or_default(), |own| own.rank.clone()),
                predictions: predictions.tasks,
                numbers: if scorer.transform().is_some() { rows.numbers } else { Vec::new() },
                scores,
                order,
            });
        }
        written
    }

    /// Features whose columns stand in `request`: all candidates have them in common.
    pub(crate) fn shared(&self, in_request: &[bool]) -> Vec<&str> {
        let features = self.model.encoder().schema().features.iter();
        let features = features.filter(|feature| self.columns.index(feature.column()).is_some_and(|at| in_request[at]));
        features.map(|feature| feature.name.as_str()).collect()
    }

    /// What a body of JSON asks for.
    pub(crate) fn asked<'a>(&self, body: &'a [u8], most: usize) -> Result<Asked<'a>, Refusal> {
        let mut request = RankRequest::parse(body, &self.columns, most)?;
        let (candidates, top) = (request.candidates, request.top.unwrap_or(usize::MAX));
        let explain = request.explain;
        let (ids, ignored) = (std::mem::take(&mut request.ids), std::mem::take(&mut request.ignored));
        let (score, in_request) = (request.score.take(), request.request.iter().map(Option::is_some).collect());
        let records = (candidates > 0).then(|| batch(request, &self.columns)).transpose()?;
        Ok(Asked { records, candidates, ids, score, top, explain, ignored, in_request })
    }

    /// The model's score with exponents of an arm and, above those, of the request; `None` where neither has any.
    pub(crate) fn own_score(
        &self,
        of_arm: Option<&TaskExponents>,
        of_request: Option<TaskExponents>,
    ) -> Result<Option<Weighted>, Refusal> {
        let score = match (of_arm, of_request) {
            (None, of_request) => of_request,
            (Some(of_arm), of_request) => {
                let mut score = of_arm.clone();
                score.extend(of_request.unwrap_or_default());
                Some(score)
            }
        };
        score.map(|score| self.rank_with(score)).transpose()
    }

    /// The model's score with other exponents.
    fn rank_with(&self, score: BTreeMap<String, f64>) -> Result<Weighted, Refusal> {
        let mut rank = self.rank_now().unwrap_or_default();
        rank.score.extend(score);
        let scorer = Scorer::new(&rank, self.model.encoder().schema());
        let scorer = scorer.map_err(|error| Refusal::of_rank(&error, &|_| false))?;
        Ok(Weighted { rank, scorer })
    }

    fn named(&self, counts: &[FeatureCount], of: fn(&FeatureCount) -> u64) -> Counts<'_> {
        let names = self.model.encoder().schema().features.iter().map(|feature| feature.name.as_str());
        Counts(names.zip(counts).map(|(name, count)| (name, of(count))).filter(|(_, count)| *count > 0).collect())
    }
}

/// What an arm of a route wants of a ranking beside what the body says.
#[derive(Default)]
pub(crate) struct Wish<'a> {
    /// Named in the answer.
    pub(crate) label: Option<&'a str>,
    /// TaskExponents above those of the model and below those of the request.
    pub(crate) score: Option<&'a TaskExponents>,
    /// Takes predictions and scores, once the answer is written.
    pub(crate) kept: Option<&'a mut Kept>,
    /// Takes what the log of requests writes, unless there is no candidate.
    pub(crate) logged: Option<&'a mut Option<Answered>>,
}

/// An id as a text.
fn id_text(id: &Cell<'_>) -> Option<String> {
    match id {
        Cell::Text(text) => Some(text.to_string()),
        Cell::Int(number) => Some(number.to_string()),
        Cell::UInt(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A form of bodies and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    /// An object of JSON.
    Json,
    /// A stream of Arrow IPC.
    Arrow,
}

/// The first `top` candidates by score, the highest first, then by their order.
pub(crate) fn ordered(scores: &[f64], top: usize) -> Vec<usize> {
    let by_score = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if top < order.len() {
        order.select_nth_unstable_by(top, by_score);
        order.truncate(top);
    }
    order.sort_unstable_by(by_score);
    order
}

/// What is answered.
#[derive(Serialize)]
struct Answer<'a> {
    model: &'a str,
    version: &'a str,
    /// The arm of a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    candidates: usize,
    /// Where candidates are explained, what their shares are shares of.
    #[serde(rename = "fusion", skip_serializing_if = "Option::is_none")]
    explains: Option<RankFusion>,
    /// None where it is written in another form.
    #[serde(skip_serializing_if = "Option::is_none")]
    ranked: Option<&'a [Ranked<'a>]>,
    #[serde(skip_serializing_if = "Counts::is_empty")]
    unknown: Counts<'a>,
    #[serde(skip_serializing_if = "Counts::is_empty")]
    missing: Counts<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ignored: &'a [String],
}

struct Counts<'a>(Vec<(&'a str, u64)>);

impl Counts<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_keep_their_order() {
        let scores = [1.0, 3.0, 2.0, 3.0, 1.0, 3.0];
        assert_eq!(ordered(&scores, usize::MAX), [1, 3, 5, 2, 0, 4]);
        assert_eq!(ordered(&scores, 2), [1, 3]);
        assert_eq!(ordered(&scores, 6), [1, 3, 5, 2, 0, 4]);
        assert!(ordered(&[], 3).is_empty());
    }
}
