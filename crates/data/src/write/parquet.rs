//! Record batches as Parquet, with a checksum of each page and of the footer.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::pages::Pages;
use super::write_error;
use crate::{Error, Result, footer};

/// Rows of a row group: enough to compress well, few enough that a reader with several threads has work for each.
const ROW_GROUP_ROWS: usize = 1 << 16;

/// A row group is held in memory until it is full; wide rows close it early at this size.
const ROW_GROUP_BYTES: usize = 64 << 20;

pub(super) struct ParquetEncoder {
    file: SerializedFileWriter<File>,
    /// Another handle of the file.
    handle: File,
    columns: ArrowRowGroupWriterFactory,
    pages: Pages,
    /// The row group at hand.
    group: Option<RowGroup>,
    groups: usize,
}

struct RowGroup {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl ParquetEncoder {
    pub(super) fn create(path: &Path, file: File, schema: &SchemaRef) -> Result<Self> {
        let mut properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        for field in schema.fields() {
            // Real numbers rarely repeat, and a dictionary that is given up holds a page of memory per column.
            if field.data_type().is_floating() {
                properties = properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), false);
            }
        }
        let handle = file.try_clone().map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        let pages = Pages::default();
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_page_store_factory(Arc::new(pages.clone()));
        let (file, columns) = ArrowWriter::try_new_with_options(file, Arc::clone(schema), options)
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|e| write_error(path, e))?;
        Ok(Self { file, handle, columns, pages, group: None, groups: 0 })
    }

    pub(super) fn write(&mut self, path: &Path, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            at += self.write_some(batch, at).map_err(|e| write_error(path, e))?;
        }
        Ok(())
    }

    /// Writes rows from `at` on, as far as there is room in the row group. Gives their number.
    fn write_some(&mut self, batch: &RecordBatch, at: usize) -> ParquetResult<usize> {
        let group = match &mut self.group {
            Some(group) => group,
            none => none.insert(RowGroup { columns: self.columns.create_column_writers(self.groups)?, rows: 0 }),
        };
        let rows = (ROW_GROUP_ROWS - group.rows).min(batch.num_rows() - at);
        let part = batch.slice(at, rows);
        let mut columns = group.columns.iter_mut();
        for (field, array) in part.schema_ref().fields().iter().zip(part.columns()) {
            for (leaf, column) in compute_leaves(field, array)?.iter().zip(&mut columns) {
                column.write(leaf)?;
            }
        }
        group.rows += rows;
        let memory: usize = group.columns.iter().map(ArrowColumnWriter::memory_size).sum();
        if group.rows == ROW_GROUP_ROWS || memory > ROW_GROUP_BYTES {
            self.end_group()?;
        }
        Ok(rows)
    }

    fn end_group(&mut self) -> ParquetResult<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        self.groups += 1;
        let mut written = self.file.next_row_group()?;
        for (at, column) in group.columns.into_iter().enumerate() {
            let (bytes, close) = self.pages.take(at, &column.close()?)?;
            written.append_column(&bytes, close)?;
        }
        written.close().map(drop)
    }

    pub(super) fn finish(mut self, path: &Path) -> Result<()> {
        self.file.append_key_value_metadata(footer::entry());
        self.end_group().and_then(|()| self.file.close()).map_err(|e| write_error(path, e))?;
        footer::seal(&mut self.handle).map_err(|e| write_error(path, e))
    }
}
