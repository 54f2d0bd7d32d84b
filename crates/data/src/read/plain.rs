//! Text files in parts: bytes are read here and cut where a record ends, and split into rows on whatever thread has time.
//!
//! Without a quote, and without a carriage return that is not part of a line end, every line is a record and every
//! separator ends a field; that is all that the `csv` crate would find out byte by byte. A part with quotes is cut by
//! [`super::quotes`], and goes through [`CsvReader`] when it is split. Where a carriage return ends a line by itself, so
//! does the rest of the file.

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use memchr::memchr;

use super::block::Block;
use super::chunk::{Broken, CHUNK_ROWS, Chunk, Origin, Wanted};
use super::csv::{self, BOM, CsvReader, MAX_RECORD};
use super::marks::{Marks, split_line};
use super::open::Input;
use super::text::{Form, MAX_COLUMN_BYTES, Place, byte, separator};
use super::{compress, quotes};
use crate::error::{Error, Reason, Result};
use crate::schema::CsvConfig;

/// Bytes that are split at a time: a thousand rows or some more, which is work worth handing to another thread.
const BLOCK: usize = 1 << 19;

/// Lines whose fields are found before any of them is looked at: with what is known of a column, they stay in the nearest
/// cache meanwhile.
const TOGETHER: usize = 32;

/// Where no field is.
const NOWHERE: Place = (1, 0);

/// What a text file is read by.
pub(super) enum TextReader {
    /// Line by line.
    Plain(Box<PlainReader>),
    /// Record by record.
    Csv(Box<CsvReader>),
}

/// What a [`TextReader`] gives.
pub(super) enum TextPart {
    /// Lines that are yet to be split.
    Lines(Lines),
    /// Rows, which are counted from where the records began.
    Rows(Chunk),
}

pub(super) struct PlainReader {
    form: Arc<Form>,
    bytes: Box<dyn Read + Send>,
    block: usize,
    /// What was read and not given out; it begins with a line.
    rest: Block,
    /// Whether the bytes are at their end.
    is_over: bool,
    /// Lines of the header and before it.
    lines_before: u64,
}

impl TextReader {
    pub(super) fn open(
        path: &Arc<Path>,
        input: Input,
        config: &CsvConfig,
        wanted: &[Wanted],
        by_configuration: bool,
    ) -> Result<Self> {
        Self::over(path, compress::open(path, input)?, BLOCK, config, wanted, by_configuration)
    }

    fn over(
        path: &Arc<Path>,
        mut bytes: Box<dyn Read + Send>,
        block: usize,
        config: &CsvConfig,
        wanted: &[Wanted],
        by_configuration: bool,
    ) -> Result<Self> {
        let mut rest = Block::default();
        // More than a mark, which is not looked for in parts, here or there.
        let is_over = fill(path, &mut bytes, &mut rest, block.max(2 * BOM.len()))?;
        let start = if rest.starts_with(BOM) { BOM.len() } else { 0 };
        let is_plain = !has_bare_return(&rest) && (is_over || rest.contains(&b'\n'));
        let header = if is_plain { Self::header(path, &rest[start..], is_over, config)? } else { None };
        let Some((header, header_bytes)) = header else {
            let bytes = Box::new(Cursor::new(rest.into_vec()).chain(bytes));
            return Ok(Self::Csv(Box::new(CsvReader::open(path, bytes, config, wanted, by_configuration)?)));
        };
        let lines_before = line_ends(&rest[start..start + header_bytes]);
        rest.drop_first(start + header_bytes);
        let form = Arc::new(Form::new(path, config, header, wanted, by_configuration)?);
        Ok(Self::Plain(Box::new(PlainReader { form, bytes, block, rest, is_over, lines_before })))
    }

    /// Names of the columns, and how many bytes the header takes with the empty lines before it; `None` if that is more
    /// than `bytes`.
    fn header(
        path: &Arc<Path>,
        bytes: &[u8],
        is_whole: bool,
        config: &CsvConfig,
    ) -> Result<Option<(Vec<String>, usize)>> {
        if !config.header {
            return Ok(Some((config.columns.clone(), 0)));
        }
        let Some(start) = bytes.iter().position(|byte| !b"\r\n".contains(byte)) else {
            return if is_whole { Err(Error::EmptyFile { path: path.to_path_buf() }) } else { Ok(None) };
        };
        let end = quotes::first_end(&bytes[start..], separator(path, config), config.quote.map(byte));
        let end = end.map(|end| start + end).or(is_whole.then_some(bytes.len()));
        end.map(|end| Ok((csv::header(path, config, &bytes[start..end])?, end))).transpose()
    }

    /// Lines before the first row that [`Lines`] do not count.
    pub(super) fn lines_before(&self) -> u64 {
        match self {
            Self::Plain(reader) => reader.lines_before,
            Self::Csv(_) => 0,
        }
    }

    pub(super) fn next_part(&mut self) -> Result<Option<TextPart>> {
        if let Self::Plain(reader) = self {
            if let Some(lines) = reader.next_lines()? {
                return Ok(Some(TextPart::Lines(lines)));
            }
            if reader.is_over && reader.rest.is_empty() {
                return Ok(None);
            }
            let PlainReader { form, bytes, rest, .. } = &mut **reader;
            let bytes = std::mem::replace(bytes, Box::new(std::io::empty()));
            *self = Self::Csv(Box::new(CsvReader::go_on(form, std::mem::take(rest).into_vec(), bytes)));
        }
        match self {
            Self::Csv(reader) => Ok(reader.next_chunk()?.map(TextPart::Rows)),
            Self::Plain(_) => Ok(None),
        }
    }
}

impl PlainReader {
    /// The next lines; `None` at the end, and where there is more than lines.
    fn next_lines(&mut self) -> Result<Option<Lines>> {
        loop {
            if !self.is_over {
                let more = self.block.saturating_sub(self.rest.len()).max(1);
                self.is_over = fill(&self.form.path, &mut self.bytes, &mut self.rest, more)?;
            }
            if self.rest.is_empty() || has_bare_return(&self.rest) {
                return Ok(None);
            }
            let Form { separator, quote, .. } = *self.form;
            let quote = quote.filter(|&quote| memchr(quote, &self.rest).is_some());
            let end = match self.is_over {
                true => Some(self.rest.len()),
                false => quotes::last_end(&self.rest, separator, quote),
            };
            if let Some(end) = end {
                let mut rest = self.form.blocks.take().unwrap_or_default();
                rest.extend(&self.rest[end..]);
                let mut bytes = std::mem::replace(&mut self.rest, rest);
                bytes.truncate(end);
                return Ok(Some(Lines { form: Arc::clone(&self.form), bytes, has_quotes: quote.is_some() }));
            }
            // A record that is longer than any should be is for the other reader to refuse.
            if self.rest.len() as u64 > MAX_RECORD / 2 {
                return Ok(None);
            }
            self.block = self.rest.len() * 2;
        }
    }
}

/// Reads about `more` bytes, and tells whether that was the end.
fn fill(path: &Path, bytes: &mut dyn Read, into: &mut Block, more: usize) -> Result<bool> {
    into.fill(bytes, more).map_err(|source| compress::explain(path, source))
}

/// Whether a carriage return is not part of a line end.
fn has_bare_return(bytes: &[u8]) -> bool {
    // Most files have none, which this finds out some bytes at a time.
    let is_bare = |at: usize| bytes.get(at + 1).is_some_and(|&next| next != b'\n');
    memchr::memchr_iter(b'\r', bytes).any(is_bare)
}

fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Whole records of a text file.
pub(super) struct Lines {
    form: Arc<Form>,
    bytes: Block,
    has_quotes: bool,
}

impl Lines {
    /// The rows, counted from 0 and with lines from 1, and the number of lines.
    pub(super) fn split(self) -> Result<(Vec<Chunk>, u64)> {
        if self.has_quotes { self.split_records() } else { Ok(self.split_lines()) }
    }

    fn split_records(self) -> Result<(Vec<Chunk>, u64)> {
        let lines = line_ends(&self.bytes);
        let mut reader = CsvReader::go_on(&self.form, self.bytes.into_vec(), Box::new(std::io::empty()));
        let chunks = std::iter::from_fn(|| reader.next_chunk().transpose()).collect::<Result<_>>()?;
        self.form.give_back(reader.into_builders());
        Ok((chunks, lines))
    }

    fn split_lines(self) -> (Vec<Chunk>, u64) {
        let Self { form, mut bytes, .. } = self;
        let (mut chunks, mut columns) = (Vec::new(), form.builders());
        let (mut at, mut line_number, mut first_row) = (0, 0, 0);
        let mut fields: Vec<Place> = Vec::with_capacity(TOGETHER * form.width());
        let mut marks = Marks::new(&bytes, form.separator);
        while at < bytes.len() {
            let (mut lines, mut broken, start) = (Vec::new(), Vec::new(), at);
            while at < bytes.len() && lines.len() < CHUNK_ROWS && at - start < MAX_COLUMN_BYTES / 2 {
                let before = fields.len();
                let (is_empty, next) = split_line(&bytes, at, &mut marks, &mut fields);
                line_number += 1;
                at = next;
                if is_empty {
                    fields.truncate(before);
                    continue;
                }
                lines.push(line_number);
                let found = fields.len() - before;
                if found != form.width() {
                    fields.truncate(before);
                    fields.resize(before + form.width(), NOWHERE);
                    let reason = Reason::Fields { found, expected: form.width(), quoted: false };
                    broken.push(Broken { row: lines.len() - 1, column: None, value: None, reason });
                }
                if lines.len().is_multiple_of(TOGETHER) {
                    form.push_lines(&mut columns, &bytes, &fields);
                    fields.clear();
                }
            }
            form.push_lines(&mut columns, &bytes, &fields);
            fields.clear();
            let rows = lines.len();
            if rows > 0 {
                let columns = form.finish(&mut columns, &mut broken);
                let origin = Origin { path: Some(Arc::clone(&form.path)), first_row, position: 0, lines };
                chunks.push(Chunk { rows, columns, origin, broken });
                first_row += rows as u64;
            }
        }
        form.give_back(columns);
        bytes.clear();
        form.blocks.give_back(bytes);
        (chunks, line_number)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every cell, line and broken row, as one text.
    fn shown(chunk: &Chunk, first_row: u64, lines: u64, into: &mut Vec<String>) {
        for row in 0..chunk.rows {
            let cells: Vec<String> = (0..chunk.columns.len()).map(|c| format!("{:?}", chunk.cell(c, row))).collect();
            let broken: Vec<_> = chunk.broken.iter().filter(|b| b.row == row).map(|b| (&b.column, &b.reason)).collect();
            let number = first_row + chunk.origin.first_row + row as u64;
            into.push(format!("{number} line {}: {cells:?} {broken:?}", chunk.origin.lines[row] + lines));
        }
    }

    fn wanted() -> Vec<Wanted> {
        ["b", "a", "none"]
            .map(|name| Wanted { name: name.into(), needed_by: "a test".into(), required: name != "none" })
            .to_vec()
    }

    fn rows(text: &[u8], config: &CsvConfig, block: usize) -> Result<Vec<String>> {
        let path: Arc<Path> = Arc::from(Path::new("log.csv"));
        let bytes = Box::new(Cursor::new(text.to_vec()));
        let mut reader = TextReader::over(&path, bytes, block, config, &wanted(), false)?;
        let (mut shown_rows, mut first_row, mut lines) = (Vec::new(), 0, reader.lines_before());
        while let Some(part) = reader.next_part()? {
            match part {
                TextPart::Rows(chunk) => shown(&chunk, first_row, lines, &mut shown_rows),
                TextPart::Lines(part) => {
                    let (chunks, count) = part.split()?;
                    chunks.iter().for_each(|chunk| shown(chunk, first_row, lines, &mut shown_rows));
                    first_row += chunks.iter().map(|chunk| chunk.rows as u64).sum::<u64>();
                    lines += count;
                }
            }
        }
        Ok(shown_rows)
    }

    fn by_records(text: &[u8], config: &CsvConfig) -> Result<Vec<String>> {
        let path: Arc<Path> = Arc::from(Path::new("log.csv"));
        let mut reader = CsvReader::open(&path, Box::new(Cursor::new(text.to_vec())), config, &wanted(), false)?;
        let mut shown_rows = Vec::new();
        while let Some(chunk) = reader.next_chunk()? {
            shown(&chunk, 0, 0, &mut shown_rows);
        }
        Ok(shown_rows)
    }

    fn compare(text: &[u8], config: &CsvConfig) {
        let expected = by_records(text, config).map_err(|error| error.to_string());
        for block in [1, 2, 3, 7, 20, 1 << 10] {
            let found = rows(text, config, block).map_err(|error| error.to_string());
            assert_eq!(found, expected, "in blocks of {block}: {:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn lines_are_what_records_would_be() {
        for text in [
            "a,b\n1,2\n3,4\n",
            "a,b\n1,2\n3,4",
            "a,b\n\n1,2\n\n\n3,\n,\n",
            "\n\na,b\n1,2\n3,4,5\n6\n",
            "a,b\r\n1,2\r\n\r\n3,4",
            "a,b\n1,2\n\"3\",4\n5,\"6\n7\"\n8,9\n10,11\n",
            "\u{feff}a,b\n1,2\n",
            "a,b\n1,2\n\u{feff}3,4\n\"5\",6\n",
            "a,b\n1,2\n\u{feff}\"3\",4\n",
            "",
            "\n",
            "a,b",
            "a,c\n1,2\n",
            "\"a\",b\n1,2\n",
        ] {
            compare(text.as_bytes(), &CsvConfig::default());
            compare(text.as_bytes(), &CsvConfig { quote: None, ..CsvConfig::default() });
        }
        let trim = CsvConfig { trim: true, null: vec!["NA".into(), "".into()], ..CsvConfig::default() };
        compare(b"a, b\n 1 ,NA\n , x\xff\n", &trim);
        let named = CsvConfig { header: false, columns: vec!["a".into(), "b".into()], ..trim };
        compare(b"\xEF\xBB\xBF1,2\n3,4\n", &named);
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        let config = CsvConfig::default();
        let text = b"a,b\r\n1,2\n\"3\",4\r\n\n\"5\r\n6\",7\n8,9,10\r\n\"11\",12\n13,14";
        for block in [1, 7, 20, 1 << 10] {
            let rows = rows(text, &config, block).unwrap();
            let lines: Vec<&str> = rows.iter().filter_map(|row| row.split(':').next()).collect();
            assert_eq!(lines, ["0 line 2", "1 line 3", "2 line 5", "3 line 7", "4 line 8", "5 line 9"], "{block}");
        }
        // Read record by record, and with a carriage return that ends no line, too.
        let lines = |text: &[u8]| -> Vec<String> {
            let rows = by_records(text, &config).unwrap();
            rows.iter().map(|row| row.split(": ").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(lines(text), ["0 line 2", "1 line 3", "2 line 5", "3 line 7", "4 line 8", "5 line 9"]);
        assert_eq!(lines(b"a,b\n1,2\r\n\"x\r\",4\n5,6\r\n7,8\n"), ["0 line 2", "1 line 3", "2 line 4", "3 line 5"]);
    }

    proptest! {
        #[test]
        fn any_text_gives_the_same_rows(
            text in "[ab,\n\n12 \r\"é]{0,60}", line_ends in any::<bool>(), header in any::<bool>(),
        ) {
            // Every carriage return before a line end, or mixed line ends; one by itself is another rule.
            let text = text.replace('\r', if line_ends { "\r\n" } else { "" });
            let text = if line_ends { text } else { text.replace('\n', "\r\n") };
            let config = CsvConfig { header, columns: if header { vec![] } else { vec!["a".into(), "b".into()] },
                ..CsvConfig::default() };
            let text = if header { format!("a,b{}{text}", if line_ends { "\n" } else { "\r\n" }) } else { text };
            compare(text.as_bytes(), &config);
        }
    }
}
