//! Sums of what is written: a flipped bit is an error, or means nothing.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::common::{Folder, array, batch, json};
use arrow::array::{Float32Array, Int64Array, RecordBatch, StringArray};
use pleiad_data::Splits;
use pleiad_data::write::RecordWriter;

const CONFIG: &str = r#"
[data]
train = "FILE"

[[feature]]
columns = ["number", "size"]
kind = "numeric"

[[feature]]
columns = ["city"]
kind = "categorical"
embedding = 2

[[task]]
name = "click"
kind = "binary"
label = { column = "click" }
"#;

fn table(rows: i64) -> RecordBatch {
    batch(vec![
        ("number", array(Int64Array::from_iter_values((0..rows).map(|i| i * 7919 % 1009)))),
        ("size", array(Float32Array::from_iter_values((0..rows).map(|i| (i as f32).sqrt())))),
        ("city", array(StringArray::from_iter_values((0..rows).map(|i| format!("city {}", i * i % 17))))),
        ("click", array(Int64Array::from_iter_values((0..rows).map(|i| i % 2)))),
    ])
}

fn written(folder: &Folder, name: &str, table: &RecordBatch) -> Vec<u8> {
    let path = folder.path().join(name);
    let mut writer = RecordWriter::create(&path, table.schema()).unwrap();
    writer.write(table).unwrap();
    writer.finish().unwrap();
    std::fs::read(path).unwrap()
}

fn load(folder: &Folder, name: &str) -> Result<Splits, pleiad_data::Error> {
    folder.load(&CONFIG.replace("FILE", name))
}

/// How many bits were flipped, one in each of `every` bytes, and where that gave other rows without a word.
fn wrong(name: &str, every: usize) -> (usize, Vec<usize>) {
    let folder = Folder::new();
    let bytes = written(&folder, name, &table(300));
    let expected = load(&folder, name).unwrap();
    let is_wrong = |at: &usize| {
        let mut damaged = bytes.clone();
        damaged[*at] ^= 1 << (at / every % 8);
        folder.write(name, damaged);
        load(&folder, name)
            .is_ok_and(|found| found.train != expected.train || json(&found.encoder) != json(&expected.encoder))
    };
    let places = (0..bytes.len()).step_by(every);
    (places.len(), places.filter(is_wrong).collect())
}

#[test]
fn a_flipped_bit_of_zstd_never_gives_other_rows() {
    let (tried, wrong) = wrong("log.csv.zst", 7);
    assert!(tried > 300 && wrong.is_empty(), "{wrong:?} of {tried}");
}

#[test]
fn a_flipped_bit_of_parquet_never_gives_other_rows() {
    let (tried, wrong) = wrong("log.parquet", 5);
    assert!(tried > 500 && wrong.is_empty(), "{wrong:?} of {tried}");
}

/// Row groups, dictionaries that are given up, and columns of lists: what is written is what is read, sums and all.
#[test]
fn pages_with_sums_are_read_as_they_were_written() {
    let folder = Folder::new();
    let table = table(150_000);
    written(&folder, "log.parquet", &table);
    let file = std::fs::File::open(folder.path().join("log.parquet")).unwrap();
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let groups: Vec<i64> = builder.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [65_536, 65_536, 18_928]);
    let read: Vec<RecordBatch> = builder.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect();
    assert_eq!(arrow::compute::concat_batches(&table.schema(), &read).unwrap(), table);
}
