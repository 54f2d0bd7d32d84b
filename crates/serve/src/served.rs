//! [`Served`]: a model with all that it takes to answer a rank request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pleiad_data::FeatureCount;
use pleiad_rank::cells::Cell;
use pleiad_rank::{Model, Scorer};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::cells::batch;
use crate::columns::Columns;
use crate::metrics::{Stage, Stages};
use crate::refusal::Refusal;
use crate::request::RankRequest;
use crate::statistics::Statistics;

/// A model that answers rank requests: [`Served::rank`] takes a body and gives one, from any number of threads at once.
#[derive(Debug)]
pub struct Served {
    name: String,
    version: String,
    model: Model,
    columns: Columns,
    tallies: Vec<Tally>,
    pub(crate) statistics: Statistics,
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
        Self { name, version, model, columns, tallies, statistics: Statistics::default() }
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

    /// Adds the counts of rows that were predicted.
    pub(crate) fn count(&self, counts: &[FeatureCount]) {
        self.tallies.iter().zip(counts).for_each(|(tally, count)| tally.add(count));
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
        let mut began = Instant::now();
        let mut lap = |stages: &mut Stages, stage| {
            let now = Instant::now();
            stages.add(stage, now - began);
            began = now;
        };
        let mut request = RankRequest::parse(body, &self.columns, most)?;
        let candidates = request.candidates;
        stages.candidates = candidates;
        let own = request.score.take().map(|score| self.scorer_of(score)).transpose()?;
        let (ids, top, ignored) =
            (std::mem::take(&mut request.ids), request.top.unwrap_or(usize::MAX), std::mem::take(&mut request.ignored));
        let in_request: Vec<bool> = request.request.iter().map(Option::is_some).collect();
        let of_request = |column: &str| self.columns.index(column).is_some_and(|at| in_request[at]);
        let refuse = |error: pleiad_rank::Error| Refusal::of_rank(&error, &of_request);
        let scorer = match &own {
            Some(scorer) => scorer,
            None => self.model.scorer().map_err(refuse)?,
        };
        let answer = |ranked: &[Ranked<'_>], counts: &[FeatureCount]| {
            let answer = Answer {
                model: &self.name,
                version: &self.version,
                candidates,
                ranked,
                unknown: self.named(counts, |count| count.unknown),
                missing: self.named(counts, |count| count.missing),
                ignored: &ignored,
            };
            let message = |error: serde_json::Error| {
                Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it")
            };
            serde_json::to_vec(&answer).map_err(message)
        };
        if candidates == 0 {
            lap(stages, Stage::Decode);
            return answer(&[], &[]);
        }
        let records = batch(request, &self.columns)?;
        lap(stages, Stage::Decode);
        let rows = self.model.encode(&records).map_err(refuse)?;
        lap(stages, Stage::Encode);
        let predictions = self.model.predict(&rows).map_err(refuse)?;
        lap(stages, Stage::Predict);
        let scores = scorer.score(&predictions, &rows.numbers, 0).map_err(refuse)?;
        let order = ordered(&scores, top);
        lap(stages, Stage::Score);
        self.count(&rows.counts);
        let tasks: Vec<&str> = self.model.tasks().iter().map(|task| task.name.as_str()).collect();
        let ranked: Vec<Ranked<'_>> = order
            .into_iter()
            .map(|index| Ranked {
                index,
                id: ids.get(index).filter(|id| **id != Cell::Null),
                score: scores[index],
                predictions: Predicted { tasks: &tasks, values: &predictions.tasks, index },
            })
            .collect();
        let written = answer(&ranked, &rows.counts);
        lap(stages, Stage::Write);
        written
    }

    /// The model's score with other exponents.
    fn scorer_of(&self, score: std::collections::BTreeMap<String, f64>) -> Result<Scorer, Refusal> {
        let mut rank = self.model.rank().cloned().unwrap_or_default();
        rank.score.extend(score);
        Scorer::new(&rank, self.model.encoder().schema()).map_err(|error| Refusal::of_rank(&error, &|_| false))
    }

    fn named(&self, counts: &[FeatureCount], of: fn(&FeatureCount) -> u64) -> Counts<'_> {
        let names = self.model.encoder().schema().features.iter().map(|feature| feature.name.as_str());
        Counts(names.zip(counts).map(|(name, count)| (name, of(count))).filter(|(_, count)| *count > 0).collect())
    }
}

/// The first `top` candidates by score, the highest first, then by their order.
fn ordered(scores: &[f64], top: usize) -> Vec<usize> {
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
    candidates: usize,
    ranked: &'a [Ranked<'a>],
    #[serde(skip_serializing_if = "Counts::is_empty")]
    unknown: Counts<'a>,
    #[serde(skip_serializing_if = "Counts::is_empty")]
    missing: Counts<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ignored: &'a [String],
}

/// One candidate of an answer.
#[derive(Serialize)]
struct Ranked<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Cell<'a>>,
    score: f64,
    predictions: Predicted<'a>,
}

struct Predicted<'a> {
    tasks: &'a [&'a str],
    values: &'a [Vec<f32>],
    index: usize,
}

impl Serialize for Predicted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.tasks.len()))?;
        for (task, values) in self.tasks.iter().zip(self.values) {
            map.serialize_entry(task, &values[self.index])?;
        }
        map.end()
    }
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
