//! [`Ranking`]: a rank request on its way from its body to its answer. What stands between its encoding and its answer, the
//! prediction, is left to the caller ([`EncodedRequest`]).

use arrow::array::RecordBatch;
use pleiad_data::FeatureCount;
use pleiad_engine::Predictions;
use pleiad_rank::Rows;
use pleiad_rank::cells::Cell;

use crate::answer::{Answer, Asked, Counts, Predicted, Ranked, id_text, ordered};
use crate::arrow_body;
use crate::encoded::{EncodedRequest, Step};
use crate::explain;
use crate::infer::Inferred;
use crate::refusal::Refusal;
use crate::request_log::Answered;
use crate::routes::TaskExponents;
use crate::served::{BodyForm, Served};
use crate::stages::{Laps, Stage, Stages};
use crate::steps::Kept;
use crate::weighted::ScoreInForce;

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

/// A rank request that is read.
pub(crate) struct Ranking<'a> {
    served: &'a Served,
    asked: Asked<'a>,
    in_force: ScoreInForce,
    /// The form of the answer.
    wanted: BodyForm,
    wish: Wish<'a>,
}

impl<'a> Ranking<'a> {
    /// Reads a body of the first form, which is to be answered in the second one.
    ///
    /// # Errors
    /// Whatever it lacks; a score, too.
    pub(crate) fn read(
        served: &'a Served,
        body: &'a [u8],
        [sent, wanted]: [BodyForm; 2],
        most: usize,
        stages: &mut Stages,
        wish: Wish<'a>,
    ) -> Result<Self, Refusal> {
        let mut laps = Laps::new();
        let mut asked = match sent {
            BodyForm::Json => served.asked(body, most)?,
            BodyForm::Arrow => arrow_body::asked(body, served.columns(), most)?,
        };
        stages.candidates = asked.candidates;
        if asked.explain {
            if wanted == BodyForm::Arrow {
                let message = "an answer in Arrow explains nothing";
                return Err(Refusal::new(400, "bad_request", message, "accept JSON, or leave `explain` out"));
            }
            explain::check(asked.candidates.min(asked.top))?;
        }
        let in_force = served.score_in_force(wish.score, asked.score.take())?;
        let ranking = Self { served, asked, in_force, wanted, wish };
        // What has no score costs nothing more.
        ranking.in_force.scorer(served.model()).map_err(|error| ranking.refusal(&error))?;
        laps.add(stages, Stage::Decode);
        Ok(ranking)
    }

    /// Encodes its candidates.
    ///
    /// # Errors
    /// A candidate that cannot be encoded.
    pub(crate) fn encode(mut self, stages: &mut Stages) -> Result<Step<'a>, Refusal> {
        let mut laps = Laps::new();
        let served = self.served;
        let Some(records) = self.asked.records.take() else {
            return Ok(Step::Done(Inferred { body: self.write(&[], &[])?, json: None }));
        };
        let rows = served.model().encode(&records).map_err(|error| self.refusal(&error))?;
        laps.add(stages, Stage::Encode);
        let shared = served.shared(&self.asked.in_request);
        Ok(Step::Predict(EncodedRequest::new(served, shared, rows, move |rows, predictions, stages| {
            let body = self.finish(records, rows, predictions, stages)?;
            Ok(Inferred { body, json: None })
        })))
    }

    fn finish(
        mut self,
        records: RecordBatch,
        rows: Rows,
        predictions: Predictions,
        stages: &mut Stages,
    ) -> Result<Vec<u8>, Refusal> {
        let mut laps = Laps::new();
        let served = self.served;
        let scorer = self.in_force.scorer(served.model()).map_err(|error| self.refusal(&error))?;
        let scores = scorer.score(&predictions, &rows.numbers, 0).map_err(|error| self.refusal(&error))?;
        let order = ordered(&scores, self.asked.top);
        laps.add(stages, Stage::Score);
        served.count(&rows.counts, &predictions.tasks);
        let mut explained = Vec::new().into_iter();
        if self.asked.explain {
            let refuse = |error: pleiad_rank::Error| self.refusal(&error);
            let of = explain::candidates(served.model(), scorer, &records, &order, &predictions, &rows, &refuse)?;
            explained = of.into_iter();
            laps.add(stages, Stage::Explain);
        }
        let tasks = served.tasks();
        let ranked: Vec<Ranked<'_>> = order
            .into_iter()
            .map(|index| Ranked {
                index,
                id: self.asked.ids.get(index).filter(|id| **id != Cell::Null),
                score: scores[index],
                predictions: Predicted { tasks: &tasks, values: &predictions.tasks, index },
                explain: explained.next().map(Box::new),
            })
            .collect();
        let written = self.write(&ranked, &rows.counts)?;
        laps.add(stages, Stage::Write);
        let answered = if self.wish.logged.is_some() { &ranked[..] } else { &[] };
        let order: Vec<usize> = answered.iter().map(|one| one.index).collect();
        drop(ranked);
        let has_transform = scorer.transform().is_some();
        if let Some(kept) = self.wish.kept.take() {
            *kept = Kept { predictions: predictions.tasks.clone(), scores: scores.clone() };
        }
        if let Some(logged) = self.wish.logged.take() {
            *logged = Some(Answered {
                records,
                ids: self.asked.ids.iter().map(id_text).collect(),
                label: self.wish.label.map(str::to_owned),
                rank: self.in_force.rank(served.model()),
                predictions: predictions.tasks,
                numbers: if has_transform { rows.numbers } else { Vec::new() },
                scores,
                order,
            });
        }
        Ok(written)
    }

    /// The answer in the form that is wanted.
    fn write(&self, ranked: &[Ranked<'_>], counts: &[FeatureCount]) -> Result<Vec<u8>, Refusal> {
        let fusion = || self.in_force.scorer(self.served.model()).map(|scorer| scorer.fusion());
        let of = |of: fn(&FeatureCount) -> u64| Counts::new(self.served.feature_names(), counts, of);
        let answer = Answer {
            model: self.served.name(),
            version: self.served.version(),
            label: self.wish.label,
            candidates: self.asked.candidates,
            explains: self.asked.explain.then(fusion).transpose().map_err(|error| self.refusal(&error))?,
            ranked: (self.wanted == BodyForm::Json).then_some(ranked),
            unknown: of(|count| count.unknown),
            missing: of(|count| count.missing),
            ignored: &self.asked.ignored,
        };
        let message = |error: serde_json::Error| {
            Refusal::new(500, "internal", error.to_string(), "this is a mistake of the server; report it")
        };
        match self.wanted {
            BodyForm::Json => serde_json::to_vec(&answer).map_err(message),
            BodyForm::Arrow => {
                let rest = serde_json::to_string(&answer).map_err(message)?;
                arrow_body::answer(ranked, &self.served.tasks(), rest)
            }
        }
    }

    /// Why its candidates cannot be ranked.
    fn refusal(&self, error: &pleiad_rank::Error) -> Refusal {
        let columns = self.served.columns();
        let of_request = |column: &str| columns.index(column).is_some_and(|at| self.asked.in_request[at]);
        Refusal::of_rank(error, &of_request)
    }
}
