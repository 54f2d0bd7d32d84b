//! [`Sample`]: some rows with all of their columns, for finding out what the columns are.

use std::collections::HashMap;

use arrow::array::RecordBatch;

use super::ahead::ReadAhead;
use super::cell::Cell;
use super::chunk::{Chunk, Wanted};
use super::column::Column;
use super::fields::{Field, of_schema};
use super::open::refuse_pipes;
use super::{DataFile, Source};
use crate::error::{BadRow, Error, Result};

/// Files that a sample is taken of, at the most.
const MOST_FILES: usize = 16;

/// Some rows, with all of their columns.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Rows.
    pub rows: usize,
    /// The columns, in the order of the first file; then those that folders' names give.
    pub columns: Vec<SampleColumn>,
    /// Files that rows were taken of, and how many there are; 0 of rows in memory.
    pub files: (usize, usize),
    /// Whether there are no other rows.
    pub is_whole: bool,
    /// Rows of it that could not be taken apart, and the first of them.
    pub broken: Option<(usize, BadRow)>,
}

/// A column of a [`Sample`].
#[derive(Debug, Clone)]
pub struct SampleColumn {
    /// Its name.
    pub name: String,
    /// Its values, part by part; empty where they cannot be read.
    pub parts: Vec<Column>,
    /// Why they cannot, a phrase without subject.
    pub refused: Option<String>,
}

impl SampleColumn {
    /// The values, row by row.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.parts.iter().flat_map(|part| (0..part.len()).map(|row| part.cell(row)))
    }

    fn new(field: Field, twice: bool) -> Self {
        let twice = twice.then(|| "stands twice in the file".to_owned());
        let refused = twice.or_else(|| field.refused.map(|found| format!("holds {found}")));
        Self { name: field.name, parts: Vec::new(), refused }
    }
}

/// The columns that there are, each name once.
fn columns(fields: Vec<Field>) -> Vec<SampleColumn> {
    let mut at: HashMap<String, usize> = HashMap::with_capacity(fields.len());
    let mut columns: Vec<SampleColumn> = Vec::with_capacity(fields.len());
    for field in fields {
        match at.get(&field.name) {
            Some(&first) => columns[first] = SampleColumn::new(field, true),
            None => {
                at.insert(field.name.clone(), columns.len());
                columns.push(SampleColumn::new(field, false));
            }
        }
    }
    columns
}

impl Sample {
    /// A sample of at most `most(number of columns)` rows: the first rows of each of up to 16 files, spread evenly over
    /// all of them. Rows that cannot be split are counted and left out.
    ///
    /// # Errors
    /// If there is no file, a file cannot be read, or one is a pipe, which could not be read a second time.
    pub fn read(source: &Source, most: impl Fn(usize) -> usize) -> Result<Self> {
        refuse_pipes(
            &source.files,
            "its rows are read now, and again when a model is trained; write them to a file first",
        )?;
        let Some(first) = source.files.first() else { return Ok(Self::default()) };
        let mut sample = Self { columns: columns(source.fields(first)?), ..Self::default() };
        let rows = most(sample.columns.len()).max(1);
        let taken = source.files.len().min(MOST_FILES);
        let files: Vec<&DataFile> = (0..taken).map(|i| &source.files[i * source.files.len() / taken]).collect();
        loop {
            match sample.take(source, &files, rows) {
                // Of some types it is seen in their values alone that they cannot be read.
                Err(Error::ColumnType { column, found, .. }) => {
                    let known = sample.columns.iter_mut().find(|known| known.name == column && known.refused.is_none());
                    let Some(known) = known else { return Ok(sample) };
                    known.refused = Some(format!("holds {found}"));
                }
                Err(Error::TwiceInFile { column, .. }) => {
                    let known = sample.columns.iter_mut().find(|known| known.name == column && known.refused.is_none());
                    let Some(known) = known else { return Ok(sample) };
                    known.refused = Some("stands twice in a file".to_owned());
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        sample.files = (taken, source.files.len());
        sample.is_whole &= taken == source.files.len();
        Ok(sample)
    }

    /// A sample of all rows in memory. The texts `null` are missing values.
    ///
    /// # Errors
    /// If a value cannot be read.
    pub fn of_batches(batches: &[RecordBatch], null: &[String]) -> Result<Self> {
        let Some(first) = batches.first() else { return Ok(Self { is_whole: true, ..Self::default() }) };
        let mut sample = Self { columns: columns(of_schema(first.schema_ref())), is_whole: true, ..Self::default() };
        let (wanted, at) = sample.wanted();
        for batch in batches {
            let chunk = Chunk::from_rows(batch, &wanted, null)?;
            sample.add(chunk, &at, usize::MAX);
        }
        Ok(sample)
    }

    /// The columns that can be read, and where each stands among all of them.
    fn wanted(&self) -> (Vec<Wanted>, Vec<usize>) {
        let readable = self.columns.iter().enumerate().filter(|(_, column)| column.refused.is_none());
        let wanted = |(at, column): (usize, &SampleColumn)| {
            (Wanted { name: column.name.clone(), needed_by: "a sample".to_owned(), required: false }, at)
        };
        readable.map(wanted).unzip()
    }

    fn take(&mut self, source: &Source, files: &[&DataFile], most: usize) -> Result<()> {
        (self.rows, self.is_whole, self.broken) = (0, true, None);
        self.columns.iter_mut().for_each(|column| column.parts.clear());
        let (wanted, at) = self.wanted();
        for (i, file) in files.iter().enumerate() {
            let until = self.rows + (most - self.rows) / (files.len() - i);
            let one = Source { files: vec![(*file).clone()], ..source.clone() };
            let mut reader = ReadAhead::start(one.rows(wanted.clone()))?;
            while let Some(chunks) = reader.next_group(1)? {
                for chunk in chunks {
                    self.is_whole &= self.rows + chunk.rows <= until;
                    self.add(chunk, &at, until.saturating_sub(self.rows));
                }
                // One chunk more says whether the file has other rows.
                if self.rows >= until && !self.is_whole {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Adds the first `most` rows of a chunk.
    fn add(&mut self, chunk: Chunk, at: &[usize], most: usize) {
        let mut keep: Vec<bool> = (0..chunk.rows).map(|row| row < most).collect();
        for broken in chunk.broken.iter().filter(|broken| broken.row < most) {
            let bad = || {
                chunk.origin.bad_row(broken.row, broken.column.as_deref(), broken.value.clone(), broken.reason.clone())
            };
            let (count, _) = self.broken.get_or_insert_with(|| (0, bad()));
            // A row may be broken in several columns.
            *count += usize::from(std::mem::take(&mut keep[broken.row]));
        }
        let rows = keep.iter().filter(|&&kept| kept).count();
        let is_part = rows < chunk.rows;
        for (values, &at) in chunk.columns.into_iter().zip(at) {
            let column = &mut self.columns[at];
            match values {
                Some(values) if is_part => column.parts.push(values.filter(&keep)),
                Some(values) => column.parts.push(values),
                None => {
                    column.refused = Some("is not in every file".to_owned());
                    column.parts.push(Column::Missing(rows));
                }
            }
        }
        self.rows += rows;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::read::expand;
    use crate::schema::{CsvConfig, Files};

    fn source(base: &std::path::Path, pattern: &str) -> Source {
        Source {
            files: expand(base, &Files::One(pattern.to_owned()), None).unwrap(),
            format: None,
            otherwise: None,
            csv: CsvConfig::default(),
            by_configuration: false,
            others: Vec::new(),
            stop: None,
            memory: None,
        }
    }

    #[test]
    fn the_first_rows_of_files_that_lie_evenly_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        for file in 0..40 {
            let rows: String = (0..100).map(|row| format!("{file},{row}\n")).collect();
            std::fs::write(dir.path().join(format!("{file:02}.csv")), format!("file,row\n{rows}")).unwrap();
        }
        let sample = Sample::read(&source(dir.path(), "*.csv"), |_| 160).unwrap();
        assert_eq!((sample.rows, sample.files, sample.is_whole), (160, (16, 40), false));
        let texts = |at: usize| sample.columns[at].cells().map(|cell| cell.to_string()).collect::<Vec<_>>();
        assert_eq!(texts(1), (0..160).map(|row| (row % 10).to_string()).collect::<Vec<_>>());
        assert_eq!(texts(0)[..20], [vec!["0"; 10], vec!["2"; 10]].concat());
        let all = Sample::read(&source(dir.path(), "0?.csv"), |_| 1000).unwrap();
        assert_eq!((all.rows, all.is_whole), (1000, true));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.csv"), "a,b,a\n1,2,3\n4,5\n6,7,8\n").unwrap();
        let sample = Sample::read(&source(dir.path(), "a.csv"), |_| 10).unwrap();
        assert_eq!(sample.rows, 2);
        assert_eq!(sample.broken.as_ref().map(|(count, bad)| (*count, bad.line)), Some((1, Some(3))));
        assert_eq!(sample.columns.len(), 2);
        assert!(sample.columns[0].refused.as_deref().unwrap().contains("twice"));
        assert_eq!(sample.columns[1].cells().map(|cell| cell.to_string()).collect::<Vec<_>>(), ["2", "7"]);
    }
}
