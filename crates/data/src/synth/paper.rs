//! Two regressions whose correlation is set by one number: the process of Ma et al. (MMoE, KDD 2018, section 3.2) with
//! the constants of Tang et al. (PLE, RecSys 2020, section 5.2).

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::vectors::orthonormal;
use super::{SyntheticLog, a_million_numbers, check_rows, refuse, stream};
use crate::{Error, Result};

/// What [`PaperLog`] is made from; the default is the paper's, at correlation 0.5 and 1.4 million rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PaperOptions {
    /// Number of rows, from 1 to 2^40.
    pub rows: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// p in [-1, 1]: the cosine between the two tasks' weight vectors.
    pub correlation: f64,
    /// d, number of inputs: from 2 to 65,536.
    pub dimension: usize,
    /// m, number of sine terms: at most 10,000.
    pub sines: usize,
    /// c > 0, length of both weight vectors.
    pub scale: f64,
    /// Variance (not standard deviation) of the noise on each label.
    pub noise_variance: f64,
}

impl Default for PaperOptions {
    fn default() -> Self {
        Self { rows: 1_400_000, seed: 1, correlation: 0.5, dimension: 512, sines: 10, scale: 1.0, noise_variance: 0.01 }
    }
}

impl PaperOptions {
    fn check(&self) -> Result<()> {
        check_rows(self.rows)?;
        if !(-1.0..=1.0).contains(&self.correlation) {
            return refuse("correlation", self.correlation, "a correlation lies between -1 and 1");
        }
        if !(2..=1 << 16).contains(&self.dimension) {
            return refuse("dimension", self.dimension, "two orthogonal vectors need 2 to 65536 dimensions");
        }
        if self.sines > 10_000 {
            return refuse("sines", self.sines, "at most 10000 sine terms");
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return refuse("scale", self.scale, "the length of the weight vectors is a positive number");
        }
        if !(self.noise_variance.is_finite() && self.noise_variance >= 0.0) {
            return refuse("noise-variance", self.noise_variance, "a variance is a number of at least 0");
        }
        Ok(())
    }
}

/// Rows `x0 .. x{d-1}, y1, y2`, all f32 and never missing.
///
/// With orthogonal unit vectors u1, u2 in R^d:
///
/// ```text
/// w1 = c u1                w2 = c (p u1 + sqrt(1 - p^2) u2)
/// x ~ N(0, I_d)            y_t = w_t.x + sum_(i=1..m) sin(alpha_i w_t.x + beta_i) + eps_t
/// alpha_i, beta_i ~ N(0, 1), the same for both tasks     eps_t ~ N(0, 0.01): variance 0.01, standard deviation 0.1
/// ```
///
/// u, alpha and beta depend on the seed alone (and on d and m), not on p: logs of one seed at several correlations have
/// the same x, y1 and noise. Labels are computed in f64 from the f32 inputs that are written.
#[derive(Debug, Clone)]
pub struct PaperLog {
    options: PaperOptions,
    schema: SchemaRef,
    weights: [Vec<f64>; 2],
    alpha: Vec<f64>,
    beta: Vec<f64>,
    noise: f64,
}

impl PaperLog {
    /// Draws the process.
    ///
    /// # Errors
    /// [`Error::SynthOption`] if an option is out of its range.
    pub fn new(options: PaperOptions) -> Result<Self> {
        options.check()?;
        let mut rng = stream(options.seed, "paper/process", 0);
        let mut normals = |n: usize| -> Vec<f64> { (&mut rng).sample_iter(StandardNormal).take(n).collect() };
        let (alpha, beta) = (normals(options.sines), normals(options.sines));
        let units = orthonormal(vec![normals(options.dimension), normals(options.dimension)]);
        let [u1, u2] = [&units[0], &units[1]];
        let (c, p) = (options.scale, options.correlation);
        let q = (1.0 - p * p).sqrt();
        let weights =
            [u1.iter().map(|a| c * a).collect(), u1.iter().zip(u2).map(|(a, b)| c * (p * a + q * b)).collect()];
        let fields = (0..options.dimension).map(|i| format!("x{i}")).chain(["y1".to_owned(), "y2".to_owned()]);
        let schema = Schema::new(fields.map(|name| Field::new(name, DataType::Float32, false)).collect::<Vec<_>>());
        let noise = options.noise_variance.sqrt();
        Ok(Self { options, schema: Arc::new(schema), weights, alpha, beta, noise })
    }

    /// The weight vectors w1 and w2, each of length d.
    #[must_use]
    pub fn weights(&self) -> &[Vec<f64>; 2] {
        &self.weights
    }

    /// `E[y | w.x = z]`: the label without its noise.
    #[must_use]
    pub fn expected(&self, z: f64) -> f64 {
        z + self.alpha.iter().zip(&self.beta).map(|(a, b)| (a * z + b).sin()).sum::<f64>()
    }
}

impl SyntheticLog for PaperLog {
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
        let mut rng = stream(self.options.seed, "paper/rows", index);
        let mut columns = vec![Vec::with_capacity(rows); d + 2];
        for _ in 0..rows {
            let mut z = [0.0f64; 2];
            for (i, column) in columns[..d].iter_mut().enumerate() {
                let x: f32 = StandardNormal.sample(&mut rng);
                column.push(x);
                z[0] += self.weights[0][i] * f64::from(x);
                z[1] += self.weights[1][i] * f64::from(x);
            }
            for (t, z) in z.into_iter().enumerate() {
                let eps: f64 = StandardNormal.sample(&mut rng);
                columns[d + t].push((self.expected(z) + self.noise * eps) as f32);
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

    use super::super::vectors::dot;
    use super::*;

    fn log(correlation: f64, rows: u64) -> PaperLog {
        PaperLog::new(PaperOptions { rows, correlation, dimension: 32, seed: 5, ..PaperOptions::default() }).unwrap()
    }

    fn column(batch: &RecordBatch, name: &str) -> Vec<f64> {
        let values = batch.column_by_name(name).unwrap().as_primitive::<Float32Type>().values().to_vec();
        values.into_iter().map(f64::from).collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let ((ma, va), (mb, vb)) = (moments(a), moments(b));
        a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>() / a.len() as f64 / (va * vb).sqrt()
    }

    #[test]
    fn the_cosine_of_the_weights_is_p() {
        for p in [-1.0, -0.3, 0.0, 0.5, 0.75, 1.0] {
            for scale in [1.0, 3.0] {
                let options = PaperOptions { correlation: p, scale, ..PaperOptions::default() };
                let [w1, w2] = PaperLog::new(options).unwrap().weights;
                assert!((dot(&w1, &w1).sqrt() - scale).abs() < 1e-12);
                assert!((dot(&w2, &w2).sqrt() - scale).abs() < 1e-12);
                assert!((dot(&w1, &w2) / (scale * scale) - p).abs() < 1e-12, "{p}");
            }
        }
    }

    #[test]
    fn noise_and_inputs_have_their_variances() {
        let log = log(0.4, 4096);
        let batch = log.block(0).unwrap();
        let x: Vec<Vec<f64>> = (0..32).map(|i| column(&batch, &format!("x{i}"))).collect();
        let (mean, variance) = moments(&x.concat());
        // Standard errors over 131,072 values: 0.0028 of the mean, 0.0039 of the variance.
        assert!(mean.abs() < 0.011 && (variance - 1.0).abs() < 0.016, "{mean} {variance}");
        for (t, name) in ["y1", "y2"].into_iter().enumerate() {
            let noise: Vec<f64> = column(&batch, name)
                .iter()
                .enumerate()
                .map(|(row, y)| y - log.expected((0..32).map(|i| log.weights[t][i] * x[i][row]).sum()))
                .collect();
            let (mean, variance) = moments(&noise);
            // Standard errors over 4,096 rows: 0.0016 of the mean, 0.00022 of the variance.
            assert!(mean.abs() < 0.0063 && (variance - 0.01).abs() < 0.0009, "{name}: {mean} {variance}");
        }
    }

    #[test]
    fn labels_correlate_as_the_weights_do() {
        let of = |p| {
            let batch = log(p, 4096).block(0).unwrap();
            correlation(&column(&batch, "y1"), &column(&batch, "y2"))
        };
        let measured = [-1.0, 0.0, 0.5, 1.0].map(of);
        assert!(measured[0] < -0.1, "{measured:?}");
        assert!(measured[1].abs() < 0.08, "{measured:?}");
        assert!(measured[2] > 0.15 && measured[2] < measured[3], "{measured:?}");
        assert!(measured[3] > 0.95, "{measured:?}");
    }

    #[test]
    fn one_seed_shares_inputs_and_first_label_over_correlations() {
        let (a, b) = (log(0.2, 64).block(0).unwrap(), log(0.9, 64).block(0).unwrap());
        assert_eq!(a.columns()[..33], b.columns()[..33]);
        assert_ne!(&a.columns()[33], &b.columns()[33]);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let refused = |change: fn(&mut PaperOptions)| {
            let mut options = PaperOptions::default();
            change(&mut options);
            match PaperLog::new(options) {
                Err(Error::SynthOption { option, .. }) => option,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|o| o.rows = 0), "rows");
        assert_eq!(refused(|o| o.rows = u64::MAX), "rows");
        assert_eq!(refused(|o| o.correlation = 2.0), "correlation");
        assert_eq!(refused(|o| o.correlation = f64::NAN), "correlation");
        assert_eq!(refused(|o| o.dimension = 1), "dimension");
        assert_eq!(refused(|o| o.dimension = 1 << 20), "dimension");
        assert_eq!(refused(|o| o.sines = 1 << 20), "sines");
        assert_eq!(refused(|o| o.scale = 0.0), "scale");
        assert_eq!(refused(|o| o.noise_variance = -0.1), "noise-variance");
        assert_eq!(refused(|o| o.noise_variance = f64::INFINITY), "noise-variance");
    }

    #[test]
    fn the_error_tells_option_value_and_range() {
        let error = PaperLog::new(PaperOptions { correlation: 2.0, ..PaperOptions::default() }).unwrap_err();
        assert_eq!(error.to_string(), "--correlation 2: a correlation lies between -1 and 1");
    }
}
