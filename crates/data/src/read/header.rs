//! Names of columns from the first record of a text file.

use std::path::Path;
use std::sync::Arc;

use super::Source;
use super::dialect::Dialect;
use super::records::{MAX_RECORD, NextRecord, Records};
use crate::advice::Key;
use crate::error::{Error, Result};

/// What may stand at the start of a file in UTF-8.
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A header.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) names: Vec<String>,
    /// Bytes that it takes, with the empty lines before it.
    pub(super) bytes: usize,
    /// Lines of these.
    pub(super) lines: u64,
}

/// Reads the header at the start of `bytes`; `None` if more of them are needed.
pub(super) fn read(
    path: &Arc<Path>,
    source: &Source,
    dialect: &Dialect,
    encoding: Option<&'static str>,
    bytes: &[u8],
    is_whole: bool,
) -> Result<Option<Header>> {
    let damaged = |reason: String| Error::Damaged { path: path.to_path_buf(), reason };
    let set = |key: &str, value: &str| Key::csv(key).text(value, source.by_configuration);
    let (mut records, mut fields) = (Records::new(dialect, is_whole), Vec::new());
    let record = match records.find(bytes, &mut fields) {
        NextRecord::Record(record) => record,
        NextRecord::End if is_whole => return Err(Error::EmptyFile { path: path.to_path_buf() }),
        _ if bytes.len() > MAX_RECORD => {
            return Err(damaged(format!("has a header that is longer than {} MiB", MAX_RECORD >> 20)));
        }
        _ => return Ok(None),
    };
    if let Some(fault) = record.fault {
        let field = String::from_utf8_lossy(&bytes[fault.range]).chars().take(80).collect::<String>();
        let what =
            if fault.open { "opens with a quote that is never closed" } else { "goes on behind its closing quote" };
        return Err(damaged(format!(
            "has a header of which a field {what}: {field:?}; {}, or {}",
            set("escape", "\\"),
            set("quote", "")
        )));
    }
    let (end, lines) = (records.at(), records.lines());
    fields.clear();
    let mut own = bytes[..end].to_vec();
    Records::new(dialect, true).next(&mut own, &mut fields);
    let name = |&(start, end): &(u32, u32)| {
        let field = &own[start as usize..end as usize];
        std::str::from_utf8(if dialect.trim { field.trim_ascii() } else { field }).map(str::to_owned)
    };
    let names: Vec<String> = fields.iter().map(name).collect::<Result<_, _>>().map_err(|_| {
        let encoding = encoding.unwrap_or("UTF-8");
        damaged(format!("has a header that is not valid {encoding}; {}", set("encoding", "latin1")))
    })?;
    if encoding.is_none() && names.iter().any(|name| name.contains('\0')) {
        let advice = set("encoding", "utf-16le");
        return Err(damaged(format!("has zero bytes in its header, as UTF-16 has; if it is that, {advice}")));
    }
    Ok(Some(Header { names, bytes: end, lines }))
}
