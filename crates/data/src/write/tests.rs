#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{ArrayRef, Float32Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};

use super::*;

fn rows() -> RecordBatch {
    let tags = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        Some(vec![]),
        None,
        Some(vec![Some(3)]),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(-1), Some(1 << 53)]))),
        ("text", Arc::new(StringArray::from(vec![Some("a,b"), Some("say \"so\""), None, Some("two\nlines")]))),
        ("x", Arc::new(Float32Array::from(vec![Some(0.1), Some(-1e-7), Some(3.0e30), None]))),
        ("tags", Arc::new(tags)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
}

fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write_to(path: &Path, batch: &RecordBatch) -> Result<()> {
    let mut writer = RecordWriter::create(path, batch.schema())?;
    writer.write(batch)?;
    writer.finish()
}

#[test]
fn csv_quotes_joins_and_keeps_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    write_to(&path, &rows()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        "id,text,x,tags\n9223372036854775807,\"a,b\",0.1,1|2\n,\"say \"\"so\"\"\",-0.0000001,\n\
         -1,,3000000000000000000000000000000,\n9007199254740992,\"two\nlines\",,3\n"
    );
    assert_eq!(files_in(folder.path()), ["a.csv"]);
}

#[test]
fn compressed_csv_is_the_same_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["a.csv", "a.csv.gz", "a.csv.zst"] {
        write_to(&path(name), &rows()).unwrap();
    }
    let plain = std::fs::read(path("a.csv")).unwrap();
    let mut gzip = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(File::open(path("a.csv.gz")).unwrap()), &mut gzip).unwrap();
    let zstd = zstd::decode_all(File::open(path("a.csv.zst")).unwrap()).unwrap();
    assert_eq!(plain, gzip);
    assert_eq!(plain, zstd);
}

#[test]
fn parquet_and_arrow_give_the_rows_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write_to(&path, &rows()).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), rows());

    let path = folder.path().join("a.arrow");
    write_to(&path, &rows()).unwrap();
    let mut reader = arrow::ipc::reader::FileReader::try_new(File::open(path).unwrap(), None).unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), rows());
}

#[test]
fn a_dropped_writer_leaves_nothing_and_keeps_the_older_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.csv", "a.csv.gz", "a.csv.zst", "a.parquet", "a.arrow"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "older").unwrap();
        let mut writer = RecordWriter::create(&path, rows().schema()).unwrap();
        writer.write(&rows()).unwrap();
        assert_eq!(files_in(folder.path()).len(), 2, "the temporary file lies beside {name}");
        drop(writer);
        assert_eq!(files_in(folder.path()), [name]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");
        std::fs::remove_file(path).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_written_file_has_ordinary_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    write_to(&path, &rows()).unwrap();
    std::fs::write(folder.path().join("plain"), "").unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("a.csv"), mode("plain"));
}

#[test]
fn a_place_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no such folder").join("a.csv");
    let error = write_to(&missing, &rows()).unwrap_err();
    assert!(
        matches!(&error, Error::Folder { path, .. } if *path == missing) && !error.to_string().contains(".pleiad-"),
        "{error}"
    );

    let taken = folder.path().join("b.csv");
    std::fs::create_dir(&taken).unwrap();
    let error = write_to(&taken, &rows()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == taken), "{error}");
    assert_eq!(files_in(folder.path()), ["b.csv"]);
}

#[test]
fn what_csv_cannot_hold_is_told_with_row_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let mut builder = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    builder.append_value([Some("a"), Some("b")]);
    builder.append_value([Some("c|d")]);
    let list = RecordBatch::try_from_iter([("tags", Arc::new(builder.finish()) as ArrayRef)]).unwrap();
    let error = write_to(&path, &list).unwrap_err().to_string();
    assert!(error.contains("row 2") && error.contains("`tags`") && error.contains('|'), "{error}");

    let schema = Arc::new(Schema::new(vec![Field::new("when", DataType::Date32, true)]));
    let error = RecordWriter::create(&path, schema).unwrap_err().to_string();
    assert!(error.contains("`when`") && error.contains("Parquet"), "{error}");
    assert!(files_in(folder.path()).is_empty());
}

#[test]
fn rows_of_another_schema_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    for name in ["a.csv", "a.parquet", "a.arrow"] {
        let mut writer = RecordWriter::create(folder.path().join(name), rows().schema()).unwrap();
        assert!(matches!(writer.write(&other), Err(Error::Write { .. })));
    }
}
