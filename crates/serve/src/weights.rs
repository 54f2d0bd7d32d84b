//! Exponents of the score that are changed while a model is served.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use pleiad_rank::{RankConfig, Scorer};
use serde::Deserialize;

use crate::refusal::{Place, Refusal};
use crate::served::Served;
use crate::weighted::Weighted;

/// The body of a change: exponents by task; null goes back to the model's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WeightChange {
    pub(crate) score: Option<BTreeMap<String, f64>>,
}

impl WeightChange {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        /// `score` has to be there: nothing at all is no wish to go back.
        #[derive(Deserialize)]
        struct Present {
            #[allow(dead_code)]
            score: serde_json::Value,
        }
        let read = serde_json::from_slice::<Present>(body).and_then(|_| serde_json::from_slice(body));
        read.map_err(|error| {
            let place = Place { line: Some(error.line()), column: Some(error.column()), ..Place::default() };
            let advice = "send {\"score\": {\"TASK\": 2}}, or {\"score\": null} for the model's own exponents";
            Refusal::new(400, "bad_request", error.to_string(), advice).at(place)
        })
    }
}

impl Served {
    /// The exponents that are not the model's own, if there are any.
    pub(crate) fn weighted(&self) -> Option<Arc<Weighted>> {
        self.weights.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `[rank]` as it is now.
    pub(crate) fn rank_now(&self) -> Option<RankConfig> {
        self.weighted().map_or_else(|| self.model().rank().cloned(), |weighted| Some(weighted.rank.clone()))
    }

    /// Whether rows have a score without a wish of the request.
    pub(crate) fn has_score(&self) -> bool {
        self.model().rank().is_some() || self.weighted().is_some()
    }

    /// The model's own `[rank]` with these exponents above its own.
    pub(crate) fn weigh(&self, score: &BTreeMap<String, f64>) -> Result<Arc<Weighted>, Refusal> {
        let mut rank = self.model().rank().cloned().unwrap_or_default();
        rank.score.extend(score.iter().map(|(task, exponent)| (task.clone(), *exponent)));
        let scorer = Scorer::new(&rank, self.model().encoder().schema());
        let scorer = scorer.map_err(|error| Refusal::of_rank(&error, &|_| false))?;
        Ok(Arc::new(Weighted { rank, scorer }))
    }

    /// Takes them from now on; requests that are being scored keep what they began with.
    pub(crate) fn set_weights(&self, weights: Option<Arc<Weighted>>) {
        *self.weights.write().unwrap_or_else(PoisonError::into_inner) = weights;
    }
}
