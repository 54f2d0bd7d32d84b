//! Non-linearities and their derivatives.

use pleiad_model::graph::Activation;

use super::exp::exp;
use super::{MatMut, MatRef, dispatch};

/// Slope of the leaky ReLU below zero.
const LEAK: f32 = 0.01;

/// `y = f(y)`, in place.
pub(crate) fn forward(f: Activation, y: MatMut<'_>) {
    #[inline(always)]
    fn map(mut y: MatMut<'_>, f: impl Fn(f32) -> f32 + Copy) {
        dispatch(
            #[inline(always)]
            || y.each_row().for_each(|row| row.iter_mut().for_each(|v| *v = f(*v))),
        );
    }
    match f {
        Activation::Identity => {}
        Activation::Relu => map(y, relu),
        Activation::LeakyRelu => map(y, |x| if x > 0.0 { x } else { LEAK * x }),
        Activation::Elu => map(y, |x| if x > 0.0 { x } else { exp(x) - 1.0 }),
        Activation::Gelu => map(y, |x| x * normal_cdf(x)),
        Activation::Silu => map(y, |x| x * sigmoid(x)),
        Activation::Tanh => map(y, tanh),
        Activation::Sigmoid => map(y, sigmoid),
    }
}

/// `d *= f'`, in place, for the gradient d of the output. The derivative is computed from `kept`: the output
/// where [`Activation::invertible`], else the input.
pub(crate) fn backward(f: Activation, kept: MatRef<'_>, d: MatMut<'_>) {
    #[inline(always)]
    fn map(kept: MatRef<'_>, mut d: MatMut<'_>, f: impl Fn(f32, f32) -> f32 + Copy) {
        dispatch(
            #[inline(always)]
            || {
                for (kept, d) in kept.each_row().zip(d.each_row()) {
                    kept.iter().zip(d).for_each(|(&kept, d)| *d = f(kept, *d));
                }
            },
        );
    }
    match f {
        Activation::Identity => {}
        Activation::Relu => map(kept, d, |y, d| if y > 0.0 { d } else { 0.0 }),
        Activation::LeakyRelu => map(kept, d, |y, d| if y > 0.0 { d } else { LEAK * d }),
        Activation::Elu => map(kept, d, |y, d| if y > 0.0 { d } else { (y + 1.0) * d }),
        Activation::Gelu => map(kept, d, |x, d| d * (normal_cdf(x) + x * normal_density(x))),
        Activation::Silu => map(kept, d, |x, d| {
            let s = sigmoid(x);
            d * s * (1.0 + x * (1.0 - s))
        }),
        Activation::Tanh => map(kept, d, |y, d| d * (1.0 - y * y)),
        Activation::Sigmoid => map(kept, d, |y, d| d * y * (1.0 - y)),
    }
}

/// `max(x, 0)`, but NaN stays NaN: a network that diverged must not look as if it had not.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Near zero `1 - exp(-2x)` would cancel, so there the odd Taylor polynomial serves.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let square = x * x;
    let near =
        x * (1.0 + square * (-1.0 / 3.0 + square * (2.0 / 15.0 + square * (-17.0 / 315.0 + square * (62.0 / 2835.0)))));
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if x.abs() < 0.25 { near } else { far }
}

#[inline(always)]
fn normal_density(x: f32) -> f32 {
    const SCALE: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
    SCALE * exp(-0.5 * x * x)
}

/// Phi(x) through `erfc` by Abramowitz and Stegun's 7.1.26 (absolute error below 1.5e-7).
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly = t * (0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    let tail = 0.5 * poly * exp(-z * z);
    if x >= 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 8] = [
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Elu,
        Activation::Gelu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Identity,
    ];

    fn reference(f: Activation, x: f64) -> f64 {
        match f {
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu => {
                if x > 0.0 {
                    x
                } else {
                    0.01 * x
                }
            }
            Activation::Elu => {
                if x > 0.0 {
                    x
                } else {
                    x.exp_m1()
                }
            }
            Activation::Gelu => {
                // Phi by Simpson's rule from 0: slow and independent of the kernel's formula.
                let n = 2000;
                let h = x / f64::from(n);
                let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let weight = |i: i32| {
                    if i == 0 || i == n {
                        1.0
                    } else if i % 2 == 1 {
                        4.0
                    } else {
                        2.0
                    }
                };
                let area: f64 = (0..=n).map(|i| weight(i) * density(f64::from(i) * h)).sum::<f64>() * h / 3.0;
                x * (0.5 + area)
            }
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::Identity => x,
        }
    }

    #[test]
    fn values_and_derivatives() {
        let xs: Vec<f32> = (-60..=60).map(|i| i as f32 * 0.1 + 0.013).collect();
        let n = xs.len();
        for f in ALL {
            let mut y = xs.clone();
            forward(f, MatMut::new(&mut y, 1, n, n));
            let mut d = vec![1.0; n];
            let kept = if f.invertible() { &y } else { &xs };
            backward(f, MatRef::new(kept, 1, n, n), MatMut::new(&mut d, 1, n, n));
            for ((&x, &y), &d) in xs.iter().zip(&y).zip(&d) {
                let x = f64::from(x);
                let exact = reference(f, x);
                let slope = (reference(f, x + 1e-5) - reference(f, x - 1e-5)) / 2e-5;
                assert!((f64::from(y) - exact).abs() < 1e-6 * exact.abs().max(1.0), "{f:?}({x}) = {y}, not {exact}");
                assert!((f64::from(d) - slope).abs() < 2e-6, "{f:?}'({x}) = {d}, not {slope}");
            }
        }
    }

    #[test]
    fn only_the_named_columns_change() {
        let mut y = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0];
        forward(Activation::Relu, MatMut::new(&mut y[1..], 2, 1, 3));
        assert_eq!(y, [-1.0, 0.0, -3.0, -4.0, 0.0, -6.0]);
    }

    #[test]
    fn nan_passes_through() {
        for f in ALL {
            let mut y = [f32::NAN];
            forward(f, MatMut::new(&mut y, 1, 1, 1));
            assert!(y[0].is_nan(), "{f:?}");
        }
    }
}
