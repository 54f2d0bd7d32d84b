//! Guarantees of every synthetic log.
#![allow(clippy::unwrap_used)]

use std::fs::File;

use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

fn paper(rows: u64) -> Box<dyn SyntheticLog> {
    Box::new(PaperLog::new(PaperOptions { rows, dimension: 100, ..PaperOptions::default() }).unwrap())
}

fn video(rows: u64) -> Box<dyn SyntheticLog> {
    Box::new(VideoLog::new(VideoOptions { rows, with_truth: true, ..VideoOptions::default() }).unwrap())
}

fn factors(rows: u64) -> Box<dyn SyntheticLog> {
    Box::new(FactorLog::new(FactorOptions { rows, tasks: 3, ..FactorOptions::default() }).unwrap())
}

const LOGS: [fn(u64) -> Box<dyn SyntheticLog>; 3] = [paper, factors, video];

fn all_rows(log: &dyn SyntheticLog) -> RecordBatch {
    let blocks: Vec<_> = (0..log.blocks()).map(|index| log.block(index).unwrap()).collect();
    concat_batches(&log.schema(), &blocks).unwrap()
}

fn write(log: &dyn SyntheticLog, path: &Path) {
    write_log(log, path, &mut |_| ControlFlow::Continue(())).unwrap();
}

fn read_parquet(path: &Path) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    // The schema alone: beside it the footer has a sum.
    let schema = arrow::datatypes::Schema::new(builder.schema().fields().clone()).into();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

#[test]
fn a_longer_log_begins_with_the_shorter_one() {
    for make in LOGS {
        let (short, long) = (all_rows(&*make(5_000)), all_rows(&*make(9_001)));
        assert_eq!((short.num_rows(), long.num_rows()), (5_000, 9_001));
        assert_eq!(long.slice(0, 5_000), short);
    }
}

#[test]
fn another_seed_is_another_log() {
    let of =
        |seed| VideoLog::new(VideoOptions { rows: 100, seed, ..VideoOptions::default() }).unwrap().block(0).unwrap();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let of = |seed| {
        PaperLog::new(PaperOptions { rows: 100, seed, dimension: 4, ..PaperOptions::default() })
            .unwrap()
            .block(0)
            .unwrap()
    };
    assert_ne!(of(1), of(2));
}

#[test]
fn files_do_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    for make in LOGS {
        for ending in ["csv", "csv.gz", "parquet", "arrow"] {
            let written = [1, 4].map(|threads| {
                let path = folder.path().join(format!("{threads}.{ending}"));
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| write(&*make(20_000), &path));
                std::fs::read(path).unwrap()
            });
            assert!(written[0] == written[1], "{ending}");
        }
    }
}

#[test]
fn every_format_holds_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    for make in LOGS {
        let (log, path) = (make(10_000), folder.path().join("log.parquet"));
        write(&*log, &path);
        assert_eq!(read_parquet(&path), all_rows(&*log));

        let path = folder.path().join("log.arrow");
        write(&*log, &path);
        let reader = arrow::ipc::reader::FileReader::try_new(File::open(&path).unwrap(), None).unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(concat_batches(&log.schema(), &batches).unwrap(), all_rows(&*log));
    }
}

/// Every CSV field, read as the column's type, is the value in the Parquet file, bit for bit.
#[test]
fn csv_says_what_parquet_says() {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int32Type, Int64Type};
    fn value<T: std::str::FromStr>(field: &str) -> Option<T> {
        field.parse().ok()
    }

    let folder = tempfile::tempdir().unwrap();
    for make in LOGS {
        let log = make(3_000);
        let (text, binary) = (folder.path().join("log.csv.zst"), folder.path().join("log.parquet"));
        write(&*log, &text);
        write(&*log, &binary);
        let rows = read_parquet(&binary);
        let text = zstd::decode_all(File::open(&text).unwrap()).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(names, rows.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>());
        let mut count = 0;
        for (row, record) in reader.records().map(Result::unwrap).enumerate() {
            for (field, column) in record.iter().zip(rows.columns()) {
                count += 1;
                if column.is_null(row) {
                    assert_eq!(field, "");
                    continue;
                }
                match column.data_type() {
                    DataType::Float32 => {
                        assert_eq!(value::<f32>(field), Some(column.as_primitive::<Float32Type>().value(row)));
                    }
                    DataType::Float64 => {
                        assert_eq!(value::<f64>(field), Some(column.as_primitive::<Float64Type>().value(row)));
                    }
                    DataType::Int8 => assert_eq!(value(field), Some(column.as_primitive::<Int8Type>().value(row))),
                    DataType::Int32 => assert_eq!(value(field), Some(column.as_primitive::<Int32Type>().value(row))),
                    DataType::Int64 => assert_eq!(value(field), Some(column.as_primitive::<Int64Type>().value(row))),
                    DataType::Utf8 => assert_eq!(field, column.as_string::<i32>().value(row)),
                    DataType::List(_) => {
                        let values = column.as_list::<i32>().value(row);
                        let tags: Vec<_> = values.as_string::<i32>().iter().flatten().collect();
                        assert_eq!(field, tags.join("|"));
                    }
                    other => panic!("{other}"),
                }
            }
        }
        assert_eq!(count, 3_000 * rows.num_columns());
    }
}

#[test]
fn an_interrupted_log_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    for make in LOGS {
        for ending in ["csv", "csv.gz", "csv.zst", "parquet", "arrow"] {
            let path = folder.path().join(format!("log.{ending}"));
            let mut stop = |rows| if rows >= 8_192 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            match write_log(&*make(100_000), &path, &mut stop) {
                Err(Error::Interrupted { rows, .. }) => assert!((8_192..100_000).contains(&rows)),
                other => panic!("{other:?}"),
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn progress_ends_at_the_number_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    write_log(&*video(10_000), folder.path().join("log.csv"), &mut |rows| {
        seen.push(rows);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen, [4_096, 8_192, 10_000]);
}

#[test]
fn a_path_that_cannot_be_written_is_told_before_work_begins() {
    let folder = tempfile::tempdir().unwrap();
    for (name, wanted) in [("log.txt", ".parquet"), ("missing/log.csv", "missing")] {
        let mut never = |_| -> ControlFlow<()> { panic!("rows were made") };
        let error = write_log(&*video(1 << 40), folder.path().join(name), &mut never).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
