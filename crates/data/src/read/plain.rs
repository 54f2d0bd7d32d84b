//! Text files in parts: bytes are read here and cut where a record ends; any free thread splits them into rows.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::block::ByteBlock;
use super::chunk::{Chunk, Wanted};
use super::dialect::Dialect;
use super::encoding::Text;
use super::failures::explain;
use super::header::{self, BOM, Header};
use super::open::OpenFile;
use super::records::{MAX_RECORD, NextRecord, Records};
use super::rows::RowBuilder;
use super::text::Form;
use super::{Source, compress};
use crate::error::Result;

/// Bytes that are split at a time: a thousand rows or some more, which is work worth handing to another thread.
const BLOCK: usize = 1 << 19;

/// Reads a text file.
pub(super) struct TextReader {
    form: Arc<Form>,
    bytes: Box<dyn Read + Send>,
    block: usize,
    /// What was read and not given out; it begins with a record.
    rest: ByteBlock,
    /// Whether the bytes are at their end.
    is_over: bool,
    /// Lines of the header and before it.
    lines_before: u64,
}

impl TextReader {
    pub(super) fn open(path: &Arc<Path>, input: OpenFile, source: &Source, wanted: &[Wanted]) -> Result<Self> {
        Self::over(path, compress::open(path, input, source.by_configuration)?, BLOCK, source, wanted)
    }

    fn over(
        path: &Arc<Path>,
        bytes: Box<dyn Read + Send>,
        block: usize,
        source: &Source,
        wanted: &[Wanted],
    ) -> Result<Self> {
        let config = &source.csv;
        let text = Text::new(bytes, config.encoding.as_deref()).map_err(|error| explain(path, error))?;
        let (mut bytes, dialect) = (text.bytes, Dialect::of(path, config));
        let encoding = text.encoding.map(encoding_rs::Encoding::name);
        let mut rest = ByteBlock::default();
        let mut is_over = fill(path, &mut bytes, &mut rest, block.max(BOM.len()))?;
        if rest.starts_with(BOM) {
            rest.drop_first(BOM.len());
        }
        let head = match config.header {
            false => Header { names: config.columns.clone(), ..Header::default() },
            true => loop {
                if let Some(found) = header::read(path, source, &dialect, encoding, &rest, is_over)? {
                    break found;
                }
                let more = rest.len().max(block);
                is_over = fill(path, &mut bytes, &mut rest, more)?;
            },
        };
        rest.drop_first(head.bytes);
        let form = Arc::new(Form::new(path, source, dialect, encoding, head.names, wanted)?);
        Ok(Self { form, bytes, block, rest, is_over, lines_before: head.lines })
    }

    /// Names of all columns.
    pub(super) fn header(&self) -> &[String] {
        &self.form.header
    }

    /// Lines before the first row that [`Lines`] do not count.
    pub(super) fn lines_before(&self) -> u64 {
        self.lines_before
    }

    /// The next records; `None` at the end.
    pub(super) fn next_lines(&mut self) -> Result<Option<Lines>> {
        loop {
            if !self.is_over {
                let more = self.block.saturating_sub(self.rest.len()).max(1);
                self.is_over = fill(&self.form.path, &mut self.bytes, &mut self.rest, more)?;
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let dialect = &self.form.dialect;
            // Where neither a quote nor an escape is, every line end ends a record.
            let last_line = || memchr::memrchr(b'\n', &self.rest).filter(|_| dialect.is_plain(&self.rest));
            let end = match self.is_over {
                true => Some(self.rest.len()),
                false => last_line().map(|at| at + 1).or_else(|| dialect.last_end(&self.rest)),
            };
            // A record that is too long gives an error when it is split; nothing after it is read.
            let is_endless = end.is_none() && self.rest.len() > MAX_RECORD;
            if let Some(end) = end.or(is_endless.then_some(self.rest.len())) {
                let mut rest = self.form.blocks.take().unwrap_or_default();
                rest.extend(&self.rest[end..]);
                let mut bytes = std::mem::replace(&mut self.rest, rest);
                bytes.truncate(end);
                if is_endless {
                    (self.bytes, self.is_over) = (Box::new(std::io::empty()), true);
                }
                return Ok(Some(Lines { form: Arc::clone(&self.form), bytes, is_endless }));
            }
            self.block = (self.rest.len() * 2).min(MAX_RECORD + 1);
        }
    }
}

/// Reads about `more` bytes, and returns whether that was the end.
fn fill(path: &Path, bytes: &mut dyn Read, into: &mut ByteBlock, more: usize) -> Result<bool> {
    into.fill(bytes, more).map_err(|source| explain(path, source))
}

/// Whole records of a text file.
pub(super) struct Lines {
    form: Arc<Form>,
    bytes: ByteBlock,
    /// Whether they are the beginning of a record that is too long.
    is_endless: bool,
}

impl Lines {
    /// The rows, counted from 0 and with lines from 1, and the number of lines.
    pub(super) fn split(self) -> (Vec<Chunk>, u64) {
        let Self { form, mut bytes, is_endless } = self;
        let mut rows = RowBuilder::new(&form);
        let lines = split(&mut rows, &form.dialect, &mut bytes, is_endless);
        let chunks = rows.finish(&bytes);
        bytes.clear();
        form.blocks.give_back(bytes);
        (chunks, lines)
    }
}

/// Takes records apart, and gives the number of lines.
fn split(rows: &mut RowBuilder<'_>, dialect: &Dialect, bytes: &mut [u8], is_endless: bool) -> u64 {
    let mut records = Records::new(dialect, true);
    loop {
        let before = rows.fields.len();
        let NextRecord::Record(record) = records.next(bytes, &mut rows.fields) else { return records.lines() };
        let (is_whole, line) = (rows.fields.len() - before == rows.width(), record.line);
        match record.fault {
            fault if is_endless => rows.add_endless(bytes, before, fault.as_ref(), line),
            Some(fault) => rows.add_fault(bytes, before, &fault, line),
            None if is_whole => rows.add(bytes, line),
            None => rows.add_ragged(bytes, before, record.range, line),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use std::io::Cursor;

    use super::*;
    use crate::schema::CsvConfig;

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

    fn source(csv: &CsvConfig) -> Source {
        Source {
            files: Vec::new(),
            format: None,
            otherwise: None,
            csv: csv.clone(),
            by_configuration: true,
            others: Vec::new(),
            stop: None,
            memory: None,
        }
    }

    fn rows(text: &[u8], config: &CsvConfig, block: usize) -> Result<Vec<String>> {
        let path: Arc<Path> = Arc::from(Path::new("log.csv"));
        let bytes = Box::new(Cursor::new(text.to_vec()));
        let mut reader = TextReader::over(&path, bytes, block, &source(config), &wanted())?;
        let (mut shown_rows, mut first_row, mut lines) = (Vec::new(), 0, reader.lines_before());
        while let Some(part) = reader.next_lines()? {
            let (chunks, count) = part.split();
            chunks.iter().for_each(|chunk| shown(chunk, first_row, lines, &mut shown_rows));
            first_row += chunks.iter().map(|chunk| chunk.rows as u64).sum::<u64>();
            lines += count;
        }
        Ok(shown_rows)
    }

    fn in_one_part(text: &[u8], config: &CsvConfig) -> Result<Vec<String>> {
        rows(text, config, 1 << 20)
    }

    fn compare(text: &[u8], config: &CsvConfig) {
        let expected = in_one_part(text, config).map_err(|error| error.to_string());
        for block in [1, 2, 3, 7, 20, 1 << 10] {
            let found = rows(text, config, block).map_err(|error| error.to_string());
            assert_eq!(found, expected, "in blocks of {block}: {:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn rows_are_the_same_wherever_the_file_is_cut() {
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
            "a,b\r1,2\r\r\"3\r\",4\r",
            "a,b\n1,\"2\"x\n\"3\" ,4\n5,\"6",
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
        // With a carriage return that is no part of a line end, too.
        let lines = |text: &[u8]| -> Vec<String> {
            let rows = in_one_part(text, &config).unwrap();
            rows.iter().map(|row| row.split(": ").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(lines(text), ["0 line 2", "1 line 3", "2 line 5", "3 line 7", "4 line 8", "5 line 9"]);
        assert_eq!(lines(b"a,b\n1,2\r\n\"x\r\",4\n5,6\r\n7,8\n"), ["0 line 2", "1 line 3", "2 line 4", "3 line 5"]);
        assert_eq!(lines(b"a,b\r1,2\r3,4\r"), ["0 line 2", "1 line 3"]);
    }

    #[test]
    fn a_record_without_end_is_told_of_and_nothing_behind_it_is_read() {
        let mut text = b"a,b\n1,2\n3,\"".to_vec();
        text.resize(MAX_RECORD + (1 << 21), b'x');
        text.extend(b"\"\n5,6\n");
        let rows = rows(&text, &CsvConfig::default(), 1 << 20).unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows[1].starts_with("1 line 3") && rows[1].contains("TooLong"), "{}", rows[1]);
    }

    fn dialect(separator: &str, quote: Option<char>, escape: Option<char>, trim: bool) -> CsvConfig {
        CsvConfig { separator: Some(separator.to_owned()), quote, escape, trim, ..CsvConfig::default() }
    }

    #[test]
    fn other_encodings_are_read_alike() {
        let expected = rows("a,b\né,\"ü\n\"\n€,4\n".as_bytes(), &CsvConfig::default(), 1 << 10).unwrap();
        let latin1 = CsvConfig { encoding: Some("latin1".into()), ..CsvConfig::default() };
        let utf16: Vec<u8> = "\u{feff}a,b\né,\"ü\n\"\n€,4\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for block in [1, 7, 1 << 10] {
            assert_eq!(rows(b"a,b\n\xe9,\"\xfc\n\"\n\x80,4\n", &latin1, block).unwrap(), expected);
            assert_eq!(rows(&utf16, &CsvConfig::default(), block).unwrap(), expected);
        }
        let gb18030 = CsvConfig { encoding: Some("gb18030".into()), ..CsvConfig::default() };
        let broken = rows(b"a,b\n1,\xff\n3,4\n", &gb18030, 1 << 10).unwrap();
        assert!(broken[0].contains("NotEncoded { encoding: \"gb18030\" }"), "{}", broken[0]);
        assert!(broken[1].ends_with("[]"), "{}", broken[1]);
    }

    #[test]
    fn headers_are_records_too() {
        let header = |text: &str, config: &CsvConfig| rows(text.as_bytes(), config, 4).map(|rows| rows.len());
        assert_eq!(header("\n\"a\"::\"b\"\n1::2\n", &dialect("::", Some('"'), None, false)).unwrap(), 1);
        assert_eq!(header("\"a\" , \"b\"\r1,2", &dialect(",", Some('"'), None, true)).unwrap(), 1);
        let fails = |text: &str| header(text, &CsvConfig::default()).unwrap_err().to_string();
        assert!(fails("\"a\"x,b\n1,2\n").contains("goes on behind its closing quote"));
        assert!(fails("\"a,b\n1,2\n").contains("never closed"));
        assert!(fails("a\0,\0b\0\n").contains("encoding = \"utf-16le\""));
    }

    proptest! {
        #[test]
        fn any_text_gives_the_same_rows(text in "[ab,\n\n12 \r\"é]{0,60}", header in any::<bool>()) {
            let columns = if header { vec![] } else { vec!["a".into(), "b".into()] };
            let text = if header { format!("a,b\n{text}") } else { text };
            compare(text.as_bytes(), &CsvConfig { header, columns, ..CsvConfig::default() });
        }

        #[test]
        fn any_text_of_any_dialect_gives_the_same_rows(
            text in "[ab:,\n12 \r\"\\\\é]{0,60}", separator in prop::sample::select(vec![",", "::", ":"]),
            quote in prop::option::of(Just('"')), escape in prop::option::of(Just('\\')), trim in any::<bool>(),
        ) {
            compare(format!("a{separator}b\n{text}").as_bytes(), &dialect(separator, quote, escape, trim));
        }
    }
}
