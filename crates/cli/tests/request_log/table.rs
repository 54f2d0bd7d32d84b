//! Parquet files as rows of JSON, and back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The files in a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    files.sort();
    files
}

/// All rows of a Parquet file.
pub(crate) fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Writes rows as a Parquet file.
pub(crate) fn write(path: &Path, rows: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// The same rows with more columns.
pub(crate) fn with(rows: &RecordBatch, more: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|field| (**field).clone()).collect();
    let mut arrays = rows.columns().to_vec();
    for (name, array) in more {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

pub(crate) fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let array = cast(rows.column_by_name(name).unwrap_or_else(|| panic!("no {name}")), &DataType::Utf8).unwrap();
    array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

pub(crate) fn ints(rows: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    let array = cast(rows.column_by_name(name).unwrap_or_else(|| panic!("no {name}")), &DataType::Int64).unwrap();
    array.as_primitive::<Int64Type>().iter().collect()
}

pub(crate) fn floats(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let array = cast(rows.column_by_name(name).unwrap_or_else(|| panic!("no {name}")), &DataType::Float64).unwrap();
    array.as_primitive::<Float64Type>().iter().collect()
}
