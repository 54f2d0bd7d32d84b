//! Metrics: for each a state that rows are added to and states can be merged into, and a pure function from the state to
//! the number.
//!
//! A metric sees the rows of its task's sample space and no others. Its value depends on the set of rows alone, to the
//! last bit: not on their order, the cut into batches, or the order in which states are merged (sums are exact, see
//! [`ExactSum`]; AUC counts in integers, and rows that tie count alike). A metric that is not defined on its rows, or that saw a number that is not
//! finite, is `None`; it is never NaN. Which metric stops a training, and what is printed, is decided elsewhere.

mod auc;
mod by_group;
mod calibration;
mod gauc;
mod groups;
mod kind;
mod log_loss;
mod mae;
mod mean;
mod measures;
mod mse;
mod ndcg;
mod normalized_entropy;
mod pr_auc;
mod r2;
mod recall;
mod sum;
mod task;
mod weighted;
mod weighted_auc;
mod weighted_r2;

pub use auc::Auc;
pub use by_group::{AtK, GroupMetrics};
pub use calibration::Calibration;
pub(crate) use gauc::auc_within;
pub use gauc::gauc;
pub(crate) use groups::GroupedRow;
pub use groups::{GroupedRows, OverGroups, Ranked};
pub(crate) use kind::unknown;
pub use kind::{MetricKind, gain};
pub use log_loss::LogLoss;
pub use mae::Mae;
pub use mean::ExactMean;
pub use measures::Measures;
pub use mse::Mse;
pub use ndcg::ndcg;
pub(crate) use ndcg::{discounts, ndcg_within};
pub use normalized_entropy::normalized_entropy;
pub use pr_auc::average_precision;
pub use r2::R2;
pub use recall::recall;
pub(crate) use recall::recall_within;
pub use sum::ExactSum;
pub use task::{BinaryMetrics, RegressionMetrics, TaskMetrics, TaskMetricsState};
pub use weighted_auc::WeightedAuc;
pub use weighted_r2::WeightedR2;

/// The state of one metric.
pub trait Metric: Clone + Default {
    /// Adds one row of the sample space.
    fn add(&mut self, prediction: f32, label: f32);

    /// Adds the rows that `other` has seen.
    fn merge(&mut self, other: &Self);

    /// The metric over all rows added so far; `None` where it is not defined.
    fn compute(&self) -> Option<f64>;
}
