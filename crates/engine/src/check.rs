//! Whether a batch is what a graph reads. Everything behind this check may index freely.

use pleiad_data::{Batch, Ids, Input};
use pleiad_model::Graph;

use crate::error::{Error, Result};
use crate::sparse::Table;

/// Refuses a batch of another layout, with ids beyond a table, or, where `labelled`, without labels for every task.
///
/// # Errors
/// [`Error::Batch`] or [`Error::IdOutOfRange`].
pub(crate) fn check_batch(graph: &Graph, tables: &[Table], batch: &Batch, labelled: bool) -> Result<()> {
    let wrong = |message: String| Err(Error::Batch { message });
    let rows = batch.rows;
    let width = graph.layout.numeric_width();
    if batch.numeric.len() != rows * width {
        return wrong(format!("{} numbers for {rows} rows of {width}", batch.numeric.len()));
    }
    let slots: Vec<_> = graph.layout.inputs.iter().filter(|i| matches!(i, Input::Categorical { .. })).collect();
    if batch.categorical.len() != slots.len() {
        return wrong(format!("{} categorical columns, the model reads {}", batch.categorical.len(), slots.len()));
    }
    for (ids, input) in batch.categorical.iter().zip(slots) {
        let Input::Categorical { name, table, pooling, .. } = input else { continue };
        if matches!(ids, Ids::Multiple { .. }) != pooling.is_some() {
            return wrong(format!("column {name:?} is single-valued where the model pools, or the other way round"));
        }
        let ordered = match ids {
            Ids::Single(_) => true,
            Ids::Multiple { offsets, rows } => {
                offsets.first() == Some(&0)
                    && offsets.windows(2).all(|w| w[0] <= w[1])
                    && offsets.last() == Some(&rows.len())
            }
        };
        if !ordered || ids.len() != rows {
            return wrong(format!("column {name:?} does not hold {rows} rows"));
        }
        // Tables of single-task networks carry their owner's name before the feature's table.
        let owned = |name: &str| name == table || name.strip_suffix(table.as_str()).is_some_and(|p| p.ends_with('.'));
        for table in tables.iter().filter(|t| owned(t.name())) {
            table.check_ids(ids)?;
        }
    }
    if labelled {
        if batch.labels.len() != graph.outputs.len() {
            return wrong(format!("labels of {} tasks, the model has {}", batch.labels.len(), graph.outputs.len()));
        }
        if let Some(at) = batch.labels.iter().position(|l| l.values.len() != rows || l.present.len() != rows) {
            return wrong(format!("task {:?} does not have {rows} labels", graph.outputs[at].task));
        }
    }
    Ok(())
}
