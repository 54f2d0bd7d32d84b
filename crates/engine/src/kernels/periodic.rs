//! A number embedded by learned waves (Gorishniy et al., *On Embeddings for Numerical Features in Tabular Deep Learning*, NeurIPS
//! 2022, "PLR").
//!
//! Per row, of the number x, with frequencies c `[k]`, W `[e, 2 k]` and b `[e]`:
//!
//! ```text
//! v = [sin(2 pi c x), cos(2 pi c x)]      y = max(0, W v + b)
//! ```
//!
//! and in the backward pass, with d the gradient of y where y is above 0, else 0:
//!
//! ```text
//! db += d    dW += d v^T    dc_i += 2 pi x (u_i cos(2 pi c_i x) - u_(k + i) sin(2 pi c_i x)),  u = W^T d
//! ```

use super::{Columns, dispatch};

/// What one feature has learned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waves<'w> {
    /// c.
    pub(crate) frequencies: &'w [f32],
    /// W, row by row.
    pub(crate) weight: &'w [f32],
    /// b.
    pub(crate) bias: &'w [f32],
}

/// Gradients of [`Waves`].
#[derive(Debug)]
pub(crate) struct WavesGradient<'w> {
    pub(crate) frequencies: &'w mut [f32],
    pub(crate) weight: &'w mut [f32],
    pub(crate) bias: &'w mut [f32],
}

impl Waves<'_> {
    /// v.
    #[inline(always)]
    fn waves(&self, x: f32, v: &mut [f32]) {
        let (sines, cosines) = v.split_at_mut(self.frequencies.len());
        for ((sine, cosine), c) in sines.iter_mut().zip(cosines).zip(self.frequencies) {
            (*sine, *cosine) = turn(c * x);
        }
    }

    /// Writes y of every row; `x` has a column.
    pub(crate) fn forward(&self, y: &mut [f32], y_at: Columns, x: &[f32], x_at: Columns, rows: usize) {
        let (width, terms) = (self.bias.len(), 2 * self.frequencies.len());
        // Column by column, so that all outputs are summed at once.
        let mut columns = vec![0.0; width * terms];
        for (o, row) in self.weight.chunks_exact(terms).enumerate() {
            row.iter().enumerate().for_each(|(j, &w)| columns[j * width + o] = w);
        }
        let mut v = vec![0.0; terms];
        dispatch(
            #[inline(always)]
            || {
                for (y, x) in y_at.rows_mut(y, rows).zip(x_at.rows(x, rows)) {
                    self.waves(x[0], &mut v);
                    y.copy_from_slice(self.bias);
                    for (v, column) in v.iter().zip(columns.chunks_exact(width)) {
                        y.iter_mut().zip(column).for_each(|(y, w)| *y += w * v);
                    }
                    // NaN stays.
                    y.iter_mut().for_each(|y| *y = if *y <= 0.0 { 0.0 } else { *y });
                }
            },
        );
    }

    /// Adds the gradients of what was learned, given y and its gradient.
    pub(crate) fn backward(
        &self,
        gradient: WavesGradient<'_>,
        (y, y_at): (&[f32], Columns),
        (d, d_at): (&[f32], Columns),
        (x, x_at): (&[f32], Columns),
        rows: usize,
    ) {
        let (count, terms) = (self.frequencies.len(), 2 * self.frequencies.len());
        let WavesGradient { frequencies, weight, bias } = gradient;
        let (mut v, mut u) = (vec![0.0; terms], vec![0.0; terms]);
        dispatch(
            #[inline(always)]
            || {
                let of_rows = y_at.rows(y, rows).zip(d_at.rows(d, rows)).zip(x_at.rows(x, rows));
                for ((y, d), x) in of_rows {
                    if y.iter().zip(d).all(|(&y, &d)| y <= 0.0 || d == 0.0) {
                        continue;
                    }
                    self.waves(x[0], &mut v);
                    u.fill(0.0);
                    let outputs = y.iter().zip(d).zip(bias.iter_mut());
                    let weights = self.weight.chunks_exact(terms).zip(weight.chunks_exact_mut(terms));
                    for (((&y, &d), bias), (w, dw)) in outputs.zip(weights) {
                        let d = if y > 0.0 { d } else { 0.0 };
                        *bias += d;
                        dw.iter_mut().zip(&v).for_each(|(dw, v)| *dw += d * v);
                        u.iter_mut().zip(w).for_each(|(u, w)| *u += d * w);
                    }
                    let (sines, cosines) = v.split_at(count);
                    let (of_sines, of_cosines) = u.split_at(count);
                    let slopes = sines.iter().zip(cosines).zip(of_sines.iter().zip(of_cosines));
                    let factor = std::f32::consts::TAU * x[0];
                    for (dc, ((sine, cosine), (of_sine, of_cosine))) in frequencies.iter_mut().zip(slopes) {
                        *dc += factor * (of_sine * cosine - of_cosine * sine);
                    }
                }
            },
        );
    }
}

/// `sin(2 pi u)` and `cos(2 pi u)`, within 2^-22; NaN where u is not finite.
///
/// Whole turns are taken off, which is exact; what is left is bent to a quarter turn to either side of 0, of which the sine is
/// its Taylor polynomial of degree 13, whose remainder is below 2^-30.
#[inline(always)]
fn turn(u: f32) -> (f32, f32) {
    let t = u - u.round_ties_even();
    let bent = if t.abs() > 0.25 { 0.5f32.copysign(t) - t } else { t };
    (sine(bent), sine(0.25 - t.abs()))
}

/// `sin(2 pi t)` for |t| <= 1/4.
#[inline(always)]
fn sine(t: f32) -> f32 {
    // (2 pi)^n / n! with alternating signs, n = 13, 11, ..., 1.
    let square = t * t;
    let mut p = 3.819_952_5;
    for c in [-15.094_643, 42.058_693, -76.705_86, 81.605_25, -41.341_7, 6.283_185_5] {
        p = p * square + c;
    }
    p * t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_those_of_the_library() {
        let mut worst = 0.0f64;
        for i in -40_000..40_000 {
            let u = i as f32 * 0.000_37;
            let (sine, cosine) = turn(u);
            let angle = std::f64::consts::TAU * f64::from(u);
            worst = worst.max((f64::from(sine) - angle.sin()).abs()).max((f64::from(cosine) - angle.cos()).abs());
        }
        assert!(worst < 2f64.powi(-22), "{worst:e}");
        for (u, expected) in
            [(0.0, (0.0, 1.0)), (0.25, (1.0, 0.0)), (-0.5, (0.0, -1.0)), (8.0e6, (0.0, 1.0)), (f32::MAX, (0.0, 1.0))]
        {
            let (sine, cosine) = turn(u);
            assert!((sine - expected.0).abs() < 1e-6 && (cosine - expected.1).abs() < 1e-6, "{u}: {sine} {cosine}");
        }
        assert!(turn(f32::INFINITY).0.is_nan());
    }
}
