//! CSV: records into columns of texts.
//!
//! Empty lines are no rows, as everywhere in the `csv` crate. Fields stay texts here; what they mean is the encoder's. Text
//! without quotes goes through [`super::plain`], which cuts the other into parts for this reader.

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use csv::{ByteRecord, ReaderBuilder};

use super::chunk::{Broken, CHUNK_ROWS, Chunk, Origin, Wanted};
use super::compress;
use super::text::{Form, MAX_COLUMN_BYTES, TextBuilder, byte, separator};
use crate::error::{Error, Reason, Result};
use crate::schema::CsvConfig;

/// Longest record. A quote that is never closed would otherwise take the rest of the file into memory.
pub(super) const MAX_RECORD: u64 = 1 << 26;

/// What may stand at the start of a file in UTF-8.
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";

pub(super) struct CsvReader {
    form: Arc<Form>,
    records: Records,
    next_row: u64,
    columns: Vec<TextBuilder>,
    done: bool,
}

/// Records of a stream of bytes.
struct Records {
    path: Arc<Path>,
    records: csv::Reader<Watched>,
    watch: Arc<Watch>,
    record: ByteRecord,
}

impl CsvReader {
    /// Reads `bytes` from their beginning, header and all.
    pub(super) fn open(
        path: &Arc<Path>,
        bytes: Box<dyn Read + Send>,
        config: &CsvConfig,
        wanted: &[Wanted],
        by_configuration: bool,
    ) -> Result<Self> {
        let mut records = Records::new(path, bytes, separator(path, config), config.quote.map(byte));
        let header = if config.header { records.header(config)? } else { config.columns.clone() };
        let form = Form::new(path, config, header, wanted, by_configuration)?;
        Ok(Self::over(Arc::new(form), records))
    }

    /// Reads from a record in the middle of a file on: `first`, then `bytes`. Rows and lines are counted from there.
    pub(super) fn go_on(form: &Arc<Form>, first: Vec<u8>, bytes: Box<dyn Read + Send>) -> Self {
        // The reader would take these bytes for a mark, which they are at the start of a file alone.
        let mark = if first.starts_with(BOM) { BOM } else { &[] };
        let first = if mark.is_empty() { first } else { [mark, &first].concat() };
        let bytes = Box::new(Cursor::new(first).chain(bytes));
        let records = Records::new(&form.path, bytes, form.separator, form.quote);
        Self::over(Arc::clone(form), records)
    }

    fn over(form: Arc<Form>, records: Records) -> Self {
        Self { columns: form.builders(), form, records, next_row: 0, done: false }
    }

    /// The builders of columns, once all chunks were given out.
    pub(super) fn into_builders(self) -> Vec<TextBuilder> {
        self.columns
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let Self { form, records, columns, .. } = self;
        let mut lines = Vec::new();
        let mut broken = Vec::new();
        let mut bytes = 0;
        while !self.done && lines.len() < CHUNK_ROWS && bytes < MAX_COLUMN_BYTES / 2 {
            if !records.next()? {
                self.done = true;
                break;
            }
            bytes += records.record.as_slice().len();
            lines.push(records.line());
            if records.record.len() == form.width() {
                form.push(columns, |field| records.record.get(field));
            } else {
                columns.iter_mut().for_each(|column| column.push(None));
                let reason = records.wrong_width(form.width());
                broken.push(Broken { row: lines.len() - 1, column: None, value: None, reason });
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let rows = lines.len();
        let columns = form.finish(columns, &mut broken);
        let origin = Origin { path: Some(Arc::clone(&form.path)), first_row: self.next_row, position: 0, lines };
        self.next_row += rows as u64;
        Ok(Some(Chunk { rows, columns, origin, broken }))
    }
}

impl Records {
    fn new(path: &Arc<Path>, bytes: Box<dyn Read + Send>, separator: u8, quote: Option<u8>) -> Self {
        let watch = Arc::new(Watch::default());
        let watched = Watched { inner: bytes, watch: Arc::clone(&watch), passed: 0 };
        let records = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .quoting(quote.is_some())
            .quote(quote.unwrap_or(b'"'))
            .buffer_capacity(1 << 17)
            .from_reader(watched);
        Self { path: Arc::clone(path), records, watch, record: ByteRecord::new() }
    }

    fn header(&mut self, config: &CsvConfig) -> Result<Vec<String>> {
        if !self.next()? {
            return Err(Error::EmptyFile { path: self.path.to_path_buf() });
        }
        names(&self.path, config, self.record.iter())
    }

    fn next(&mut self) -> Result<bool> {
        self.watch.allowance.store(MAX_RECORD, Ordering::Relaxed);
        self.records.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(source) => compress::explain(&self.path, source),
            other => Error::Damaged { path: self.path.to_path_buf(), reason: format!("cannot be read: {other:?}") },
        })
    }

    /// Line on which the record at hand starts. The reader's own count is that of the line ends it has passed, which where
    /// a record ends with "\r\n" is one short of its end, and at a record's start does not know of empty lines before it.
    fn line(&self) -> u64 {
        let at = self.records.position();
        let inside = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        let own_end = !self.watch.is_over.load(Ordering::Relaxed) && !self.watch.is_return(at.byte().wrapping_sub(1));
        // A file whose lines end with "\r" alone has no line ends to count.
        at.line().saturating_sub(inside + u64::from(own_end)).max(1)
    }

    fn wrong_width(&self, expected: usize) -> Reason {
        let quoted = self.record.as_slice().contains(&b'\n');
        Reason::Fields { found: self.record.len(), expected, quoted }
    }
}

/// Names of columns from the header's line.
pub(super) fn header(path: &Arc<Path>, config: &CsvConfig, line: &[u8]) -> Result<Vec<String>> {
    let bytes = Box::new(Cursor::new(line.to_vec()));
    Records::new(path, bytes, separator(path, config), config.quote.map(byte)).header(config)
}

fn names<'f>(path: &Path, config: &CsvConfig, fields: impl Iterator<Item = &'f [u8]>) -> Result<Vec<String>> {
    let names = fields.map(|field| {
        let field = if config.trim { field.trim_ascii() } else { field };
        std::str::from_utf8(field).map(str::to_owned)
    });
    names.collect::<Result<_, _>>().map_err(|_| Error::Damaged {
        path: path.to_path_buf(),
        reason: "has a header that is not valid UTF-8; convert the file, for example with `iconv -t UTF-8`".into(),
    })
}

/// What is known of the bytes that were read.
struct Watch {
    /// Bytes that the record at hand may still take.
    allowance: AtomicU64,
    /// Where in the file a carriage return is, among the bytes that were read last: the record at hand ends in those.
    returns: Mutex<Vec<u64>>,
    /// Whether the file has ended. A record that is given out after that ends with it, and not with a line end.
    is_over: AtomicBool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { allowance: AtomicU64::new(MAX_RECORD), returns: Mutex::default(), is_over: AtomicBool::new(false) }
    }
}

impl Watch {
    /// Whether the byte at `at` is a carriage return.
    fn is_return(&self, at: u64) -> bool {
        self.returns.lock().unwrap_or_else(PoisonError::into_inner).binary_search(&at).is_ok()
    }
}

/// Looks at the bytes on their way, and stops a read once the record at hand is longer than any record should be.
struct Watched {
    inner: Box<dyn Read + Send>,
    watch: Arc<Watch>,
    /// Bytes that were read before.
    passed: u64,
}

impl Watched {
    fn look(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.watch.is_over.store(true, Ordering::Relaxed);
            return;
        }
        let mut returns = self.watch.returns.lock().unwrap_or_else(PoisonError::into_inner);
        returns.clear();
        returns.extend(memchr::memchr_iter(b'\r', bytes).map(|at| self.passed + at as u64));
        self.passed += bytes.len() as u64;
    }
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.look(&into[..read]);
        let left = self.watch.allowance.load(Ordering::Relaxed);
        if left == 0 {
            let reason = format!("a record is longer than {} MiB; is a quote left open?", MAX_RECORD >> 20);
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
        }
        self.watch.allowance.store(left.saturating_sub(read as u64), Ordering::Relaxed);
        Ok(read)
    }
}
