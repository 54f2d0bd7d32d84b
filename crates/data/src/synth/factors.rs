//! Regressions that share a given part of their factors. Sharing everything costs there, and so does sharing nothing.

use std::f64::consts::SQRT_2;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::vectors::orthonormal;
use super::{SyntheticLog, a_million_numbers, check_rows, refuse, stream};
use crate::{Error, Result};

/// What [`FactorLog`] is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorOptions {
    /// Number of rows, from 1 to 2^40.
    pub rows: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// T, number of tasks: from 1 to 64.
    pub tasks: usize,
    /// s in [0, 1]: the share of each task's signal that comes from factors of all tasks.
    pub share: f64,
    /// K, number of factors that all tasks have: at least 1.
    pub shared_factors: usize,
    /// L, number of factors that each task has for itself: at least 1.
    pub own_factors: usize,
    /// d, number of inputs: at least K + T L, at most 65,536.
    pub dimension: usize,
    /// a > 0: how often a factor goes up and down.
    pub frequency: f64,
    /// Variance of the noise on each label, beside a signal of variance 1.
    pub noise_variance: f64,
}

impl Default for FactorOptions {
    fn default() -> Self {
        Self {
            rows: 300_000,
            seed: 1,
            tasks: 2,
            share: 0.5,
            shared_factors: 8,
            own_factors: 8,
            dimension: 64,
            frequency: 2.0,
            noise_variance: 0.1,
        }
    }
}

impl FactorOptions {
    fn check(&self) -> Result<()> {
        check_rows(self.rows)?;
        if !(1..=64).contains(&self.tasks) {
            return refuse("tasks", self.tasks, "a log has 1 to 64 tasks");
        }
        if !(0.0..=1.0).contains(&self.share) {
            return refuse("share", self.share, "a share lies between 0 and 1");
        }
        if !(1..=1 << 16).contains(&self.dimension) {
            return refuse("dimension", self.dimension, "a log has 1 to 65536 inputs");
        }
        for (option, factors) in [("shared-factors", self.shared_factors), ("own-factors", self.own_factors)] {
            if !(1..=1 << 16).contains(&factors) {
                return refuse(option, factors, "1 to 65536 factors");
            }
        }
        let factors = self.factors();
        if factors > self.dimension {
            let reason = format!("{factors} factors with directions at right angles need as many inputs");
            return refuse("dimension", self.dimension, reason);
        }
        if !(self.frequency.is_finite() && self.frequency > 0.0) {
            return refuse("frequency", self.frequency, "a frequency is a positive number");
        }
        if !(self.noise_variance.is_finite() && self.noise_variance >= 0.0) {
            return refuse("noise-variance", self.noise_variance, "a variance is a number of at least 0");
        }
        Ok(())
    }

    /// Factors of all tasks together.
    fn factors(&self) -> usize {
        self.shared_factors + self.tasks * self.own_factors
    }
}

/// Rows `x0 .. x{d-1}, y1 .. y{T}`, all f32 and never missing.
///
/// With orthonormal directions u_1 .. u_K and v_t1 .. v_tL in R^d, and signs c_tj of -1 or 1:
///
/// ```text
/// x ~ N(0, I_d)     h(z) = sqrt(2 / (1 - exp(-2 a^2))) sin(a z), of mean 0 and variance 1
/// y_t = sqrt(s / K) sum_(j=1..K) c_tj h(u_j.x) + sqrt((1 - s) / L) sum_(l=1..L) h(v_tl.x) + eps_t
/// eps_t ~ N(0, noise variance)
/// ```
///
/// Factors are independent of one another, so that the signal has variance 1 at every s, and the least MSE is the noise's
/// variance. Tasks need the same shared factors, each with signs of its own: what they have in common is what is to be
/// found in x, and not the label. All that is drawn depends on the seed (and on d, K, L and T), not on s: logs of one seed at
/// several s have the same x, factors and noise.
#[derive(Debug, Clone)]
pub struct FactorLog {
    options: FactorOptions,
    schema: SchemaRef,
    /// Directions of the shared factors, then of each task's own.
    directions: Vec<Vec<f64>>,
    /// By task, one for each shared factor.
    signs: Vec<Vec<f64>>,
}

impl FactorLog {
    /// Draws the process.
    ///
    /// # Errors
    /// [`Error::SynthOption`] if an option is out of its range.
    pub fn new(options: FactorOptions) -> Result<Self> {
        options.check()?;
        let mut rng = stream(options.seed, "factors/process", 0);
        let mut normals = |n: usize| -> Vec<f64> { (&mut rng).sample_iter(StandardNormal).take(n).collect() };
        let sign = |x: f64| if x < 0.0 { -1.0 } else { 1.0 };
        let signs = (0..options.tasks).map(|_| normals(options.shared_factors).into_iter().map(sign).collect());
        let signs = signs.collect();
        let directions = orthonormal((0..options.factors()).map(|_| normals(options.dimension)).collect());
        let inputs = (0..options.dimension).map(|i| format!("x{i}"));
        let fields = inputs.chain((1..=options.tasks).map(|t| format!("y{t}")));
        let schema = Schema::new(fields.map(|name| Field::new(name, DataType::Float32, false)).collect::<Vec<_>>());
        Ok(Self { options, schema: Arc::new(schema), directions, signs })
    }

    /// The expected labels of inputs `x`, by task: `E[y | x]`.
    ///
    /// # Panics
    /// If there are not d inputs.
    #[must_use]
    pub fn expected(&self, x: &[f32]) -> Vec<f64> {
        assert_eq!(x.len(), self.options.dimension, "inputs of a row");
        let FactorOptions { share, shared_factors, own_factors, frequency, .. } = self.options;
        let height = SQRT_2 / (-(-2.0 * frequency * frequency).exp_m1()).sqrt();
        let along = |u: &Vec<f64>| u.iter().zip(x).map(|(u, x)| u * f64::from(*x)).sum::<f64>();
        let factors: Vec<f64> = self.directions.iter().map(|u| height * (frequency * along(u)).sin()).collect();
        let (shared, own) = factors.split_at(shared_factors);
        let (by_shared, by_own) = ((share / shared_factors as f64).sqrt(), ((1.0 - share) / own_factors as f64).sqrt());
        let label = |(signs, own): (&Vec<f64>, &[f64])| {
            let shared: f64 = signs.iter().zip(shared).map(|(sign, factor)| sign * factor).sum();
            by_shared * shared + by_own * own.iter().sum::<f64>()
        };
        self.signs.iter().zip(own.chunks(own_factors)).map(label).collect()
    }
}

impl SyntheticLog for FactorLog {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn rows(&self) -> u64 {
        self.options.rows
    }

    fn block_rows(&self) -> u64 {
        a_million_numbers(self.options.dimension)
    }

    fn block(&self, index: u64) -> Result<RecordBatch> {
        let (rows, d) = (self.rows_of(index), self.options.dimension);
        let noise = self.options.noise_variance.sqrt();
        let mut rng = stream(self.options.seed, "factors/rows", index);
        let mut columns = vec![Vec::with_capacity(rows); d + self.options.tasks];
        for _ in 0..rows {
            let x: Vec<f32> = (&mut rng).sample_iter(StandardNormal).take(d).collect();
            columns.iter_mut().zip(&x).for_each(|(column, x)| column.push(*x));
            for (column, expected) in columns[d..].iter_mut().zip(self.expected(&x)) {
                let eps: f64 = StandardNormal.sample(&mut rng);
                column.push((expected + noise * eps) as f32);
            }
        }
        let columns = columns.into_iter().map(|values| Arc::new(Float32Array::from(values)) as ArrayRef).collect();
        RecordBatch::try_new(self.schema(), columns).map_err(|e| Error::Synth { reason: e.to_string() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::AsArray;
    use arrow::datatypes::Float32Type;

    use super::*;

    fn log(share: f64) -> FactorLog {
        FactorLog::new(FactorOptions { rows: 16_384, share, seed: 3, ..FactorOptions::default() }).unwrap()
    }

    /// By row: inputs, then labels.
    fn rows(log: &FactorLog) -> Vec<Vec<f32>> {
        let of = |batch: RecordBatch| {
            let columns: Vec<Vec<f32>> =
                batch.columns().iter().map(|c| c.as_primitive::<Float32Type>().values().to_vec()).collect();
            (0..batch.num_rows()).map(|row| columns.iter().map(|c| c[row]).collect()).collect::<Vec<Vec<f32>>>()
        };
        (0..log.blocks()).flat_map(|block| of(log.block(block).unwrap())).collect()
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let n = values.len() as f64;
        values.sum::<f64>() / n
    }

    #[test]
    fn signal_and_noise_have_their_variances_at_every_share() {
        for share in [0.0, 0.3, 1.0] {
            let log = log(share);
            let rows = rows(&log);
            for task in 0..2 {
                let signal: Vec<f64> = rows.iter().map(|row| log.expected(&row[..64])[task]).collect();
                let noise: Vec<f64> = rows.iter().zip(&signal).map(|(r, s)| f64::from(r[64 + task]) - s).collect();
                let (m, v) = (mean(signal.iter().copied()), mean(signal.iter().map(|s| s * s)));
                // Standard errors over 16,384 rows: 0.008 of the mean, at most 0.011 of the variance.
                assert!(m.abs() < 0.03 && (v - 1.0).abs() < 0.04, "{share} {task}: {m} {v}");
                let v = mean(noise.iter().map(|e| e * e));
                // Standard error 0.0011.
                assert!((v - 0.1).abs() < 0.004, "{share} {task}: {v}");
            }
        }
    }

    /// The part of a label's variance that shared factors explain, and the part that the other task's own ones do.
    #[test]
    fn tasks_share_as_much_as_is_asked_for() {
        for share in [0.0, 0.5, 1.0] {
            let log = log(share);
            let rows = rows(&log);
            let height = SQRT_2 / (-(-8.0f64).exp_m1()).sqrt();
            let factor = |row: &[f32], j: usize| {
                let z: f64 = log.directions[j].iter().zip(row).map(|(u, x)| u * f64::from(*x)).sum();
                height * (2.0 * z).sin()
            };
            for task in 0..2 {
                let by_shared: f64 =
                    (0..8).map(|j| mean(rows.iter().map(|r| f64::from(r[64 + task]) * factor(r, j))).powi(2)).sum();
                let others = 8 + 8 * (1 - task);
                let by_others: f64 = (others..others + 8)
                    .map(|j| mean(rows.iter().map(|r| f64::from(r[64 + task]) * factor(r, j))).powi(2))
                    .sum();
                // Twice the error of the signal's variance, whose standard error is 0.011; eight squared means of standard error
                // 0.008 each are some 0.0005 by chance.
                assert!((by_shared - share).abs() < 0.09, "{share} {task}: {by_shared}");
                assert!(by_others < 0.003, "{share} {task}: {by_others}");
            }
        }
    }

    #[test]
    fn one_seed_shares_inputs_and_noise_over_shares() {
        let (a, b) = (log(0.2), log(0.9));
        let (a_rows, b_rows) = (rows(&a), rows(&b));
        for (x, y) in a_rows.iter().zip(&b_rows).take(50) {
            assert_eq!(x[..64], y[..64]);
            for task in 0..2 {
                let noise = |log: &FactorLog, row: &[f32]| f64::from(row[64 + task]) - log.expected(&row[..64])[task];
                assert!((noise(&a, x) - noise(&b, y)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn directions_are_at_right_angles() {
        let log = log(0.5);
        for (i, a) in log.directions.iter().enumerate() {
            for (j, b) in log.directions.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{i} {j}: {product}");
            }
        }
    }

    #[test]
    fn options_out_of_range_are_named() {
        let refused = |change: fn(&mut FactorOptions)| {
            let mut options = FactorOptions::default();
            change(&mut options);
            match FactorLog::new(options) {
                Err(Error::SynthOption { option, .. }) => option,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|o| o.rows = 0), "rows");
        assert_eq!(refused(|o| o.tasks = 0), "tasks");
        assert_eq!(refused(|o| o.share = 1.1), "share");
        assert_eq!(refused(|o| o.share = f64::NAN), "share");
        assert_eq!(refused(|o| o.shared_factors = 0), "shared-factors");
        assert_eq!(refused(|o| o.own_factors = usize::MAX), "own-factors");
        assert_eq!(refused(|o| o.dimension = 0), "dimension");
        assert_eq!(refused(|o| o.dimension = 23), "dimension");
        assert_eq!(refused(|o| o.frequency = 0.0), "frequency");
        assert_eq!(refused(|o| o.noise_variance = f64::INFINITY), "noise-variance");
    }
}
