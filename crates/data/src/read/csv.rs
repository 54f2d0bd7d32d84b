//! CSV: records into columns of texts.
//!
//! Empty lines are no rows, as everywhere in the `csv` crate. Fields stay texts here; what they mean is the encoder's.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::StringArray;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use csv::{ByteRecord, ReaderBuilder};

use super::chunk::{Broken, CHUNK_ROWS, Chunk, Origin, Wanted};
use super::column::Column;
use super::{compress, locate};
use crate::error::{Error, Reason, Result};
use crate::schema::CsvConfig;

/// Longest record. A quote that is never closed would otherwise take the rest of the file into memory.
const MAX_RECORD: u64 = 1 << 26;

/// Longest text of one column of one chunk: what Arrow's 32-bit offsets reach.
const MAX_COLUMN_BYTES: usize = i32::MAX as usize;

pub(super) struct CsvReader {
    path: Arc<Path>,
    records: csv::Reader<Watched>,
    watch: Arc<Watch>,
    config: CsvConfig,
    /// Number of fields of every record.
    width: usize,
    /// Field of each wanted column.
    fields: Vec<Option<usize>>,
    names: Vec<String>,
    next_row: u64,
    record: ByteRecord,
    columns: Vec<TextBuilder>,
    done: bool,
}

impl CsvReader {
    pub(super) fn open(
        path: &Arc<Path>,
        config: &CsvConfig,
        wanted: &[Wanted],
        by_configuration: bool,
    ) -> Result<Self> {
        let separator = config.separator.unwrap_or(if is_tsv(path) { '\t' } else { ',' });
        let watch = Arc::new(Watch::default());
        let watched =
            Watched { inner: compress::open(path)?, watch: Arc::clone(&watch), last: None, has_line_end: false };
        let records = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(byte(separator))
            .quoting(config.quote.is_some())
            .quote(byte(config.quote.unwrap_or('"')))
            .buffer_capacity(1 << 17)
            .from_reader(watched);
        let mut reader = Self {
            path: Arc::clone(path),
            records,
            watch,
            config: config.clone(),
            width: 0,
            fields: Vec::new(),
            names: wanted.iter().map(|column| column.name.clone()).collect(),
            next_row: 0,
            record: ByteRecord::new(),
            columns: wanted.iter().map(|_| TextBuilder::default()).collect(),
            done: false,
        };
        let header = if config.header { reader.header()? } else { config.columns.clone() };
        reader.width = header.len();
        reader.fields = locate(path, &header, wanted, by_configuration)?;
        Ok(reader)
    }

    fn header(&mut self) -> Result<Vec<String>> {
        if !self.read_record()? {
            return Err(Error::EmptyFile { path: self.path.to_path_buf() });
        }
        let names = self.record.iter().map(|field| {
            let field = if self.config.trim { field.trim_ascii() } else { field };
            std::str::from_utf8(field).map(str::to_owned)
        });
        names.collect::<Result<_, _>>().map_err(|_| Error::Damaged {
            path: self.path.to_path_buf(),
            reason: "has a header that is not valid UTF-8; convert the file, for example with `iconv -t UTF-8`".into(),
        })
    }

    fn read_record(&mut self) -> Result<bool> {
        self.watch.allowance.store(MAX_RECORD, Ordering::Relaxed);
        self.records.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(source) => compress::explain(&self.path, source),
            other => Error::Damaged { path: self.path.to_path_buf(), reason: format!("cannot be read: {other:?}") },
        })
    }

    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let mut lines = Vec::new();
        let mut broken = Vec::new();
        let mut bytes = 0;
        while !self.done && lines.len() < CHUNK_ROWS && bytes < MAX_COLUMN_BYTES / 2 {
            if !self.read_record()? {
                self.done = true;
                break;
            }
            bytes += self.record.as_slice().len();
            lines.push(self.line());
            if self.record.len() == self.width {
                self.push_record();
            } else {
                self.columns.iter_mut().for_each(|column| column.push(None));
                broken.push(Broken { row: lines.len() - 1, column: None, value: None, reason: self.wrong_width() });
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let rows = lines.len();
        let mut columns = Vec::with_capacity(self.columns.len());
        for ((builder, name), field) in self.columns.iter_mut().zip(&self.names).zip(&self.fields) {
            let texts = builder.finish(name, &mut broken);
            columns.push(field.map(|_| Column::Text(texts)));
        }
        broken.sort_by_key(|broken| broken.row);
        let origin = Origin { path: Some(Arc::clone(&self.path)), first_row: self.next_row, position: 0, lines };
        self.next_row += rows as u64;
        Ok(Some(Chunk { rows, columns, origin, broken }))
    }

    /// Line on which the record at hand starts. The reader's own count is that of the line ends it has passed, which for
    /// "\r\n" is one short of the record's end, and at a record's start does not know of empty lines before it.
    fn line(&self) -> u64 {
        let passed = self.records.position().line();
        let inside = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        let own_end = !self.watch.is_crlf.load(Ordering::Relaxed) && !self.watch.is_over.load(Ordering::Relaxed);
        // A file whose lines end with "\r" alone has no line ends to count.
        passed.saturating_sub(inside + u64::from(own_end)).max(1)
    }

    fn push_record(&mut self) {
        let Self { columns, fields, record, config, .. } = self;
        for (builder, field) in columns.iter_mut().zip(fields.iter()) {
            let mut value = field.and_then(|field| record.get(field));
            if config.trim {
                value = value.map(<[u8]>::trim_ascii);
            }
            builder.push(value.filter(|value| !config.null.iter().any(|null| null.as_bytes() == *value)));
        }
    }

    fn wrong_width(&self) -> Reason {
        let quoted = self.record.as_slice().contains(&b'\n');
        Reason::Fields { found: self.record.len(), expected: self.width, quoted }
    }
}

/// Texts of one column, in Arrow's layout.
#[derive(Default)]
struct TextBuilder {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    /// Empty as long as no value is missing.
    valid: Vec<bool>,
}

impl TextBuilder {
    fn push(&mut self, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.bytes.extend_from_slice(value);
            if !self.valid.is_empty() {
                self.valid.push(true);
            }
        } else {
            self.valid.resize(self.ends.len(), true);
            self.valid.push(false);
        }
        // A chunk ends long before its columns reach 2^31 bytes.
        self.ends.push(self.bytes.len() as i32);
    }

    fn finish(&mut self, name: &str, broken: &mut Vec<Broken>) -> StringArray {
        self.drop_invalid(name, broken);
        let (bytes, ends, valid) =
            (std::mem::take(&mut self.bytes), std::mem::take(&mut self.ends), std::mem::take(&mut self.valid));
        self.bytes.reserve(bytes.len());
        self.ends.reserve(ends.len());
        let rows = ends.len();
        let offsets = std::iter::once(0).chain(ends).collect::<Vec<i32>>();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = (!valid.is_empty()).then(|| NullBuffer::from(valid));
        StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls).unwrap_or_else(|_| StringArray::new_null(rows))
    }

    /// Makes fields that are not UTF-8 missing, and their rows broken.
    fn drop_invalid(&mut self, name: &str, broken: &mut Vec<Broken>) {
        if self.fields_are_utf8() {
            return;
        }
        let (bytes, ends) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.ends));
        let valid = std::mem::take(&mut self.valid);
        let mut start = 0;
        for (row, end) in ends.into_iter().map(|end| end as usize).enumerate() {
            let field = &bytes[start..end];
            start = end;
            let is_utf8 = std::str::from_utf8(field).is_ok();
            if !is_utf8 {
                let value = Some(String::from_utf8_lossy(field).into_owned());
                broken.push(Broken { row, column: Some(name.to_owned()), value, reason: Reason::Encoding });
            }
            let is_there = is_utf8 && valid.get(row).copied().unwrap_or(true);
            self.push(is_there.then_some(field));
        }
    }

    /// Whether every field is UTF-8 by itself, not only all of them in a row.
    fn fields_are_utf8(&self) -> bool {
        std::str::from_utf8(&self.bytes)
            .is_ok_and(|text| text.is_ascii() || self.ends.iter().all(|&end| text.is_char_boundary(end as usize)))
    }
}

/// What is known of the bytes that were read.
struct Watch {
    /// Bytes that the record at hand may still take.
    allowance: AtomicU64,
    /// Whether the first line ends with "\r\n".
    is_crlf: AtomicBool,
    /// Whether the file has ended. A record that is given out after that ends with it, and not with a line end.
    is_over: AtomicBool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { allowance: AtomicU64::new(MAX_RECORD), is_crlf: AtomicBool::new(false), is_over: AtomicBool::new(false) }
    }
}

/// Looks at the bytes on their way, and stops a read once the record at hand is longer than any record should be.
struct Watched {
    inner: Box<dyn Read + Send>,
    watch: Arc<Watch>,
    last: Option<u8>,
    has_line_end: bool,
}

impl Watched {
    fn look(&mut self, bytes: &[u8]) {
        if !self.has_line_end
            && let Some(at) = bytes.iter().position(|&byte| byte == b'\n')
        {
            self.has_line_end = true;
            let before = if at == 0 { self.last } else { Some(bytes[at - 1]) };
            self.watch.is_crlf.store(before == Some(b'\r'), Ordering::Relaxed);
        }
        match bytes.last() {
            Some(&byte) => self.last = Some(byte),
            None => self.watch.is_over.store(true, Ordering::Relaxed),
        }
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

fn is_tsv(path: &Path) -> bool {
    let stem_is_tsv = || path.file_stem().is_some_and(|stem| compress::has_ending(Path::new(stem), "tsv"));
    compress::has_ending(path, "tsv")
        || ((compress::has_ending(path, "gz") || compress::has_ending(path, "zst")) && stem_is_tsv())
}

/// Separator and quote are ASCII: the schema has been checked.
fn byte(char: char) -> u8 {
    u8::try_from(char).unwrap_or(b',')
}
