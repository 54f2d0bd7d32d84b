//! Adam for one number.

use serde::{Deserialize, Serialize};

/// Adam (Kingma and Ba 2015) for a single number in f64, with `beta = (0.9, 0.999)` and `epsilon = 1e-8`. It counts its
/// own steps: a task without rows in a batch takes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalarAdam {
    m: f64,
    v: f64,
    steps: u32,
}

impl ScalarAdam {
    /// What is to be added to the number, given its gradient.
    pub fn step(&mut self, gradient: f64, learning_rate: f64) -> f64 {
        const BETAS: [f64; 2] = [0.9, 0.999];
        self.steps = self.steps.saturating_add(1);
        self.m = BETAS[0] * self.m + (1.0 - BETAS[0]) * gradient;
        self.v = BETAS[1] * self.v + (1.0 - BETAS[1]) * gradient * gradient;
        let corrected = |moment: f64, beta: f64| moment / (1.0 - beta.powf(f64::from(self.steps)));
        -learning_rate * corrected(self.m, BETAS[0]) / (corrected(self.v, BETAS[1]).sqrt() + 1e-8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate() {
        assert!((ScalarAdam::default().step(3.0, 0.1) + 0.1).abs() < 1e-8);
        assert!((ScalarAdam::default().step(-1e-3, 0.1) - 0.1).abs() < 1e-5);
        assert_eq!(ScalarAdam::default().step(0.0, 0.1), 0.0);
    }
}
