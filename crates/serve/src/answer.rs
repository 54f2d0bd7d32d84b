//! What a rank request asks for, and what each candidate is answered, whatever the form of the body.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use pleiad_data::FeatureCount;
use pleiad_rank::RankFusion;
use pleiad_rank::cells::Cell;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::explain::Explained;

/// What is asked for, whatever form it came in.
pub(crate) struct Asked<'a> {
    /// The candidates, if there are any.
    pub(crate) records: Option<RecordBatch>,
    pub(crate) candidates: usize,
    pub(crate) ids: Vec<Cell<'a>>,
    /// Exponents of the score that are not the model's own.
    pub(crate) score: Option<BTreeMap<String, f64>>,
    pub(crate) top: usize,
    /// Whether candidates are explained.
    pub(crate) explain: bool,
    pub(crate) ignored: Vec<String>,
    /// By column of the model: whether all candidates share it.
    pub(crate) in_request: Vec<bool>,
}

/// One candidate of an answer.
#[derive(Serialize)]
pub(crate) struct Ranked<'a> {
    pub(crate) index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'a Cell<'a>>,
    pub(crate) score: f64,
    pub(crate) predictions: Predicted<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explain: Option<Box<Explained<'a>>>,
}

/// What each task predicts for it.
pub(crate) struct Predicted<'a> {
    pub(crate) tasks: &'a [&'a str],
    pub(crate) values: &'a [Vec<f32>],
    pub(crate) index: usize,
}

impl Predicted<'_> {
    /// That of a task, by its number.
    pub(crate) fn of(&self, task: usize) -> f32 {
        self.values[task][self.index]
    }
}

impl Serialize for Predicted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.tasks.len()))?;
        for (task, values) in self.tasks.iter().zip(self.values) {
            map.serialize_entry(task, &values[self.index])?;
        }
        map.end()
    }
}

/// What is answered.
#[derive(Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: &'a str,
    /// The arm of a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<&'a str>,
    pub(crate) candidates: usize,
    /// Where candidates are explained, what their shares are shares of.
    #[serde(rename = "fusion", skip_serializing_if = "Option::is_none")]
    pub(crate) explains: Option<RankFusion>,
    /// None where it is written in another form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ranked: Option<&'a [Ranked<'a>]>,
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub(crate) unknown: Counts<'a>,
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub(crate) missing: Counts<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) ignored: &'a [String],
}

/// Counts by feature, of those that have any.
pub(crate) struct Counts<'a>(Vec<(&'a str, u64)>);

impl<'a> Counts<'a> {
    /// One of the counts of each feature, in the order of `names`.
    pub(crate) fn new(
        names: impl Iterator<Item = &'a str>,
        counts: &[FeatureCount],
        of: fn(&FeatureCount) -> u64,
    ) -> Self {
        Self(names.zip(counts).map(|(name, count)| (name, of(count))).filter(|(_, count)| *count > 0).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// An id as a text.
pub(crate) fn id_text(id: &Cell<'_>) -> Option<String> {
    match id {
        Cell::Text(text) => Some(text.to_string()),
        Cell::Int(number) => Some(number.to_string()),
        Cell::UInt(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first `top` candidates by score, the highest first, then by their order.
pub(crate) fn ordered(scores: &[f64], top: usize) -> Vec<usize> {
    let by_score = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if top < order.len() {
        order.select_nth_unstable_by(top, by_score);
        order.truncate(top);
    }
    order.sort_unstable_by(by_score);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_keep_their_order() {
        let scores = [1.0, 3.0, 2.0, 3.0, 1.0, 3.0];
        assert_eq!(ordered(&scores, usize::MAX), [1, 3, 5, 2, 0, 4]);
        assert_eq!(ordered(&scores, 2), [1, 3]);
        assert_eq!(ordered(&scores, 6), [1, 3, 5, 2, 0, 4]);
        assert!(ordered(&[], 3).is_empty());
    }
}
