//! Texts that are not UTF-8, and columns of types that are not known, in formats that have types: what is wrong is one row or
//! one column, and not the file.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use crate::common::{Folder, array, arrow_file_bytes, arrow_stream_bytes, batch, parquet_bytes};
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::ipc::{Int, root_as_message};
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// Two features and a task over `train`.
fn config(train: &str) -> String {
    format!(
        "[data]\ntrain = '{train}'\n\
         [[feature]]\ncolumns = ['age']\nkind = 'numeric'\n\
         [[feature]]\ncolumns = ['city']\nkind = 'categorical'\nembedding = 4\n\
         [[task]]\nname = 'click'\nkind = 'binary'\nlabel = {{ column = 'click' }}\n"
    )
}

/// 300 rows with a text that is not UTF-8 in row 202, as bytes of a file.
fn with_a_bad_text(city: ArrayRef, write: impl Fn(&RecordBatch) -> Vec<u8>) -> Vec<u8> {
    let click: Vec<i64> = (0..300).map(|row| row % 2).collect();
    let rows = batch(vec![
        ("age", array(Int64Array::from((0..300).collect::<Vec<_>>()))),
        ("city", city),
        ("click", array(Int64Array::from(click))),
    ]);
    let mut bytes = write(&rows);
    // Wherever the text stands, in statistics as well.
    let places: Vec<usize> = bytes.windows(6).enumerate().filter(|(_, w)| w == b"<mark>").map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    // Not at its beginning, which views hold twice.
    places.into_iter().for_each(|at| bytes[at + 5] = 0xff);
    bytes
}

#[test]
fn one_text_that_is_not_utf8_is_one_bad_row_in_any_format() {
    let texts: Vec<Option<String>> = (0..300)
        .map(|row| match row {
            201 => Some("<mark> of twenty bytes".to_owned()),
            row => (row % 7 > 0).then(|| format!("c{}", row % 5)),
        })
        .collect();
    let text: ArrayRef = array(StringArray::from(texts));
    let to = |of: &DataType| arrow::compute::cast(&text, of).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let types = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, DataType::Binary, dictionary];
    type Write = fn(&RecordBatch) -> Vec<u8>;
    let formats: [(&str, Write); 4] = [
        ("log.parquet", |rows| parquet_bytes(rows, 128)),
        ("small.parquet", |rows| parquet_bytes(rows, 1000)),
        ("log.arrow", |rows| arrow_file_bytes(&[rows.slice(0, 150), rows.slice(150, 150)])),
        ("log.arrows", |rows| arrow_stream_bytes(&[rows.slice(0, 150), rows.slice(150, 150)])),
    ];
    for (name, write) in formats {
        for of in &types {
            if matches!(of, DataType::Dictionary(..)) && name.starts_with("log.arrow") {
                continue; // Slices of a dictionary are not written as one here.
            }
            let folder = Folder::new();
            folder.write(name, with_a_bad_text(to(of), write));
            let (error, message) = folder.failure(&config(name));
            let expected = format!(
                "{name}, row 202, column \"city\": \"<mark\u{fffd} of twenty bytes\" is not valid UTF-8; \
                 texts in Parquet and Arrow are UTF-8: write the file again"
            );
            assert_eq!(message, expected, "{of}");
            assert!(error.is_data());
            let skip = config(name)
                .replace("[[feature]]\ncolumns = ['age']", "on_bad_row = 'skip'\n[[feature]]\ncolumns = ['age']");
            let splits = folder.load(&skip).unwrap();
            assert_eq!((splits.train.rows(), splits.skipped.rows), (299, 1), "{name} {of}");
            let ages: Vec<f32> =
                splits.train.as_batch().numeric.iter().copied().filter(|age| *age > 199.0).take(3).collect();
            assert_eq!(ages, [200.0, 202.0, 203.0], "{name} {of}");
        }
    }
}

#[test]
fn a_dictionary_with_a_bad_text_breaks_its_rows_alone() {
    let keys = Int32Array::from_iter((0..300).map(|row| Some(i32::from(row == 201))));
    let values = array(StringArray::from(vec!["a", "<mark> of twenty bytes"]));
    let dictionary = array(arrow::array::DictionaryArray::new(keys, values));
    for (name, write) in [
        ("log.arrow", (|rows| arrow_file_bytes(std::slice::from_ref(rows))) as fn(&RecordBatch) -> Vec<u8>),
        ("log.arrows", |rows| arrow_stream_bytes(std::slice::from_ref(rows))),
    ] {
        let folder = Folder::new();
        folder.write(name, with_a_bad_text(Arc::clone(&dictionary), write));
        let (_, message) = folder.failure(&config(name));
        assert!(message.starts_with(&format!("{name}, row 202, column \"city\": ")), "{message}");
    }
}

/// Says in the schema of an Arrow stream that the integers of its last field are of 128 bits.
fn widen(bytes: &mut [u8]) {
    let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let head = bytes[8..8 + length].to_vec();
    let fields = root_as_message(&head).unwrap().header_as_schema().unwrap().fields().unwrap();
    let int = fields.get(fields.len() - 1).type_as_int().unwrap();
    let at = 8 + int._tab.loc() + usize::from(int._tab.vtable().get(Int::VT_BITWIDTH));
    assert_eq!(bytes[at..at + 4], 64i32.to_le_bytes());
    bytes[at..at + 4].copy_from_slice(&128i32.to_le_bytes());
}

#[test]
fn integers_of_128_bits_do_no_harm_where_nobody_asks_for_them() {
    let rows = batch(vec![
        ("age", array(Int64Array::from(vec![1, 2, 3]))),
        ("city", array(StringArray::from(vec!["a", "b", "a"]))),
        ("click", array(Int64Array::from(vec![1, 0, 1]))),
        ("wide", array(Int64Array::from(vec![7, 8, 9]))),
    ]);
    let mut bytes = arrow_stream_bytes(&[rows]);
    widen(&mut bytes);
    let folder = Folder::new();
    folder.write("log.arrows", bytes);
    assert_eq!(folder.load(&config("log.arrows")).unwrap().train.rows(), 3);
    let (error, message) = folder.failure(&config("log.arrows").replace("'age'", "'wide'"));
    assert!(error.is_data());
    let expected = "log.arrows, column \"wide\": integers of 128 bits cannot be read as numbers; \
                    write them as decimals, texts or integers of 64 bits";
    assert_eq!(message, expected);
}

#[test]
fn integers_of_128_bits_do_no_harm_in_parquet_either() {
    let rows = batch(vec![
        ("age", array(Int64Array::from(vec![1, 2]))),
        ("city", array(StringArray::from(vec!["a", "b"]))),
        ("click", array(Int64Array::from(vec![1, 0]))),
        ("wide", array(Int64Array::from(vec![1, 0]))),
    ]);
    // The writer's schema, as base64 in the file, is replaced by one that is as long.
    let encode = |schema: &[u8]| BASE64_STANDARD.encode(schema).into_bytes();
    let bytes = parquet_bytes(&rows, 10);
    let key = bytes.windows(12).position(|window| window == b"ARROW:schema").unwrap();
    let start = key + bytes[key..].windows(4).position(|window| window == b"////").unwrap();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let length = bytes[start..].iter().take_while(|byte| is_base64(byte)).count() / 4 * 4;
    let mut schema = BASE64_STANDARD.decode(&bytes[start..start + length]).unwrap();
    widen(&mut schema);
    let folder = Folder::new();
    let mut wide = bytes.clone();
    wide[start..start + length].copy_from_slice(&encode(&schema));
    folder.write("log.parquet", wide);
    assert_eq!(folder.load(&config("log.parquet")).unwrap().train.rows(), 2);
    // A schema that is damaged is another matter.
    let mut damaged = bytes;
    damaged[start + 20..start + 40].fill(b'!');
    folder.write("log.parquet", damaged);
    let (error, message) = folder.failure(&config("log.parquet"));
    assert!(error.is_data() && message.starts_with("log.parquet is damaged: "), "{message}");
}
