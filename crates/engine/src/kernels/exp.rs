//! `exp` as a polynomial that vectorises; the standard library's is a call per element.

use std::f32::consts::LOG2_E;

/// `exp(x)` within 2 units in the last place where the result is a normal number; 0 below it, infinity above, NaN for
/// NaN.
///
/// `x = k ln 2 + r` with |r| <= ln 2 / 2, ln 2 split in two so that r is exact enough; `exp(r)` by its Taylor
/// polynomial of degree 7, whose remainder is below 2^-27; times 2^k through the exponent bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding and subtracting it rounds to the nearest integer
    let bounded = x.clamp(-104.0, 89.0);
    let k = (bounded * LOG2_E + ROUND) - ROUND;
    let r = (bounded - k * LN2_HIGH) - k * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    // Two factors: 2^128 and 2^-150 have no exponent of their own.
    let k = k as i32;
    let half = k >> 1;
    p * power_of_two(half) * power_of_two(k - half)
}

#[inline(always)]
fn power_of_two(k: i32) -> f32 {
    f32::from_bits(((k + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn is_within_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for i in -87_000..88_700 {
            let x = i as f32 * 1e-3 + 1.7e-4;
            let exact = f64::from(x).exp();
            if exact < f64::from(f32::MIN_POSITIVE) {
                continue;
            }
            let unit = f64::from(f32::EPSILON) * exact;
            worst = worst.max((f64::from(exp(x)) - exact).abs() / unit);
        }
        assert!(worst <= 2.0, "{worst} units");
    }

    #[test]
    fn keeps_the_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(200.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }
}
