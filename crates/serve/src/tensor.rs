//! Tensors of the Open Inference Protocol: values in JSON, or as bytes behind it.

use std::borrow::Cow;
use std::fmt;

use pleiad_rank::cells::Cell;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::refusal::{Place, Refusal};

/// What is wrong with a tensor.
pub(crate) fn bad(field: &str, message: impl Into<String>, advice: &str) -> Refusal {
    let place = Place { field: Some(field.to_owned()), ..Place::default() };
    Refusal::new(400, "bad_request", message, advice).at(place)
}

/// The values of nested lists, row by row.
pub(crate) struct Flat<'a>(pub(crate) Vec<Cell<'a>>);

/// The most lists within lists.
const DEPTH: usize = 3;

impl<'de: 'a, 'a> Deserialize<'de> for Flat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut cells = Vec::new();
        deserializer.deserialize_seq(Nested { cells: &mut cells, depth: 1 })?;
        Ok(Self(cells))
    }
}

/// Reads a list of values, or of such lists.
struct Nested<'c, 'de> {
    cells: &'c mut Vec<Cell<'de>>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Nested<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers or texts, in lists")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.cells.push(Cell::Null);
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.cells.push(Cell::Bool(value));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.cells.push(Cell::Int(value));
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.cells.push(i64::try_from(value).map_or(Cell::UInt(value), Cell::Int));
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.cells.push(Cell::Float(value));
        Ok(())
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.cells.push(Cell::Text(Cow::Borrowed(text)));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.cells.push(Cell::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.depth > DEPTH {
            return Err(A::Error::custom("too many lists within lists"));
        }
        while list.next_element_seed(Nested { cells: &mut *self.cells, depth: self.depth + 1 })?.is_some() {}
        Ok(())
    }
}

/// Rows of a tensor and, of one with lists, values of each.
pub(crate) fn shape(name: &str, shape: &[u64], is_list: bool) -> Result<(usize, Option<usize>), Refusal> {
    let sizes: Vec<usize> = shape.iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
    let fits = sizes.iter().try_fold(1usize, |values, &size| values.checked_mul(size)).is_some();
    match (sizes.as_slice(), is_list) {
        (&[rows], _) | (&[rows, 1], false) if fits => Ok((rows, None)),
        (&[rows, length], true) if fits => Ok((rows, Some(length))),
        _ => {
            let expected = if is_list { "[rows] or [rows, values]" } else { "[rows] or [rows, 1]" };
            let message = format!("input {name:?} has the shape {shape:?} where {expected} is expected");
            Err(bad(name, message, "give a value of each row"))
        }
    }
}

/// Values as the protocol has them in bytes, little-endian; texts behind their lengths of 32 bits.
pub(crate) fn binary<'b>(name: &str, datatype: &str, bytes: &'b [u8]) -> Result<Vec<Cell<'b>>, Refusal> {
    fn each<'b, const N: usize>(bytes: &'b [u8], of: impl Fn([u8; N]) -> Cell<'b>) -> Option<Vec<Cell<'b>>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        rest.is_empty().then(|| chunks.iter().map(|chunk| of(*chunk)).collect())
    }
    let unsigned = |value: u64| i64::try_from(value).map_or(Cell::UInt(value), Cell::Int);
    let cells = match datatype {
        "BOOL" => each(bytes, |[byte]: [u8; 1]| Cell::Bool(byte != 0)),
        "INT8" => each(bytes, |bytes| Cell::Int(i8::from_le_bytes(bytes).into())),
        "INT16" => each(bytes, |bytes| Cell::Int(i16::from_le_bytes(bytes).into())),
        "INT32" => each(bytes, |bytes| Cell::Int(i32::from_le_bytes(bytes).into())),
        "INT64" => each(bytes, |bytes| Cell::Int(i64::from_le_bytes(bytes))),
        "UINT8" => each(bytes, |bytes| Cell::Int(u8::from_le_bytes(bytes).into())),
        "UINT16" => each(bytes, |bytes| Cell::Int(u16::from_le_bytes(bytes).into())),
        "UINT32" => each(bytes, |bytes| Cell::Int(u32::from_le_bytes(bytes).into())),
        "UINT64" => each(bytes, |bytes| unsigned(u64::from_le_bytes(bytes))),
        "FP32" => each(bytes, |bytes| Cell::Float(written(f32::from_le_bytes(bytes)))),
        "FP64" => each(bytes, |bytes| Cell::Float(f64::from_le_bytes(bytes))),
        "BYTES" => return texts(name, bytes),
        _ => {
            let message = format!("input {name:?} is of type {datatype:?}");
            let advice = "give BOOL, INT8 to INT64, UINT8 to UINT64, FP32, FP64 or BYTES";
            return Err(bad(name, message, advice));
        }
    };
    cells.ok_or_else(|| {
        let message = format!("{} bytes of input {name:?} are no whole number of {datatype} values", bytes.len());
        bad(name, message, "give whole values, little-endian")
    })
}

fn texts<'b>(name: &str, mut bytes: &'b [u8]) -> Result<Vec<Cell<'b>>, Refusal> {
    let mut cells = Vec::new();
    while !bytes.is_empty() {
        let text = bytes
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
        let Some((text, rest)) = text else {
            return Err(bad(
                name,
                format!("input {name:?}: text {} is cut off", cells.len()),
                "give each text its length in 4 bytes",
            ));
        };
        let text = std::str::from_utf8(text).map_err(|_| {
            bad(name, format!("input {name:?}: text {} is not UTF-8", cells.len()), "send texts in UTF-8")
        })?;
        cells.push(Cell::Text(Cow::Borrowed(text)));
        bytes = rest;
    }
    Ok(cells)
}

/// The number that a narrow float is written as, as in training: 0.1, not 0.10000000149.
pub(crate) fn written(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_values_of_their_type() {
        let of = |datatype: &str, bytes: &[u8]| {
            binary("x", datatype, bytes).map(|cells| format!("{cells:?}")).map_err(|e| e.message.clone())
        };
        assert_eq!(of("INT16", &[255, 255, 2, 0]).unwrap(), "[Int(-1), Int(2)]");
        assert_eq!(of("UINT64", &[255; 8]).unwrap(), format!("[UInt({})]", u64::MAX));
        assert_eq!(of("FP32", &0.1f32.to_le_bytes()).unwrap(), "[Float(0.1)]");
        assert_eq!(of("BYTES", &[1, 0, 0, 0, b'a', 0, 0, 0, 0]).unwrap(), "[Text(\"a\"), Text(\"\")]");
        for (datatype, bytes) in [
            ("INT16", &[1u8][..]),
            ("BYTES", &[9, 0, 0, 0, 1]),
            ("BYTES", &[1, 0]),
            ("FP16", &[0, 0]),
            ("BYTES", &[1, 0, 0, 0, 255]),
        ] {
            assert!(of(datatype, bytes).is_err(), "{datatype}");
        }
    }

    #[test]
    fn shapes_give_rows() {
        assert_eq!(shape("x", &[3], false).ok(), Some((3, None)));
        assert_eq!(shape("x", &[3, 1], false).ok(), Some((3, None)));
        assert_eq!(shape("x", &[3, 2], true).ok(), Some((3, Some(2))));
        for wrong in [&[][..], &[3, 2], &[u64::MAX, 1], &[1, 1, 1]] {
            assert!(shape("x", wrong, false).is_err() || wrong == [u64::MAX, 1], "{wrong:?}");
        }
        assert!(shape("x", &[u64::MAX, 3], true).is_err());
    }
}
