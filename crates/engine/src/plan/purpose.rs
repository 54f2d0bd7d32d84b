//! [`Purpose`]: what a plan is for.

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Values are kept for the backward pass; dropout drops.
    Train,
    /// As [`Purpose::Train`], but values are kept to the end of the backward pass, so that it can run once per
    /// task.
    TrainByTask,
    /// Memory is reused after its last read; dropout is the identity.
    Predict,
    /// As [`Purpose::Predict`], but the weights of gates and the outputs of experts are kept to be read.
    Inspect,
}

impl Purpose {
    /// Whether there is a backward pass, and dropout drops.
    pub(super) fn trains(self) -> bool {
        matches!(self, Self::Train | Self::TrainByTask)
    }
}
