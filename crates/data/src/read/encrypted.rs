//! Checks whether columns of a Parquet file are encrypted although its footer is not: the file then has the usual
//! magic, and the pages of these columns look damaged.

/// Number of the field `encryption_algorithm` in the footer's outermost structure, `FileMetaData`.
const ENCRYPTION: i64 = 8;

/// Structures within structures that are followed; the format has fewer.
const DEEPEST: usize = 32;

/// Whether a footer says so. What it says stands in Thrift's compact protocol, of which this knows as much as it takes to pass
/// over all other fields.
pub(super) fn says(footer: &[u8]) -> bool {
    let mut thrift = Thrift { rest: footer };
    let mut field = 0;
    while let Some(Some(kind)) = thrift.field(&mut field) {
        if field == ENCRYPTION {
            return true;
        }
        if thrift.skip(kind, 0).is_none() {
            return false;
        }
    }
    false
}

struct Thrift<'a> {
    rest: &'a [u8],
}

impl Thrift<'_> {
    /// The type of the next field, whose number takes the place of the last one's; `Some(None)` at a structure's end.
    fn field(&mut self, number: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *number = match byte >> 4 {
            0 => {
                let zigzag = self.varint()?;
                (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
            }
            more => number.checked_add(more.into())?,
        };
        Some(Some(byte & 15))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            // The type says whether it is true.
            1 | 2 => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.bytes(8),
            8 => {
                let length = self.varint()?;
                self.bytes(length)
            }
            9 | 10 => {
                let header = self.byte()?;
                let count = if header >> 4 == 15 { self.varint()? } else { (header >> 4).into() };
                (0..count).try_for_each(|_| self.element(header & 15, depth))
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.element(kinds >> 4, depth)?;
                    self.element(kinds & 15, depth)
                })
            }
            12 if depth < DEEPEST => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Passes over an element of a list, in which true and false are a byte.
    fn element(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1 | 2 => self.byte().map(drop),
            9..=12 if depth >= DEEPEST => None,
            kind => self.skip(kind, depth + 1),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn bytes(&mut self, count: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Version 2, a list of two structures with a text each, 3 rows, a list of 16 numbers, a map of a truth by a number.
    const FIELDS: &[u8] = b"\x15\x04\x19\x2c\x18\x01a\x00\x18\x02bc\x00\x16\x06\x19\xf5\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1b\x01\x51\x02\x01";

    #[test]
    fn the_field_is_found_behind_all_others() {
        let footer = |end: &[u8]| [FIELDS, end].concat();
        assert!(!says(&footer(b"\x00\x1c\x1c\x00\x00\x00")), "behind the end");
        assert!(says(&footer(b"\x3c\x1c\x00\x00\x00")));
        assert!(says(&footer(b"\x0c\x10\x1c\x00\x00\x00")), "its number written out");
        assert!(!says(&footer(b"\x2c\x1c\x00\x00\x00")), "another field");
        assert!(!says(b"") && !says(&[0x1c; 1000]) && !says(&[0x19; 1000]));
    }

    proptest! {
        #[test]
        fn no_footer_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            says(&bytes);
        }
    }
}
