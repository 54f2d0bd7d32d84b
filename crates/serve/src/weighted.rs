//! [`Weighted`]: a score that was changed while its model is served; [`ScoreInForce`]: the score of one request.

use std::sync::Arc;

use pleiad_rank::{Error, Model, RankConfig, Scorer};

/// `[rank]` with other exponents than the model's own.
#[derive(Debug)]
pub(crate) struct Weighted {
    pub(crate) rank: RankConfig,
    pub(crate) scorer: Scorer,
}

/// What scores a request: its own exponents or those of its arm, else those that were set by a call, else the model's.
#[derive(Debug)]
pub(crate) struct ScoreInForce {
    pub(crate) own: Option<Weighted>,
    pub(crate) set: Option<Arc<Weighted>>,
}

impl ScoreInForce {
    fn weighted(&self) -> Option<&Weighted> {
        self.own.as_ref().or(self.set.as_deref())
    }

    /// What computes it.
    ///
    /// # Errors
    /// [`Error::NoRank`] where neither of them has exponents.
    pub(crate) fn scorer<'s>(&'s self, model: &'s Model) -> Result<&'s Scorer, Error> {
        self.weighted().map_or_else(|| model.scorer(), |weighted| Ok(&weighted.scorer))
    }

    /// As `[rank]` says it.
    pub(crate) fn rank(&self, model: &Model) -> RankConfig {
        self.weighted().map_or_else(|| model.rank().cloned().unwrap_or_default(), |weighted| weighted.rank.clone())
    }
}
