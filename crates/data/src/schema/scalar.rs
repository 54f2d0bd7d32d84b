//! [`Scalar`]: a value that a configuration compares a column with (`positive`, `equals`, `in`, `from`, `to`).

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess};
use serde::{Serialize, Serializer};
use toml::value::Datetime;

use super::untagged::{self, Untagged};

/// A text, a whole number, a number, or true/false. A date or a time of TOML is the text that it is written as.
///
/// It is compared with a column's cells in the type of the column, where that has one:
/// - with numbers as a number, exactly: whole numbers over 64 bits, decimals over 38 digits;
/// - with times as a time (`2026-01-06`, `2026-01-06 12:30:00`, `2026-01-06T12:30:00Z`);
/// - with true/false as that, which 1 and 0 are as well.
///
/// Columns of texts, as all of CSV are, have no type. With their cells it is compared
/// - as a number, if it is a number: the cell reads as one (`1`, `1.0`), or as true/false (1/0);
/// - as a time, if it reads as one: the cell does, too;
/// - as a text, if it is any other text: the cell has the same canonical text;
/// - as true/false, if it is that: the cell reads `true`/`false` in any case, or is 1/0.
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
    /// Whether it is a number that is not finite.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Float(value) if !value.is_finite())
    }

    /// Whether it is a number.
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

impl<'de> Untagged<'de> for Scalar {
    const EXPECTING: &'static str = "a text, a number, true/false, or a date";

    fn from_bool<E: de::Error>(value: bool) -> Result<Self, E> {
        Ok(Self::Bool(value))
    }

    fn from_integer<E: de::Error>(value: i64) -> Result<Self, E> {
        Ok(Self::Integer(value))
    }

    fn from_large_integer<E: de::Error>(value: u64) -> Result<Self, E> {
        // Compared as a number all the same, as it is one that fits in no integer.
        Ok(Self::Text(value.to_string()))
    }

    fn from_float<E: de::Error>(value: f64) -> Result<Self, E> {
        Ok(Self::Float(value))
    }

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        Ok(Self::Text(value.to_owned()))
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        // A date of TOML comes as a map of its own.
        match Datetime::deserialize(MapAccessDeserializer::new(map)) {
            Ok(date) => Ok(Self::Text(date.to_string())),
            Err(_) => Err(de::Error::invalid_type(de::Unexpected::Map, &Self::EXPECTING)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Keys {
        key: Scalar,
    }

    fn parse(value: &str) -> Result<Scalar, String> {
        toml::from_str::<Keys>(&format!("key = {value}")).map(|keys| keys.key).map_err(|error| error.to_string())
    }

    #[test]
    fn dates_of_toml_are_texts() {
        for (value, expected) in [
            ("2026-01-06", "2026-01-06"),
            ("2026-01-06 12:30:00", "2026-01-06T12:30:00"),
            ("2026-01-06T12:30:00.5+02:00", "2026-01-06T12:30:00.5+02:00"),
            ("12:30:00", "12:30:00"),
            ("'2026-01-06'", "2026-01-06"),
        ] {
            assert_eq!(parse(value), Ok(Scalar::Text(expected.to_owned())), "{value}");
            assert!(crate::value::Time::parse(expected).is_some());
        }
        assert_eq!(parse("2026"), Ok(Scalar::Integer(2026)));
        assert_eq!(parse("18446744073709551615"), Ok(Scalar::Text("18446744073709551615".into())));
        // As `--set` reads it.
        let value: toml::Value = toml::from_str::<toml::Table>("key = 2026-01-06").unwrap()["key"].clone();
        assert_eq!(Scalar::deserialize(value).unwrap(), Scalar::Text("2026-01-06".into()));
    }

    #[test]
    fn other_shapes_are_refused() {
        for value in ["{ day = 1 }", "[1]", "{}"] {
            let error = parse(value).unwrap_err();
            assert!(error.contains("expected a text, a number, true/false, or a date"), "{value}: {error}");
        }
    }
}
