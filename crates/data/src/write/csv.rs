//! Record batches as CSV: RFC 4180 quoting, a header line, lists joined by [`LIST_SEPARATOR`].
//!
//! Numbers are written so that reading them gives the same bits. A missing value is an empty field; so are an empty
//! text and an empty list, which CSV cannot distinguish from it.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;

use super::format::Compression;
use super::sink::Sink;
use super::write_error;
use crate::{Error, Result};

/// Stands between the values of a list in one CSV field.
pub(super) const LIST_SEPARATOR: char = '|';

pub(super) struct CsvEncoder {
    writer: csv::Writer<Sink>,
    field: String,
}

impl CsvEncoder {
    pub(super) fn create(path: &Path, file: File, compression: Compression, schema: &Schema) -> Result<Self> {
        for field in schema.fields() {
            if !is_supported(field.data_type()) {
                let reason =
                    format!("column `{}`: {} cannot be written as CSV; use Parquet", field.name(), field.data_type());
                return Err(write_error(path, reason));
            }
        }
        let sink = Sink::create(file, compression).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        let mut writer = csv::Writer::from_writer(sink);
        let names = schema.fields().iter().map(|field| field.name());
        writer.write_record(names).map_err(|e| write_error(path, e))?;
        Ok(Self { writer, field: String::new() })
    }

    /// `before`: rows already in the file, so that an error can name the row.
    pub(super) fn write(&mut self, path: &Path, before: u64, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            for (column, array) in batch.columns().iter().enumerate() {
                self.field.clear();
                push_value(&mut self.field, array, row).map_err(|reason| {
                    let name = batch.schema_ref().field(column).name();
                    write_error(path, format!("row {}, column `{name}`: {reason}", before + row as u64 + 1))
                })?;
                self.writer.write_field(&self.field).map_err(|e| write_error(path, e))?;
            }
            self.writer.write_record(None::<&[u8]>).map_err(|e| write_error(path, e))?;
        }
        Ok(())
    }

    pub(super) fn finish(self, path: &Path) -> Result<()> {
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        self.writer.into_inner().map_err(|e| io(e.into_error()))?.finish().map_err(io)
    }
}

fn is_supported(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) => !matches!(item.data_type(), DataType::List(_)) && is_supported(item.data_type()),
        DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Float32 | DataType::Float64 => true,
        other => other.is_integer(),
    }
}

/// Appends value `row` of `array` as text.
fn push_value(text: &mut String, array: &dyn Array, row: usize) -> Result<(), &'static str> {
    if array.is_null(row) {
        return Ok(());
    }
    macro_rules! number {
        ($kind:ty) => {
            write!(text, "{}", array.as_primitive::<$kind>().value(row))
        };
    }
    let written = match array.data_type() {
        DataType::Boolean => write!(text, "{}", array.as_boolean().value(row)),
        DataType::Utf8 => write!(text, "{}", array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => write!(text, "{}", array.as_string::<i64>().value(row)),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::List(_) => return push_list(text, &array.as_list::<i32>().value(row)),
        _ => return Err("this type cannot be written as CSV"),
    };
    written.map_err(|_| "a value that cannot be shown as text")
}

fn push_list(text: &mut String, values: &dyn Array) -> Result<(), &'static str> {
    for i in 0..values.len() {
        if values.is_null(i) {
            return Err("a missing value inside a list cannot be written as CSV");
        }
        if i > 0 {
            text.push(LIST_SEPARATOR);
        }
        let start = text.len();
        push_value(text, values, i)?;
        if text[start..].contains(LIST_SEPARATOR) {
            return Err("a list value contains `|`, which separates the values of a list in CSV");
        }
    }
    Ok(())
}
