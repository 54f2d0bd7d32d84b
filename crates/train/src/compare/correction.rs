//! [`corrected`]: p values of many gains, corrected for one another.

use super::task::TaskComparison;
use crate::ByTask;
use crate::statistics::holm;

/// Corrects the p values of all gains for one another (Holm); gives their number, too.
#[must_use]
pub fn corrected(models: Vec<ByTask<TaskComparison>>) -> (Vec<ByTask<TaskComparison>>, usize) {
    let all = models.iter().flat_map(|tasks| tasks.iter().filter_map(|(_, task)| task.p_value));
    let all: Vec<f64> = all.collect();
    let mut adjusted = holm(&all).into_iter();
    let mut correct = |(name, task): (&str, &TaskComparison)| {
        let p_holm = task.p_value.and_then(|_| adjusted.next());
        (name.to_owned(), TaskComparison { p_holm, ..task.clone() })
    };
    let models = models.iter().map(|tasks| tasks.iter().map(&mut correct).collect()).collect();
    (models, all.len())
}
