//! The logit of the event that two events both happen:
//! `z = logit(sigmoid(a) sigmoid(b)) = -log(exp(-a) + exp(-b) + exp(-a - b))`.
//!
//! There is one number per row, so vectorising would not help.

use super::Columns;
use super::exp::exp;

/// `z[i]` from a[i] and b[i]; all have one column.
pub(crate) fn forward(z: &mut [f32], z_at: Columns, a: (&[f32], Columns), b: (&[f32], Columns), rows: usize) {
    let pairs = a.1.rows(a.0, rows).zip(b.1.rows(b.0, rows));
    z_at.rows_mut(z, rows).zip(pairs).for_each(|(z, (a, b))| z[0] = logit_of_both(a[0], b[0]));
}

/// The gradient of a from d, that of z: `d_a[i] = d[i] dz/da`, overwritten or added. That of b is the same with a and b
/// exchanged.
pub(crate) fn gradient(
    d_a: &mut [f32],
    d_a_at: Columns,
    d: (&[f32], Columns),
    a: (&[f32], Columns),
    b: (&[f32], Columns),
    rows: usize,
    accumulate: bool,
) {
    let pairs = a.1.rows(a.0, rows).zip(b.1.rows(b.0, rows));
    for ((d_a, d), (a, b)) in d_a_at.rows_mut(d_a, rows).zip(d.1.rows(d.0, rows)).zip(pairs) {
        let value = d[0] * slope(a[0], b[0]);
        d_a[0] = if accumulate { d_a[0] + value } else { value };
    }
}

/// The largest of the three exponents `-a`, `-b` and `-a - b`, and the exponentials of all three relative to it, so
/// that one is 1 and none overflows. The sum of two finite logits may; it is kept finite, else it would cancel to NaN.
fn terms(a: f32, b: f32) -> (f32, [f32; 3]) {
    let exponents = [-a, -b, -(a + b).clamp(f32::MIN, f32::MAX)];
    let largest = exponents.into_iter().fold(f32::MIN, f32::max);
    (largest, exponents.map(|exponent| exp(exponent - largest)))
}

fn logit_of_both(a: f32, b: f32) -> f32 {
    let (largest, terms) = terms(a, b);
    -largest - terms.iter().sum::<f32>().ln()
}

/// `dz/da = (exp(-a) + exp(-a - b)) / (exp(-a) + exp(-b) + exp(-a - b))`, in [0, 1].
fn slope(a: f32, b: f32) -> f32 {
    let (_, [of_a, of_b, of_both]) = terms(a, b);
    (of_a + of_both) / (of_a + of_b + of_both)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By probabilities, in f64 and from the smaller side: exact where they are not all but 0 or 1.
    fn exact(a: f32, b: f32) -> f64 {
        let sigmoid = |x: f32| 1.0 / (1.0 + (-f64::from(x)).exp());
        let p = sigmoid(a) * sigmoid(b);
        let not = sigmoid(-a) + sigmoid(a) * sigmoid(-b);
        (p / not).ln()
    }

    #[test]
    fn values_and_slopes_equal_those_of_the_probabilities() {
        let logits: Vec<f32> = (-30..=30).map(|i| i as f32 * 0.7 + 0.01).collect();
        for &a in &logits {
            for &b in &logits {
                let (found, exact_z) = (logit_of_both(a, b), exact(a, b));
                assert!(
                    (f64::from(found) - exact_z).abs() < 3e-7 * exact_z.abs().max(1.0),
                    "{a} and {b}: {found}, not {exact_z}"
                );
                let not = |x: f32| 1.0 / (1.0 + f64::from(x).exp());
                let exact_slope = not(a) / (not(a) + (1.0 - not(a)) * not(b));
                let found = slope(a, b);
                // An exponent is rounded as a sum of that size is, and so relatively is its exponential.
                let rounding = 2e-7 * f64::from(1.0 + a.abs() + b.abs());
                assert!((f64::from(found) - exact_slope).abs() < rounding * exact_slope, "{a} and {b}: {found}");
            }
        }
    }

    #[test]
    fn it_is_symmetric_and_below_both() {
        for (a, b) in [(0.0, 0.0), (3.0, -2.0), (50.0, 1.0), (-80.0, -80.0)] {
            assert_eq!(logit_of_both(a, b), logit_of_both(b, a));
            assert!(logit_of_both(a, b) <= a.min(b));
        }
        assert!((logit_of_both(0.0, 0.0) - (1.0f32 / 3.0).ln()).abs() < 1e-6);
    }

    #[test]
    fn no_finite_logits_overflow() {
        let ends = [f32::MIN, -3e38, -1e4, -90.0, 0.0, 90.0, 1e4, 3e38, f32::MAX];
        for a in ends {
            for b in ends {
                let (z, d) = (logit_of_both(a, b), slope(a, b));
                assert!(z.is_finite(), "{a} and {b}: {z}");
                assert!((0.0..=1.0).contains(&d), "{a} and {b}: {d}");
            }
        }
        // A first event that is certain leaves the second alone.
        assert_eq!((logit_of_both(1e4, 0.5), slope(1e4, 0.5)), (0.5, 0.0));
        assert_eq!(slope(0.5, 1e4), 1.0);
    }

    #[test]
    fn a_logit_that_is_no_number_gives_none() {
        for (a, b) in [(f32::NAN, 0.0), (0.0, f32::NAN), (f32::NAN, f32::NAN)] {
            assert!(logit_of_both(a, b).is_nan(), "{a} and {b}");
            assert!(slope(a, b).is_nan(), "{a} and {b}");
        }
    }

    #[test]
    fn gradients_are_overwritten_or_added() {
        let one = |ld, col| Columns { ld, col, width: 1 };
        let (a, b, d) = ([0.0, 1.0], [9.0, 0.0, 9.0, -1.0], [2.0, 3.0]);
        let mut z = [0.0; 2];
        forward(&mut z, one(1, 0), (&a, one(1, 0)), (&b, one(2, 1)), 2);
        assert_eq!(z, [logit_of_both(0.0, 0.0), logit_of_both(1.0, -1.0)]);
        let mut d_a = [7.0; 4];
        gradient(&mut d_a, one(2, 0), (&d, one(1, 0)), (&a, one(1, 0)), (&b, one(2, 1)), 2, false);
        assert_eq!(d_a, [2.0 * slope(0.0, 0.0), 7.0, 3.0 * slope(1.0, -1.0), 7.0]);
        gradient(&mut d_a, one(2, 1), (&d, one(1, 0)), (&b, one(2, 1)), (&a, one(1, 0)), 2, true);
        assert_eq!(d_a[1], 7.0 + 2.0 * slope(0.0, 0.0));
        assert_eq!(d_a[3], 7.0 + 3.0 * slope(-1.0, 1.0));
    }
}
