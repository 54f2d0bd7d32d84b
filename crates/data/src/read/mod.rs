//! Readers: files into [`Chunk`]s, one format per file.
//!
//! A [`Rows`] goes through any number of files and gives pieces of them, whose decoding is left to whatever thread has
//! time; [`ReadAhead`] makes chunks of at most [`CHUNK_ROWS`] rows out of these, holding only the columns that were asked
//! for, together with where each row stands. What the values mean is not decided here.

mod ahead;
mod arrow;
mod block;
mod chunk;
mod column;
mod compress;
mod csv;
mod envelope;
mod guard;
mod marks;
mod parquet;
mod paths;
mod piece;
mod plain;
mod quotes;
mod repeated;
mod reused;
mod text;
mod words;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::arrow::array::ArrayRef;

pub use ahead::ReadAhead;
pub use chunk::{Broken, CHUNK_ROWS, Chunk, Origin, Wanted};
pub use column::{Cell, Column, List};
pub use paths::{expand, format_of};
pub use repeated::Repeated;

pub(crate) use column::EXACT_IN_F64;
pub(crate) use guard::guarded;

use self::piece::{Part, Piece};
use crate::error::{Error, MissingColumn, Result, nearest};
use crate::schema::{CsvConfig, Format};

/// Files, and how they are read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The files, in order.
    pub paths: Vec<PathBuf>,
    /// Format of all of them; `None` goes by each one's ending.
    pub format: Option<Format>,
    /// How CSV files are written.
    pub csv: CsvConfig,
    /// Whether a missing column is a mistake of the configuration rather than of the file (it decides the error's
    /// kind): it is while a configuration is tried out for the first time.
    pub by_configuration: bool,
}

/// Rows of a [`Source`], read from one end to the other.
pub struct Rows {
    source: Source,
    wanted: Vec<Wanted>,
    next_path: usize,
    open: Option<FileReader>,
    /// Whether the file at hand has given nothing yet.
    begins: bool,
}

enum FileReader {
    Text(Box<plain::TextReader>),
    Parquet(Box<parquet::ParquetReader>),
    Arrow(Box<arrow::ArrowReader>),
}

impl Source {
    /// Rows with the columns `wanted`. Files are opened one after the other, when their turn comes.
    #[must_use]
    pub fn rows(&self, wanted: Vec<Wanted>) -> Rows {
        Rows { source: self.clone(), wanted, next_path: 0, open: None, begins: false }
    }
}

impl Rows {
    /// The next piece; `None` after the last.
    fn next_piece(&mut self) -> Result<Option<Piece>> {
        loop {
            let mut lines_before = 0;
            let part = match &mut self.open {
                Some(FileReader::Text(reader)) => {
                    lines_before = reader.lines_before();
                    reader.next_part()?.map(Part::from)
                }
                Some(FileReader::Parquet(reader)) => reader.next_part()?,
                Some(FileReader::Arrow(reader)) => reader.next_chunk()?.map(Part::Rows),
                None => None,
            };
            if let Some(part) = part {
                let begins = std::mem::take(&mut self.begins).then_some(lines_before);
                return Ok(Some(Piece { part, begins }));
            }
            let Some(path) = self.source.paths.get(self.next_path) else {
                return Ok(None);
            };
            self.next_path += 1;
            self.begins = true;
            let path: Arc<Path> = Arc::from(path.as_path());
            let Source { csv, by_configuration, format, .. } = &self.source;
            let format = format.map_or_else(|| format_of(&path), Ok)?;
            self.open = Some(match format {
                Format::Csv => {
                    FileReader::Text(Box::new(plain::TextReader::open(&path, csv, &self.wanted, *by_configuration)?))
                }
                Format::Parquet => {
                    FileReader::Parquet(Box::new(parquet::ParquetReader::open(&path, &self.wanted, *by_configuration)?))
                }
                Format::Arrow => {
                    FileReader::Arrow(Box::new(arrow::ArrowReader::open(&path, &self.wanted, *by_configuration)?))
                }
            });
        }
    }
}

/// Opens a file, refusing directories, which would open and then fail in odd ways.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let read_error = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_error)?;
    if file.metadata().map_err(read_error)?.is_dir() {
        let source = std::io::Error::other("it is a directory; name its files with a glob such as \"logs/*.parquet\"");
        return Err(read_error(source));
    }
    Ok(file)
}

/// An Arrow array as a column of `path`.
fn reduce(path: &Path, name: &str, array: &ArrayRef) -> Result<Column> {
    Column::from_arrow(array).map_err(|found| Error::ColumnType {
        path: path.to_owned(),
        column: name.to_owned(),
        found,
        expected: "numbers, texts, true/false, dates or lists of them".to_owned(),
    })
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
        }))),
        None => Ok(None),
    };
    wanted.iter().map(field).collect()
}
