//! [`Parameters`]: the weights of a model where they are computed with.

use pleiad_model::artifact::check_weights;
use pleiad_model::{Graph, Weights};
use rayon::prelude::*;

use crate::error::Result;
use crate::plan::ParamLayout;
use crate::sparse::{Table, TableOptions};

/// Dense parameters in the plan's layout, and embedding tables.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) layout: ParamLayout,
    pub(crate) dense: Vec<f32>,
    pub(crate) tables: Vec<Table>,
}

impl Parameters {
    /// Zeroed parameters of `graph`, each table with room for `slots` optimizer states and kept as `options` say.
    ///
    /// # Errors
    /// [`crate::Error::TableTooLarge`] for a table that does not fit in memory.
    pub(crate) fn new(
        graph: &Graph,
        layout: ParamLayout,
        slots: usize,
        options: &TableOptions,
        seed: u64,
    ) -> Result<Self> {
        let tables = graph.tables.iter().map(|t| Table::new(t, slots, options, seed)).collect::<Result<_>>()?;
        Ok(Self { dense: vec![0.0; layout.len], layout, tables })
    }

    /// Draws every parameter from its distribution, and sets the tables' optimizer state to `state`; see
    /// [`pleiad_model::init::Init::fill`] for what `seed` decides.
    pub(crate) fn init(&mut self, graph: &Graph, seed: u64, state: f32) {
        for (i, param) in graph.params.iter().enumerate() {
            let mut values = vec![0.0; param.len()];
            param.init.fill(seed, &param.name, 0, &mut values);
            self.layout.scatter(i, &values, &mut self.dense);
        }
        self.tables.par_iter_mut().for_each(|table| table.init(seed, state));
    }

    /// Replaces every parameter by the tensor of its name.
    ///
    /// # Errors
    /// [`crate::Error::Model`] for a tensor that is missing, unknown or of another shape; nothing is replaced then.
    pub(crate) fn load(&mut self, graph: &Graph, weights: &Weights) -> Result<()> {
        check_weights(weights, graph)?;
        for (i, param) in graph.params.iter().enumerate() {
            if let Some(tensor) = weights.get(&param.name) {
                self.layout.scatter(i, &tensor.data, &mut self.dense);
            }
        }
        for (table, spec) in self.tables.iter_mut().zip(&graph.tables) {
            if let Some(tensor) = weights.get(&spec.tensor()) {
                table.load_weights(&tensor.data)?;
            }
        }
        Ok(())
    }

    /// Every parameter under its name.
    pub(crate) fn weights(&self, graph: &Graph) -> Weights {
        let mut weights = Weights::default();
        for (i, param) in graph.params.iter().enumerate() {
            weights.insert(&param.name, param.shape.clone(), self.layout.gather(i, &self.dense));
        }
        for (table, spec) in self.tables.iter().zip(&graph.tables) {
            weights.insert(spec.tensor(), spec.shape(), table.weights());
        }
        weights
    }
}
