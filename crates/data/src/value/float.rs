//! Floats as they are written: the shortest digits that read back as the float, of whatever width it is.

use std::fmt::Write;

use arrow::datatypes::{ArrowPrimitiveType, Float16Type};

use super::short::Short;

/// Whole numbers up to here are exact in f64, each unlike its neighbours.
const EXACT_IN_F64: f64 = 9_007_199_254_740_992.0;

/// Below this a float is written with an exponent. No program writes smaller ones without.
const SMALL: f64 = 1e-9;

/// Powers of ten that are exact.
pub(super) const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Whether a float can be a category: it is finite, and not so large that whole numbers have been rounded to it.
pub(crate) fn is_category(value: f64) -> bool {
    value.abs() <= EXACT_IN_F64
}

/// The text of a float that [`is_category`]: `94`, `3.5`, `0.00001`, `1e-10`.
pub(crate) fn write(value: f64, to: &mut Short) {
    // A `Short` takes everything.
    let _ = if value == 0.0 {
        // Without the sign of a negative one.
        write!(to, "0")
    } else if value.abs() < SMALL {
        write!(to, "{value:e}")
    } else {
        write!(to, "{value}")
    };
}

/// The number that a 32-bit float is written as: 0.1 and not 0.100000001490116, so that it is what CSV holds.
#[inline]
pub(crate) fn widen(value: f32) -> f64 {
    let exact = f64::from(value);
    if exact.fract() == 0.0 && exact.abs() < 16_777_216.0 || !exact.is_finite() {
        return exact;
    }
    // Decimal places at which neighbours are just not distinct: no shorter text has more than one of them near, so
    // that the nearest is the shortest if it reads back. Else one of the next places does.
    let exponent = (value.to_bits() >> 23 & 0xFF) as i32 - 127 - 23;
    let places = (-exponent * 1233) >> 12;
    for places in places..places + 4 {
        let Some(&power) = usize::try_from(places).ok().and_then(|places| POWERS.get(places)) else {
            break;
        };
        // Both sides of the division are exact: the quotient is what the digits read as.
        let rounded = (exact * power).round_ties_even() / power;
        if rounded as f32 == value {
            return rounded;
        }
    }
    value.to_string().parse().unwrap_or(exact)
}

/// As [`widen`], of a 16-bit float.
pub(crate) fn widen_half(value: <Float16Type as ArrowPrimitiveType>::Native) -> f64 {
    let exact = value.to_f64();
    let reads_back = |digits: &f64| <Float16Type as ArrowPrimitiveType>::Native::from_f64(*digits) == value;
    let shorter = |places: usize| format!("{exact:.places$e}").parse::<f64>().ok();
    if exact.fract() == 0.0 { exact } else { (0..6).filter_map(shorter).find(reads_back).unwrap_or(exact) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        let mut short = Short::default();
        write(value, &mut short);
        short.text().to_owned()
    }

    #[test]
    fn floats_are_written_in_the_fewest_digits() {
        for (value, expected) in [
            (94.0, "94"),
            (-0.0, "0"),
            (3.5, "3.5"),
            (0.1, "0.1"),
            (-0.0001, "-0.0001"),
            (1.5e-5, "0.000015"),
            (-1.5e-10, "-1.5e-10"),
            (123_456.789, "123456.789"),
            (EXACT_IN_F64, "9007199254740992"),
        ] {
            assert_eq!(text(value), expected);
        }
        assert!(!is_category(f64::NAN) && !is_category(f64::NEG_INFINITY) && !is_category(1e16));
        assert!(is_category(-EXACT_IN_F64));
    }

    #[test]
    fn narrow_floats_are_the_numbers_that_they_are_written_as() {
        let half = <Float16Type as ArrowPrimitiveType>::Native::from_f64;
        for number in [0.1, 0.25, -3.3, 1e-3, 65504.0, 0.0, 12.34] {
            assert_eq!(widen(number as f32), number);
        }
        for number in [0.1, 0.25, -3.3, 65504.0, 0.0, 12.34] {
            assert_eq!(widen_half(half(number)), number);
        }
        assert!(widen(f32::NAN).is_nan() && widen_half(half(f64::NAN)).is_nan());
        assert_eq!(widen(f32::NEG_INFINITY), f64::NEG_INFINITY);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn widening_is_writing_and_reading(bits: u32, places in 0u32..10, number in -100_000_000i32..100_000_000) {
            for value in [f32::from_bits(bits), (f64::from(number) / 10f64.powi(places as i32)) as f32] {
                if value.is_finite() {
                    let (found, read) = (widen(value), value.to_string().parse::<f64>().unwrap());
                    // Of two shortest numbers that are equally near, programs write either.
                    let distance = |number: f64| (number - f64::from(value)).abs();
                    prop_assert!(found == read || distance(found) == distance(read), "{} {}", found, read);
                    prop_assert_eq!(found as f32, value);
                    prop_assert_eq!(found.to_string().len(), read.to_string().len());
                }
            }
        }
    }
}
