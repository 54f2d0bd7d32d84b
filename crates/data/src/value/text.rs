//! The canonical text of a value, for texts as programs write typed values.

use super::decimal::Decimal;
use super::float;
use super::short::Short;
use super::time::{Time, TimeKind};

/// Most digits of a 64-bit float that is written in as few as it takes.
const FLOAT_DIGITS: usize = 17;

/// Calls `f` with the canonical text of a text. Almost every text is canonical already, which its first and last bytes
/// show.
#[inline]
pub(crate) fn canonical<T>(text: &str, f: impl FnOnce(&str) -> T) -> T {
    if may_differ(text.as_bytes()) {
        let mut short = Short::default();
        f(other(text, &mut short).unwrap_or(text))
    } else {
        f(text)
    }
}

/// As [`canonical`], of a text that may be missing.
#[inline]
pub(crate) fn canonical_or_none<T>(text: Option<&str>, f: impl FnOnce(Option<&str>) -> T) -> T {
    match text {
        Some(text) => canonical(text, |text| f(Some(text))),
        None => f(None),
    }
}

/// Whether a text may have another canonical text than itself. Of numbers and identifiers most have not.
#[inline]
fn may_differ(text: &[u8]) -> bool {
    let [first, second, middle @ .., last] = text else { return text == b"-0" };
    match first {
        b'T' | b'F' => matches!(middle.len(), 1 | 2),
        b'0'..=b'9' | b'-' => {
            let third = middle.first().unwrap_or(last);
            let is_fraction = *last == b'0' && (middle.ends_with(b".") || middle.ends_with(b"0"));
            let has_exponent = |byte: &u8| matches!(byte, b'.' | b'e' | b'E');
            let is_time = text.len() >= 16 && text[4] == b'-' && text[13] == b':';
            let is_time_of_day = *last == b'0' && text.get(8) == Some(&b'.');
            is_fraction || is_time || is_time_of_day || has_exponent(second) || *first == b'-' && has_exponent(third)
        }
        _ => false,
    }
}

/// The canonical text, where it is another.
#[cold]
fn other<'s>(text: &'s str, short: &'s mut Short) -> Option<&'s str> {
    match text {
        "True" | "TRUE" => return Some("true"),
        "False" | "FALSE" => return Some("false"),
        // pyarrow and Rust write a float so.
        "-0" => return Some("0"),
        _ => {}
    }
    if let Some(whole) = whole(text) {
        return Some(whole);
    }
    if let Some(number) = scientific(text) {
        float::write(number, short);
        return Some(short.text());
    }
    let time = Time::parse(text)?;
    if time.kind() == TimeKind::OfDay && text.len() <= "hh:mm:ss".len() {
        return None;
    }
    time.write(short);
    Some(short.text())
}

/// The digits of a whole number that is written as a float or a decimal: `94.0`, `-3.00`. A number with zeros in front is
/// none that a program writes.
fn whole(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.')?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    match is_number && is_whole && (digits == "0" || !digits.starts_with('0')) {
        true if digits == "0" => Some("0"),
        true => Some(whole),
        false => None,
    }
}

/// A float as programs write small and large ones: `1e-05`, `1.5e-7`, `1.2345678E7`. An exponent without a sign, behind a
/// number without a point, may as well belong to an identifier (`1e5`), and is none.
fn scientific(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let exponent_digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let has_point = match digits.as_bytes() {
        [b'1'..=b'9'] => false,
        [b'1'..=b'9', b'.', _, ..] => true,
        _ => return None,
    };
    let is_java = has_point && text.contains('E');
    let is_signed = exponent_digits.len() < exponent.len();
    let are_digits = (1..=3).contains(&exponent_digits.len()) && exponent_digits.bytes().all(|b| b.is_ascii_digit());
    if !(is_java || is_signed) || !are_digits || digits.len() > FLOAT_DIGITS + 1 || Decimal::parse(digits).is_none() {
        return None;
    }
    text.parse().ok().filter(|&number: &f64| number != 0.0 && float::is_category(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> String {
        canonical(text, str::to_owned)
    }

    #[test]
    fn what_programs_write_for_typed_values_has_one_text() {
        for (text, expected) in [
            ("True", "true"),
            ("TRUE", "true"),
            ("False", "false"),
            ("FALSE", "false"),
            ("94.0", "94"),
            ("94.00", "94"),
            ("-3.0", "-3"),
            ("0.0", "0"),
            ("-0.0", "0"),
            ("-0", "0"),
            ("0.00", "0"),
            ("100.0", "100"),
            ("18446744073709551615.0", "18446744073709551615"),
            ("1.2345678E7", "12345678"),
            ("1.0E7", "10000000"),
            ("1e-05", "0.00001"),
            ("1.5e-5", "0.000015"),
            ("-1.5E-5", "-0.000015"),
            ("2.5E-4", "0.00025"),
            ("1.5E-10", "1.5e-10"),
            ("2026-01-01 00:00:00", "2026-01-01"),
            ("2026-01-01T06:00:00.000", "2026-01-01T06:00:00"),
            ("2026-01-01 06:00:00+00:00", "2026-01-01T06:00:00Z"),
            ("2026-01-01 06:00:00 UTC", "2026-01-01T06:00:00Z"),
            ("12:30:00.500000", "12:30:00.5"),
            ("12:30:00.000", "12:30:00"),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_people_mean_to_be_different_stays_different() {
        for text in [
            "",
            "0",
            "7",
            "007",
            "007.0",
            "-007.0",
            "+7",
            "+7.0",
            "-00",
            "-01",
            "00.0",
            "1.10",
            "1.1",
            "1.50",
            "10",
            "100",
            "1e5",
            "1E5",
            "0e10",
            "0E-5",
            "0e12345",
            "1.e-5",
            "12e-5",
            "1e-",
            "1e-5000",
            "1e-400",
            "1.5e5",
            "1e+400",
            "1e+16",
            "1.0.0",
            "1.2.0",
            "-",
            "--1.0",
            "-.0",
            ".0",
            "0.",
            "5.",
            "true",
            "false",
            "T",
            "F",
            "tRUE",
            "Truest",
            "Fa",
            "t",
            "yes",
            "NaN",
            "nan",
            "None",
            "null",
            "inf",
            "2026-01-01",
            "2026-02-30 00:00:00",
            "2026-01-01 25:00:00",
            "2026/01/01 00:00:00",
            "12:30",
            "12:30:00",
            "24:00:00.0",
            "1,000.0",
            "94.0 ",
            "９４.0",
            "192.168.0.10",
            "10.0.0.0",
            "1.23456789012345678e-5",
            "a94.0",
            "0x1.0",
        ] {
            assert_eq!(of(text), text);
        }
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_its_own(text in "[0-9TFeE:. +-]{0,24}|-?[0-9]{1,3}\\.0{0,3}|[1-9](\\.[0-9]{1,4})?[eE][+-]?[0-9]{1,3}") {
            let once = of(&text);
            prop_assert_eq!(of(&once), once);
        }

        #[test]
        fn nothing_that_differs_is_overlooked(text in "[0-9TFalsetrue:. +-]{0,26}|-?[0-9]{1,3}\\.0{1,3}|-?[1-9](\\.[0-9]{1,4})?[eE][+-]?[0-9]{1,3}") {
            let mut short = Short::default();
            if other(&text, &mut short).is_some_and(|other| other != text) {
                prop_assert!(may_differ(text.as_bytes()), "{}", text);
            }
        }

        #[test]
        fn floats_are_alike_in_every_spelling(number in prop_oneof![
            -9e15f64..9e15, -1e3f64..1e3, -1e-3f64..1e-3, (-1_000_000i32..1_000_000).prop_map(f64::from),
        ]) {
            let mut short = Short::default();
            float::write(number, &mut short);
            let rust = of(&format!("{number:?}"));
            prop_assert_eq!(&rust, short.text());
            // As Python, and as Java write it.
            let parts = format!("{number:e}");
            let (mantissa, exponent) = parts.split_once('e').unwrap_or((&parts, "0"));
            let exponent: i32 = exponent.parse().unwrap_or_default();
            if number != 0.0 && exponent < -4 {
                prop_assert_eq!(&of(&format!("{mantissa}e-{:02}", -exponent)), short.text());
            }
            if number != 0.0 && !(-3..7).contains(&exponent) {
                let point = if mantissa.contains('.') { "" } else { ".0" };
                prop_assert_eq!(&of(&format!("{mantissa}{point}E{exponent}")), short.text());
            }
        }
    }
}
