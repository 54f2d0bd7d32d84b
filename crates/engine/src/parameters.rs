//! [`Parameters`]: the weights of a model in the layout for computing.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut, Range};

use pleiad_model::artifact::check_weights;
use pleiad_model::{Graph, Shapes, TensorSink, TensorSource, Weights};
use rayon::prelude::*;

use crate::error::Result;
use crate::plan::ParamLayout;
use crate::sparse::{Table, TableOptions};
use crate::storage::Storage;

/// Dense parameters in the plan's layout, and embedding tables.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) layout: ParamLayout,
    pub(crate) dense: Dense,
    pub(crate) tables: Vec<Table>,
}

/// Dense parameters, and how often they were open to change: what was made of them knows by that whether it still holds.
#[derive(Debug)]
pub(crate) struct Dense {
    values: Storage<f32>,
    revision: u64,
}

impl Dense {
    /// Another one whenever a parameter may be another.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The parameters, to be changed, and their revision when that is done.
    pub(crate) fn open(&mut self) -> (&mut [f32], u64) {
        self.revision += 1;
        (&mut self.values, self.revision)
    }
}

impl Deref for Dense {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Dense {
    fn deref_mut(&mut self) -> &mut [f32] {
        self.open().0
    }
}

impl Parameters {
    /// Zeroed parameters of `graph`, each table with room for `slots` optimizer states and kept as `options` say.
    ///
    /// # Errors
    /// [`crate::Error::TableTooLarge`] for a table that does not fit in memory, [`crate::Error::TableFile`] for a file that cannot be had.
    pub(crate) fn new(
        graph: &Graph,
        layout: ParamLayout,
        slots: usize,
        options: &TableOptions,
        seed: u64,
    ) -> Result<Self> {
        let tables = graph.tables.iter().map(|t| Table::new(t, slots, options, seed)).collect::<Result<_>>()?;
        Ok(Self { dense: Dense { values: Storage::zeros(layout.len), revision: 0 }, layout, tables })
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

    /// [`Parameters::load`] of weights that the caller no longer needs: tables without optimizer state take over the
    /// memory of theirs.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn take(&mut self, graph: &Graph, mut weights: Weights) -> Result<()> {
        check_weights(&weights, graph)?;
        for (table, spec) in self.tables.iter_mut().zip(&graph.tables) {
            if let Some(tensor) = weights.tensors.get_mut(&spec.tensor()) {
                table.take_weights(std::mem::take(&mut tensor.data))?;
            }
        }
        for (i, param) in graph.params.iter().enumerate() {
            if let Some(tensor) = weights.get(&param.name) {
                self.layout.scatter(i, &tensor.data, &mut self.dense);
            }
        }
        Ok(())
    }

    /// What a forward pass reads: dense parameters and tables.
    pub(crate) fn parts(&self) -> (&[f32], &[Table]) {
        (&self.dense, &self.tables)
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

    /// Every parameter, to be read where it is.
    pub(crate) fn view<'p>(&'p self, graph: &'p Graph) -> View<'p> {
        View { parameters: self, names: TensorNames::of(graph), graph }
    }

    /// Every parameter, to be replaced a part at a time.
    pub(crate) fn sink<'p>(&'p mut self, graph: &'p Graph) -> Sink<'p> {
        // Even if tables alone are replaced: what was made of them holds no longer.
        self.dense.open();
        Sink { parameters: self, names: TensorNames::of(graph), graph }
    }
}

/// Which parameter or table of a graph has a tensor of that name: there may be thousands of each.
pub(crate) struct TensorNames {
    params: HashMap<String, usize>,
    tables: HashMap<String, usize>,
}

impl TensorNames {
    pub(crate) fn of(graph: &Graph) -> Self {
        let params = graph.params.iter().enumerate().map(|(at, param)| (param.name.clone(), at));
        let tables = graph.tables.iter().enumerate().map(|(at, table)| (table.tensor(), at));
        Self { params: params.collect(), tables: tables.collect() }
    }

    /// Position of the dense parameter.
    pub(crate) fn param(&self, name: &str) -> Option<usize> {
        self.params.get(name).copied()
    }

    /// Position of the table.
    pub(crate) fn table(&self, tensor: &str) -> Option<usize> {
        self.tables.get(tensor).copied()
    }
}

fn shapes(graph: &Graph) -> Shapes {
    let dense = graph.params.iter().map(|param| (param.name.clone(), param.shape.clone()));
    dense.chain(graph.tables.iter().map(|table| (table.tensor(), table.shape()))).collect()
}

/// See [`Parameters::view`].
pub(crate) struct View<'p> {
    parameters: &'p Parameters,
    names: TensorNames,
    graph: &'p Graph,
}

impl TensorSource for View<'_> {
    fn shapes(&self) -> Shapes {
        shapes(self.graph)
    }

    fn read(&self, name: &str, range: Range<usize>, out: &mut Vec<f32>) {
        let Parameters { layout, dense, tables } = self.parameters;
        if let Some(i) = self.names.param(name) {
            layout.gather_range(i, range, dense, out);
        } else if let Some(t) = self.names.table(name) {
            tables[t].read_part(0, range, out);
        }
    }
}

/// See [`Parameters::sink`].
pub(crate) struct Sink<'p> {
    parameters: &'p mut Parameters,
    names: TensorNames,
    graph: &'p Graph,
}

impl TensorSink for Sink<'_> {
    fn shapes(&self) -> Shapes {
        shapes(self.graph)
    }

    fn write(&mut self, name: &str, at: usize, values: &[f32]) {
        let Parameters { layout, dense, tables } = &mut *self.parameters;
        if let Some(i) = self.names.param(name) {
            layout.scatter_from(i, at, values, dense);
        } else if let Some(t) = self.names.table(name) {
            tables[t].write_part(0, at, values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_no_revision_and_writing_is() {
        let mut dense = Dense { values: Storage::zeros(3), revision: 0 };
        assert_eq!((dense[0], dense.revision()), (0.0, 0));
        dense[1] = 2.0;
        assert_eq!((dense[1], dense.revision()), (2.0, 1));
    }
}
