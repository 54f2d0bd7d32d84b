//! [`Chunk`]: some thousand consecutive rows of one file, with only the columns in use and the rows' places.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cell::Cell;
use super::column::Column;
use crate::error::{BadRow, Reason, Result};

/// Rows of a chunk, at most.
pub const CHUNK_ROWS: usize = 8192;

/// A column that a reader is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Who asks for it, as it reads before "needs".
    pub needed_by: String,
    /// Whether a file without it is an error; else its entry in [`Chunk::columns`] is `None`.
    pub required: bool,
}

/// Consecutive rows of one file.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Number of rows.
    pub rows: usize,
    /// One entry per wanted column, in the order they were asked for; `None` where the file has no such column.
    pub columns: Vec<Option<Column>>,
    /// Where the rows stand.
    pub origin: Origin,
    /// Rows that could not be taken apart into fields, ascending. Their cells are missing values.
    pub broken: Vec<Broken>,
}

/// A row that could not be taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Row in the chunk.
    pub row: usize,
    /// The column, where one is at fault.
    pub column: Option<String>,
    /// What stands there.
    pub value: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// Where the rows of a chunk stand.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The file; `None` for rows handed over in memory.
    pub path: Option<Arc<Path>>,
    /// Rows of the file before the chunk.
    pub first_row: u64,
    /// Rows of all files before the chunk.
    pub position: u64,
    /// Line on which each row starts, from 1; empty for formats without lines.
    pub lines: Vec<u64>,
    /// Whether a command without a configuration reads them, which messages have to know.
    pub by_command: bool,
}

impl Origin {
    /// Describes what is wrong with row `row` of the chunk.
    #[must_use]
    pub fn bad_row(&self, row: usize, column: Option<&str>, value: Option<String>, reason: Reason) -> BadRow {
        BadRow {
            path: self.path.as_deref().map(PathBuf::from),
            row: self.first_row + row as u64 + 1,
            line: self.lines.get(row).copied(),
            column: column.map(str::to_owned),
            value,
            reason,
            by_command: self.by_command,
        }
    }
}

impl Chunk {
    /// The columns `wanted` of rows in memory, in which the texts `null` are missing values.
    ///
    /// # Errors
    /// If a required column is missing, stands twice, or is of a type that cannot be read.
    pub fn from_rows(batch: &RecordBatch, wanted: &[Wanted], null: &[String]) -> Result<Self> {
        Self::of_rows(batch, wanted, null, false)
    }

    /// [`Chunk::from_rows`], where `by_configuration` says whose mistake a missing column is.
    pub(super) fn of_rows(
        batch: &RecordBatch,
        wanted: &[Wanted],
        null: &[String],
        by_configuration: bool,
    ) -> Result<Self> {
        let path = Path::new("rows in memory");
        let header: Vec<String> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        let fields = super::locate(path, &header, wanted, by_configuration)?;
        // Here the columns stand as they stand in the batch, not as a projection would leave them.
        let mut broken = Vec::new();
        let column = |(wanted, field): (&Wanted, &Option<usize>)| {
            field
                .and_then(|at| batch.columns().get(at))
                .map(|array| super::reduce(path, &wanted.name, array, null, &mut broken))
                .transpose()
        };
        let columns = wanted.iter().zip(&fields).map(column).collect::<Result<_>>()?;
        broken.sort_by_key(|broken| broken.row);
        Ok(Self { rows: batch.num_rows(), columns, origin: Origin::default(), broken })
    }

    /// Value of row `row` in wanted column `column`; a column that the file lacks is missing everywhere.
    #[must_use]
    pub fn cell(&self, column: usize, row: usize) -> Cell<'_> {
        self.columns.get(column).and_then(Option::as_ref).map_or(Cell::Missing, |values| values.cell(row))
    }
}
