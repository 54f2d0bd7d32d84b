//! The value that decides the arm, read from a body before the body is read for a model: it ends where the value is found.

use std::fmt;

use pleiad_data::read;
use pleiad_rank::cells::Cell;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};

use super::buckets::bucket;
use crate::arrow_body;
use crate::served::BodyForm;
use crate::value::{CELL, Text};

/// The bucket of the field `by` of a body's `request`. `None` where it is not there, or its value is `null`, a list or no text or
/// number; what is wrong with the body itself is said by whoever reads it for a model.
pub(super) fn bucket_of(body: &[u8], form: BodyForm, by: &str, salt: &str) -> Option<usize> {
    match form {
        BodyForm::Json => in_json(body, by, salt),
        BodyForm::Arrow => in_json(arrow_body::told_of(body)?.as_bytes(), by, salt),
    }
}

fn in_json(body: &[u8], by: &str, salt: &str) -> Option<usize> {
    let mut look = Look { by, salt, found: None };
    // An error may be the one with which it ends.
    let mut json = serde_json::Deserializer::from_slice(body);
    let _ = (&mut json).deserialize_map(Body(&mut look));
    look.found
}

struct Look<'l> {
    by: &'l str,
    salt: &'l str,
    found: Option<usize>,
}

impl Look<'_> {
    fn take(&mut self, cell: &Cell<'_>) {
        let cell = match cell {
            Cell::Text(text) => read::Cell::Text(text),
            Cell::Int(value) => read::Cell::Int(*value),
            Cell::UInt(value) => read::Cell::UInt(*value),
            Cell::Float(value) => read::Cell::Float(*value),
            Cell::Bool(value) => read::Cell::Bool(*value),
            Cell::Null | Cell::List(_) => read::Cell::Missing,
        };
        self.found = cell.with_text(|text| text.map(|text| bucket(self.salt, text)));
    }
}

/// The whole body.
struct Body<'l, 's>(&'l mut Look<'s>);

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "request" => return map.next_value_seed(Request(self.0)).and(Err(A::Error::custom("found"))),
                _ => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// Its key `request`.
struct Request<'l, 's>(&'l mut Look<'s>);

impl<'de> DeserializeSeed<'de> for Request<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            if key == self.0.by {
                let cell = map.next_value_seed(CELL)?;
                self.0.take(&cell);
                return Err(A::Error::custom("found"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(body: &str) -> Option<usize> {
        bucket_of(body.as_bytes(), BodyForm::Json, "user", "s")
    }

    #[test]
    fn the_value_is_found_wherever_it_stands() {
        let u7 = Some(bucket("s", "u7"));
        for body in [
            r#"{"request": {"user": "u7"}, "rows": []}"#,
            r#"{"rows": [{"user": "u8", "request": {"user": "u9"}}], "request": {"x": {"user": 1}, "user": "u7"}}"#,
            r#"{"\u0072equest": {"us\u0065r": "\u00757"}}"#,
            // Nothing behind it is looked at.
            r#"{"request": {"user": "u7", nonsense"#,
        ] {
            assert_eq!(of(body), u7, "{body}");
        }
        let seven = Some(bucket("s", "7"));
        for value in ["7", "7.0", "\"7\"", "\"7.0\""] {
            assert_eq!(of(&format!(r#"{{"request": {{"user": {value}}}}}"#)), seven, "{value}");
        }
        for body in [
            "",
            "{}",
            "[]",
            r#"{"rows": [{"user": "u7"}]}"#,
            r#"{"request": {"user": null}}"#,
            r#"{"request": {"user": ["u7"]}}"#,
            r#"{"request": {"user": {"a": 1}}}"#,
            r#"{"request": 3, "user": "u7"}"#,
            r#"{"request": {"other": 1}}"#,
        ] {
            assert_eq!(of(body), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = bucket_of(&body, BodyForm::Json, "user", "s");
            let _ = bucket_of(&body, BodyForm::Arrow, "user", "s");
        }
    }
}
