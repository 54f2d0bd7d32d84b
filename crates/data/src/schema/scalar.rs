//! [`Scalar`]: a value that a configuration compares a column with (`positive`, `equals`, `in`, `from`, `to`).

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::untagged::{self, Untagged};
use crate::read::Cell;

/// A text, a whole number, a number, or true/false.
///
/// It equals a cell of a column
/// - as a number, if it is a number: the cell is one, or a text that reads as one (`1`, `1.0`), or true/false (1/0);
/// - as a text, if it is a text: the cell's text is the same, letter by letter;
/// - as true/false, if it is that: the cell is, or reads `true`/`false` in any case, or is 1/0.
///
/// A missing cell equals nothing.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum Scalar {
    /// true or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
}

impl Scalar {
    /// Whether a cell of a column has this value.
    #[must_use]
    pub fn equals(&self, cell: &Cell<'_>) -> bool {
        match (self, cell) {
            (_, Cell::Missing) => false,
            (Self::Text(text), Cell::Text(cell)) => text == cell,
            (Self::Text(text), cell) => cell.with_text(|cell| cell == Some(text.as_str())),
            (Self::Integer(a), Cell::Int(b)) => a == b,
            (Self::Integer(a), Cell::UInt(b)) => u64::try_from(*a) == Ok(*b),
            (Self::Integer(a), Cell::Text(text)) => text
                .parse::<i64>()
                .map_or_else(|_| cell.number().is_some_and(|number| number == *a as f64), |number| number == *a),
            (Self::Integer(a), cell) => cell.number().is_some_and(|number| number == *a as f64),
            (Self::Float(a), cell) => cell.number().is_some_and(|number| number == *a),
            (Self::Bool(a), cell) => cell.truth() == Some(*a),
        }
    }

    /// How a cell compares with this value: as numbers if this is one, else as texts; `None` if it cannot be compared.
    #[must_use]
    pub fn order(&self, cell: &Cell<'_>) -> Option<Ordering> {
        match (self, cell) {
            (_, Cell::Missing) => None,
            (Self::Integer(a), Cell::Int(b)) => Some(b.cmp(a)),
            (Self::Integer(a), cell) => cell.number()?.partial_cmp(&(*a as f64)),
            (Self::Float(a), cell) => cell.number()?.partial_cmp(a),
            (Self::Text(a), cell) => cell.with_text(|cell| cell.map(|cell| cell.cmp(a.as_str()))),
            (Self::Bool(a), cell) => Some(cell.truth()?.cmp(a)),
        }
    }

    /// Whether it is a number that is not finite.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Float(value) if !value.is_finite())
    }

    /// Whether cells are compared with it as numbers.
    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Float(_))
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        untagged::deserialize(deserializer)
    }
}

impl Untagged<'_> for Scalar {
    const EXPECTING: &'static str = "a text, a number, or true/false";

    fn from_bool<E: de::Error>(value: bool) -> Result<Self, E> {
        Ok(Self::Bool(value))
    }

    fn from_integer<E: de::Error>(value: i64) -> Result<Self, E> {
        Ok(Self::Integer(value))
    }

    fn from_float<E: de::Error>(value: f64) -> Result<Self, E> {
        Ok(Self::Float(value))
    }

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        Ok(Self::Text(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers_whatever_the_column_holds() {
        let one = Scalar::Integer(1);
        for cell in
            [Cell::Int(1), Cell::UInt(1), Cell::Float(1.0), Cell::Bool(true), Cell::Text("1"), Cell::Text("1.0")]
        {
            assert!(one.equals(&cell), "{cell:?}");
        }
        for cell in [Cell::Int(2), Cell::UInt(u64::MAX), Cell::Bool(false), Cell::Text("one"), Cell::Missing] {
            assert!(!one.equals(&cell), "{cell:?}");
        }
    }

    #[test]
    fn whole_numbers_beyond_a_floats_precision_stay_apart() {
        let big = Scalar::Integer((1 << 53) + 1);
        assert!(big.equals(&Cell::Text("9007199254740993")));
        assert!(!big.equals(&Cell::Text("9007199254740992")));
        assert!(!big.equals(&Cell::Int(1 << 53)));
    }

    #[test]
    fn texts_compare_letter_by_letter() {
        let text = Scalar::Text("1".into());
        assert!(text.equals(&Cell::Int(1)));
        assert!(text.equals(&Cell::Text("1")));
        assert!(!text.equals(&Cell::Text("1.0")));
    }

    #[test]
    fn ranges_order_numbers_and_texts() {
        assert_eq!(Scalar::Integer(10).order(&Cell::Text("9")), Some(Ordering::Less));
        assert_eq!(Scalar::Text("10".into()).order(&Cell::Text("9")), Some(Ordering::Greater));
        assert_eq!(Scalar::Integer(10).order(&Cell::Text("soon")), None);
        assert_eq!(Scalar::Text("2024-01-05".into()).order(&Cell::Text("2024-01-10")), Some(Ordering::Greater));
    }
}
