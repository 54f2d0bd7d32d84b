//! The start of parameters: the rule per parameter, and a seeded stream for each name.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

/// The distribution that a parameter is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Init {
    /// All zero (biases).
    Zeros,
    /// `N(0, std^2)`.
    Normal {
        /// Standard deviation.
        std: f32,
    },
    /// Element `at` is `there`, every other `elsewhere`: weights of a combination that starts near one of its inputs.
    Unit {
        /// Position of the element.
        at: usize,
        /// Its value.
        there: f32,
        /// Value of every other element.
        elsewhere: f32,
    },
}

impl Init {
    /// He et al. 2015: `N(0, 2 / fan_in)`, which keeps the variance of activations through a stack of ReLU layers.
    #[must_use]
    pub fn he(fan_in: usize) -> Self {
        Self::Normal { std: (2.0 / fan_in.max(1) as f32).sqrt() }
    }

    /// LeCun: `N(0, 1 / fan_in)`, for layers that no ReLU follows (gates, last layers, smooth activations).
    #[must_use]
    pub fn lecun(fan_in: usize) -> Self {
        Self::Normal { std: (1.0 / fan_in.max(1) as f32).sqrt() }
    }

    /// Nine tenths on element `at` of n, one tenth shared by the others: a learned combination (cross-stitch, sluice)
    /// that starts near its own input and uses the others enough to learn from them.
    #[must_use]
    pub fn near_unit(at: usize, n: usize) -> Self {
        match n {
            0 | 1 => Self::Unit { at, there: 1.0, elsewhere: 0.0 },
            _ => Self::Unit { at, there: 0.9, elsewhere: 0.1 / (n - 1) as f32 },
        }
    }

    /// Fills `values` with elements `skip ..` of the stream of `name` under `seed`.
    ///
    /// The stream depends only on `seed` and `name`: adding a task or a feature leaves every other parameter's start
    /// as it was. It is cut into blocks of [`BLOCK`] elements, each with its own ChaCha stream, so that a large table
    /// can be filled from several threads and a longer table starts with the rows of a shorter one. `skip` must be a
    /// multiple of [`BLOCK`].
    pub fn fill(self, seed: u64, name: &str, skip: usize, values: &mut [f32]) {
        debug_assert!(skip.is_multiple_of(BLOCK));
        match self {
            Self::Zeros => values.fill(0.0),
            Self::Unit { at, there, elsewhere } => {
                values.fill(elsewhere);
                if let Some(value) = at.checked_sub(skip).and_then(|at| values.get_mut(at)) {
                    *value = there;
                }
            }
            Self::Normal { std } => {
                let key = xxh64(name.as_bytes(), seed);
                // A standard deviation that is no number would have been refused with the graph.
                let Ok(normal) = Normal::new(0.0f32, std) else { return values.fill(0.0) };
                for (block, values) in values.chunks_mut(BLOCK).enumerate() {
                    let mut rng = ChaCha8Rng::seed_from_u64(key);
                    rng.set_stream((skip / BLOCK + block) as u64);
                    values.iter_mut().for_each(|v| *v = normal.sample(&mut rng));
                }
            }
        }
    }
}

/// Elements per independent stream of [`Init::fill`].
pub const BLOCK: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_name_and_seed_alone() {
        let draw = |seed, name: &str, n| {
            let mut v = vec![0.0; n];
            Init::he(8).fill(seed, name, 0, &mut v);
            v
        };
        assert_eq!(draw(1, "a", 10), draw(1, "a", 10));
        assert_ne!(draw(1, "a", 10), draw(1, "b", 10));
        assert_ne!(draw(1, "a", 10), draw(2, "a", 10));
        assert_eq!(draw(1, "a", 10), draw(1, "a", 200_000)[..10]);
    }

    #[test]
    fn blocks_can_be_filled_apart() {
        let mut whole = vec![0.0; 3 * BLOCK];
        Init::he(8).fill(3, "t", 0, &mut whole);
        let mut part = vec![0.0; BLOCK];
        Init::he(8).fill(3, "t", 2 * BLOCK, &mut part);
        assert_eq!(whole[2 * BLOCK..], part);
        assert_ne!(whole[..BLOCK], whole[BLOCK..2 * BLOCK]);
    }

    #[test]
    fn near_a_unit_vector_the_weights_sum_to_one() {
        for n in 1..6 {
            let mut v = vec![9.0; n];
            Init::near_unit(n - 1, n).fill(3, "w", 0, &mut v);
            assert!((v.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{v:?}");
            assert_eq!(v[n - 1], if n == 1 { 1.0 } else { 0.9 });
        }
        let mut behind = vec![9.0; 3];
        Init::Unit { at: 1, there: 1.0, elsewhere: 0.5 }.fill(3, "w", BLOCK, &mut behind);
        assert_eq!(behind, [0.5; 3]);
    }

    #[test]
    fn he_has_the_variance_of_its_formula() {
        let mut v = vec![0.0; 100_000];
        Init::he(50).fill(1, "w", 0, &mut v);
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
        let var = v.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / v.len() as f64;
        assert!(mean.abs() < 3e-3, "{mean}");
        assert!((var - 0.04).abs() < 1e-3, "{var}");
    }
}
