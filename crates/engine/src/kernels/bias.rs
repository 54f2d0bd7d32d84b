//! The passes around a product: forward, bias and activation in one pass; backward, activation mask and bias
//! gradient in one pass.

use pleiad_model::graph::Activation;

use super::{MatMut, MatRef, activation, dispatch};

/// `y = f(y + b)`, in place.
pub(crate) fn forward(mut y: MatMut<'_>, bias: &[f32], f: Activation) {
    if bias.is_empty() {
        return activation::forward(f, y);
    }
    if f == Activation::Relu {
        return dispatch(
            #[inline(always)]
            || {
                for row in y.each_row() {
                    row.iter_mut().zip(bias).for_each(|(y, b)| {
                        let z = *y + b;
                        *y = if z < 0.0 { 0.0 } else { z };
                    });
                }
            },
        );
    }
    dispatch(
        #[inline(always)]
        || {
            for row in y.each_row() {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        },
    );
    activation::forward(f, y);
}

/// `d *= f'(y)`, in place, and `bias_gradient += sum over rows of d`; the latter is empty where there is no bias.
pub(crate) fn backward(y: MatRef<'_>, mut d: MatMut<'_>, f: Activation, bias_gradient: &mut [f32]) {
    if f == Activation::Relu && !bias_gradient.is_empty() {
        return dispatch(
            #[inline(always)]
            || {
                for (y, d) in y.each_row().zip(d.each_row()) {
                    for ((y, d), b) in y.iter().zip(d).zip(bias_gradient.iter_mut()) {
                        let masked = if *y > 0.0 { *d } else { 0.0 };
                        *d = masked;
                        *b += masked;
                    }
                }
            },
        );
    }
    activation::backward(f, y, d.by_ref());
    if !bias_gradient.is_empty() {
        dispatch(
            #[inline(always)]
            || {
                for d in d.each_row() {
                    bias_gradient.iter_mut().zip(d).for_each(|(b, d)| *b += *d);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::Columns;
    use super::*;

    #[test]
    fn fused_passes_equal_their_parts() {
        let (rows, at) = (3, Columns { ld: 6, col: 1, width: 4 });
        let y: Vec<f32> = (0..18).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
        let bias = [0.5, -0.5, 1.5, 0.0];
        for f in [Activation::Relu, Activation::Tanh, Activation::Identity] {
            let mut fused = y.clone();
            forward(at.of_mut(&mut fused, rows), &bias, f);
            let mut parts = y.clone();
            at.rows_mut(&mut parts, rows).for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
            activation::forward(f, at.of_mut(&mut parts, rows));
            assert_eq!(fused, parts, "{f:?}");

            let mut d: Vec<f32> = (0..18).map(|i| i as f32).collect();
            let mut d_parts = d.clone();
            let mut gradient = [1.0; 4];
            backward(at.of(&fused, rows), at.of_mut(&mut d, rows), f, &mut gradient);
            activation::backward(f, at.of(&fused, rows), at.of_mut(&mut d_parts, rows));
            assert_eq!(d, d_parts, "{f:?}");
            for (j, g) in gradient.iter().enumerate() {
                let sum = (0..rows).fold(1.0, |sum, i| sum + d[i * 6 + 1 + j]);
                assert_eq!(*g, sum, "{f:?}");
            }
        }
    }
}
