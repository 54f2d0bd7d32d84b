//! [`Golden`]: rows with the predictions that they must give on every machine.

use std::path::Path;

use pleiad_data::{Batch, Encoder, Ids, Input, RawRows};

use super::tensor_file::{Elements, TensorFile, write};
use crate::error::{Error, Result};
use crate::graph::Graph;

/// How far a prediction may lie from the golden one, times the larger of 1 and its magnitude. Processors differ in the
/// last bits of a sum; a wrong weight, encoder or operation differs by orders of magnitude more.
pub const GOLDEN_TOLERANCE: f32 = 1e-5;

/// Far more than a few rows take.
const MAX_BYTES: usize = 1 << 28;

/// Rows, raw and encoded, and the predictions they gave when the model was saved.
///
/// In a file: `numeric` `[n, N]`; `ids.<feature>` (one id per row, or those of all rows), `offsets.<feature>`
/// `[n + 1]` for multi-valued features; `predictions.<task>` `[n]`; `raw`, the bytes of a JSON document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Golden {
    /// n rows as they were read.
    pub raw: RawRows,
    /// The same rows, encoded, without labels.
    pub batch: Batch,
    /// `[T][n]`: probabilities of binary tasks, values of regression tasks.
    pub predictions: Vec<Vec<f32>>,
}

impl Golden {
    /// Whether a model gives the golden predictions; `found` is what it gave for [`Golden::batch`].
    ///
    /// # Errors
    /// [`Error::Golden`] names the first task and row that differ by more than [`GOLDEN_TOLERANCE`].
    pub fn check(&self, graph: &Graph, found: &[Vec<f32>]) -> Result<()> {
        for (t, (expected, output)) in self.predictions.iter().zip(&graph.outputs).enumerate() {
            for (row, &expected) in expected.iter().enumerate() {
                let found = found.get(t).and_then(|found| found.get(row)).copied().unwrap_or(f32::NAN);
                let tolerance = GOLDEN_TOLERANCE * expected.abs().max(1.0);
                let difference = (found - expected).abs();
                if difference.is_nan() || difference > tolerance {
                    return Err(Error::Golden { task: output.task.clone(), row, expected, found, tolerance });
                }
            }
        }
        Ok(())
    }

    /// Whether `encoder` makes of the raw rows, to the bit, what it made of them when the model was saved. The hash of a
    /// model's files does not see a version of this program that reads a value otherwise; this does.
    pub(super) fn check_encoder(&self, path: &Path, encoder: &Encoder) -> Result<()> {
        let unreadable = |error: pleiad_data::Error| Error::GoldenRow {
            path: path.to_owned(),
            reason: format!("the raw rows can no longer be encoded ({error})"),
        };
        let found = encoder.encode_raw(&self.raw).map_err(unreadable)?;
        let width = encoder.layout().numeric_width();
        for row in 0..self.batch.rows {
            let number = |batch: &Batch, column: usize| batch.numeric.get(row * width + column).map(|x| x.to_bits());
            for input in &encoder.layout().inputs {
                let (name, was, is) = match input {
                    Input::Numeric { name, column } | Input::Periodic { name, column, .. } => {
                        let shown = |batch| format!("{:?}", number(batch, *column).map(f32::from_bits));
                        let (was, is) = (number(&self.batch, *column), number(&found, *column));
                        if was == is {
                            continue;
                        }
                        (name, shown(&self.batch), shown(&found))
                    }
                    Input::Categorical { name, slot, .. } => {
                        let (was, is) = (ids(&self.batch, *slot, row), ids(&found, *slot, row));
                        if was == is {
                            continue;
                        }
                        (name, format!("{was:?}"), format!("{is:?}"))
                    }
                };
                let reason = format!("row {row}, feature {name:?}: encoded as {is}, which was {was}");
                return Err(Error::GoldenRow { path: path.to_owned(), reason });
            }
        }
        Ok(())
    }

    /// What makes these rows unfit for a model, if anything.
    pub(super) fn problem(&self, graph: &Graph) -> Option<String> {
        let Batch { rows, numeric, categorical, .. } = &self.batch;
        if self.raw.rows() != *rows {
            return Some(format!("{} raw rows for {rows} encoded ones", self.raw.rows()));
        }
        if Some(numeric.len()) != graph.layout.numeric_width().checked_mul(*rows) {
            return Some(format!("{} numbers for {rows} rows", numeric.len()));
        }
        if numeric.iter().any(|x| !x.is_finite()) {
            return Some("a numeric input is not finite".to_owned());
        }
        let slots = graph.layout.inputs.iter().filter_map(Slot::of);
        if slots.clone().count() != categorical.len() {
            return Some(format!("{} categorical inputs", categorical.len()));
        }
        for slot in slots {
            let name = slot.name;
            let Some(ids) = categorical.get(slot.slot) else {
                return Some(format!("feature {name:?} has no ids"));
            };
            let fits = match ids {
                Ids::Single(ids) => !slot.multiple && ids.len() == *rows,
                Ids::Multiple { offsets, rows: ids } => {
                    slot.multiple
                        && offsets.len() == rows + 1
                        && offsets.first() == Some(&0)
                        && offsets.last() == Some(&ids.len())
                        && offsets.is_sorted()
                }
            };
            if !fits {
                return Some(format!("the ids of feature {name:?} do not fit {rows} rows"));
            }
            if let Some(id) = ids.table_rows().iter().find(|&&id| id >= slot.rows) {
                return Some(format!("feature {name:?}: id {id} is beyond the {} rows of its table", slot.rows));
            }
        }
        if self.predictions.len() != graph.outputs.len() {
            return Some(format!("predictions of {} tasks, not {}", self.predictions.len(), graph.outputs.len()));
        }
        for (predictions, output) in self.predictions.iter().zip(&graph.outputs) {
            if predictions.len() != *rows {
                return Some(format!("{} predictions of task {:?}, not {rows}", predictions.len(), output.task));
            }
            if let Some(bad) = predictions.iter().find(|p| !p.is_finite()) {
                return Some(format!("a prediction of task {:?} is {bad}", output.task));
            }
        }
        None
    }

    pub(super) fn write(&self, path: &Path, graph: &Graph) -> Result<()> {
        // Offsets are widened first, so that they outlive the list of what to write.
        let offsets: Vec<Option<Vec<u64>>> = self
            .batch
            .categorical
            .iter()
            .map(|ids| match ids {
                Ids::Single(_) => None,
                Ids::Multiple { offsets, .. } => Some(offsets.iter().map(|&o| o as u64).collect()),
            })
            .collect();
        let mut tensors = Vec::new();
        for slot in graph.layout.inputs.iter().filter_map(Slot::of) {
            if let Some(ids) = self.batch.categorical.get(slot.slot) {
                let ids = ids.table_rows();
                tensors.push((format!("ids.{}", slot.name), vec![ids.len()], Elements::Indices(ids)));
            }
            if let Some(Some(offsets)) = offsets.get(slot.slot) {
                tensors.push((format!("offsets.{}", slot.name), vec![offsets.len()], Elements::Indices(offsets)));
            }
        }
        let numeric = &self.batch.numeric;
        let shape = vec![self.batch.rows, graph.layout.numeric_width()];
        tensors.push(("numeric".to_owned(), shape, Elements::Reals(numeric)));
        for (predictions, output) in self.predictions.iter().zip(&graph.outputs) {
            let name = format!("predictions.{}", output.task);
            tensors.push((name, vec![predictions.len()], Elements::Reals(predictions)));
        }
        let raw = serde_json::to_vec(&self.raw).map_err(|error| Error::Io {
            path: path.to_owned(),
            action: "write",
            source: error.into(),
        })?;
        tensors.push(("raw".to_owned(), vec![raw.len()], Elements::Bytes(&raw)));
        write(path, &tensors)
    }

    pub(super) fn read(path: &Path, graph: &Graph) -> Result<Self> {
        let mut file = TensorFile::open(path)?;
        if file.bytes() > MAX_BYTES {
            return Err(file.damaged(format!("{} bytes of tensors are no few rows", file.bytes())));
        }
        let mut expected = 2 + graph.outputs.len();
        let numeric = file.reals("numeric")?;
        let rows = match file.shape("numeric") {
            Some(&[rows, width]) if width == graph.layout.numeric_width() => rows,
            other => return Err(file.damaged(format!("tensor \"numeric\" has shape {other:?}"))),
        };
        let slots: Vec<Slot<'_>> = graph.layout.inputs.iter().filter_map(Slot::of).collect();
        let mut categorical = vec![Ids::Single(Vec::new()); slots.len()];
        for slot in &slots {
            let ids = file.indices(&format!("ids.{}", slot.name))?;
            expected += 1 + usize::from(slot.multiple);
            let ids = if slot.multiple {
                let offsets = file.indices(&format!("offsets.{}", slot.name))?;
                let offsets = offsets.into_iter().map(|o| usize::try_from(o).unwrap_or(usize::MAX)).collect();
                Ids::Multiple { offsets, rows: ids }
            } else {
                Ids::Single(ids)
            };
            match categorical.get_mut(slot.slot) {
                Some(place) => *place = ids,
                None => return Err(file.damaged(format!("feature {:?} has no place among the inputs", slot.name))),
            }
        }
        let mut predictions = Vec::new();
        for output in &graph.outputs {
            predictions.push(file.reals(&format!("predictions.{}", output.task))?);
        }
        let raw = serde_json::from_slice(&file.octets("raw")?)
            .map_err(|error| file.damaged(format!("tensor \"raw\": {error}")))?;
        if file.names().len() != expected {
            return Err(file.damaged(format!("it has {} tensors, the model needs {expected}", file.names().len())));
        }
        let golden = Self {
            raw,
            batch: Batch { rows, numeric, categorical, labels: Vec::new(), groups: Vec::new() },
            predictions,
        };
        match golden.problem(graph) {
            Some(problem) => Err(Error::Damaged { path: file.path().to_owned(), reason: problem }),
            None => Ok(golden),
        }
    }
}

/// Ids of a row of a categorical input.
fn ids(batch: &Batch, slot: usize, row: usize) -> Option<&[u64]> {
    match batch.categorical.get(slot)? {
        Ids::Single(ids) => ids.get(row..=row),
        Ids::Multiple { offsets, rows } => rows.get(*offsets.get(row)?..*offsets.get(row + 1)?),
    }
}

/// What a categorical input expects of its ids.
struct Slot<'a> {
    name: &'a str,
    slot: usize,
    rows: u64,
    multiple: bool,
}

impl<'a> Slot<'a> {
    fn of(input: &'a Input) -> Option<Self> {
        match input {
            Input::Numeric { .. } | Input::Periodic { .. } => None,
            Input::Categorical { name, slot, rows, pooling, .. } => {
                Some(Self { name, slot: *slot, rows: *rows, multiple: pooling.is_some() })
            }
        }
    }
}
