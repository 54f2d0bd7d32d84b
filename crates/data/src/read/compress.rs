//! Text that may be compressed: gzip and zstd, recognized by content. The name must only agree with
//! it.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::endings::has_ending;
use super::failures::{MAX_WINDOW, explain, too_large};
use super::forms;
use super::open::{OpenFile, START};
use crate::error::{Error, Result};
use crate::schema::Format;

const BUFFER: usize = 1 << 18;

/// Undoes the compression of a text.
///
/// # Errors
/// If it cannot be read, is empty, is named `.gz` or `.zst` and is not that, or is in a form that is not read.
pub(super) fn open(path: &Path, input: OpenFile, by_configuration: bool) -> Result<Box<dyn Read + Send>> {
    let read_error = |source| explain(path, source);
    let damaged = |reason: &str| Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let (start, rest): (Vec<u8>, Box<dyn Read + Send>) = match input {
        OpenFile::Pipe { start, rest } => (start, Box::new(rest)),
        OpenFile::File(mut file) => {
            let mut start = Vec::with_capacity(START);
            (&mut file).take(START as u64).read_to_end(&mut start).map_err(read_error)?;
            (start, Box::new(file))
        }
    };
    if start.is_empty() {
        return Err(Error::EmptyFile { path: path.to_owned() });
    }
    let (is_gzip, is_zstd) = (forms::is_gzip(&start), forms::is_zstd(&start));
    if is_zstd {
        check_window(path, &start)?;
    } else if !is_gzip {
        if let Some(mistaken) = forms::mistaken(path, &start, Format::Csv, by_configuration) {
            return Err(mistaken);
        }
        if has_ending(path, "gz") {
            return Err(damaged("is named .gz, but is not gzip"));
        }
        if has_ending(path, "zst") {
            return Err(damaged("is named .zst, but is not zstd"));
        }
    }
    let bytes = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(rest));
    let mut text: Box<dyn Read + Send> = if is_gzip {
        Box::new(Members { member: Some(GzDecoder::new(bytes)) })
    } else if is_zstd {
        Box::new(zstd::stream::read::Decoder::with_buffer(bytes).map_err(read_error)?)
    } else {
        return Ok(Box::new(bytes));
    };
    let mut start = Vec::with_capacity(START);
    text.by_ref().take(START as u64).read_to_end(&mut start).map_err(read_error)?;
    match forms::within(path, &start) {
        Some(within) => Err(within),
        None => Ok(Box::new(Cursor::new(start).chain(text))),
    }
}

/// The members of a gzip file, one after the other, and zeros behind the last: tapes and block devices leave some.
struct Members<R> {
    /// The member at hand; `None` at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.member.take().map(GzDecoder::into_inner) else { break };
            match rest.fill_buf()?.first() {
                None => {}
                Some(0) => only_zeros(&mut rest)?,
                Some(0x1f) => self.member = Some(GzDecoder::new(rest)),
                Some(_) => return Err(not_gzip()),
            }
        }
        Ok(0)
    }
}

fn only_zeros(rest: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.iter().any(|&byte| byte != 0) {
            return Err(not_gzip());
        }
        let count = bytes.len();
        rest.consume(count);
    }
}

fn not_gzip() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "bytes that are not gzip follow its end")
}

/// Refuses a zstd frame whose window is larger than a log needs.
fn check_window(path: &Path, start: &[u8]) -> Result<()> {
    match window(start) {
        Some(window) if window > MAX_WINDOW => Err(too_large(path, &format!("a window of {} MiB", window >> 20))),
        _ => Ok(()),
    }
}

/// The window that the frame at the start asks for, where it says one.
fn window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4).filter(|_| frame[0] == 0x28)?;
    // A frame of a single segment has its content for a window.
    if descriptor & 0x20 != 0 {
        return None;
    }
    let byte = u64::from(*frame.get(5)?);
    let base = 1 << (10 + (byte >> 3));
    Some(base + base / 8 * (byte & 7))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// What a file of these bytes holds.
    fn read(name: &str, bytes: &[u8]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut text = String::new();
        let mut input = open(&path, OpenFile::File(std::fs::File::open(&path).unwrap()), true)?;
        input.read_to_string(&mut text).map_err(|error| explain(&path, error)).map(|_| text)
    }

    fn skippable(first: u8, content: &[u8]) -> Vec<u8> {
        [&[first, 0x2a, 0x4d, 0x18][..], &(content.len() as u32).to_le_bytes(), content].concat()
    }

    #[test]
    fn what_gzip_accepts_is_read() {
        let (a, b) = (gzip("x,y\n"), gzip("1,2\n"));
        assert_eq!(read("a.csv", &[&a[..], &b].concat()).unwrap(), "x,y\n1,2\n");
        assert_eq!(read("a.csv.gz", &[&a[..], &[0; 1000]].concat()).unwrap(), "x,y\n");
        assert_eq!(read("a.csv.gz", &[&a[..], &gzip(""), &b, &[0]].concat()).unwrap(), "x,y\n1,2\n");
        for (rest, says) in [
            (&b"junk"[..], "not gzip follow its end"),
            (&b"\0\0junk"[..], "not gzip follow its end"),
            (&b[..9], "cut off"),
        ] {
            let error = read("a.csv.gz", &[&a[..], rest].concat()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_is_packed_twice_is_named() {
        let tar = [&[b'a'; 257][..], b"ustar\0", &[0; 300]].concat();
        let tar = zstd::encode_all(&tar[..], 1).unwrap();
        let error = read("a.csv.zst", &tar).unwrap_err().to_string();
        assert!(error.contains("what it holds is a tar archive"), "{error}");
        let twice = zstd::encode_all(&gzip("x,y\n")[..], 1).unwrap();
        let error = read("a.csv", &twice).unwrap_err().to_string();
        assert!(error.contains("what it holds is compressed again"), "{error}");
    }

    #[test]
    fn what_zstd_accepts_is_read() {
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
        for first in [0x50, 0x5a, 0x5f] {
            let bytes = [skippable(first, b"\0\0\0\0"), frame("x,y\n"), skippable(first, &[]), frame("1,2\n")].concat();
            assert_eq!(read("a.csv.zst", &bytes).unwrap(), "x,y\n1,2\n");
            assert_eq!(read("a.csv", &[bytes, skippable(first, &[7; 3000])].concat()).unwrap(), "x,y\n1,2\n");
        }
        let mut junk = frame("x,y\n");
        junk.extend(b"junk");
        assert!(read("a.csv.zst", &junk).unwrap_err().to_string().contains("damaged"));
        // Files of lz4 have the same frames without data: near the start, and where nothing more is seen of the start.
        let lz4 = b"\x04\x22\x4d\x18\x64\x40\xa7\0\0\0\0\x05\x5d\xcc\x02";
        for size in [0, 9, 3000] {
            for name in ["a.csv.zst", "a.csv"] {
                let bytes = [&skippable(0x50, &vec![7; size])[..], lz4].concat();
                let error = read(name, &bytes).unwrap_err().to_string();
                assert!(error.contains("lz4"), "{error}");
            }
        }
        assert!(read("a.csv.zst", &frame("x,y\n")[..9]).unwrap_err().to_string().contains("cut off"));
    }

    #[test]
    fn windows_have_a_bound_that_is_named() {
        let with_window = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.long_distance_matching(true).unwrap();
            encoder.write_all(b"x,y\n").unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(read("a.csv.zst", &with_window(27)).unwrap(), "x,y\n");
        let large = with_window(28);
        let error = read("a.csv.zst", &large).unwrap_err();
        assert!(matches!(error, Error::OtherForm { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("256 MiB") && error.contains("--long") && !error.contains("damaged"), "{error}");
        // Also where another frame comes first.
        let error = read("a.csv.zst", &[skippable(0x50, &[]), large].concat()).unwrap_err().to_string();
        assert!(error.contains("larger window") && !error.contains("damaged"), "{error}");
    }
}
