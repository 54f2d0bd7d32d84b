//! [`Dialect`]: how records are written as text.

use std::path::Path;

use super::endings::has_ending;
use crate::schema::CsvConfig;

/// What stands between fields and around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Between two fields; at least one byte.
    pub(super) separator: Vec<u8>,
    pub(super) quote: Option<u8>,
    pub(super) escape: Option<u8>,
    /// Whether spaces and tabs around a field are not part of it.
    pub(super) trim: bool,
}

impl Dialect {
    /// The dialect of a file.
    pub(super) fn of(path: &Path, config: &CsvConfig) -> Self {
        let separator = config.separator.as_deref().unwrap_or(if is_tsv(path) { "\t" } else { "," });
        let quote = config.quote.map(byte);
        Self {
            separator: separator.as_bytes().to_vec(),
            quote,
            // A quote that is doubled needs no escape.
            escape: config.escape.map(byte).filter(|&escape| Some(escape) != quote),
            trim: config.trim,
        }
    }

    /// Whether every line of `bytes` is a record: neither a quote nor an escape is there.
    pub(super) fn is_plain(&self, bytes: &[u8]) -> bool {
        let has = |byte: Option<u8>| byte.is_some_and(|byte| memchr::memchr(byte, bytes).is_some());
        !has(self.quote) && !has(self.escape)
    }
}

fn is_tsv(path: &Path) -> bool {
    let stem_is_tsv = || path.file_stem().is_some_and(|stem| has_ending(Path::new(stem), "tsv"));
    has_ending(path, "tsv") || ((has_ending(path, "gz") || has_ending(path, "zst")) && stem_is_tsv())
}

/// Quote and escape are ASCII: the schema has been checked.
fn byte(char: char) -> u8 {
    u8::try_from(char).unwrap_or(b'"')
}
