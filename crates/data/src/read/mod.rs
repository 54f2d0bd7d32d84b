//! Readers: files into [`Chunk`]s, one format per file.
//!
//! A [`RowReader`] goes through any number of files and gives pieces of them; any free thread decodes a piece. [`ReadAhead`]
//! makes chunks of at most [`CHUNK_ROWS`] rows out of these, with only the requested columns and the place of each row.
//! Encoders decide what the values mean.

mod ahead;
mod arrow;
mod block;
mod casts;
mod cell;
mod chunk;
mod column;
mod compress;
mod data_file;
mod dialect;
mod encoding;
mod encrypted;
mod endings;
mod envelope;
mod failures;
mod fields;
mod folders;
mod forms;
mod guard;
mod hand_out;
mod header;
mod memory;
mod messages;
mod open;
mod parquet;
mod parquet_bytes;
mod paths;
mod piece;
mod plain;
mod records;
mod repeated;
mod reused;
mod rows;
mod sample;
mod text;
mod times;
mod utf8;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::arrow::array::{ArrayRef, RecordBatch};

pub use ahead::ReadAhead;
pub use cell::Cell;
pub use chunk::{Broken, CHUNK_ROWS, Chunk, Origin, Wanted};
pub use column::{Column, List};
pub use data_file::{DataFile, FolderColumn};
pub use endings::format_of;
pub use fields::Field;
pub use open::{StopFlag, refuse_pipes};
pub use paths::{expand, repeated};
pub use repeated::Repeated;
pub use sample::{Sample, SampleColumn};
pub use times::Times;

pub(crate) use encoding::{LABELS, is_label};
pub use guard::guarded;
pub(crate) use open::{identity, is_pipe, open_file};
pub(crate) use repeated::MOST as MOST_REPEATED;

use self::folders::Given;
use self::open::Stop;
use self::piece::{Piece, PiecePart};
use crate::error::{Error, MissingColumn, Reason, Result};
use crate::names::nearest;
use crate::schema::{CsvConfig, Format};

/// Files, and how they are read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The files, in order.
    pub files: Vec<DataFile>,
    /// Format of all of them; `None` goes by each one's ending.
    pub format: Option<Format>,
    /// Format of files whose ending is none that is known.
    pub otherwise: Option<Format>,
    /// How CSV files are written.
    pub csv: CsvConfig,
    /// Whether a column that no file has is a mistake of the configuration rather than of the file (it decides the error's
    /// kind): it is while a configuration is tried out for the first time.
    pub by_configuration: bool,
    /// Further files that may have such a column.
    pub others: Vec<DataFile>,
    /// Ends a wait for a pipe when it is raised.
    pub stop: Option<StopFlag>,
    /// Rows that a program hands over, in the place of files.
    pub memory: Option<Arc<Vec<RecordBatch>>>,
}

/// Rows of a [`Source`], read from one end to the other.
pub struct RowReader {
    source: Source,
    wanted: Vec<Wanted>,
    next_file: usize,
    open: Option<FileReader>,
    /// What the folders of the file at hand say.
    given: Option<Arc<Given>>,
    /// Whether the file at hand has given nothing yet.
    begins: bool,
    stop: Stop,
}

enum FileReader {
    Text(Box<plain::TextReader>),
    Parquet(Box<parquet::ParquetReader>),
    Arrow(Box<arrow::ArrowReader>),
    Memory(memory::MemoryReader),
}

impl Source {
    /// Rows with the columns `wanted`. Files are opened one after the other, when their turn comes.
    #[must_use]
    pub fn rows(&self, wanted: Vec<Wanted>) -> RowReader {
        let stop = Stop { asked: self.stop.clone(), ..Stop::default() };
        let open = self.memory.as_ref().map(|batches| {
            let (null, by_configuration) = (&self.csv.null, self.by_configuration);
            FileReader::Memory(memory::MemoryReader::new(Arc::clone(batches), &wanted, null, by_configuration))
        });
        RowReader { source: self.clone(), wanted, next_file: 0, begins: open.is_some(), open, given: None, stop }
    }

    fn open(&self, file: &DataFile, wanted: &[Wanted], stop: &Stop) -> Result<FileReader> {
        let path: Arc<Path> = Arc::from(file.path.as_path());
        let mut input = open::open(file, stop)?;
        let (null, by_configuration) = (&self.csv.null, self.by_configuration);
        Ok(match input.format(&path, self)? {
            Format::Csv => FileReader::Text(Box::new(plain::TextReader::open(&path, input, self, wanted)?)),
            Format::Parquet => {
                let reader = parquet::ParquetReader::open(&path, input, wanted, null, by_configuration)?;
                FileReader::Parquet(Box::new(reader))
            }
            Format::Arrow => {
                let reader = arrow::ArrowReader::open(&path, input, wanted, null, by_configuration)?;
                FileReader::Arrow(Box::new(reader))
            }
        })
    }

    /// The paths of the files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// Says whose mistake it is that a file lacks a column: that of the file, if another one has it.
    fn blame(&self, mut missing: Box<MissingColumn>) -> Error {
        if missing.by_configuration {
            let wanted = [Wanted { name: missing.column.clone(), needed_by: String::new(), required: true }];
            // Of a pipe nothing is to be seen.
            let is_there = |file: &&DataFile| {
                file.folders.iter().any(|folder| folder.column == missing.column)
                    || file.path != missing.path && !is_pipe(file) && self.open(file, &wanted, &Stop::default()).is_ok()
            };
            missing.elsewhere = self.files.iter().chain(&self.others).find(is_there).map(|file| file.path.clone());
            missing.by_configuration = missing.elsewhere.is_none();
        }
        Error::MissingColumn(missing)
    }
}

impl RowReader {
    /// The next piece; `None` after the last.
    fn next_piece(&mut self) -> Result<Option<Piece>> {
        loop {
            let mut lines_before = 0;
            let part = match &mut self.open {
                Some(FileReader::Text(reader)) => {
                    lines_before = reader.lines_before();
                    reader.next_lines()?.map(PiecePart::Lines)
                }
                Some(FileReader::Parquet(reader)) => reader.next_part()?.map(PiecePart::from),
                Some(FileReader::Arrow(reader)) => reader.next_chunk()?.map(PiecePart::Rows),
                Some(FileReader::Memory(reader)) => reader.next_chunk()?.map(PiecePart::Rows),
                None => None,
            };
            if let Some(part) = part {
                let begins = std::mem::take(&mut self.begins).then_some(lines_before);
                return Ok(Some(Piece { part, begins, given: self.given.clone() }));
            }
            let Some(file) = self.source.files.get(self.next_file) else {
                return Ok(None);
            };
            self.next_file += 1;
            self.begins = true;
            self.given = Given::new(file, &self.wanted, &self.source.csv.null).map(Arc::new);
            let opened = match &self.given {
                None => self.source.open(file, &self.wanted, &self.stop),
                Some(given) => self.source.open(file, &given.rest(&self.wanted), &self.stop),
            };
            self.open = Some(opened.map_err(|error| match error {
                Error::MissingColumn(missing) => self.source.blame(missing),
                error => error,
            })?);
        }
    }
}

/// An Arrow array as a column of `path`, in which the texts `null` are missing values. Texts that are no UTF-8 are missing,
/// and break their rows.
fn reduce(path: &Path, name: &str, array: &ArrayRef, null: &[String], broken: &mut Vec<Broken>) -> Result<Column> {
    let column_type = |found| Error::ColumnType {
        path: path.to_owned(),
        column: name.to_owned(),
        found,
        expected: "numbers, texts, true/false, dates or lists of them".to_owned(),
    };
    let (array, bad) = utf8::texts(array).map_err(column_type)?;
    broken.extend(bad.into_iter().map(|bad| Broken {
        row: bad.row,
        column: Some(name.to_owned()),
        value: Some(bad.value),
        reason: Reason::Encoding,
    }));
    Ok(Column::from_arrow(&array).map_err(column_type)?.without(null))
}

/// Where each wanted column stands among the columns of a file.
fn locate(path: &Path, header: &[String], wanted: &[Wanted], by_configuration: bool) -> Result<Vec<Option<usize>>> {
    let mut at = std::collections::HashMap::with_capacity(header.len());
    let mut twice = std::collections::HashSet::new();
    for (index, name) in header.iter().enumerate() {
        if at.insert(name.as_str(), index).is_some() {
            twice.insert(name.as_str());
        }
    }
    let field = |column: &Wanted| match at.get(column.name.as_str()) {
        Some(_) if twice.contains(column.name.as_str()) => {
            Err(Error::TwiceInFile { path: path.to_owned(), column: column.name.clone() })
        }
        Some(&index) => Ok(Some(index)),
        None if column.required => Err(Error::MissingColumn(Box::new(MissingColumn {
            path: path.to_owned(),
            column: column.name.clone(),
            needed_by: column.needed_by.clone(),
            nearest: nearest(&column.name, header.iter().map(String::as_str)),
            columns: header.to_vec(),
            by_configuration,
            elsewhere: None,
        }))),
        None => Ok(None),
    };
    wanted.iter().map(field).collect()
}
