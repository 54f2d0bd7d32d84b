//! Recognizes forms of files by their first bytes.

use std::path::Path;

use super::endings::has_ending;
use crate::advice::Key;
use crate::error::Error;
use crate::schema::Format;

/// First bytes of a form that is not read; beside them where they stand and, where a text could begin so too, that some byte
/// has to follow which no text has.
struct Magic {
    bytes: &'static [u8],
    at: usize,
    is_a_word: bool,
    name: &'static str,
    advice: &'static str,
}

const fn magic(bytes: &'static [u8], name: &'static str, advice: &'static str) -> Magic {
    Magic { bytes, at: 0, is_a_word: false, name, advice }
}

const UNPACK: &str = "Pleiad reads CSV that is plain, or compressed with gzip or zstd: unpack it first";
/// Advice for a server's answer in place of a file.
const DOWNLOAD: &str = "it may be a server's answer in place of the file: look into it, and download the file again";
const CONVERT: &str = "Pleiad reads CSV, Parquet and Arrow IPC: convert it to one of them first";

const OTHERS: [Magic; 32] = [
    magic(b"PK\x03\x04", "a zip archive", UNPACK),
    magic(b"PK\x05\x06", "an empty zip archive", UNPACK),
    magic(b"PK\x07\x08", "a part of a zip archive", UNPACK),
    magic(b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    magic(b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    magic(b"\x04\x22\x4d\x18", "compressed with lz4", UNPACK),
    magic(b"\x02\x21\x4c\x18", "compressed with lz4 (in its old form)", UNPACK),
    magic(b"\xff\x06\0\0sNaPpY", "compressed with snappy", UNPACK),
    magic(b"\x89LZO\0\r\n\x1a\n", "compressed with lzop", UNPACK),
    magic(b"\x1f\x9d", "compressed with compress (.Z)", UNPACK),
    magic(b"\x1f\xa0", "compressed with compress (.Z)", UNPACK),
    magic(b"\x5d\0\0", "compressed with lzma", UNPACK),
    magic(b"Rar!\x1a\x07", "a rar archive", UNPACK),
    magic(b"Obj\x01", "an Avro file", CONVERT),
    magic(b"SQLite format 3\0", "an SQLite database", CONVERT),
    magic(b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    magic(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Office file", CONVERT),
    magic(b"%PDF-", "a PDF document", CONVERT),
    magic(
        b"version https://git-lfs.github.com/spec/",
        "a pointer of Git LFS to the file",
        "get it with `git lfs pull`",
    ),
    magic(b"/annex/objects/", "a pointer of git-annex to the file", "get it with `git annex get`"),
    magic(b"<!DOCTYPE html", "an HTML page", DOWNLOAD),
    magic(b"<!doctype html", "an HTML page", DOWNLOAD),
    magic(b"<html", "an HTML page", DOWNLOAD),
    magic(b"<?xml ", "an XML document", DOWNLOAD),
    magic(b"\xff\xfe\0\0", "a text in UTF-32", "write it again in UTF-8"),
    magic(b"\0\0\xfe\xff", "a text in UTF-32", "write it again in UTF-8"),
    Magic { is_a_word: true, ..magic(b"LZIP", "compressed with lzip", UNPACK) },
    Magic { is_a_word: true, ..magic(b"BZh", "compressed with bzip2", UNPACK) },
    Magic { is_a_word: true, ..magic(b"ORC", "an ORC file", CONVERT) },
    Magic { is_a_word: true, ..magic(b"PARE", "a Parquet file that is encrypted", "decrypt it first") },
    Magic {
        is_a_word: true,
        ..magic(b"FEA1", "a Feather file of version 1", "write it again as version 2, which is Arrow IPC")
    },
    Magic { at: 257, ..magic(b"ustar", "a tar archive", UNPACK) },
];

/// Endings of unsupported files that their first bytes do not identify.
const ENDINGS: [(&[&str], &str, &str); 8] = [
    (&["zip"], "a zip archive", UNPACK),
    (&["bz2"], "compressed with bzip2", UNPACK),
    (&["br"], "compressed with brotli", UNPACK),
    (&["sz", "snappy"], "compressed with snappy", UNPACK),
    (&["lz4", "xz", "lzma", "lzo", "z", "7z", "rar"], "compressed", UNPACK),
    (&["tar", "tgz", "tbz", "txz"], "a tar archive", UNPACK),
    (&["json", "jsonl", "ndjson"], "JSON", CONVERT),
    (&["xlsx", "xls", "ods"], "a spreadsheet", CONVERT),
];

/// Versions of zstd before 0.8 began their frames so, but for the first byte.
const OLD_ZSTD: [u8; 3] = [0xb5, 0x2f, 0xfd];

/// What a file is that is none of those that are read, going by its first bytes.
pub(super) fn other(path: &Path, start: &[u8]) -> Option<Error> {
    let other = |form: &str, advice: &str| {
        let (path, form, advice) = (path.to_owned(), form.to_owned(), advice.to_owned());
        Some(Error::OtherForm { path, form, advice })
    };
    if start.get(1..4) == Some(&OLD_ZSTD) && (0x22..=0x27).contains(&start[0]) {
        return other("compressed with zstd of before version 0.8", "compress it again with a later one");
    }
    let start = behind_frames_without_data(start);
    let found =
        OTHERS.iter().find(|magic| begins(start, magic.at, magic.bytes) && (!magic.is_a_word || is_binary(start)));
    found.and_then(|magic| other(magic.name, magic.advice))
}

/// What a file is whose ending names no format.
pub(super) fn unnamed(path: &Path, start: &[u8]) -> Option<Error> {
    let by_ending = || {
        // Of `log.tar.gz` the inner ending says more.
        let is_packed = has_ending(path, "gz") || has_ending(path, "zst");
        let name = if is_packed { Path::new(path.file_stem()?) } else { path };
        let known = ENDINGS.iter().find(|(endings, ..)| endings.iter().any(|ending| has_ending(name, ending)));
        known.map(|&(_, form, advice)| Error::OtherForm {
            path: path.to_owned(),
            form: form.to_owned(),
            advice: advice.to_owned(),
        })
    };
    other(path, start).or_else(by_ending)
}

/// What a compressed text holds that is no text.
pub(super) fn within(path: &Path, start: &[u8]) -> Option<Error> {
    let packed = |form: &str| Error::OtherForm {
        path: path.to_owned(),
        form: format!("compressed, and what it holds is {form}"),
        advice: "unpack it first".to_owned(),
    };
    match mistaken(path, start, Format::Csv, true) {
        Some(Error::OtherForm { form, .. }) => Some(packed(&form)),
        _ if is_gzip(start) || is_zstd(start) => Some(packed("compressed again")),
        _ => None,
    }
}

fn begins(start: &[u8], at: usize, bytes: &[u8]) -> bool {
    start.get(at..).is_some_and(|rest| rest.starts_with(bytes))
}

/// Whether there are bytes that no text has.
fn is_binary(start: &[u8]) -> bool {
    start.iter().any(|byte| matches!(byte, 0..=8 | 0x0e..=0x1f | 0x7f))
}

pub(super) fn is_parquet(start: &[u8]) -> bool {
    start.starts_with(b"PAR1") && is_binary(start)
}

pub(super) fn is_arrow_file(start: &[u8]) -> bool {
    start.starts_with(b"ARROW1") && is_binary(start)
}

pub(super) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// Also where a frame comes first that holds no data, as writers of seekable files put it.
pub(super) fn is_zstd(start: &[u8]) -> bool {
    match behind_frames_without_data(start) {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        // Nothing else is known to begin so.
        rest => (rest.len() < LARGEST_MAGIC || has_no_data(rest)) && has_no_data(start),
    }
}

/// Bytes that distinguish a frame of one compression from that of another.
const LARGEST_MAGIC: usize = 4;

/// Whether a frame without data begins here. zstd and lz4 have the same ones.
fn has_no_data(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// What follows the frames without data at the start, as far as it is among these bytes: `[4]` magic, `[4]` length, content.
fn behind_frames_without_data(start: &[u8]) -> &[u8] {
    let mut rest = start;
    while has_no_data(rest)
        && let Some(&[a, b, c, d]) = rest.get(4..8).and_then(|length| <&[u8; 4]>::try_from(length).ok())
        && let Some(behind) = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok().and_then(|n| rest[8..].get(n..))
    {
        rest = behind;
    }
    rest
}

/// The format of a file without an ending.
pub(super) fn format(start: &[u8]) -> Format {
    if is_parquet(start) {
        Format::Parquet
    } else if is_arrow_file(start) || start.starts_with(&[0xff; 4]) {
        Format::Arrow
    } else {
        Format::Csv
    }
}

/// What the first bytes of a file are, where it ought to be `expected`.
pub(super) fn mistaken(path: &Path, start: &[u8], expected: Format, by_configuration: bool) -> Option<Error> {
    if let Some(other) = other(path, start) {
        return Some(other);
    }
    let error = |form: &str, advice: &str| {
        let (path, form, advice) = (path.to_owned(), form.to_owned(), advice.to_owned());
        Some(Error::OtherForm { path, form, advice })
    };
    let named = |format| format!("{}, or rename it", Key::format().text(format, by_configuration));
    match expected {
        Format::Csv if is_parquet(start) => error("a Parquet file", &named("parquet")),
        Format::Csv if is_arrow_file(start) => error("an Arrow file", &named("arrow")),
        Format::Parquet if is_arrow_file(start) => error("an Arrow file", &named("arrow")),
        Format::Arrow if is_parquet(start) => error("a Parquet file", &named("parquet")),
        Format::Parquet | Format::Arrow if is_gzip(start) => error("compressed with gzip", "unpack it first"),
        Format::Parquet | Format::Arrow if is_zstd(start) => error("compressed with zstd", "unpack it first"),
        Format::Parquet | Format::Arrow if !start.is_empty() && !start.starts_with(b"PAR1") && !is_binary(start) => {
            error("a text", &named("csv"))
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_known_by_their_first_bytes() {
        let path = Path::new("a.csv");
        for (start, says) in [
            (&b"PK\x03\x04\x14\0"[..], "a.csv is a zip archive; Pleiad reads CSV that is plain"),
            (b"BZh91AY&SY\x12\x01", "compressed with bzip2"),
            (b"\xfd7zXZ\0\0", "compressed with xz"),
            (b"\x04\x22\x4d\x18\x64", "compressed with lz4"),
            (b"ORC\x11\0\0", "an ORC file"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
                "a pointer of Git LFS to the file; get it",
            ),
            (b"<!DOCTYPE html>\n<html>", "an HTML page; it may be a server's answer"),
            (b"<?xml version=\"1.0\"?>\n<Error>", "an XML document"),
            (b"\xff\xfe\0\0x\0\0\0", "a text in UTF-32; write it again in UTF-8"),
            (b"FEA1\0\0\0\0", "version 1"),
            (b"\x27\xb5\x2f\xfd\x01", "before version 0.8"),
            (&[&[b'a'; 257][..], b"ustar\0"].concat(), "a tar archive"),
        ] {
            let error = other(path, start).unwrap().to_string();
            assert!(error.contains(says), "{error}");
        }
        // A header may begin so, too.
        for text in [
            "ORC,PAR1\n1,2\n",
            "version,x\n",
            "<htm>,y\n",
            "<?xml,y\n",
            "BZh9,y\n",
            "FEA1,x\n",
            "PAR1,ARROW1\n",
            "LZIP\n",
            "P",
            "",
        ] {
            assert!(other(path, text.as_bytes()).is_none(), "{text}");
            assert!(mistaken(path, text.as_bytes(), Format::Csv, true).is_none(), "{text}");
            assert_eq!(format(text.as_bytes()), Format::Csv);
        }
        let parquet = mistaken(path, b"PAR1\x15\x04\x15", Format::Csv, true).unwrap().to_string();
        assert!(parquet.contains("a.csv is a Parquet file; set format = \"parquet\""), "{parquet}");
        // That it is a text is no reason to read it as CSV.
        let pointer = b"version https://git-lfs.github.com/spec/v1\n";
        let pointer = mistaken(Path::new("a.parquet"), pointer, Format::Parquet, true).unwrap().to_string();
        assert!(pointer.contains("a.parquet is a pointer of Git LFS"), "{pointer}");
        let text = mistaken(Path::new("a.parquet"), b"x,y\n1,2\n", Format::Parquet, true).unwrap().to_string();
        assert!(text.contains("a.parquet is a text; set format = \"csv\""), "{text}");
    }

    #[test]
    fn endings_name_what_no_first_bytes_tell() {
        let says =
            |name: &str| unnamed(Path::new(name), b"\x0b\x02").map(|error| error.to_string()).unwrap_or_default();
        assert!(says("a.csv.br").starts_with("a.csv.br is compressed with brotli"));
        assert!(says("a.tar.gz").starts_with("a.tar.gz is a tar archive"));
        assert!(says("a.JSONL").contains("is JSON; Pleiad reads CSV, Parquet and Arrow IPC"));
        assert_eq!(says("part-0"), "");
        let zip = unnamed(Path::new("part-0"), b"PK\x03\x04").map(|error| error.to_string());
        assert!(zip.is_some_and(|zip| zip.contains("is a zip archive")));
    }

    #[test]
    fn zstd_may_begin_with_a_frame_without_data() {
        assert!((0x50..=0x5f).all(|first| is_zstd(&[first, 0x2a, 0x4d, 0x18])));
        assert!(!is_zstd(&[0x60, 0x2a, 0x4d, 0x18]) && !is_zstd(&[0x28, 0xb5]));
    }

    #[test]
    fn what_stands_behind_a_frame_without_data_says_what_a_file_is() {
        let empty =
            |content: &[u8]| [&[0x5a, 0x2a, 0x4d, 0x18][..], &(content.len() as u32).to_le_bytes(), content].concat();
        let lz4 = b"\x04\x22\x4d\x18\x64";
        for start in [[&empty(b"ab")[..], lz4].concat(), [&empty(b"")[..], &empty(b"abc"), lz4].concat()] {
            assert!(!is_zstd(&start));
            let error = mistaken(Path::new("log.csv.zst"), &start, Format::Csv, true).unwrap().to_string();
            assert!(error.contains("compressed with lz4"), "{error}");
        }
        for rest in [&b"\x28\xb5\x2f\xfd"[..], b"", b"\x28"] {
            assert!(is_zstd(&[&empty(b"ab"), rest].concat()), "{rest:?}");
        }
        // Cut off within the frame: what follows is not to be seen.
        assert!(is_zstd(&empty(&[0; 600])[..512]));
    }
}
