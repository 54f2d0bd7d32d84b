//! JSON documents that carry a hash of themselves.
//!
//! ```text
//! {
//!   "xxh64": "5a0c6f7b3d1e2f48",
//!   ...
//! }
//! ```
//!
//! The hash is XXH64 (seed 0) of the whole file with sixteen zeros in its place. It is always the first member and always
//! stands at the same bytes, so that it can be checked before anything is parsed, and by other programs, too.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use xxhash_rust::xxh64::Xxh64;

/// What stands before the digits.
const BEFORE: &[u8] = b"{\n  \"xxh64\": \"";

/// What stands after them.
const AFTER: &[u8] = b"\",\n";

/// Where the digits are.
const ZEROS: &[u8; 16] = b"0000000000000000";

/// Why a document is not taken for what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// It does not begin with a hash.
    #[error(
        "it has no hash of itself (xxh64): an earlier version of Pleiad wrote it, or another program has changed it"
    )]
    NoHash,
    /// It has another hash than it says.
    #[error("it has changed since it was written: it says that its hash is {stated}, and it is {found}")]
    Changed {
        /// The hash that it says.
        stated: String,
        /// The hash that it has.
        found: String,
    },
}

#[derive(Serialize)]
struct Sealed<'a, T> {
    xxh64: &'a str,
    #[serde(flatten)]
    document: &'a T,
}

/// Writes `document`, which is an object, as JSON with its hash, and gives back the file that it was written to.
///
/// # Errors
/// What the file says, or why it cannot be JSON.
pub fn write_sealed<W: Write + Seek>(document: &impl Serialize, file: W) -> io::Result<W> {
    let mut hashing = Hashing { inner: file, hash: Xxh64::new(0) };
    serde_json::to_writer_pretty(&mut hashing, &Sealed { xxh64: &String::from_utf8_lossy(ZEROS), document })?;
    hashing.write_all(b"\n")?;
    let Hashing { mut inner, hash } = hashing;
    inner.seek(SeekFrom::Start(BEFORE.len() as u64))?;
    inner.write_all(hex(hash.digest()).as_bytes())?;
    inner.seek(SeekFrom::End(0))?;
    Ok(inner)
}

/// [`write_sealed`] into memory.
///
/// # Errors
/// Why it cannot be JSON.
pub fn seal(document: &impl Serialize) -> io::Result<Vec<u8>> {
    write_sealed(document, Cursor::new(Vec::new())).map(Cursor::into_inner)
}

/// Checks the hash of a document and blanks it out: what is left is the JSON of what was sealed.
///
/// # Errors
/// [`Unsealed`]; the document is then as it was.
pub fn unseal(document: &mut [u8]) -> Result<(), Unsealed> {
    let digits = BEFORE.len()..BEFORE.len() + ZEROS.len();
    let begins = document.starts_with(BEFORE)
        && document.get(digits.end..).is_some_and(|rest| rest.starts_with(AFTER))
        && document.get(digits.clone()).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !begins {
        return Err(Unsealed::NoHash);
    }
    let mut hash = Xxh64::new(0);
    hash.update(&document[..digits.start]);
    hash.update(ZEROS);
    hash.update(&document[digits.end..]);
    let (stated, found) = (String::from_utf8_lossy(&document[digits.clone()]).into_owned(), hex(hash.digest()));
    if stated != found {
        return Err(Unsealed::Changed { stated, found });
    }
    // Lines keep their numbers, for messages.
    document[1..digits.end + AFTER.len()].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    Ok(())
}

/// The hash that a sealed file says it has; `None` where it does not begin with one. Whether it is right is
/// [`unseal`]'s to find out.
///
/// # Errors
/// If the file cannot be read.
pub fn stated(path: &Path) -> io::Result<Option<String>> {
    let mut begins = Vec::new();
    File::open(path)?.take((BEFORE.len() + ZEROS.len()) as u64).read_to_end(&mut begins)?;
    let digits = begins.strip_prefix(BEFORE).filter(|digits| digits.len() == ZEROS.len());
    Ok(digits.map(|digits| String::from_utf8_lossy(digits).into_owned()))
}

/// How hashes are written.
#[must_use]
pub fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Hashes what goes through it.
struct Hashing<W> {
    inner: W,
    hash: Xxh64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::BufWriter;

    use proptest::prelude::*;
    use serde::Deserialize;
    use xxhash_rust::xxh64::xxh64;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        name: String,
        numbers: Vec<f64>,
    }

    fn document() -> Document {
        Document { name: "a \"quoted\" näme".to_owned(), numbers: vec![0.1, -1e300, 3.0] }
    }

    #[test]
    fn what_is_sealed_is_the_json_behind_its_hash() {
        let sealed = seal(&document()).unwrap();
        let text = String::from_utf8(sealed.clone()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["name"], document().name);
        let stated = json["xxh64"].as_str().unwrap();
        assert_eq!(stated, hex(xxh64(text.replacen(stated, "0000000000000000", 1).as_bytes(), 0)));
        let mut bytes = sealed.clone();
        unseal(&mut bytes).unwrap();
        assert_eq!(serde_json::from_slice::<Document>(&bytes).unwrap(), document());
        assert_eq!(bytes.len(), sealed.len());
        let file = BufWriter::new(tempfile::tempfile().unwrap());
        let mut file = write_sealed(&document(), file).unwrap();
        file.write_all(b"more").unwrap();
        assert_eq!(file.stream_position().unwrap(), sealed.len() as u64 + 4, "it is written at the end");
    }

    #[test]
    fn every_bit_of_every_byte_counts() {
        let sealed = seal(&document()).unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bytes = sealed.clone();
                bytes[at] ^= 1 << bit;
                let before = bytes.clone();
                assert!(unseal(&mut bytes).is_err(), "byte {at}, bit {bit}");
                assert_eq!(bytes, before);
            }
        }
        for length in 0..sealed.len() {
            assert!(unseal(&mut sealed[..length].to_vec()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_document_without_a_hash_is_told_apart_from_one_that_has_changed() {
        for bytes in
            ["", "{}", "{\n  \"version\": 1\n}", "{\n  \"xxh64\": 3\n}", "{\n  \"xxh64\": \"zzzzzzzzzzzzzzzz\",\n"]
        {
            assert_eq!(unseal(&mut bytes.as_bytes().to_vec()), Err(Unsealed::NoHash), "{bytes}");
        }
        let mut bytes = seal(&document()).unwrap();
        let last = bytes.len() - 2;
        bytes[last] = b'x';
        let error = unseal(&mut bytes).unwrap_err();
        assert!(matches!(&error, Unsealed::Changed { stated, found } if stated != found), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), begin in any::<bool>()) {
            let mut bytes = if begin { [BEFORE, &bytes].concat() } else { bytes };
            prop_assert!(unseal(&mut bytes).is_err());
        }
    }
}
