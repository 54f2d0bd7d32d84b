//! [`StateDict`]: the tensors of a PyTorch `state_dict`, taken out one by one, so that those that are left are known.
//!
//! Linear weights are `[out, in]`. A batch norm in evaluation mode is a factor and a summand per output, so that one behind a
//! linear layer is folded into it:
//!
//! ```text
//! s = gamma / sqrt(running_var + 1e-5);   W' = diag(s) W;   b' = s (b - running_mean) + beta
//! ```
//!
//! This is computed in f64 and rounded once, so that predictions differ by rounding alone. No `state_dict` says the epsilon; 1e-5 is
//! PyTorch's own, and none of the sources changes it.

use std::path::{Path, PathBuf};

use pleiad_model::{Tensor, Weights};

use super::package::Package;
use crate::error::{Error, Result};

/// PyTorch's epsilon of a batch norm.
const EPSILON: f64 = 1e-5;

/// Tensors of a package that are not read yet.
pub(super) struct StateDict {
    path: PathBuf,
    package: Package,
    left: Weights,
    /// What was left out and why, a sentence each.
    pub(super) notes: Vec<String>,
}

/// A linear layer, y = W x + b.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// Its name in the source.
    pub(super) name: String,
    /// W `[out, in]`.
    pub(super) weight: Vec<f64>,
    /// b `[out]`.
    pub(super) bias: Vec<f64>,
    /// Whether the package has b; else it is zeros here.
    pub(super) biased: bool,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// Linear layers one after the other.
pub(super) type Stack = Vec<Linear>;

impl StateDict {
    pub(super) fn new(path: &Path, package: Package, tensors: Weights) -> Self {
        Self { path: path.to_path_buf(), package, left: tensors, notes: Vec::new() }
    }

    /// A tensor that has no form here.
    pub(super) fn refuse(&self, tensor: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::NotCarried {
            path: self.path.clone(),
            package: self.package.name(),
            tensor: tensor.into(),
            reason: reason.into(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.left.get(name).is_some()
    }

    /// The first tensor whose name begins so.
    pub(super) fn first(&self, prefix: &str) -> Option<&str> {
        self.left.tensors.keys().map(String::as_str).find(|name| name.starts_with(prefix))
    }

    /// How many of `prefix.0`, `prefix.1`, ... there are.
    pub(super) fn count(&self, prefix: &str) -> usize {
        (0..).take_while(|i| self.first(&format!("{prefix}.{i}.")).is_some()).count()
    }

    /// Takes a tensor, whatever its shape.
    pub(super) fn take(&mut self, name: &str) -> Result<Tensor> {
        match self.left.tensors.remove(name) {
            Some(tensor) => Ok(tensor),
            None => Err(pleiad_model::Error::MissingTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
                nearest: pleiad_data::nearest(name, self.left.tensors.keys().map(String::as_str)),
            }
            .into()),
        }
    }

    /// Takes a tensor of that shape.
    pub(super) fn shaped(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.take(name)?;
        if tensor.shape == expected {
            return Ok(tensor.data);
        }
        let (path, found, expected) = (self.path.clone(), tensor.shape, expected.to_vec());
        Err(pleiad_model::Error::TensorShape { path, tensor: name.to_owned(), found, expected }.into())
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f64>> {
        Ok(self.shaped(name, &[len])?.into_iter().map(f64::from).collect())
    }

    /// `name.weight` `[out, inputs]` and, where it is, `name.bias`.
    pub(super) fn linear(&mut self, name: &str, inputs: usize) -> Result<Linear> {
        let tensor = format!("{name}.weight");
        let found = self.take(&tensor)?;
        let outputs = found.shape.first().copied().unwrap_or_default();
        if found.shape != [outputs, inputs] || outputs == 0 {
            let expected = vec![outputs.max(1), inputs];
            let path = self.path.clone();
            return Err(pleiad_model::Error::TensorShape { path, tensor, found: found.shape, expected }.into());
        }
        let bias = format!("{name}.bias");
        let biased = self.has(&bias);
        let bias = if biased { self.vector(&bias, outputs)? } else { vec![0.0; outputs] };
        let weight = found.data.into_iter().map(f64::from).collect();
        Ok(Linear { name: name.to_owned(), weight, bias, biased, inputs, outputs })
    }

    /// Folds batch norm `name` into the layer before it.
    pub(super) fn fold_norm(&mut self, name: &str, layer: &mut Linear) -> Result<()> {
        let key = |what: &str| format!("{name}.{what}");
        if !self.has(&key("running_mean")) {
            return Err(self.refuse(
                key("weight"),
                "a normalization without running statistics makes a row's prediction depend on the row or on its batch, which no \
                 linear layer does",
            ));
        }
        let mean = self.vector(&key("running_mean"), layer.outputs)?;
        let variance = self.vector(&key("running_var"), layer.outputs)?;
        if let Some(value) = variance.iter().find(|value| !value.is_finite() || **value < 0.0) {
            return Err(self.refuse(key("running_var"), format!("{value} is no variance")));
        }
        let affine = self.has(&key("weight"));
        let gamma = if affine { self.vector(&key("weight"), layer.outputs)? } else { vec![1.0; layer.outputs] };
        let beta = if affine { self.vector(&key("bias"), layer.outputs)? } else { vec![0.0; layer.outputs] };
        for (o, row) in layer.weight.chunks_exact_mut(layer.inputs).enumerate() {
            let factor = gamma[o] / (variance[o] + EPSILON).sqrt();
            row.iter_mut().for_each(|w| *w *= factor);
            layer.bias[o] = factor * (layer.bias[o] - mean[o]) + beta[o];
        }
        layer.biased = true;
        Ok(())
    }

    /// Layers of a `torch.nn.Sequential` whose linear layers may each be followed by a batch norm.
    pub(super) fn sequential(&mut self, prefix: &str, inputs: usize) -> Result<Stack> {
        let begins = format!("{prefix}.");
        let mut places: Vec<usize> = Vec::new();
        for name in self.left.tensors.keys().filter_map(|name| name.strip_prefix(&begins)) {
            let place: Option<usize> = name.split('.').next().and_then(|place| place.parse().ok());
            places.extend(place);
        }
        places.sort_unstable();
        places.dedup();
        let mut layers = Stack::new();
        let mut last = 0;
        let mut width = inputs;
        for place in places {
            let name = format!("{prefix}.{place}");
            let weight = format!("{name}.weight");
            if self.left.get(&weight).is_some_and(|tensor| tensor.shape.len() == 2) {
                let layer = self.linear(&name, width)?;
                width = layer.outputs;
                layers.push(layer);
                last = place;
                continue;
            }
            let norm = self.has(&format!("{name}.running_mean"));
            match layers.last_mut() {
                Some(layer) if norm && place == last + 1 => self.fold_norm(&name, layer)?,
                _ if norm => {
                    return Err(self.refuse(
                        format!("{name}.running_mean"),
                        "this batch norm does not stand right behind a linear layer, so that it cannot be folded into one",
                    ));
                }
                _ => {
                    let tensor = self.first(&format!("{name}.")).unwrap_or(&weight).to_owned();
                    return Err(self.refuse(
                        tensor,
                        "an activation or normalization with parameters of its own (PReLU, Dice, layer norm) has no form here",
                    ));
                }
            }
        }
        if layers.is_empty() {
            // Names what is missing.
            self.linear(&format!("{prefix}.0"), inputs)?;
        }
        Ok(layers)
    }

    /// One linear layer that a softmax follows, in a `torch.nn.Sequential`.
    pub(super) fn gate(&mut self, prefix: &str, inputs: usize) -> Result<Linear> {
        let mut layers = self.sequential(prefix, inputs)?;
        match layers.pop() {
            Some(layer) if layers.is_empty() => Ok(layer),
            last => {
                let name = last.map_or_else(|| prefix.to_owned(), |layer| layer.name);
                Err(self.refuse(format!("{name}.weight"), HIDDEN_GATE))
            }
        }
    }

    /// Refuses the gate that gives another number of weights than it has experts.
    pub(super) fn check_gate(&self, gate: &Linear, experts: usize, whose: &str) -> Result<()> {
        if gate.outputs == experts {
            return Ok(());
        }
        Err(self.refuse(
            format!("{}.weight", gate.name),
            format!(
                "this gate gives {} weights, and {experts} experts ({whose}) are there to be weighed",
                gate.outputs
            ),
        ))
    }

    /// Leaves out every tensor whose name begins so, and says why.
    pub(super) fn leave_out(&mut self, prefix: &str, why: &str) {
        if let Some(first) = self.first(prefix).map(str::to_owned) {
            self.left.tensors.retain(|name, _| !name.starts_with(prefix));
            self.notes.push(format!("{first:?} was left out: {why}"));
        }
    }

    /// Refuses tensors that were not taken: they may be a part of the model.
    pub(super) fn finish(&self) -> Result<()> {
        match self.left.tensors.iter().next() {
            None => Ok(()),
            Some((name, tensor)) => {
                let rest = self.left.tensors.len() - 1;
                let more = if rest == 0 { String::new() } else { format!(" ({rest} more like it)") };
                let reason = format!(
                    "no part of a {} model of this structure is named so, shape {:?}{more}; what it does to predictions is not known",
                    self.package.name(),
                    tensor.shape
                );
                Err(self.refuse(name, reason))
            }
        }
    }
}

/// Why a gate of several layers is refused.
pub(super) const HIDDEN_GATE: &str = "this gate has hidden layers; the gates of the papers, and those here, are one linear layer and a softmax \
     (in deepctr-torch, train with gate_dnn_hidden_units=())";

impl Linear {
    /// The same layer over inputs in another order: input `i` is the old one's `from[i]`.
    pub(super) fn reorder_inputs(&mut self, from: &[usize]) {
        let rows = self.weight.chunks_exact(self.inputs);
        self.weight = rows.flat_map(|row| from.iter().map(|&at| row[at])).collect();
        self.inputs = from.len();
    }

    /// The same layer with outputs in another order: output `o` is the old one's `from[o]`.
    pub(super) fn reorder_outputs(&mut self, from: &[usize]) {
        let row = |o: usize| &self.weight[o * self.inputs..(o + 1) * self.inputs];
        self.weight = from.iter().flat_map(|&o| row(o).iter().copied()).collect();
        self.bias = from.iter().map(|&o| self.bias[o]).collect();
    }

    /// This layer after `first`, which makes the inputs from `at` on; the inputs before stay.
    pub(super) fn after(&mut self, at: usize, first: &Linear) {
        let mut weight = Vec::with_capacity(self.outputs * (at + first.inputs));
        for (o, row) in self.weight.chunks_exact(self.inputs).enumerate() {
            let (kept, made) = row.split_at(at);
            weight.extend_from_slice(kept);
            for i in 0..first.inputs {
                weight.push(made.iter().enumerate().map(|(m, w)| w * first.weight[m * first.inputs + i]).sum());
            }
            self.bias[o] += made.iter().zip(&first.bias).map(|(w, b)| w * b).sum::<f64>();
        }
        self.weight = weight;
        self.biased |= first.biased;
        self.inputs = at + first.inputs;
    }
}
