//! Checks that a batch has the columns and ids that a graph reads. Code behind this check indexes
//! without further checks.

use pleiad_data::{Batch, Ids, Input};
use pleiad_model::Graph;
use pleiad_model::graph::Op;

use crate::error::{Error, Result};
use crate::sparse::Table;

/// What a graph reads of a batch, found once: a check of a batch costs what the batch holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchCheck {
    numeric_width: usize,
    slots: Vec<Slot>,
    /// Entries that are parts of the same events.
    together: Vec<(usize, usize)>,
    tasks: Vec<String>,
}

/// An entry of [`Batch::categorical`].
#[derive(Debug, Clone, PartialEq)]
struct Slot {
    /// The feature.
    name: String,
    pooled: bool,
    /// The table with the fewest rows among those in which the graph's embeddings look the entry up: single-task
    /// networks have one table each.
    table: Option<usize>,
}

impl BatchCheck {
    /// What a valid `graph` reads.
    pub(crate) fn of(graph: &Graph) -> Self {
        let categorical = graph.layout.inputs.iter().filter_map(|input| match input {
            Input::Numeric { .. } | Input::Periodic { .. } => None,
            Input::Categorical { name, pooling, .. } => {
                Some(Slot { name: name.clone(), pooled: pooling.is_some(), table: None })
            }
        });
        let mut slots: Vec<Slot> = categorical.collect();
        let mut together = Vec::new();
        for node in &graph.nodes {
            if let Op::Events { slot, list, .. } = node.op
                && slot != list
                && !together.contains(&(list, slot))
            {
                together.push((list, slot));
            }
            if let Op::Embedding { table, slot, .. } | Op::Events { table, slot, .. } = node.op
                && let Some(slot) = slots.get_mut(slot)
            {
                let rows = |table: usize| graph.tables[table].rows;
                slot.table = Some(slot.table.filter(|&known| rows(known) <= rows(table.0)).unwrap_or(table.0));
            }
        }
        let tasks = graph.outputs.iter().map(|output| output.task.clone()).collect();
        Self { numeric_width: graph.layout.numeric_width(), slots, together, tasks }
    }

    /// Refuses a batch of another layout, with ids beyond a table, or, where `labelled`, without labels for every task.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::IdOutOfRange`].
    pub(crate) fn check(&self, tables: &[Table], batch: &Batch, labelled: bool) -> Result<()> {
        let wrong = |message: String| Err(Error::Batch { message });
        let (rows, width) = (batch.rows, self.numeric_width);
        if batch.numeric.len() != rows * width {
            return wrong(format!("{} numbers for {rows} rows of {width}", batch.numeric.len()));
        }
        if batch.categorical.len() != self.slots.len() {
            let (found, expected) = (batch.categorical.len(), self.slots.len());
            return wrong(format!("{found} categorical columns, the model reads {expected}"));
        }
        for (ids, slot) in batch.categorical.iter().zip(&self.slots) {
            let name = &slot.name;
            if matches!(ids, Ids::Multiple { .. }) != slot.pooled {
                return wrong(format!(
                    "column {name:?} is single-valued where the model pools, or the other way round"
                ));
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
            if let Some(table) = slot.table {
                tables[table].check_ids(ids)?;
            }
        }
        for &(list, slot) in &self.together {
            let (one, other) = (&batch.categorical[list], &batch.categorical[slot]);
            let differs = |row: &usize| one.range(*row).len() != other.range(*row).len();
            if let Some(row) = (0..rows).find(differs) {
                let names = [list, slot].map(|at| &self.slots[at].name);
                let [one, other] = [one, other].map(|ids| ids.range(row).len());
                return wrong(format!(
                    "row {row} has {one} values of {:?} and {other} of {:?}: they are parts of the same events, so each row needs as many of one as of the other",
                    names[0], names[1]
                ));
            }
        }
        if labelled {
            if batch.labels.len() != self.tasks.len() {
                return wrong(format!("labels of {} tasks, the model has {}", batch.labels.len(), self.tasks.len()));
            }
            if let Some(at) = batch.labels.iter().position(|l| l.values.len() != rows || l.present.len() != rows) {
                return wrong(format!("task {:?} does not have {rows} labels", self.tasks[at]));
            }
            let is_weight = |weight: &f32| weight.is_finite() && *weight >= 0.0;
            let weighed = |l: &pleiad_data::Labels| l.weights.len() == rows && l.weights.iter().all(is_weight);
            if let Some(at) = batch.labels.iter().position(|l| !l.weights.is_empty() && !weighed(l)) {
                return wrong(format!("task {:?} does not have {rows} weights, each 0 or above", self.tasks[at]));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use pleiad_data::{InputLayout, Labels, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::sparse::TableOptions;

    /// Features `id` with 9 rows and `user.id` with 3: the name of one ends as that of the other.
    fn graph(kind: &str) -> Graph {
        let feature = |name: &str, slot, rows| Input::Categorical {
            name: name.into(),
            slot,
            table: name.into(),
            rows,
            dim: 2,
            pooling: None,
        };
        let layout = InputLayout::new(vec![feature("id", 0, 9), feature("user.id", 1, 3)]);
        let tasks = ["a", "b"].map(|name| TaskSpec::new(name, TaskKind::Binary));
        let Value::Object(table) = json!({ "kind": kind, "bottom": [4] }) else { panic!() };
        ModelConfig::from_table(table).unwrap().build(&layout, &tasks).unwrap()
    }

    fn batch(ids: [Vec<u64>; 2]) -> Batch {
        let labels = Labels { values: vec![0.0; ids[0].len()], present: vec![true; ids[0].len()], weights: Vec::new() };
        Batch {
            rows: ids[0].len(),
            numeric: Vec::new(),
            categorical: ids.map(Ids::Single).to_vec(),
            labels: vec![labels; 2],
            groups: Vec::new(),
        }
    }

    #[test]
    fn ids_are_held_against_the_tables_that_the_graph_looks_them_up_in() {
        for kind in ["hard-sharing", "single-task"] {
            let graph = graph(kind);
            let table = |spec| Table::new(spec, 0, &TableOptions::default(), 0).unwrap();
            let tables: Vec<Table> = graph.tables.iter().map(table).collect();
            let check = BatchCheck::of(&graph);
            check.check(&tables, &batch([vec![8, 0], vec![2, 1]]), true).unwrap();
            let error = check.check(&tables, &batch([vec![8, 0], vec![2, 3]]), true).unwrap_err();
            let Error::IdOutOfRange { table, id: 3, row: 1, rows: 3 } = &error else { panic!("{error}") };
            assert!(table.ends_with("user.id"), "{error}");
            let error = check.check(&tables, &batch([vec![9], vec![0]]), false).unwrap_err();
            assert!(matches!(error, Error::IdOutOfRange { id: 9, rows: 9, .. }), "{error}");
        }
    }

    #[test]
    fn batches_of_another_form_are_refused() {
        let graph = graph("hard-sharing");
        let table = |spec| Table::new(spec, 0, &TableOptions::default(), 0).unwrap();
        let tables: Vec<Table> = graph.tables.iter().map(table).collect();
        type Damage = fn(&mut Batch);
        let damages: [Damage; 6] = [
            |b| b.numeric.push(1.0),
            |b| drop(b.categorical.pop()),
            |b| b.categorical[0] = Ids::Single(vec![0]),
            |b| b.categorical[0] = Ids::Multiple { offsets: vec![0, 1, 2], rows: vec![1, 2] },
            |b| drop(b.labels.pop()),
            |b| b.labels[1].present.push(true),
        ];
        for (i, damage) in damages.into_iter().enumerate() {
            let mut batch = batch([vec![1, 2], vec![0, 0]]);
            damage(&mut batch);
            let error = BatchCheck::of(&graph).check(&tables, &batch, true).unwrap_err();
            assert!(matches!(error, Error::Batch { .. }), "damage {i}: {error}");
        }
    }
}
