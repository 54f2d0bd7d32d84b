//! [`Gram`]: inner products of the tasks' gradients.

/// Inner products `<g_i, g_j>` of the gradients of T tasks, symmetric.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    tasks: usize,
    /// `[T, T]`.
    values: Vec<f64>,
}

impl Gram {
    /// From a function that gives `<g_i, g_j>`, called once per pair with `i >= j`.
    #[must_use]
    pub fn from_fn(tasks: usize, mut product: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; tasks * tasks];
        for i in 0..tasks {
            for j in 0..=i {
                let value = product(i, j);
                values[i * tasks + j] = value;
                values[j * tasks + i] = value;
            }
        }
        Self { tasks, values }
    }

    /// T.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// `<g_i, g_j>`.
    #[must_use]
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.tasks + j]
    }

    /// `<g_i, sum_j c_j g_j>`.
    #[must_use]
    pub fn with_combination(&self, i: usize, coefficients: &[f64]) -> f64 {
        (0..self.tasks).map(|j| self.get(i, j) * coefficients[j]).sum()
    }

    /// Norms `|g_k|`.
    #[must_use]
    pub fn norms(&self) -> Vec<f64> {
        (0..self.tasks).map(|k| self.get(k, k).max(0.0).sqrt()).collect()
    }

    /// The matrix of the gradients `w_k g_k`.
    #[must_use]
    pub fn weighted(&self, weights: &[f32]) -> Self {
        Self::from_fn(self.tasks, |i, j| f64::from(weights[i]) * f64::from(weights[j]) * self.get(i, j))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_combinations() {
        let g = [[3.0, 4.0], [-1.0, 2.0]];
        let gram = Gram::from_fn(2, |i, j| g[i][0] * g[j][0] + g[i][1] * g[j][1]);
        assert_eq!((gram.get(0, 1), gram.get(1, 0), gram.norms()[0]), (5.0, 5.0, 5.0));
        assert_eq!(gram.with_combination(1, &[2.0, -1.0]), 10.0 - 5.0);
        assert_eq!(gram.weighted(&[2.0, 3.0]).get(0, 1), 30.0);
    }
}
