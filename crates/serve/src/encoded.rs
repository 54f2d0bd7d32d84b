//! [`EncodedRequest`]: a request that is read and encoded. Its rows are predicted next: alone, or together with those of others.

use pleiad_engine::Predictions;
use pleiad_rank::{Error, Rows};

use crate::infer::Inferred;
use crate::refusal::Refusal;
use crate::served::Served;
use crate::stages::{Laps, Stage, Stages};

/// Writes the answer of a request from its rows and their predictions.
type Finish<'a> = Box<dyn FnOnce(Rows, Predictions, &mut Stages) -> Result<Inferred, Refusal> + 'a>;

/// A request that is read and encoded.
pub(crate) struct EncodedRequest<'a> {
    pub(crate) served: &'a Served,
    /// Features that its rows have in common.
    pub(crate) shared: Vec<&'a str>,
    pub(crate) rows: Rows,
    finish: Finish<'a>,
}

/// A request as far as it goes without predictions.
pub(crate) enum Step<'a> {
    Predict(EncodedRequest<'a>),
    /// It has no rows.
    Done(Inferred),
}

impl<'a> EncodedRequest<'a> {
    pub(crate) fn new(
        served: &'a Served,
        shared: Vec<&'a str>,
        rows: Rows,
        finish: impl FnOnce(Rows, Predictions, &mut Stages) -> Result<Inferred, Refusal> + 'a,
    ) -> Self {
        Self { served, shared, rows, finish: Box::new(finish) }
    }

    /// Predicts its rows alone.
    ///
    /// # Errors
    /// A prediction that is not finite.
    pub(crate) fn predict(&self) -> Result<Predictions, Refusal> {
        let refuse = |error: Error| Refusal::of_rank(&error, &|_| false);
        self.served.model().predict_sharing(&self.rows, &self.shared).map_err(refuse)
    }

    /// Scores its rows, counts them, and writes the answer.
    ///
    /// # Errors
    /// Such as a score that is not finite.
    pub(crate) fn finish(self, predictions: Predictions, stages: &mut Stages) -> Result<Inferred, Refusal> {
        (self.finish)(self.rows, predictions, stages)
    }
}

impl<'a> Step<'a> {
    /// What is to be predicted.
    pub(crate) fn encoded(&self) -> Option<&EncodedRequest<'a>> {
        match self {
            Self::Predict(encoded) => Some(encoded),
            Self::Done(_) => None,
        }
    }

    /// The answer of a request that is alone.
    ///
    /// # Errors
    /// Those of [`EncodedRequest::predict`] and [`EncodedRequest::finish`].
    pub(crate) fn answer(self, stages: &mut Stages) -> Result<Inferred, Refusal> {
        let encoded = match self {
            Self::Done(answer) => return Ok(answer),
            Self::Predict(encoded) => encoded,
        };
        let mut laps = Laps::new();
        let predictions = encoded.predict()?;
        laps.add(stages, Stage::Predict);
        encoded.finish(predictions, stages)
    }
}
