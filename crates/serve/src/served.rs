//! [`Served`]: a model with all that it takes to answer a rank request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use pleiad_data::FeatureCount;
use pleiad_rank::{Model, Scorer};

use crate::answer::Asked;
use crate::cells::batch;
use crate::columns::Columns;
use crate::drift::{Drift, DriftFigures};
use crate::ranking::{Ranking, Wish};
use crate::refusal::Refusal;
use crate::request::RankRequest;
use crate::routes::TaskExponents;
use crate::stages::Stages;
use crate::statistics::Statistics;
use crate::weighted::{ScoreInForce, Weighted};

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

    /// The names of its tasks, in their order.
    pub(crate) fn tasks(&self) -> Vec<&str> {
        self.model.tasks().iter().map(|task| task.name.as_str()).collect()
    }

    /// The names of its features, in their order.
    pub(crate) fn feature_names(&self) -> impl Iterator<Item = &str> {
        self.model.encoder().schema().features.iter().map(|feature| feature.name.as_str())
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
        self.drift.figures(self.model.training_predictions().unwrap_or_default(), &self.tasks())
    }

    /// Counts of each feature, with its name.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.feature_names().zip(&self.tallies)
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
        let ranking = Ranking::read(self, body, forms, most, stages, Wish::default())?;
        Ok(ranking.encode(stages)?.answer(stages)?.body)
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

    /// What scores a request: the model's score with exponents of an arm and, above those, of the request.
    pub(crate) fn score_in_force(
        &self,
        of_arm: Option<&TaskExponents>,
        of_request: Option<TaskExponents>,
    ) -> Result<ScoreInForce, Refusal> {
        let score = match (of_arm, of_request) {
            (None, of_request) => of_request,
            (Some(of_arm), of_request) => {
                let mut score = of_arm.clone();
                score.extend(of_request.unwrap_or_default());
                Some(score)
            }
        };
        let own = score.map(|score| self.rank_with(score)).transpose()?;
        Ok(ScoreInForce { own, set: self.weighted() })
    }

    /// The model's score with other exponents.
    fn rank_with(&self, score: BTreeMap<String, f64>) -> Result<Weighted, Refusal> {
        let mut rank = self.rank_now().unwrap_or_default();
        rank.score.extend(score);
        let scorer = Scorer::new(&rank, self.model.encoder().schema());
        let scorer = scorer.map_err(|error| Refusal::of_rank(&error, &|_| false))?;
        Ok(Weighted { rank, scorer })
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
