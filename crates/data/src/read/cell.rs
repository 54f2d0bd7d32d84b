//! [`Cell`]: one value of a column.

use crate::value::{Decimal, Short, Time, canonical, is_category, write_float};

/// One value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Missing,
    /// A text.
    Text(&'a str),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A float, which may be infinite.
    Float(f64),
    /// A decimal fraction.
    Decimal(Decimal),
    /// A date or a time.
    Time(Time),
    /// true or false.
    Bool(bool),
    /// A list, which is no single value.
    List,
}

impl Cell<'_> {
    /// Calls `f` with the value's canonical text, which is the same whatever the type of the file: a whole number's decimal
    /// digits, `true` or `false`, a time in ISO 8601, a text itself unless some program writes one of these so. With `None`
    /// if the value is missing, or a float that is no category.
    pub fn with_text<T>(&self, f: impl FnOnce(Option<&str>) -> T) -> T {
        let mut digits = Digits::default();
        match *self {
            Cell::Missing | Cell::List => f(None),
            Cell::Text(text) => canonical(text, |text| f(Some(text))),
            Cell::Int(value) => f(Some(digits.signed(value))),
            Cell::UInt(value) => f(Some(digits.unsigned(value))),
            Cell::Float(value) if !is_category(value) => f(None),
            Cell::Float(value) if value.fract() == 0.0 => f(Some(digits.signed(value as i64))),
            Cell::Float(value) => with_short(|short| write_float(value, short), f),
            Cell::Decimal(value) => with_short(|short| value.write(short), f),
            Cell::Time(value) => with_short(|short| value.write(short), f),
            Cell::Bool(value) => f(Some(if value { "true" } else { "false" })),
        }
    }

    /// The value as a number: true and false are 1 and 0, also where they are written out. `None` if it is none; the
    /// number may be infinite, and that of a text NaN.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match *self {
            Cell::Missing | Cell::Time(_) | Cell::List => None,
            Cell::Text(text) => text.parse().ok().or_else(|| text_truth(text).map(|truth| f64::from(u8::from(truth)))),
            Cell::Int(value) => Some(value as f64),
            Cell::UInt(value) => Some(value as f64),
            Cell::Float(value) => Some(value),
            Cell::Decimal(value) => Some(value.number()),
            Cell::Bool(value) => Some(f64::from(u8::from(value))),
        }
    }

    /// Whether it is a text that reads as NaN, which a program may write for a missing number.
    #[must_use]
    pub fn is_nan_text(&self) -> bool {
        let Cell::Text(text) = self else { return false };
        text.ends_with(['n', 'N']) && text.len() <= "-nan".len() && text.parse().is_ok_and(f64::is_nan)
    }

    /// The value as true or false, which 1 and 0 are as well.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        match *self {
            Cell::Bool(value) => Some(value),
            Cell::Text("1") => Some(true),
            Cell::Text("0") => Some(false),
            Cell::Missing | Cell::List => None,
            cell => match cell.number()? {
                0.0 => Some(false),
                1.0 => Some(true),
                _ => None,
            },
        }
    }
}

impl std::fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Missing => Ok(()),
            Cell::Text(text) => f.write_str(text),
            Cell::Int(value) => write!(f, "{value}"),
            Cell::UInt(value) => write!(f, "{value}"),
            Cell::Float(value) => write!(f, "{value}"),
            Cell::Decimal(_) | Cell::Time(_) => self.with_text(|text| f.write_str(text.unwrap_or_default())),
            Cell::Bool(value) => write!(f, "{value}"),
            Cell::List => f.write_str("[..]"),
        }
    }
}

fn with_short<T>(write: impl FnOnce(&mut Short), f: impl FnOnce(Option<&str>) -> T) -> T {
    let mut short = Short::default();
    write(&mut short);
    f(Some(short.text()))
}

fn text_truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Decimal digits of an integer, without an allocation.
#[derive(Default)]
pub(crate) struct Digits([u8; 20]);

impl Digits {
    pub(crate) fn unsigned(&mut self, value: u64) -> &str {
        let start = self.fill(value);
        self.text(start)
    }

    pub(crate) fn signed(&mut self, value: i64) -> &str {
        let mut start = self.fill(value.unsigned_abs());
        if value < 0 {
            start -= 1;
            self.0[start] = b'-';
        }
        self.text(start)
    }

    fn fill(&mut self, mut value: u64) -> usize {
        let mut start = self.0.len();
        loop {
            start -= 1;
            self.0[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return start;
            }
        }
    }

    fn text(&self, start: usize) -> &str {
        std::str::from_utf8(&self.0[start..]).unwrap_or_default()
    }
}
