//! The optimizer's state, out and in.

use std::collections::BTreeMap;

use pleiad_model::Weights;
use pleiad_model::artifact::check_tensors;

use super::Engine;
use crate::error::Result;

impl Engine {
    /// The optimizer's state: tensors named after their parameter with the state's name behind it.
    #[must_use]
    pub fn state(&self) -> Weights {
        let mut state = Weights::default();
        for (slot, name) in self.options.optimizer.slot_names().iter().enumerate() {
            for (i, param) in self.graph.params.iter().enumerate() {
                let values = self.plan.params.gather(i, &self.state[slot]);
                state.insert(format!("{}.{name}", param.name), param.shape.clone(), values);
            }
        }
        for (slot, name) in self.options.embedding_optimizer.slot_names().iter().enumerate() {
            for (table, spec) in self.parameters.tables.iter().zip(&self.graph.tables) {
                state.insert(format!("{}.{name}", spec.tensor()), spec.shape(), table.state(slot));
            }
        }
        state
    }

    /// Restores what [`Engine::state`] gave.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_state(&mut self, state: &Weights) -> Result<()> {
        let dense_names = self.options.optimizer.slot_names();
        let table_names = self.options.embedding_optimizer.slot_names();
        let mut expected = BTreeMap::new();
        for name in dense_names {
            expected.extend(self.graph.params.iter().map(|p| (format!("{}.{name}", p.name), p.shape.clone())));
        }
        for name in table_names {
            expected.extend(self.graph.tables.iter().map(|t| (format!("{}.{name}", t.tensor()), t.shape())));
        }
        check_tensors(state, &expected)?;
        for (slot, name) in dense_names.iter().enumerate() {
            for (i, param) in self.graph.params.iter().enumerate() {
                if let Some(tensor) = state.get(&format!("{}.{name}", param.name)) {
                    self.plan.params.scatter(i, &tensor.data, &mut self.state[slot]);
                }
            }
        }
        for (slot, name) in table_names.iter().enumerate() {
            for (table, spec) in self.parameters.tables.iter_mut().zip(&self.graph.tables) {
                if let Some(tensor) = state.get(&format!("{}.{name}", spec.tensor())) {
                    table.load_state(slot, &tensor.data)?;
                }
            }
        }
        Ok(())
    }
}
