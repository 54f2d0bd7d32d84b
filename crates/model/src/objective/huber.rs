//! Huber's loss of a value.

use super::RowLoss;

/// With `e = z - y`: `loss(z, y) = e^2 / 2` where `|e| <= delta`, else `delta (|e| - delta / 2)`. Within delta it is half
/// the squared error; beyond it grows in proportion, so that a few labels far off move the model no further than others.
///
/// Source: Huber, *Robust Estimation of a Location Parameter*, Annals of Mathematical Statistics 35 (1964).
#[derive(Debug, Clone, Copy)]
pub struct Huber {
    /// Above 0.
    pub delta: f32,
}

impl RowLoss for Huber {
    fn value(&self, z: f32, y: f32) -> f32 {
        let error = (z - y).abs();
        if error <= self.delta { 0.5 * error * error } else { self.delta * (error - 0.5 * self.delta) }
    }

    /// `e`, held within `[-delta, delta]`.
    fn derivative(&self, z: f32, y: f32) -> f32 {
        (z - y).clamp(-self.delta, self.delta)
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
    fn it_is_a_square_within_delta_and_a_line_beyond() {
        let huber = Huber { delta: 2.0 };
        for (error, value, slope) in
            [(0.0, 0.0, 0.0), (1.0, 0.5, 1.0), (2.0, 2.0, 2.0), (-5.0, 8.0, -2.0), (1e30, 2e30, 2.0)]
        {
            assert_eq!((huber.value(error, 0.0), huber.derivative(error, 0.0)), (value, slope), "{error}");
        }
        assert_eq!(huber.prediction(3.0), 3.0);
        assert!(huber.value(f32::NAN, 1.0).is_nan() && huber.derivative(f32::NAN, 1.0).is_nan());
    }
}
