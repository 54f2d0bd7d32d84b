//! [`Movement`]: which weights an epoch's steps have moved: all of them, those of one task alone, those of a table.

use std::collections::BTreeSet;

use pleiad_data::Batch;
use pleiad_engine::Engine;
use pleiad_model::graph::{Op, ParamId, TableId};
use pleiad_model::{Graph, TensorSource};

/// Rows of a table that are looked at.
const WATCHED: usize = 16;

/// Weights as they were before an epoch.
#[derive(Debug)]
pub(super) struct Movement {
    /// Dense parameters, in the order of the graph.
    params: Vec<Vec<f32>>,
    /// By task, the parameters that no other task reaches: its tower, and what else it has for itself.
    own: Vec<Vec<usize>>,
    tables: Vec<Watched>,
}

/// Some rows of a table that the epoch's steps read.
#[derive(Debug)]
struct Watched {
    /// Columns of a batch that read the table.
    slots: Vec<usize>,
    /// By task, whether its loss moves the table.
    tasks: Vec<bool>,
    /// Number of each row, and its weights.
    rows: Vec<(usize, Vec<f32>)>,
}

/// What has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    /// Any dense weight.
    pub(super) dense: bool,
    /// By task, any weight that it alone has; `None` where it has none.
    pub(super) tasks: Vec<Option<bool>>,
    /// By table, any of the rows that were looked at; `None` where no step had one that any task learns from.
    pub(super) tables: Vec<Option<bool>>,
}

impl Moved {
    /// Whether no weight has moved, so far as it was looked at.
    pub(super) fn is_nothing(&self) -> bool {
        !self.dense && !self.tables.contains(&Some(true))
    }
}

impl Movement {
    /// Before the first step of an epoch.
    pub(super) fn begin(engine: &Engine) -> Self {
        let graph = engine.graph();
        let (view, reach) = (engine.weights_view(), graph.reach());
        let values = |name: &str, len: usize| {
            let mut values = Vec::with_capacity(len);
            view.read(name, 0..len, &mut values);
            values
        };
        let own = |task: usize| {
            let is_own = |at: &usize| {
                let tasks = reach.of_param(ParamId(*at));
                tasks[task] && tasks.iter().filter(|reached| **reached).count() == 1
            };
            (0..graph.params.len()).filter(is_own).collect()
        };
        let watched = |at: usize| Watched {
            slots: slots(graph, TableId(at)),
            tasks: reach.of_table(TableId(at)).to_vec(),
            rows: Vec::new(),
        };
        Self {
            params: graph.params.iter().map(|param| values(&param.name, param.len())).collect(),
            own: (0..graph.outputs.len()).map(own).collect(),
            tables: (0..graph.tables.len()).map(watched).collect(),
        }
    }

    /// Before a step: takes note of rows of the tables that it moves. Of each table those of the first batch are kept in which
    /// a task that learns from the table has labels.
    pub(super) fn before_step(&mut self, engine: &Engine, batch: &Batch) {
        if self.tables.iter().all(|table| !table.rows.is_empty()) {
            return;
        }
        let view = engine.weights_view();
        for (table, spec) in self.tables.iter_mut().zip(&engine.graph().tables) {
            if !table.rows.is_empty() {
                continue;
            }
            let labels: Vec<_> = batch.labels.iter().zip(&table.tasks).filter(|(_, reaches)| **reaches).collect();
            let teaches = |row: &usize| labels.iter().any(|(labels, _)| labels.present.get(*row) == Some(&true));
            let columns: Vec<_> = table.slots.iter().filter_map(|&slot| batch.categorical.get(slot)).collect();
            let mut found = BTreeSet::new();
            for row in (0..batch.rows).filter(teaches) {
                let read = columns.iter().flat_map(|ids| &ids.table_rows()[ids.range(row)]);
                // Row 0 may be filled after an epoch in which no step has moved it.
                found.extend(read.copied().filter(|row| (1..spec.rows).contains(row)));
                if found.len() >= WATCHED {
                    break;
                }
            }
            let tensor = spec.tensor();
            let values = |row: u64| {
                let (row, mut values) = (row as usize, Vec::with_capacity(spec.dim));
                view.read(&tensor, row * spec.dim..(row + 1) * spec.dim, &mut values);
                (row, values)
            };
            table.rows = found.into_iter().take(WATCHED).map(values).collect();
        }
    }

    /// After the last step of the epoch. Of dense weights those that were 0 do not count: a step that moves a bias from 0 may
    /// be far too small to move anything else.
    pub(super) fn end(&self, engine: &Engine) -> Moved {
        let (graph, view) = (engine.graph(), engine.weights_view());
        let mut now = Vec::new();
        let mut differs = |name: &str, from: usize, before: &[f32], zeros: bool| {
            now.clear();
            view.read(name, from..from + before.len(), &mut now);
            now.iter().zip(before).any(|(now, before)| (zeros || *before != 0.0) && now != before)
        };
        let params: Vec<bool> = graph
            .params
            .iter()
            .zip(&self.params)
            .map(|(param, before)| differs(&param.name, 0, before, false))
            .collect();
        let tables = self.tables.iter().zip(&graph.tables).map(|(table, spec)| {
            let tensor = spec.tensor();
            let moved = table.rows.iter().any(|(row, before)| differs(&tensor, row * spec.dim, before, true));
            (!table.rows.is_empty()).then_some(moved)
        });
        let tables = tables.collect();
        let task = |own: &Vec<usize>| (!own.is_empty()).then(|| own.iter().any(|&param| params[param]));
        Moved { dense: params.contains(&true), tasks: self.own.iter().map(task).collect(), tables }
    }
}

/// Columns of a batch that read a table.
fn slots(graph: &Graph, of: TableId) -> Vec<usize> {
    let slot = |op: &Op| match op {
        Op::Embedding { table, slot, .. } if *table == of => Some(*slot),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| slot(&node.op)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Ids, Input, InputLayout, Labels, TaskKind, TaskSpec};
    use pleiad_engine::optim::OptimizerConfig;
    use pleiad_engine::sparse::TableOptions;
    use pleiad_engine::{EngineOptions, Kernels, Precision};
    use pleiad_model::ModelConfig;
    use serde_json::json;

    use super::*;

    /// What ten steps move, at these rates, where the second task has these labels.
    fn moved(dense: f64, tables: f64, labelled: bool, weights: [f32; 2]) -> Moved {
        let (name, table) = ("c".to_owned(), "c".to_owned());
        let input = Input::Categorical { name, slot: 0, table, rows: 9, dim: 3, pooling: None };
        let layout = InputLayout::new(vec![input]);
        let model: ModelConfig =
            serde_json::from_value(json!({ "kind": "single-task", "bottom": [4], "tower": [3] })).unwrap();
        let task = |name: &str| TaskSpec::new(name, TaskKind::Regression);
        let graph = model.build(&layout, &[task("a"), task("b")]).unwrap();
        let sgd = |rate: f64| -> OptimizerConfig {
            serde_json::from_value(json!({ "kind": "sgd", "learning_rate": rate })).unwrap()
        };
        let options = EngineOptions {
            optimizer: sgd(dense),
            embedding_optimizer: sgd(tables),
            clip_norm: None,
            precision: Precision::F32,
            kernels: Kernels::Fastest,
            tables: TableOptions::default(),
            seed: 1,
        };
        let mut engine = Engine::new(&graph, &options).unwrap();
        engine.init(3);
        let labels = |present: bool| Labels { values: vec![1.0; 8], present: vec![present; 8], weights: Vec::new() };
        let batch = Batch {
            rows: 8,
            categorical: vec![Ids::Single((1..9).collect())],
            labels: vec![labels(true), labels(labelled)],
            ..Batch::default()
        };
        let mut movement = Movement::begin(&engine);
        for _ in 0..10 {
            movement.before_step(&engine, &batch);
            engine.step(&batch, &weights, 1.0).unwrap();
        }
        movement.end(&engine)
    }

    #[test]
    fn each_task_and_each_table_is_judged_by_itself() {
        let all = Moved { dense: true, tasks: vec![Some(true); 2], tables: vec![Some(true); 2] };
        assert_eq!(moved(0.1, 0.1, true, [1.0, 1.0]), all);
        let tables = Moved { tables: vec![Some(false); 2], ..all.clone() };
        assert_eq!(moved(0.1, 1e-30, true, [1.0, 1.0]), tables);
        let task = Moved { tasks: vec![Some(true), Some(false)], tables: vec![Some(true), Some(false)], ..all.clone() };
        assert_eq!(moved(0.1, 0.1, true, [1.0, 1e-30]), task);
        // A table that no task with labels reads is not judged.
        let rows = Moved { tasks: vec![Some(true), Some(false)], tables: vec![Some(true), None], ..all };
        assert_eq!(moved(0.1, 0.1, false, [1.0, 1.0]), rows);
        assert!(moved(1e-30, 1e-30, true, [1.0, 1.0]).is_nothing());
        assert!(!moved(1e-30, 0.1, true, [1.0, 1.0]).is_nothing());
    }
}
