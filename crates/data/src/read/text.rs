//! [`Form`]: how fields of a text file become values; [`TextBuilder`]: the texts of a column.

use std::path::Path;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::chunk::{Broken, Wanted};
use super::column::Column;
use super::{compress, locate};
use crate::error::{Reason, Result};
use crate::schema::CsvConfig;

/// Longest text of one column of one chunk: what Arrow's 32-bit offsets reach.
pub(super) const MAX_COLUMN_BYTES: usize = i32::MAX as usize;

/// How a text file is written, and which of its fields are wanted.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) path: Arc<Path>,
    pub(super) separator: u8,
    pub(super) quote: Option<u8>,
    /// Names of the columns.
    pub(super) header: Vec<String>,
    /// Field of each wanted column.
    fields: Vec<Option<usize>>,
    names: Vec<String>,
    trim: bool,
    null: Vec<Vec<u8>>,
    /// Whether the empty field alone means a missing value, which is the common case.
    only_empty: bool,
}

impl Form {
    pub(super) fn new(
        path: &Arc<Path>,
        config: &CsvConfig,
        header: Vec<String>,
        wanted: &[Wanted],
        by_configuration: bool,
    ) -> Result<Self> {
        Ok(Self {
            path: Arc::clone(path),
            separator: separator(path, config),
            quote: config.quote.map(byte),
            fields: locate(path, &header, wanted, by_configuration)?,
            header,
            names: wanted.iter().map(|column| column.name.clone()).collect(),
            trim: config.trim,
            null: config.null.iter().map(|null| null.as_bytes().to_vec()).collect(),
            only_empty: config.null.len() == 1 && config.null[0].is_empty(),
        })
    }

    /// Number of fields of every record.
    pub(super) fn width(&self) -> usize {
        self.header.len()
    }

    /// A builder for each wanted column.
    pub(super) fn builders(&self) -> Vec<TextBuilder> {
        self.names.iter().map(|_| TextBuilder::default()).collect()
    }

    /// Appends a record, whose fields `get` gives.
    pub(super) fn push<'r>(&self, columns: &mut [TextBuilder], get: impl Fn(usize) -> Option<&'r [u8]>) {
        for (builder, field) in columns.iter_mut().zip(&self.fields) {
            let mut value = field.and_then(&get);
            if self.trim {
                value = value.map(<[u8]>::trim_ascii);
            }
            let is_null = |value: &[u8]| match self.only_empty {
                true => value.is_empty(),
                false => self.null.iter().any(|null| null == value),
            };
            builder.push(value.filter(|value| !is_null(value)));
        }
    }

    /// The columns, once all rows of a chunk are there. Fields that are not UTF-8 break their rows.
    pub(super) fn finish(&self, columns: &mut [TextBuilder], broken: &mut Vec<Broken>) -> Vec<Option<Column>> {
        let columns = columns.iter_mut().zip(&self.names).zip(&self.fields);
        let columns = columns.map(|((builder, name), field)| {
            let texts = builder.finish(name, broken);
            field.map(|_| Column::Text(texts))
        });
        let columns = columns.collect();
        broken.sort_by_key(|broken| broken.row);
        columns
    }
}

/// Between two fields.
pub(super) fn separator(path: &Path, config: &CsvConfig) -> u8 {
    byte(config.separator.unwrap_or(if is_tsv(path) { '\t' } else { ',' }))
}

fn is_tsv(path: &Path) -> bool {
    let stem_is_tsv = || path.file_stem().is_some_and(|stem| compress::has_ending(Path::new(stem), "tsv"));
    compress::has_ending(path, "tsv")
        || ((compress::has_ending(path, "gz") || compress::has_ending(path, "zst")) && stem_is_tsv())
}

/// Separator and quote are ASCII: the schema has been checked.
pub(super) fn byte(char: char) -> u8 {
    u8::try_from(char).unwrap_or(b',')
}

/// Texts of one column, in Arrow's layout.
#[derive(Default)]
pub(super) struct TextBuilder {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    /// Empty as long as no value is missing.
    valid: Vec<bool>,
}

impl TextBuilder {
    pub(super) fn push(&mut self, value: Option<&[u8]>) {
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

    pub(super) fn finish(&mut self, name: &str, broken: &mut Vec<Broken>) -> StringArray {
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
