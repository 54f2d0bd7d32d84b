//! [`Precision`] and [`Kernels`]: in which arithmetic a model trains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernels::linear::Arithmetic;

/// Precision of the matrix products of a training step. Weights, optimizer state, activations, gradients and every sum
/// stay f32, and so do all predictions: of validation rows, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// Operands of products are rounded to bf16, the upper half of an f32 (ties to even), and their products are summed
    /// in f32. Where the processor has no such product, f32 products of rounded operands take its place: the same up to
    /// the rounding of sums, but not faster.
    Bf16,
}

/// Which products are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kernels {
    /// The fastest that the processor has.
    #[default]
    Fastest,
    /// Those that every processor has: to compare with.
    Plain,
}

impl Precision {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// What the products of this precision are made of on this processor, to be shown to a person.
    #[must_use]
    pub fn kernels(self, kernels: Kernels) -> &'static str {
        Arithmetic::choose(self, kernels).name()
    }

    /// Whether the processor lacks products of this precision, so that it saves nothing.
    #[must_use]
    pub fn is_emulated(self) -> bool {
        Arithmetic::choose(self, Kernels::Fastest) == Arithmetic::Rounded
    }
}
