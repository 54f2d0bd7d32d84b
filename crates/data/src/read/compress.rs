//! Opening a text file that may be compressed.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};

const BUFFER: usize = 1 << 18;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Opens `path` and undoes gzip (also of several members) or zstd. The first bytes decide; the name only has to agree.
///
/// # Errors
/// If it cannot be opened, is empty, or is named `.gz` or `.zst` and is not that.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let read_error = |source| Error::Read { path: path.to_owned(), source };
    let damaged = |reason: &str| Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let mut file = BufReader::with_capacity(BUFFER, super::open_file(path)?);
    let start = file.fill_buf().map_err(read_error)?;
    if start.is_empty() {
        return Err(Error::EmptyFile { path: path.to_owned() });
    }
    if start.starts_with(&GZIP) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file)));
    }
    if start.starts_with(&ZSTD) {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(file).map_err(read_error)?));
    }
    if has_ending(path, "gz") {
        return Err(damaged("is named .gz, but is not gzip"));
    }
    if has_ending(path, "zst") {
        return Err(damaged("is named .zst, but is not zstd"));
    }
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err(damaged("is UTF-16; convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`"));
    }
    if start.starts_with(b"PAR1") {
        return Err(damaged("is a Parquet file; set format = \"parquet\" in [data], or rename it"));
    }
    if start.starts_with(b"ARROW1") {
        return Err(damaged("is an Arrow file; set format = \"arrow\" in [data], or rename it"));
    }
    Ok(Box::new(file))
}

/// Whether the name ends so, in any case.
pub(super) fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

/// What an error while reading a compressed stream means.
pub(super) fn explain(path: &Path, source: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let reason = match source.kind() {
        UnexpectedEof => "ends too early: the file is cut off; copy or download it again".to_owned(),
        InvalidData | InvalidInput | Other => format!("is damaged: {source}"),
        _ => return Error::Read { path: path.to_owned(), source },
    };
    Error::Damaged { path: path.to_owned(), reason }
}
