//! [`Weighted`]: a score that was changed while its model is served.

use pleiad_rank::{RankConfig, Scorer};

/// `[rank]` with other exponents than the model's own.
#[derive(Debug)]
pub(crate) struct Weighted {
    pub(crate) rank: RankConfig,
    pub(crate) scorer: Scorer,
}
