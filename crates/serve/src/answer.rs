//! What a rank request asks for, and what each candidate is answered, whatever the form of the body.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
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
