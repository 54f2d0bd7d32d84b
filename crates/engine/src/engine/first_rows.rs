//! Row 0 of embedding tables, for unknown and missing values. Where no training row had such a value, row 0 has learned
//! nothing, and the mean of the other rows replaces it.

use rayon::prelude::*;

use super::Engine;

impl Engine {
    /// Row 0 of every table; nothing of one without rows.
    #[must_use]
    pub fn first_rows(&self) -> Vec<Vec<f32>> {
        self.parameters.tables.iter().map(|table| table.first_row()).collect()
    }

    /// Tables whose row 0 was never trained: it is as [`Engine::init`] drew it with `seed`, or the mean of the others, as
    /// [`Engine::fill_first_rows`] leaves it in a model that training may start from.
    #[must_use]
    pub fn untrained_first_rows(&self, seed: u64) -> Vec<usize> {
        let tables = self.parameters.tables.par_iter().enumerate();
        tables.filter(|(_, table)| table.first_row_is_untrained(seed)).map(|(at, _)| at).collect()
    }

    /// Gives row 0 of these tables the mean of the table's other rows, without weighing them by how often they are used: a
    /// value that comes for the first time is rather like a rare one. Of a table of more than a million rows as many are
    /// taken, from all over it. Optimizer state stays.
    ///
    /// # Panics
    /// If there is no such table.
    pub fn fill_first_rows(&mut self, tables: &[usize]) {
        if tables.is_empty() {
            return;
        }
        // What was made of the tables holds no longer.
        self.parameters.dense.open();
        let of = self.parameters.tables.par_iter_mut().enumerate();
        of.filter(|(at, _)| tables.contains(at)).for_each(|(_, table)| table.fill_first_row());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pleiad_data::{Input, InputLayout, TaskKind, TaskSpec};
    use pleiad_model::ModelConfig;

    use super::*;
    use crate::optim::OptimizerConfig;
    use crate::sparse::{TableOptions, TablePrecision};
    use crate::{EngineOptions, Kernels, Precision};

    fn engine(rows: u64, precision: TablePrecision) -> Engine {
        let input = Input::Categorical { name: "c".into(), slot: 0, table: "c".into(), rows, dim: 3, pooling: None };
        let model = serde_json::json!({ "kind": "hard-sharing", "bottom": [4], "tower": [2] });
        let model: ModelConfig = serde_json::from_value(model).unwrap();
        let layout = InputLayout::new(vec![input]);
        let graph = model.build(&layout, &[TaskSpec::new("a", TaskKind::Binary)]).unwrap();
        let options = EngineOptions {
            optimizer: OptimizerConfig::default(),
            embedding_optimizer: OptimizerConfig::default(),
            clip_norm: None,
            precision: Precision::F32,
            kernels: Kernels::Fastest,
            tables: TableOptions { precision, folder: None },
            seed: 1,
        };
        let mut engine = Engine::new(&graph, &options).unwrap();
        engine.init(7);
        engine
    }

    #[test]
    fn the_mean_of_the_others_takes_its_place_and_is_known_again() {
        for precision in [TablePrecision::F32, TablePrecision::Bf16] {
            let mut engine = engine(5, precision);
            let before = engine.weights();
            let table = |weights: &pleiad_model::Weights| weights.get("embeddings.c.weight").unwrap().data.clone();
            engine.fill_first_rows(&[0]);
            let (before, after) = (table(&before), table(&engine.weights()));
            assert_eq!(before[3..], after[3..], "the others stay");
            for column in 0..3 {
                let mean = (1..5).map(|row| after[3 * row + column]).sum::<f32>() / 4.0;
                assert!(
                    (after[column] - mean).abs() <= mean.abs() / 256.0 + 1e-9,
                    "{precision:?}: {} {mean}",
                    after[column]
                );
            }
            assert_eq!(engine.untrained_first_rows(99), [0], "whatever it was drawn by");
        }
    }

    #[test]
    fn what_was_drawn_is_untrained_and_anything_else_is_not() {
        let mut engine = engine(40, TablePrecision::F32);
        assert_eq!(engine.untrained_first_rows(7), [0]);
        assert_eq!(engine.untrained_first_rows(8), [0usize; 0]);
        let mut weights = engine.weights();
        weights.tensors.get_mut("embeddings.c.weight").unwrap().data[1] += 0.5;
        engine.load(&weights).unwrap();
        assert_eq!(engine.untrained_first_rows(7), [0usize; 0]);
    }

    #[test]
    fn a_table_of_one_row_keeps_it() {
        let mut engine = engine(1, TablePrecision::F32);
        let before = engine.first_rows();
        engine.fill_first_rows(&[0]);
        assert_eq!(engine.first_rows(), before);
    }
}
