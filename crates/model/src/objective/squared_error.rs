//! Squared error of a value.

use super::RowLoss;

/// `loss(z, y) = (z - y)^2`; its mean over rows is the MSE.
#[derive(Debug, Clone, Copy)]
pub struct SquaredError;

impl RowLoss for SquaredError {
    fn value(&self, z: f32, y: f32) -> f32 {
        (z - y) * (z - y)
    }

    /// `2 (z - y)`.
    fn derivative(&self, z: f32, y: f32) -> f32 {
        2.0 * (z - y)
    }

    /// z itself.
    fn prediction(&self, z: f32) -> f32 {
        z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(SquaredError.value(3.0, 1.0), 4.0);
        assert_eq!(SquaredError.derivative(3.0, 1.0), 4.0);
        assert_eq!(SquaredError.prediction(3.0), 3.0);
    }
}
