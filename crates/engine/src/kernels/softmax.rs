//! Softmax over a row, forward and backward.

use super::exp::exp;

/// `g = exp(g - max) / sum`, in place; equal logits give equal weights, and no finite logit overflows.
#[inline(always)]
pub(crate) fn forward(g: &mut [f32]) {
    let max = max(g);
    g.iter_mut().for_each(|v| *v = exp(*v - max));
    let scale = 1.0 / g.iter().sum::<f32>();
    g.iter_mut().for_each(|v| *v *= scale);
}

/// The first third of [`forward`], for callers that compute the exponentials of many rows at once:
/// `y = g - max`.
#[inline(always)]
pub(super) fn shift(g: &[f32], y: &mut [f32]) {
    let max = max(g);
    y.iter_mut().zip(g).for_each(|(y, g)| *y = g - max);
}

/// The last third: `g = e / sum` for the exponentials e.
#[inline(always)]
pub(super) fn share(e: &[f32], g: &mut [f32]) {
    let scale = 1.0 / e.iter().sum::<f32>();
    g.iter_mut().zip(e).for_each(|(g, e)| *g = e * scale);
}

#[inline(always)]
fn max(g: &[f32]) -> f32 {
    g.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The gradient of the logits from that of the weights g: `d_e <- g_e (d_e - sum_f g_f d_f)`, in place.
#[inline(always)]
pub(crate) fn backward(g: &[f32], d: &mut [f32]) {
    let inner: f32 = g.iter().zip(d.iter()).map(|(g, d)| g * d).sum();
    g.iter().zip(d).for_each(|(g, d)| *d = g * (*d - inner));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_over_the_row() {
        let mut g = [1.0, 2.0, 3.0, -50.0];
        forward(&mut g);
        assert!((g.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((g[1] / g[0] - std::f32::consts::E).abs() < 1e-5);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let mut g = [1000.0, 1000.0];
        forward(&mut g);
        assert_eq!(g, [0.5, 0.5]);
    }

    #[test]
    fn nan_spreads_over_the_row() {
        let mut g = [f32::NAN, 1.0];
        forward(&mut g);
        assert!(g[0].is_nan() && g[1].is_nan());
    }

    #[test]
    fn gradient_equals_finite_differences() {
        let logits = [0.3f32, -1.2, 0.8];
        let out = [0.7f32, -0.4, 0.2];
        let loss = |z: [f32; 3]| {
            let mut g = z;
            forward(&mut g);
            g.iter().zip(out).map(|(g, o)| f64::from(*g) * f64::from(o)).sum::<f64>()
        };
        let mut g = logits;
        forward(&mut g);
        let mut d = out;
        backward(&g, &mut d);
        for e in 0..3 {
            let (mut up, mut down) = (logits, logits);
            up[e] += 1e-2;
            down[e] -= 1e-2;
            let difference = (loss(up) - loss(down)) / 2e-2;
            assert!((difference - f64::from(d[e])).abs() < 1e-5, "{difference} {}", d[e]);
        }
    }
}
