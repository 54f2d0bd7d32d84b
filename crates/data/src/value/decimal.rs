//! [`Decimal`]: whole numbers and decimal fractions, exactly.

use std::cmp::Ordering;

use super::float::POWERS;
use super::short::Short;

/// Whole numbers up to here are exact in f64.
const EXACT: u128 = 1 << 53;

/// `digits / 10^scale`.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    digits: i128,
    scale: u8,
}

impl From<i128> for Decimal {
    fn from(digits: i128) -> Self {
        Self { digits, scale: 0 }
    }
}

impl Decimal {
    /// A decimal with a scale that may be negative; `None` if it is then out of range.
    pub(crate) fn new(digits: i128, scale: i8) -> Option<Self> {
        match u8::try_from(scale) {
            Ok(scale) => Some(Self { digits, scale }),
            Err(_) => {
                Some(Self { digits: digits.checked_mul(10_i128.checked_pow(scale.unsigned_abs().into())?)?, scale: 0 })
            }
        }
    }

    /// Reads digits with a point among them or none; `None` for every other text, and where there are too many digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if whole.is_empty() || whole.len() == unsigned.len() - 1 {
            return None;
        }
        let mut digits = 0_i128;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return None;
            }
            digits = digits.checked_mul(10)?.checked_add((byte - b'0').into())?;
        }
        let scale = u8::try_from(i8::try_from(fraction.len()).ok()?).ok()?;
        Some(Self { digits: if unsigned.len() < text.len() { -digits } else { digits }, scale })
    }

    /// The number that a float is read and written as: 0.1 is a tenth.
    pub(crate) fn of_float(value: f64) -> Option<Self> {
        if value.fract() == 0.0 && value.abs() < i64::MAX as f64 {
            return Some(i128::from(value as i64).into());
        }
        Self::parse(&value.to_string())
    }

    /// The whole number that it is, if it is one.
    pub(crate) fn whole(&self) -> Option<i128> {
        let Some(power) = power(self.scale) else {
            return (self.digits == 0).then_some(0);
        };
        (self.digits % power == 0).then(|| self.digits / power)
    }

    /// The nearest float.
    #[must_use]
    pub fn number(&self) -> f64 {
        match POWERS.get(usize::from(self.scale)) {
            // Both are exact, so that the quotient is the nearest float.
            Some(power) if self.digits.unsigned_abs() <= EXACT => self.digits as f64 / power,
            _ => {
                let mut text = Short::default();
                self.write(&mut text);
                // Digits with a point among them are a float.
                text.text().parse().unwrap_or(f64::NAN)
            }
        }
    }

    /// Which is less.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        if self.scale > other.scale {
            return other.order(self).reverse();
        }
        let power = power(other.scale - self.scale);
        match power.and_then(|power| self.digits.checked_mul(power)) {
            Some(digits) => digits.cmp(&other.digits),
            // Zero is zero at every scale; all else is farther from it than `other` can be.
            None if self.digits == 0 => 0.cmp(&other.digits),
            None => self.digits.cmp(&0),
        }
    }

    /// A whole number's digits alone; else all digits that the scale asks for, as every program writes them.
    pub(crate) fn write(&self, to: &mut Short) {
        if self.digits < 0 {
            to.push(b'-');
        }
        let digits = self.digits.unsigned_abs();
        if let Some(whole) = self.whole() {
            return to.push_number(whole.unsigned_abs(), 1);
        }
        match power(self.scale) {
            Some(power) => {
                let power = power.unsigned_abs();
                to.push_number(digits / power, 1);
                to.push(b'.');
                to.push_number(digits % power, self.scale.into());
            }
            None => {
                to.push_all(b"0.");
                to.push_number(digits, self.scale.into());
            }
        }
    }
}

/// `10^scale`, where there is room for it.
fn power(scale: u8) -> Option<i128> {
    10_i128.checked_pow(scale.into())
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.order(other).is_eq()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(decimal: Decimal) -> String {
        let mut short = Short::default();
        decimal.write(&mut short);
        short.text().to_owned()
    }

    #[test]
    fn whole_numbers_have_no_point_and_fractions_keep_their_digits() {
        for (digits, scale, expected) in [
            (9400, 2, "94"),
            (150, 2, "1.50"),
            (-5, 3, "-0.005"),
            (0, 18, "0"),
            (7, -2, "700"),
            (1, 60, "0.000000000000000000000000000000000000000000000000000000000001"),
            (i128::MAX, 0, "170141183460469231731687303715884105727"),
            (i128::MIN, 1, "-17014118346046923173168730371588410572.8"),
        ] {
            assert_eq!(text(Decimal::new(digits, scale).unwrap()), expected);
        }
        assert!(Decimal::new(i128::MAX, -1).is_none() && Decimal::new(1, -128).is_none());
        assert_eq!(text(Decimal::new(1, 127).unwrap()).len(), 129);
    }

    #[test]
    fn texts_that_are_no_plain_numbers_are_none() {
        for text in ["", "-", ".", "-.5", "5.", ".5", "+7", "1e5", "1,5", " 1", "--1", "1.2.3", "٣"] {
            assert!(Decimal::parse(text).is_none(), "{text:?}");
        }
        assert!(Decimal::parse(&"9".repeat(40)).is_none());
    }

    #[test]
    fn order_is_exact_at_every_scale() {
        let order = |a: &str, b: &str| Decimal::parse(a).unwrap().order(&Decimal::parse(b).unwrap());
        assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(order("18446744073709551615", "18446744073709551615.0"), Ordering::Equal);
        assert_eq!(order("1.50", "1.5"), Ordering::Equal);
        assert_eq!(
            order("-99999999999999999999999999999999999999", "-0.00000000000000000000000000000000000001"),
            Ordering::Less
        );
        assert_eq!(order("0", "-0.00000000000000000000000000000000000001"), Ordering::Greater);
        assert_eq!(Decimal::of_float(0.1), Decimal::parse("0.1"));
        assert_eq!(Decimal::of_float(f64::INFINITY), None);
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_parts(a in -2000i128..2000, b in -2000i128..2000, s in 0i8..4, t in 0i8..4) {
            let common = |digits: i128, scale: i8| digits * 10_i128.pow(u32::from(4 - scale.unsigned_abs()));
            let found = Decimal::new(a, s).unwrap().order(&Decimal::new(b, t).unwrap());
            prop_assert_eq!(found, common(a, s).cmp(&common(b, t)));
        }

        #[test]
        fn a_text_reads_back_as_its_number(digits: i128, scale in 0i8..60) {
            let decimal = Decimal::new(digits, scale).unwrap();
            let text = text(decimal);
            prop_assert_eq!(decimal.number().to_bits(), text.parse::<f64>().unwrap().to_bits());
            if let Some(read) = Decimal::parse(&text) {
                prop_assert_eq!(read, decimal);
            }
        }
    }
}
