//! Record batches as Parquet.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::write_error;
use crate::Result;

/// Rows of a row group: enough to compress well, few enough that a reader with several threads has work for each.
const ROW_GROUP_ROWS: usize = 1 << 16;

/// A row group is held in memory until it is full; wide rows close it early at this size.
const ROW_GROUP_BYTES: usize = 64 << 20;

pub(super) struct ParquetEncoder {
    writer: ArrowWriter<File>,
}

impl ParquetEncoder {
    pub(super) fn create(path: &Path, file: File, schema: &SchemaRef) -> Result<Self> {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
        for field in schema.fields() {
            // Real numbers rarely repeat, and a dictionary that is given up holds a page of memory per column.
            if field.data_type().is_floating() {
                properties = properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), false);
            }
        }
        let writer =
            ArrowWriter::try_new(file, schema.clone(), Some(properties.build())).map_err(|e| write_error(path, e))?;
        Ok(Self { writer })
    }

    pub(super) fn write(&mut self, path: &Path, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|e| write_error(path, e))?;
        if self.writer.memory_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(|e| write_error(path, e))?;
        }
        Ok(())
    }

    pub(super) fn finish(self, path: &Path) -> Result<()> {
        self.writer.close().map(drop).map_err(|e| write_error(path, e))
    }
}
