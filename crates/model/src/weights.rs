//! [`Weights`]: named f32 tensors, the form of weights that engine, artifact and import exchange.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::tensors::{Shapes, TensorHash, TensorSource};

/// A tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Shape; linear weights are `[out, in]`.
    pub shape: Vec<usize>,
    /// Elements, as many as the product of the shape.
    pub data: Vec<f32>,
}

/// Tensors by name, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    /// The tensors.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Adds a tensor, replacing one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, shape: Vec<usize>, data: Vec<f32>) {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        self.tensors.insert(name.into(), Tensor { shape, data });
    }

    /// The tensor of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// XXH64 (seed 0) of every tensor in the order of the names: its name, a zero byte, its dimensions as little-endian
    /// u64, its elements as little-endian f32.
    #[must_use]
    pub fn xxh64(&self) -> u64 {
        let mut hash = TensorHash::new();
        let mut bytes = Vec::new();
        for (name, tensor) in &self.tensors {
            hash.tensor(name, &tensor.shape);
            for part in tensor.data.chunks(1 << 14) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|v| v.to_le_bytes()));
                hash.elements(&bytes);
            }
        }
        hash.digest()
    }

    /// Number of elements of all tensors.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.tensors.values().map(|t| t.data.len()).sum()
    }
}

impl TensorSource for Weights {
    fn shapes(&self) -> Shapes {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
    }

    fn read(&self, name: &str, range: Range<usize>, out: &mut Vec<f32>) {
        out.extend(self.get(name).and_then(|tensor| tensor.data.get(range)).unwrap_or_default());
    }
}
