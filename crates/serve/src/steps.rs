//! Rankings of shadows: a few candidates at a time, so that they can make way for a request.

use crate::arrow_body;
use crate::refusal::Refusal;
use crate::routes::TaskExponents;
use crate::served::{BodyForm, Served};

/// Candidates of a step: a request that comes meanwhile waits for some tenths of a millisecond at the most.
const STEP: usize = 64;

/// What a ranking gave, by candidate.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// By task.
    pub(crate) predictions: Vec<Vec<f32>>,
    pub(crate) scores: Vec<f64>,
}

impl Kept {
    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let predictions: usize = self.predictions.iter().map(Vec::len).sum();
        predictions * size_of::<f32>() + self.scores.len() * size_of::<f64>()
    }
}

impl Served {
    /// Ranks candidates of a body from where `kept` ends, until `is_wanted` says that a request waits; one step at the least. Gives
    /// whether it came to the end. Nothing of it counts as served.
    ///
    /// # Errors
    /// As [`Served::rank`].
    pub(crate) fn step(
        &self,
        body: &[u8],
        form: BodyForm,
        most: usize,
        score: Option<&TaskExponents>,
        kept: &mut Kept,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<bool, Refusal> {
        let asked = match form {
            BodyForm::Json => self.asked(body, most)?,
            BodyForm::Arrow => arrow_body::asked(body, self.columns(), most)?,
        };
        let Some(records) = asked.records else { return Ok(true) };
        let refuse = |error: pleiad_rank::Error| Refusal::of_rank(&error, &|_| false);
        let in_force = self.score_in_force(score, asked.score)?;
        let scorer = in_force.scorer(self.model()).map_err(refuse)?;
        let shared = self.shared(&asked.in_request);
        kept.predictions.resize(self.model().tasks().len(), Vec::new());
        while kept.scores.len() < asked.candidates {
            let from = kept.scores.len();
            let rows = records.slice(from, STEP.min(asked.candidates - from));
            let rows = self.model().encode(&rows).map_err(refuse)?;
            let predictions = self.model().predict_sharing(&rows, &shared).map_err(refuse)?;
            kept.scores.extend(scorer.score(&predictions, &rows.numbers, 0).map_err(refuse)?);
            kept.predictions.iter_mut().zip(predictions.tasks).for_each(|(all, more)| all.extend(more));
            if kept.scores.len() < asked.candidates && is_wanted() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
