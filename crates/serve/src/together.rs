//! [`predict_together`]: the rows of several requests as one batch, since a product of many rows costs less a row than one of few.

use pleiad_engine::Predictions;
use pleiad_rank::Rows;

use crate::encoded::EncodedRequest;

/// The predictions of each, the same as alone. `None` of one that is to be predicted alone: no other asks this version of a model with
/// the same features in common, or a row of theirs has no finite prediction.
pub(crate) fn predict_together(requests: &[&EncodedRequest<'_>]) -> Vec<Option<Predictions>> {
    let mut predictions = vec![None; requests.len()];
    let mut left: Vec<usize> = (0..requests.len()).collect();
    while let Some(&first) = left.first() {
        let alike = |other: &usize| {
            std::ptr::eq(requests[first].served, requests[*other].served)
                && requests[first].shared == requests[*other].shared
        };
        let (group, others) = left.into_iter().partition::<Vec<_>, _>(alike);
        left = others;
        if group.len() < 2 {
            continue;
        }
        let mut batch = requests[first].rows.batch.clone();
        group[1..].iter().for_each(|&at| batch.append(&requests[at].rows.batch));
        let rows = Rows { batch, numbers: Vec::new(), counts: Vec::new() };
        let Ok(all) = requests[first].served.model().predict_sharing(&rows, &requests[first].shared) else { continue };
        let mut from = 0;
        for at in group {
            let to = from + requests[at].rows.batch.rows;
            let tasks = all.tasks.iter().map(|task| task[from..to].to_vec()).collect();
            predictions[at] = Some(Predictions { tasks });
            from = to;
        }
    }
    predictions
}
