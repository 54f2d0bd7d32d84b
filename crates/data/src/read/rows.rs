//! [`RowBuilder`]: records of a text file into chunks.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::{Broken, CHUNK_ROWS, Chunk, Origin};
use super::records::{Fault, MAX_RECORD};
use super::text::{FieldRange, Form, TextBuilder};
use crate::error::{Hint, Reason};

/// Records whose fields are found before any of them is looked at: with what is known of a column, they stay in the nearest
/// cache meanwhile.
const TOGETHER: usize = 32;

/// Where no field is.
const NOWHERE: FieldRange = (1, 0);

/// Most bytes of a value that a message shows.
const SHOWN: usize = 400;

/// Collects the records of one part of a file.
pub(super) struct RowBuilder<'f> {
    form: &'f Form,
    columns: Vec<TextBuilder>,
    /// Where the fields of records are that are not in `columns` yet.
    pub(super) fields: Vec<FieldRange>,
    /// Lines of the current chunk.
    lines: Vec<u64>,
    broken: Vec<Broken>,
    chunks: Vec<Chunk>,
    first_row: u64,
}

impl<'f> RowBuilder<'f> {
    pub(super) fn new(form: &'f Form) -> Self {
        Self {
            columns: form.builders(),
            fields: Vec::with_capacity(TOGETHER * form.width()),
            form,
            lines: Vec::new(),
            broken: Vec::new(),
            chunks: Vec::new(),
            first_row: 0,
        }
    }

    /// Fields of every record.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.form.width()
    }

    /// Adds a record that is in order, whose fields were appended.
    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8], line: u64) {
        self.lines.push(line);
        if self.lines.len().is_multiple_of(TOGETHER) {
            self.push(bytes);
        }
    }

    /// Adds a record of too few or too many fields, those from number `before` on.
    #[cold]
    pub(super) fn add_ragged(&mut self, bytes: &[u8], before: usize, record: Range<usize>, line: u64) {
        let text = &bytes[record];
        let (found, expected) = (self.fields.len() - before, self.width());
        let quote = self.form.dialect.quote.filter(|_| self.form.dialect.escape.is_none());
        let holds = |first: u8| quote.is_some_and(|quote| memchr::memmem::find(text, &[first, quote]).is_some());
        let hint = if holds(b'\\') {
            Some(Hint::Escape)
        } else if !self.form.dialect.trim && (holds(b' ') || holds(b'\t')) {
            Some(Hint::Trim)
        } else {
            None
        };
        let quoted = text.trim_ascii_end().contains(&b'\n');
        self.add_broken(bytes, before, line, None, None, Reason::Fields { found, expected, quoted, hint });
    }

    /// Adds a record that breaks the rules, whose fields are those from number `before` on.
    #[cold]
    pub(super) fn add_fault(&mut self, bytes: &[u8], before: usize, fault: &Fault, line: u64) {
        let text = &bytes[fault.range.clone()];
        let reason = match fault.open {
            true => Reason::OpenQuote { lines: text.trim_ascii_end().iter().filter(|&&byte| byte == b'\n').count() },
            false => Reason::BehindQuote,
        };
        self.add_broken(bytes, before, line, Some(fault), Some(shown(text)), reason);
    }

    /// Adds a record that is longer than any should be.
    #[cold]
    pub(super) fn add_endless(&mut self, bytes: &[u8], before: usize, fault: Option<&Fault>, line: u64) {
        let reason = Reason::TooLong { mebibytes: (MAX_RECORD >> 20) as u64 };
        self.add_broken(bytes, before, line, fault, None, reason);
    }

    fn add_broken(
        &mut self,
        bytes: &[u8],
        before: usize,
        line: u64,
        fault: Option<&Fault>,
        value: Option<String>,
        reason: Reason,
    ) {
        self.fields.truncate(before);
        self.fields.resize(before + self.width(), NOWHERE);
        let column = fault.and_then(|fault| self.form.header.get(fault.field).cloned());
        self.broken.push(Broken { row: self.lines.len(), column, value, reason });
        self.add(bytes, line);
    }

    /// Appends the fields to the columns.
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.form.push(&mut self.columns, bytes, &self.fields);
        self.fields.clear();
        // A part of a file is some times the longest record at the most, which is far from what Arrow's offsets reach.
        if self.lines.len() == CHUNK_ROWS {
            self.end_chunk();
        }
    }

    fn end_chunk(&mut self) {
        let rows = self.lines.len();
        if rows == 0 {
            return;
        }
        let (lines, mut broken) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.broken));
        let columns = self.form.finish(&mut self.columns, &mut broken);
        let origin = Origin {
            path: Some(Arc::clone(&self.form.path)),
            first_row: self.first_row,
            lines,
            by_command: !self.form.by_configuration,
            ..Origin::default()
        };
        self.chunks.push(Chunk { rows, columns, origin, broken });
        self.first_row += rows as u64;
    }

    /// All chunks.
    pub(super) fn finish(mut self, bytes: &[u8]) -> Vec<Chunk> {
        self.push(bytes);
        self.end_chunk();
        self.form.give_back(self.columns);
        self.chunks
    }
}

/// The beginning of a text.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(SHOWN)]).into_owned()
}
