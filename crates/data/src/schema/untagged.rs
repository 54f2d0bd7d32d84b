//! Keys that take a scalar or a table: one visitor for all of them.
//!
//! Serde's own untagged enums try every variant and then say only that none matched. Here the shape of the value
//! picks the variant first, so that an error inside of it is reported exactly, with its place in the file.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

/// A type that a configuration writes in more than one shape. The shapes that it does not override are refused with
/// [`Untagged::EXPECTING`].
pub(crate) trait Untagged<'de>: Sized {
    /// What the key takes, as it reads after "expected".
    const EXPECTING: &'static str;

    fn from_bool<E: de::Error>(value: bool) -> Result<Self, E> {
        Err(refuse::<Self, E>(de::Unexpected::Bool(value)))
    }

    fn from_integer<E: de::Error>(value: i64) -> Result<Self, E> {
        Err(refuse::<Self, E>(de::Unexpected::Signed(value)))
    }

    /// A whole number above those of [`Untagged::from_integer`].
    fn from_large_integer<E: de::Error>(value: u64) -> Result<Self, E> {
        Err(refuse::<Self, E>(de::Unexpected::Unsigned(value)))
    }

    fn from_float<E: de::Error>(value: f64) -> Result<Self, E> {
        Err(refuse::<Self, E>(de::Unexpected::Float(value)))
    }

    fn from_text<E: de::Error>(value: &str) -> Result<Self, E> {
        Err(refuse::<Self, E>(de::Unexpected::Str(value)))
    }

    fn from_seq<A: SeqAccess<'de>>(_seq: A) -> Result<Self, A::Error> {
        Err(refuse::<Self, A::Error>(de::Unexpected::Seq))
    }

    fn from_map<A: MapAccess<'de>>(_map: A) -> Result<Self, A::Error> {
        Err(refuse::<Self, A::Error>(de::Unexpected::Map))
    }
}

fn refuse<'de, T: Untagged<'de>, E: de::Error>(found: de::Unexpected<'_>) -> E {
    E::invalid_type(found, &T::EXPECTING)
}

/// Deserializes a `T` by the shape of what is there.
pub(crate) fn deserialize<'de, T: Untagged<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ByShape(PhantomData))
}

struct ByShape<T>(PhantomData<T>);

impl<'de, T: Untagged<'de>> Visitor<'de> for ByShape<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTING)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        T::from_bool(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        T::from_integer(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        match i64::try_from(value) {
            Ok(value) => T::from_integer(value),
            Err(_) => T::from_large_integer(value),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        T::from_float(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        T::from_text(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::from_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }
}
