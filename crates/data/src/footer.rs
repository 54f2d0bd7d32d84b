//! The checksum of a Parquet file's footer. Pages have checksums of their own, but the format has none for the footer,
//! which says where the pages are and how to read them. So the files that are written here keep one among the footer's
//! own entries.
//!
//! Other readers ignore the entry. Files of other writers do not have it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::Crc;
use memchr::memmem;
use parquet::file::metadata::KeyValue;

/// Name of the entry.
const KEY: &str = "pleiad.footer_crc32";

/// Its value until the footer is complete, and in place of which the sum is made.
const NO_SUM: &[u8; 8] = b"00000000";

/// Length of the footer and the magic, behind it.
const TRAILER: u64 = 8;

/// The entry that [`seal`] fills in.
pub(crate) fn entry() -> KeyValue {
    KeyValue::new(KEY.to_owned(), String::from_utf8_lossy(NO_SUM).into_owned())
}

/// Writes the sum into the footer of a file that is complete.
pub(crate) fn seal(file: &mut File) -> io::Result<()> {
    let Some(Footer { start, bytes, at: Some(at) }) = Footer::read(file)? else {
        return Err(io::Error::other("the footer has no place for its sum"));
    };
    file.seek(SeekFrom::Start(start + at as u64))?;
    file.write_all(&sum(&bytes, at))
}

/// Whether the footer is the one that was written. What has none, or no sum, is left to the decoder.
pub(crate) fn verify(file: &mut File) -> io::Result<bool> {
    Ok(match Footer::read(file)? {
        Some(Footer { bytes, at: Some(at), .. }) => bytes[at..at + NO_SUM.len()] == sum(&bytes, at),
        _ => true,
    })
}

/// The footer, where there is one to be seen.
pub(crate) fn bytes(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    Ok(Footer::read(file)?.map(|footer| footer.bytes))
}

struct Footer {
    /// Where it begins in the file.
    start: u64,
    /// It, and its length.
    bytes: Vec<u8>,
    /// Where the sum stands in it.
    at: Option<usize>,
}

impl Footer {
    fn read(file: &mut File) -> io::Result<Option<Self>> {
        let size = file.seek(SeekFrom::End(0))?;
        let Some(end) = size.checked_sub(TRAILER) else { return Ok(None) };
        file.seek(SeekFrom::Start(end))?;
        let (mut length, mut magic) = ([0; 4], [0; 4]);
        file.read_exact(&mut length)?;
        file.read_exact(&mut magic)?;
        let Some(start) = end.checked_sub(u32::from_le_bytes(length).into()).filter(|_| &magic == b"PAR1") else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end - start + length.len() as u64).read_to_end(&mut bytes)?;
        // A text follows its type and its length.
        let name = [KEY.as_bytes(), &[0x18, NO_SUM.len() as u8]].concat();
        let at = memmem::rfind(&bytes, &name).map(|found| found + name.len());
        let at = at.filter(|at| at + NO_SUM.len() <= bytes.len());
        Ok(Some(Self { start, bytes, at }))
    }
}

fn sum(footer: &[u8], at: usize) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(&footer[..at]);
    crc.update(NO_SUM);
    crc.update(&footer[at + NO_SUM.len()..]);
    let digit = |place: u32| char::from_digit(crc.sum() >> (28 - 4 * place) & 15, 16).map_or(b'0', |digit| digit as u8);
    [0, 1, 2, 3, 4, 5, 6, 7].map(digit)
}
