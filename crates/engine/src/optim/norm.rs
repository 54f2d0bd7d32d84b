//! The norm of a gradient and the factor that clips it.

use pulp::Arch;

/// Sum of squares in f64, in an order that depends on the length alone.
///
/// Every processor gives the same bits: the sum runs in eight fixed lanes, which are added in order at the end.
#[must_use]
pub fn square_sum(values: &[f32]) -> f64 {
    Arch::new().dispatch(
        #[inline(always)]
        || lanes(values),
    )
}

#[inline(always)]
fn lanes(values: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += f64::from(x) * f64::from(x);
    }
    sums.iter().sum()
}

/// Factor that brings a gradient of L2 norm `norm` down to `max_norm`: `min(1, max_norm / (norm + 1e-6))`, as
/// PyTorch's `clip_grad_norm_`. A norm that is not finite gives 0 or NaN; the loss has then been refused before.
#[must_use]
pub fn clip_scale(norm: f64, max_norm: f64) -> f32 {
    let scale = max_norm / (norm + 1e-6);
    if scale < 1.0 {
        scale as f32
    } else if norm.is_nan() {
        f32::NAN
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn square_sum_counts_every_element_once() {
        for n in [0, 1, 7, 8, 9, 31, 1000] {
            let values: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            let n = f64::from(n);
            assert_eq!(square_sum(&values), n * (n + 1.0) * (2.0 * n + 1.0) / 6.0);
        }
    }

    #[test]
    fn square_sum_does_not_overflow_f32() {
        assert_eq!(square_sum(&[1e30]), f64::from(1e30f32) * f64::from(1e30f32));
    }

    #[test]
    fn clipping_shortens_and_never_lengthens() {
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert_eq!(clip_scale(0.0, 1.0), 1.0);
        assert!((f64::from(clip_scale(4.0, 1.0)) * 4.0 - 1.0).abs() < 1e-6);
        assert_eq!(clip_scale(f64::INFINITY, 1.0), 0.0);
        assert!(clip_scale(f64::NAN, 1.0).is_nan());
    }
}
