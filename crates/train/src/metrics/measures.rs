//! [`Measures`]: what is measured, and by what tasks are judged.

use pleiad_data::schema::Groups;

use super::MetricKind;
use crate::ByTask;

/// What is measured besides the metrics that every task has, and by what tasks are judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measures {
    /// Every k of NDCG and recall within groups; `None` where rows have no groups.
    pub k: Option<Vec<u32>>,
    /// By which metric a task is judged, where it is another than AUC or MSE.
    pub main: ByTask<MetricKind>,
}

impl Measures {
    /// What rows with these groups are measured by.
    #[must_use]
    pub fn of(groups: Option<&Groups>) -> Self {
        Self { k: groups.map(|groups| groups.k.clone()), main: ByTask::default() }
    }
}
