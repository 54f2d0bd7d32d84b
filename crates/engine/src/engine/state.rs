//! Exports and imports weights and the optimizer's state: as copies, or part by part where a copy would not
//! fit.

use std::ops::Range;

use pleiad_model::artifact::check_tensors;
use pleiad_model::{Shapes, TensorSink, TensorSource, Weights};

use super::Engine;
use crate::error::Result;
use crate::parameters::TensorNames;
use crate::predictor::Predictor;

impl Engine {
    /// The optimizer's state: tensors named after their parameter with the state's name behind it.
    #[must_use]
    pub fn state(&self) -> Weights {
        let view = self.state_view();
        let mut state = Weights::default();
        for (name, shape) in view.shapes() {
            let mut values = Vec::new();
            view.read(&name, 0..shape.iter().product(), &mut values);
            state.insert(name, shape, values);
        }
        state
    }

    /// Restores what [`Engine::state`] gave.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_state(&mut self, state: &Weights) -> Result<()> {
        let mut sink = self.state_sink();
        check_tensors(state, &sink.shapes())?;
        state.tensors.iter().for_each(|(name, tensor)| sink.write(name, 0, &tensor.data));
        Ok(())
    }

    /// What [`Engine::weights`] copies, to be read where it is.
    #[must_use]
    pub fn weights_view(&self) -> impl TensorSource + '_ {
        self.parameters.view(&self.graph)
    }

    /// What [`Engine::state`] copies, to be read where it is.
    #[must_use]
    pub fn state_view(&self) -> impl TensorSource + '_ {
        StateView { names: TensorNames::of(&self.graph), engine: self }
    }

    /// What [`Engine::load`] replaces, a part at a time.
    pub fn weights_sink(&mut self) -> impl TensorSink + '_ {
        self.parameters.sink(&self.graph)
    }

    /// What [`Engine::load_state`] replaces, a part at a time.
    pub fn state_sink(&mut self) -> impl TensorSink + '_ {
        StateSink { names: TensorNames::of(&self.graph), engine: self }
    }

    /// The model, to be used where its weights are: nothing is copied, tables keep the room of their state.
    ///
    /// # Errors
    /// None for a graph that was trained.
    pub fn into_predictor(self) -> Result<Predictor> {
        Predictor::with_parameters(self.graph, self.parameters)
    }

    fn state_shapes(&self) -> Shapes {
        let of = |tensor: &str, state: &str| format!("{tensor}.{state}");
        let mut shapes = Shapes::new();
        for state in self.options.optimizer.slot_names() {
            shapes.extend(self.graph.params.iter().map(|p| (of(&p.name, state), p.shape.clone())));
        }
        for state in self.options.embedding_optimizer.slot_names() {
            shapes.extend(self.graph.tables.iter().map(|t| (of(&t.tensor(), state), t.shape())));
        }
        if let Some(average) = &self.average {
            shapes.extend(self.graph.params.iter().map(|p| (of(&p.name, LAST), p.shape.clone())));
            let tables = self.graph.tables.iter().zip(&average.tables).filter(|(_, other)| other.is_some());
            shapes.extend(tables.map(|(t, _)| (of(&t.tensor(), LAST), t.shape())));
        }
        shapes
    }
}

/// What the last step left, where the weights are an average; and the average, where they are not.
const LAST: &str = "last";

/// Where the name of a state ends a tensor's name: its slot, and the name before it.
fn slot_of<'n>(name: &'n str, states: &[&str]) -> Option<(usize, &'n str)> {
    let (tensor, state) = name.rsplit_once('.')?;
    Some((states.iter().position(|name| *name == state)?, tensor))
}

struct StateView<'e> {
    names: TensorNames,
    engine: &'e Engine,
}

impl TensorSource for StateView<'_> {
    fn shapes(&self) -> Shapes {
        self.engine.state_shapes()
    }

    fn read(&self, name: &str, range: Range<usize>, out: &mut Vec<f32>) {
        let Engine { options, executor, state, parameters, average, .. } = self.engine;
        if let (Some(average), Some((_, tensor))) = (average, slot_of(name, &[LAST])) {
            if let Some(i) = self.names.param(tensor) {
                return executor.plan().params.gather_range(i, range, &average.dense, out);
            }
            if let Some(values) = self.names.table(tensor).and_then(|t| average.tables[t].as_ref()) {
                return out.extend_from_slice(&values[range]);
            }
        }
        if let Some((slot, param)) = slot_of(name, options.optimizer.slot_names())
            && let Some(i) = self.names.param(param)
        {
            return executor.plan().params.gather_range(i, range, &state[slot], out);
        }
        if let Some((slot, tensor)) = slot_of(name, options.embedding_optimizer.slot_names())
            && let Some(t) = self.names.table(tensor)
        {
            parameters.tables[t].read_part(1 + slot, range, out);
        }
    }
}

struct StateSink<'e> {
    names: TensorNames,
    engine: &'e mut Engine,
}

impl TensorSink for StateSink<'_> {
    fn shapes(&self) -> Shapes {
        self.engine.state_shapes()
    }

    fn write(&mut self, name: &str, at: usize, values: &[f32]) {
        let Engine { options, executor, state, parameters, average, .. } = &mut *self.engine;
        if let (Some(average), Some((_, tensor))) = (average, slot_of(name, &[LAST])) {
            if let Some(i) = self.names.param(tensor) {
                return executor.plan().params.scatter_from(i, at, values, &mut average.dense);
            }
            if let Some(all) = self.names.table(tensor).and_then(|t| average.tables[t].as_mut()) {
                return all[at..at + values.len()].copy_from_slice(values);
            }
        }
        if let Some((slot, param)) = slot_of(name, options.optimizer.slot_names())
            && let Some(i) = self.names.param(param)
        {
            return executor.plan().params.scatter_from(i, at, values, &mut state[slot]);
        }
        if let Some((slot, tensor)) = slot_of(name, options.embedding_optimizer.slot_names())
            && let Some(t) = self.names.table(tensor)
        {
            parameters.tables[t].write_part(1 + slot, at, values);
        }
    }
}
