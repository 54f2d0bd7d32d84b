//! Writing rows: one [`RecordWriter`] for every format, chosen by the ending of the path.
//!
//! A file is always complete: rows go to a temporary file in the same folder, which [`RecordWriter::finish`] renames.
//! Dropping the writer before that removes it; the next write removes what a killed process left there. Memory does not
//! depend on the number of rows, and the writers do not depend on the meaning of columns.

mod csv;
mod format;
mod pages;
mod parquet;
mod sink;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use tempfile::NamedTempFile;

pub use format::{Compression, FileFormat};

use crate::disk::{self, Unlockable};
use crate::{Error, Result};

/// Writes record batches into one file.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::{array::Int64Array, datatypes::{DataType, Field, Schema}, record_batch::RecordBatch};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rows.csv");
/// let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
/// let mut writer = pleiad_data::write::RecordWriter::create(&path, schema.clone())?;
/// writer.write(&RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![Some(7), None]))])?)?;
/// writer.finish()?;
/// assert_eq!(std::fs::read_to_string(&path)?, "id\n7\n\"\"\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecordWriter {
    path: PathBuf,
    schema: SchemaRef,
    rows: u64,
    encoder: Encoder,
    temporary: NamedTempFile,
}

enum Encoder {
    Csv(csv::CsvEncoder),
    Parquet(parquet::ParquetEncoder),
    Arrow(FileWriter<std::io::BufWriter<File>>),
}

impl RecordWriter {
    /// Opens a temporary file beside `path` for rows of `schema`.
    ///
    /// # Errors
    /// [`Error::UnknownEnding`] if the ending names no format; [`Error::Io`] if the folder cannot be written to or
    /// `path` is a folder; [`Error::Write`] if the format cannot hold a column of `schema`.
    pub fn create(path: impl AsRef<Path>, schema: SchemaRef) -> Result<Self> {
        let path = path.as_ref();
        let format = FileFormat::from_path(path)?;
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        if path.is_dir() {
            return Err(io(ErrorKind::IsADirectory.into()));
        }
        // The file takes the place of what has its name, and a reader of a pipe would wait for ever.
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(io(std::io::Error::other("it is a pipe or a device; name a file")));
        }
        // In the same folder, because a rename is atomic within one file system only.
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        disk::sweep(folder, Unlockable::RemoveOld);
        let temporary = disk::temporary_file(folder).map_err(|source| Error::Folder {
            path: path.to_path_buf(),
            folder: folder.to_path_buf(),
            // The system's own words have the temporary name, which says nothing to the user.
            reason: match source.kind() {
                ErrorKind::NotFound => "it does not exist".to_owned(),
                ErrorKind::NotADirectory => "it is not a folder".to_owned(),
                kind => kind.to_string(),
            },
        })?;
        let file = temporary.as_file().try_clone().map_err(io)?;
        let encoder = match format {
            FileFormat::Csv(compression) => Encoder::Csv(csv::CsvEncoder::create(path, file, compression, &schema)?),
            FileFormat::Parquet => Encoder::Parquet(parquet::ParquetEncoder::create(path, file, &schema)?),
            FileFormat::Arrow => {
                Encoder::Arrow(FileWriter::try_new_buffered(file, &schema).map_err(|e| write_error(path, e))?)
            }
        };
        Ok(Self { path: path.to_path_buf(), schema, rows: 0, encoder, temporary })
    }

    /// Appends the rows of `batch`.
    ///
    /// # Errors
    /// [`Error::Write`] if the columns are not those of the schema, a value cannot be written in this format, or the
    /// system refuses (a full disk).
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.schema_ref().fields() != self.schema.fields() {
            return Err(write_error(&self.path, "the rows' columns are not those that the file was opened with"));
        }
        match &mut self.encoder {
            Encoder::Csv(encoder) => encoder.write(&self.path, self.rows, batch)?,
            Encoder::Parquet(encoder) => encoder.write(&self.path, batch)?,
            Encoder::Arrow(writer) => writer.write(batch).map_err(|e| write_error(&self.path, e))?,
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The columns that it was opened with.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows written so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Completes the file, brings it to disk and gives it its name. An older file of that name is replaced.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Io`] if the system refuses; the older file, if any, is then as it was.
    pub fn finish(self) -> Result<()> {
        let Self { path, encoder, temporary, .. } = self;
        match encoder {
            Encoder::Csv(encoder) => encoder.finish(&path)?,
            Encoder::Parquet(encoder) => encoder.finish(&path)?,
            Encoder::Arrow(mut writer) => writer.finish().map_err(|e| write_error(&path, e))?,
        }
        // Without this a crash of the machine may leave the new name over an empty file.
        temporary.as_file().sync_all().map_err(|source| Error::Io { path: path.clone(), source })?;
        temporary.persist(&path).map_err(|e| Error::Io { path: path.clone(), source: e.error })?;
        disk::sync_folder(path.parent().unwrap_or(Path::new(""))).map_err(|source| Error::Io { path, source })
    }
}

impl std::fmt::Debug for RecordWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordWriter").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

fn write_error(path: &Path, reason: impl ToString) -> Error {
    Error::Write { path: path.to_path_buf(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
