//! [`Form`]: how fields of a text file become values; [`TextBuilder`]: the texts of a column.

use std::path::Path;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::block::ByteBlock;
use super::chunk::{Broken, Wanted};
use super::column::Column;
use super::dialect::Dialect;
use super::repeated::{MOST, Repeated};
use super::reused::Reused;
use super::{Source, locate};
use crate::error::{Reason, Result};
use crate::interner::Interner;

/// Where a field begins among some bytes, and where it ends.
pub(super) type FieldRange = (u32, u32);

/// How a text file is written, and which of its fields are wanted.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) path: Arc<Path>,
    pub(super) dialect: Dialect,
    /// What the file is written in, where that is not UTF-8.
    encoding: Option<&'static str>,
    /// Whether the keys that say how a file is written stand in a configuration.
    pub(super) by_configuration: bool,
    /// Names of the columns.
    pub(super) header: Vec<String>,
    /// Field of each wanted column.
    fields: Vec<Option<usize>>,
    names: Vec<String>,
    null: Vec<Vec<u8>>,
    /// Whether the empty field alone means a missing value, which is the common case.
    only_empty: bool,
    /// Builders that are between two parts of the file.
    builders: Reused<Vec<TextBuilder>>,
    /// Memory of parts that were taken apart.
    pub(super) blocks: Reused<ByteBlock>,
}

impl Form {
    pub(super) fn new(
        path: &Arc<Path>,
        source: &Source,
        dialect: Dialect,
        encoding: Option<&'static str>,
        header: Vec<String>,
        wanted: &[Wanted],
    ) -> Result<Self> {
        let null = &source.csv.null;
        Ok(Self {
            path: Arc::clone(path),
            dialect,
            encoding,
            by_configuration: source.by_configuration,
            fields: locate(path, &header, wanted, source.by_configuration)?,
            header,
            names: wanted.iter().map(|column| column.name.clone()).collect(),
            null: null.iter().map(|null| null.as_bytes().to_vec()).collect(),
            only_empty: null.len() == 1 && null[0].is_empty(),
            builders: Reused::default(),
            blocks: Reused::default(),
        })
    }

    /// Number of fields of every record.
    pub(super) fn width(&self) -> usize {
        self.header.len()
    }

    /// A builder for each wanted column.
    pub(super) fn builders(&self) -> Vec<TextBuilder> {
        self.builders.take().unwrap_or_else(|| self.names.iter().map(|_| TextBuilder::default()).collect())
    }

    /// Keeps builders, all of whose columns were finished, for the next who asks for some.
    pub(super) fn give_back(&self, builders: Vec<TextBuilder>) {
        self.builders.give_back(builders);
    }

    /// Appends records; `at` has the places of all their fields in `bytes`, and an invalid range is a missing
    /// value. Columns are appended one after the other, so that their data are in the cache and branches are
    /// predictable.
    pub(super) fn push(&self, columns: &mut [TextBuilder], bytes: &[u8], at: &[FieldRange]) {
        for (builder, field) in columns.iter_mut().zip(&self.fields) {
            for line in at.chunks_exact(self.width().max(1)) {
                let field = field.and_then(|field| bytes.get(line[field].0 as usize..line[field].1 as usize));
                builder.push(field.and_then(|field| self.value(field)));
            }
        }
    }

    /// The value that a field is, unless it stands for a missing one.
    #[inline]
    fn value<'r>(&self, field: &'r [u8]) -> Option<&'r [u8]> {
        let value = if self.dialect.trim { field.trim_ascii() } else { field };
        let is_null = match self.only_empty {
            true => value.is_empty(),
            false => self.null.iter().any(|null| null == value),
        };
        (!is_null).then_some(value)
    }

    /// The columns, once all rows of a chunk are there. Fields that are not UTF-8 break their rows.
    pub(super) fn finish(&self, columns: &mut [TextBuilder], broken: &mut Vec<Broken>) -> Vec<Option<Column>> {
        let columns = finish(columns, &self.names, &self.not_text(), broken);
        broken.sort_by_key(|broken| broken.row);
        columns.into_iter().zip(&self.fields).map(|(texts, field)| field.map(|_| texts)).collect()
    }

    /// Why bytes that mean no text cannot be used.
    fn not_text(&self) -> Reason {
        match self.encoding {
            None => Reason::Encoding,
            Some(encoding) => Reason::NotEncoded { encoding: encoding.to_owned() },
        }
    }
}

/// Texts of one column of a chunk: each different one once, for as long as there are few.
#[derive(Debug, Default)]
pub(super) struct TextBuilder {
    distinct: Interner,
    /// As in [`Repeated`].
    codes: Vec<u16>,
    /// All texts, once there are too many different ones.
    all: Option<AllTexts>,
}

/// Different texts that any column may have, and the share of the rows above them.
const FEW: usize = 64;
const REPEATS: usize = 4;

impl TextBuilder {
    #[inline]
    pub(super) fn push(&mut self, value: Option<&[u8]>) {
        if let Some(all) = &mut self.all {
            return all.push(value);
        }
        let code = value.map_or(0, |value| self.distinct.intern(value) + 1);
        // No more than `MOST`: it would have given up.
        self.codes.push(code as u16);
        let different = self.distinct.len();
        if code == different && different > FEW && (different * REPEATS > self.codes.len() || different == MOST) {
            self.give_up();
        }
    }

    /// Goes on with all texts.
    #[cold]
    fn give_up(&mut self) {
        let mut all = AllTexts::default();
        for code in self.codes.drain(..) {
            all.push(code.checked_sub(1).map(|number| self.distinct.text(number.into())));
        }
        self.distinct.clear();
        self.all = Some(all);
    }

    /// Gives up where a field is not UTF-8.
    fn check(&mut self) {
        let is_utf8 = |number: usize| std::str::from_utf8(self.distinct.text(number)).is_ok();
        if self.all.is_none() && !(0..self.distinct.len()).all(is_utf8) {
            self.give_up();
        }
    }

    /// The different texts, without their codes; forgets both.
    fn take_distinct(&mut self) -> StringArray {
        let (bytes, ends) = self.distinct.parts();
        let ends = ends.iter().map(|&end| end as i32).collect();
        let texts = AllTexts { bytes: bytes.to_vec(), ends, valid: Vec::new() }.finish();
        self.distinct.clear();
        self.codes.clear();
        texts
    }
}

/// The columns; builders are as new afterwards. Fields that are not UTF-8 become missing, and their rows broken.
fn finish(builders: &mut [TextBuilder], names: &[String], not_text: &Reason, broken: &mut Vec<Broken>) -> Vec<Column> {
    builders.iter_mut().for_each(TextBuilder::check);
    // One piece of memory for the codes of all columns, which mostly are many and short.
    let mut codes = Vec::with_capacity(builders.iter().map(|builder| builder.codes.len()).sum());
    builders.iter().for_each(|builder| codes.extend_from_slice(&builder.codes));
    let codes = Buffer::from_vec(codes);
    let mut start = 0;
    let column = |(builder, name): (&mut TextBuilder, &String)| {
        if let Some(mut all) = builder.all.take() {
            all.drop_invalid(name, not_text, broken);
            return Column::Text(all.finish());
        }
        let own = ScalarBuffer::new(codes.clone(), start, builder.codes.len());
        start += builder.codes.len();
        Column::Repeated(Repeated::new(builder.take_distinct(), own))
    };
    builders.iter_mut().zip(names).map(column).collect()
}

/// Texts of one column, in Arrow's layout.
#[derive(Debug, Default)]
struct AllTexts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    /// Empty as long as no value is missing.
    valid: Vec<bool>,
}

impl AllTexts {
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

    fn finish(self) -> StringArray {
        let Self { bytes, ends, valid } = self;
        let rows = ends.len();
        let offsets = std::iter::once(0).chain(ends).collect::<Vec<i32>>();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = (!valid.is_empty()).then(|| NullBuffer::from(valid));
        StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls).unwrap_or_else(|_| StringArray::new_null(rows))
    }

    /// Makes fields that are not UTF-8 missing, and their rows broken.
    fn drop_invalid(&mut self, name: &str, not_text: &Reason, broken: &mut Vec<Broken>) {
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
                broken.push(Broken { row, column: Some(name.to_owned()), value, reason: not_text.clone() });
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cell::Cell;
    use super::*;

    /// The column of these fields, and its broken rows.
    fn built(builder: &mut TextBuilder, fields: &[Option<&[u8]>]) -> (Column, Vec<Broken>) {
        fields.iter().for_each(|field| builder.push(*field));
        let mut broken = Vec::new();
        let column = finish(std::slice::from_mut(builder), &["x".to_owned()], &Reason::Encoding, &mut broken).remove(0);
        (column, broken)
    }

    fn check(builder: &mut TextBuilder, fields: &[Option<&[u8]>]) -> Column {
        let (column, broken) = built(builder, fields);
        assert_eq!(column.len(), fields.len());
        let mut broken = broken.into_iter();
        for (row, field) in fields.iter().enumerate() {
            let expected = match field.map(std::str::from_utf8) {
                None => Cell::Missing,
                Some(Ok(text)) => Cell::Text(text),
                Some(Err(_)) => {
                    assert_eq!(broken.next().map(|broken| (broken.row, broken.reason)), Some((row, Reason::Encoding)));
                    Cell::Missing
                }
            };
            assert_eq!(column.cell(row), expected, "row {row}");
        }
        assert!(broken.next().is_none());
        column
    }

    #[test]
    fn few_texts_are_kept_once_and_many_one_by_one() {
        let mut builder = TextBuilder::default();
        let numbers: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let few: Vec<_> = (0..1000).map(|row| (row % 7 != 3).then(|| numbers[row % 64].as_bytes())).collect();
        let many: Vec<_> = (0..1000).map(|row| (row % 7 != 3).then(|| numbers[row].as_bytes())).collect();
        // A builder has nothing of one chunk left in the next.
        for _ in 0..2 {
            assert!(matches!(check(&mut builder, &few), Column::Repeated(_)));
            assert!(matches!(check(&mut builder, &many), Column::Text(_)));
        }
        assert!(matches!(check(&mut builder, &[]), Column::Repeated(_)));
    }

    #[test]
    fn what_is_not_utf8_breaks_each_of_its_rows() {
        let fields: [Option<&[u8]>; 5] = [Some(b"a"), Some(b"\xff"), None, Some(b"\xff"), Some(b"a")];
        check(&mut TextBuilder::default(), &fields);
        // Halves of one letter: valid side by side, and neither by itself.
        check(&mut TextBuilder::default(), &[Some(b"\xc3"), Some(b"\xa9"), Some("é".as_bytes())]);
    }

    proptest! {
        #[test]
        fn cells_are_the_fields(
            fields in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..3)), 0..300),
            few in any::<bool>(),
        ) {
            let narrow = |bytes: &Vec<u8>| bytes.iter().map(|byte| byte % 3 + b'a').collect::<Vec<u8>>();
            let fields: Vec<Option<Vec<u8>>> =
                fields.iter().map(|field| field.as_ref().map(|f| if few { narrow(f) } else { f.clone() })).collect();
            let fields: Vec<Option<&[u8]>> = fields.iter().map(Option::as_deref).collect();
            check(&mut TextBuilder::default(), &fields);
        }
    }
}
