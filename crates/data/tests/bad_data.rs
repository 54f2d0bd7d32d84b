//! Bad data: each kind stops with a message that names file, row, column, value and what to do, and nothing panics.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use crate::common::{self, Folder, array, arrow_file_bytes, arrow_stream_bytes, batch, gzip, parquet_bytes};
use arrow::array::{Float64Array, Int64Array, ListArray, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Float64Type};
use pleiad_data::ErrorKind;
use proptest::prelude::*;

/// Two features and a task over `train`.
fn config(train: &str) -> String {
    format!(
        "[data]\ntrain = '{train}'\n\
         [[feature]]\ncolumns = ['age']\nkind = 'numeric'\n\
         [[feature]]\ncolumns = ['city']\nkind = 'categorical'\nembedding = 4\n\
         [[task]]\nname = 'click'\nkind = 'binary'\nlabel = {{ column = 'click' }}\n"
    )
}

#[track_caller]
fn stops(contents: &[u8], message: &str) {
    stops_with(&config("log.csv"), "log.csv", contents, ErrorKind::Data, message);
}

#[track_caller]
fn stops_with(config: &str, name: &str, contents: &[u8], kind: ErrorKind, message: &str) {
    let folder = Folder::new();
    folder.write(name, contents);
    let (error, found) = folder.failure(config);
    assert_eq!(found, message);
    assert_eq!(error.kind(), kind, "{error:?}");
}

#[test]
fn empty_file() {
    stops(b"", "log.csv is empty");
    stops(b"\n\n", "log.csv is empty");
    stops(&gzip(b""), "log.csv is empty");
}

#[test]
fn header_only() {
    stops(b"age,city,click\n", "there is no training row in log.csv: there are no rows at all");
}

#[test]
fn missing_file_glob_and_directory() {
    let folder = Folder::new();
    let (error, message) = folder.failure(&config("nowhere.csv"));
    assert_eq!(message, "cannot read nowhere.csv: No such file or directory (os error 2)");
    assert!(error.is_data());
    let (error, message) = folder.failure(&config("*.csv"));
    assert_eq!(message, "no file matches \"*.csv\"");
    assert!(error.is_data());
    std::fs::create_dir(folder.path().join("logs.csv")).unwrap();
    let (error, message) = folder.failure(&config("logs.csv"));
    assert_eq!(message, "the folder logs.csv holds no data file: it is empty");
    assert!(error.is_data());
}

#[test]
fn unknown_ending() {
    let message = "cannot tell the format of log.data: its ending is none of .csv, .tsv, .txt (also with .gz or .zst), \
                   .parquet, .pq, .arrow, .arrows, .feather, .ipc; rename it, or set format = \"csv\" in [data]";
    stops_with(&config("log.data"), "log.data", b"age,city,click\n", ErrorKind::Configuration, message);
}

#[test]
fn misspelt_column() {
    let config = config("log.csv").replace("'city'", "'citty'");
    let message = "log.csv has no column \"citty\", which a [[feature]] block needs; did you mean \"city\"?";
    stops_with(&config, "log.csv", b"age,city,click\n1,a,0\n", ErrorKind::Configuration, message);
    let config = config.replace("'citty'", "'zzz'");
    let message = "log.csv has no column \"zzz\", which a [[feature]] block needs; it has \"age\", \"city\", \"click\"";
    stops_with(&config, "log.csv", b"age,city,click\n1,a,0\n", ErrorKind::Configuration, message);
}

#[test]
fn missing_label_column() {
    let message = "log.csv has no column \"click\", which the label of task \"click\" needs; did you mean \"clicks\"?";
    stops_with(&config("log.csv"), "log.csv", b"age,city,clicks\n1,a,0\n", ErrorKind::Configuration, message);
}

#[test]
fn column_twice_in_header() {
    stops(b"age,age,city,click\n1,2,a,0\n", "log.csv has two columns named \"age\"");
}

#[test]
fn ragged_rows() {
    let message = "log.csv, line 3 (row 2): 2 fields where 3 are expected";
    stops(b"age,city,click\n1,a,0\n2,b\n", message);
    let message = "log.csv, line 4 (row 3): 4 fields where 3 are expected";
    stops(b"age,city,click\r\n1,a,0\r\n2,b,1\r\n3,c,1,9\r\n", message);
}

#[test]
fn quote_left_open() {
    let message = "log.csv, line 3 (row 2), column \"city\": \"\"b,1\\n3,c,1\\n\" opens with a quote that is never closed, \
                   so that all lines behind it are part of it; set escape = \"\\\\\" in [data.csv] if quotes within quotes \
                   are written \\\", or set quote = \"\" in [data.csv] if quotes are characters like others";
    stops(b"age,city,click\n1,a,0\n2,\"b,1\n3,c,1\n", message);
}

#[test]
fn text_in_a_number() {
    let message = "log.csv, line 3 (row 2), column \"age\": \"old\" is not a number";
    stops(b"age,city,click\n1,a,0\nold,b,1\n", message);
    let message = "log.csv, line 2 (row 1), column \"age\": \"NA\" is not a number; \
                   if it means a missing value, add it to `null` in [data.csv]";
    stops(b"age,city,click\nNA,b,1\n", message);
    let message = "log.csv, line 2 (row 1), column \"age\": \" 3\" is not a number; \
                   set trim = true in [data.csv] if the spaces around it are not part of it";
    stops(b"age,city,click\n 3,b,1\n", message);
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    let message =
        |line: u64, row: u64| format!("log.csv, line {line} (row {row}), column \"age\": \"x\" is not a number");
    stops(b"age,city,click\r\nx,a,0\r\n", &message(2, 1));
    stops(b"age,city,click\r\n1,a,0\r\n\r\n\r\nx,a,0", &message(5, 2));
    stops(b"\nage,city,click\n\n1,a,0\n\n\nx,a,0", &message(7, 2));
    stops(b"age,city,click\n1,\"a\r\nb\",0\nx,a,0\n", &message(4, 2));
    stops(b"age,city,click\nx,a,0", &message(2, 1));
}

#[test]
fn quoted_line_ends_keep_lines_and_rows_apart() {
    let message = "log.csv, line 4 (row 2), column \"age\": \"x\" is not a number";
    stops(b"age,city,click\n1,\"a\nb\",0\nx,b,1\n", message);
}

#[test]
fn nan_and_infinite() {
    let rest = "set `missing` of this feature to \"mean\", \"zero\" or a number to allow it";
    let message = format!("log.csv, line 2 (row 1), column \"age\": \"NaN\" is a missing value; {rest}");
    stops(b"age,city,click\nNaN,a,0\n", &message);
    let infinite = "is not finite; a missing value is an empty field or NaN in CSV, null or NaN in Parquet and Arrow";
    stops(b"age,city,click\n-inf,a,0\n", &format!("log.csv, line 2 (row 1), column \"age\": \"-inf\" {infinite}"));
    let large = "is beyond the range of 32-bit floats";
    stops(b"age,city,click\n1e39,a,0\n", &format!("log.csv, line 2 (row 1), column \"age\": \"1e39\" {large}"));
    let rows = batch(vec![
        ("age", array(Float64Array::from(vec![1.0, f64::NAN]))),
        ("city", array(StringArray::from(vec!["a", "b"]))),
        ("click", array(Int64Array::from(vec![0, 1]))),
    ]);
    let message = format!("log.parquet, row 2, column \"age\": a value is missing; {rest}");
    stops_with(&config("log.parquet"), "log.parquet", &parquet_bytes(&rows, 10), ErrorKind::Data, &message);
}

#[test]
fn missing_number() {
    let message = "log.csv, line 2 (row 1), column \"age\": a value is missing; \
                   set `missing` of this feature to \"mean\", \"zero\" or a number to allow it";
    stops(b"age,city,click\n,a,0\n", message);
}

#[test]
fn labels_outside_of_zero_and_one() {
    let rest = "is not a label of a binary task: 0, 1, true or false (or set `positive` in `label`)";
    stops(b"age,city,click\n1,a,2\n", &format!("log.csv, line 2 (row 1), column \"click\": \"2\" {rest}"));
    stops(b"age,city,click\n1,a,yes\n", &format!("log.csv, line 2 (row 1), column \"click\": \"yes\" {rest}"));
}

#[test]
fn regression_label_that_is_no_number() {
    let config = config("log.csv").replace("kind = 'binary'", "kind = 'regression'");
    let message = "log.csv, line 2 (row 1), column \"click\": \"high\" is not a number";
    stops_with(&config, "log.csv", b"age,city,click\n1,a,high\n", ErrorKind::Data, message);
}

#[test]
fn tasks_without_rows_or_positives() {
    let message = "task \"click\": no training row is in its sample space: none has a label in \"click\"";
    stops(b"age,city,click\n1,a,\n", message);
    let filtered = format!("{}where = {{ column = 'city', equals = 'b' }}\n", config("log.csv"));
    let message =
        "task \"click\": no training row is in its sample space: none has a label in \"click\" and its `where` holds";
    stops_with(&filtered, "log.csv", b"age,city,click\n1,a,1\n", ErrorKind::Data, message);
    let positive = config("log.csv").replace("column = 'click'", "column = 'click', positive = 'yes'");
    let message = "task \"click\": no training row has its positive label, \"yes\" in column \"click\"";
    stops_with(&positive, "log.csv", b"age,city,click\n1,a,Yes\n", ErrorKind::Data, message);
}

#[test]
fn ids_out_of_range() {
    let config = config("log.csv").replace("embedding = 4", "embedding = 4\nencoding = { ids = 5 }");
    let place = "log.csv, line 2 (row 1), column \"city\":";
    for (value, message) in [
        ("5", "\"5\" is out of range: encoding = { ids = 5 } takes ids from 0 to 4"),
        ("-1", "\"-1\" is not an id: ids are whole numbers from 0"),
        ("1.5", "\"1.5\" is not an id: ids are whole numbers from 0"),
        ("", "an id is missing; encoding `ids` has no row for that (`hash` and `vocabulary` have)"),
    ] {
        let contents = format!("age,city,click\n1,{value},0\n");
        stops_with(&config, "log.csv", contents.as_bytes(), ErrorKind::Data, &format!("{place} {message}"));
    }
}

#[test]
fn log1p_of_minus_one() {
    let config = config("log.csv").replace("'numeric'", "'numeric'\ntransform = ['log1p']");
    let message = "log.csv, line 2 (row 1), column \"age\": \"-1\" is not above -1, which log1p needs";
    stops_with(&config, "log.csv", b"age,city,click\n-1,a,0\n", ErrorKind::Data, message);
}

#[test]
fn invalid_utf8() {
    let message = "log.csv, line 3 (row 2), column \"city\": \"\u{fffd}b\" \
                   is not valid UTF-8; if the file is written in another encoding, set encoding = \"latin1\" in [data.csv]";
    stops(b"age,city,click\n1,a,0\n2,\xffb,1\n", message);
    // Two halves of one character in two rows are valid together, and nothing by themselves.
    let message = "log.csv, line 2 (row 1), column \"city\": \"\u{fffd}\" \
                   is not valid UTF-8; if the file is written in another encoding, set encoding = \"latin1\" in [data.csv]";
    stops(b"age,city,click\n1,\xc3,0\n2,\xa9,1\n", message);
    let message = "log.csv has a header that is not valid UTF-8; set encoding = \"latin1\" in [data.csv]";
    stops(b"age,\xff,click\n1,a,0\n", message);
    let message = "log.csv has no column \"age\", which a [[feature]] block needs; did you mean \"ag\"?";
    stops_with(&config("log.csv"), "log.csv", b"\xff\xfea\0g\0\n\0", ErrorKind::Configuration, message);
}

#[test]
fn truncated_and_false_compression() {
    let rows: String = (0..5000).map(|i| format!("{i},city{},{}\n", i * 7919 % 997, i % 2)).collect();
    let whole = gzip(format!("age,city,click\n{rows}").as_bytes());
    let config = config("log.csv.gz");
    let message = "log.csv.gz ends too early: the file is cut off; copy or download it again";
    stops_with(&config, "log.csv.gz", &whole[..whole.len() / 2], ErrorKind::Data, message);
    stops_with(&config, "log.csv.gz", &whole[..whole.len() - 4], ErrorKind::Data, message);
    let message = "log.csv.gz is named .gz, but is not gzip";
    stops_with(&config, "log.csv.gz", b"age,city,click\n1,a,0\n", ErrorKind::Data, message);

    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 16].fill(0xff);
    let folder = Folder::new();
    folder.write("log.csv.gz", damaged);
    let (error, message) = folder.failure(&config);
    assert!(error.is_data(), "{message}");

    let zstd = zstd::encode_all(format!("age,city,click\n{rows}").as_bytes(), 3).unwrap();
    let message = "log.csv.zst ends too early: the file is cut off; copy or download it again";
    let config = config.replace(".gz", ".zst");
    stops_with(&config, "log.csv.zst", &zstd[..zstd.len() / 2], ErrorKind::Data, message);
}

#[test]
fn wrong_format() {
    let rows = batch(vec![("age", array(Int64Array::from(vec![1])))]);
    let message = "log.csv is a Parquet file; set format = \"parquet\" in [data], or rename it";
    stops(&parquet_bytes(&rows, 10), message);
    let folder = Folder::new();
    for name in ["log.parquet", "log.arrow"] {
        folder.write(name, b"age,city,click\n1,a,0\n");
        let (error, message) = folder.failure(&config(name));
        assert!(error.is_data() && message.starts_with(&format!("{name} is a text; set format = ")), "{message}");
        folder.write(name, b"\0\x01\x02\x03 nothing that is known");
        let (error, message) = folder.failure(&config(name));
        assert!(error.is_data() && message.starts_with(&format!("{name} is damaged: ")), "{message}");
        folder.write(name, b"");
        let (error, message) = folder.failure(&config(name));
        assert_eq!(message, format!("{name} is empty"));
        assert!(error.is_data());
    }
}

#[test]
fn types_that_cannot_be_read() {
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(1.0)])]);
    let rows = batch(vec![
        ("age", array(lists)),
        ("city", array(StringArray::from(vec!["a"]))),
        ("click", array(Int64Array::from(vec![1]))),
    ]);
    let message = "log.arrow, column \"age\": lists cannot be read as a number";
    stops_with(&config("log.arrow"), "log.arrow", &arrow_file_bytes(&[rows]), ErrorKind::Data, message);

    let inner = array(Int64Array::from(vec![1]));
    let structs = StructArray::from(vec![(Arc::new(Field::new("x", DataType::Int64, true)), inner)]);
    let rows = batch(vec![
        ("age", array(Int64Array::from(vec![1]))),
        ("city", array(structs)),
        ("click", array(Int64Array::from(vec![1]))),
    ]);
    let folder = Folder::new();
    folder.write("log.arrow", arrow_file_bytes(&[rows]));
    let (error, message) = folder.failure(&config("log.arrow"));
    assert!(error.is_data());
    assert!(message.starts_with("log.arrow, column \"city\": values of type Struct"), "{message}");
}

#[test]
fn floats_that_are_no_categories() {
    let rows = batch(vec![
        ("age", array(Int64Array::from(vec![1, 2]))),
        ("city", array(Float64Array::from(vec![2.5, 9_007_199_254_740_994.0]))),
        ("click", array(Int64Array::from(vec![1, 0]))),
    ]);
    let message = "log.arrows, row 2, column \"city\": \"9007199254740994\" is not a category: whole numbers above 2^53 are \
                   rounded in a column of floats; write them as integers";
    stops_with(&config("log.arrows"), "log.arrows", &arrow_stream_bytes(&[rows]), ErrorKind::Data, message);
}

#[test]
fn split_columns() {
    let config = config("log.csv").replace(
        "[[feature]]\ncolumns = ['age']",
        "valid = { column = 'day', from = 3 }\n[[feature]]\ncolumns = ['age']",
    );
    let head = "age,city,click,day\n1,a,0,1\n";
    let message = "log.csv, line 3 (row 2), column \"day\": \"soon\" cannot be compared with 3, a bound of the split";
    stops_with(&config, "log.csv", format!("{head}1,a,0,soon\n").as_bytes(), ErrorKind::Data, message);
    let message = "log.csv, line 3 (row 2), column \"day\": \
                   a value is missing, so the row can be put neither into training nor into a split";
    stops_with(&config, "log.csv", format!("{head}1,a,0,\n").as_bytes(), ErrorKind::Data, message);
    let message = "there is no validation row in log.csv: no row of the training files falls into it";
    stops_with(&config, "log.csv", head.as_bytes(), ErrorKind::Data, message);
    let message =
        "there is no training row in log.csv: `valid` and `test` in [data] take all 1 rows of the training files";
    stops_with(&config, "log.csv", b"age,city,click,day\n1,a,0,4\n", ErrorKind::Data, message);
    let message = "log.csv has no column \"day\", which `valid` in [data] needs; it has \"age\", \"city\", \"click\"";
    stops_with(&config, "log.csv", b"age,city,click\n1,a,0\n", ErrorKind::Configuration, message);
}

#[test]
fn a_record_without_end_is_refused() {
    let mut endless = b"age,city,click\n1,\"".to_vec();
    endless.resize(80 << 20, b'x');
    let message = "log.csv, line 2 (row 1), column \"city\": the row is longer than 64 MiB: a quote may be left open; \
                   set escape = \"\\\\\" in [data.csv] if quotes within quotes are written \\\", \
                   or set quote = \"\" in [data.csv] if quotes are characters like others";
    stops(&endless, message);
}

#[test]
fn bad_rows_are_skipped_and_counted() {
    let folder = Folder::new();
    let config = config("log.csv").replace(
        "[[feature]]\ncolumns = ['age']",
        "on_bad_row = 'skip'\n[[feature]]\ncolumns = ['age']\nmissing = 'mean'\ntransform = ['standardize']",
    );
    folder.write("log.csv", b"age,city,click\n1,a,0\nx,b,1\n3,\xff,1\n5,c\n7,d,7\n3,a,1\n");
    let skipping = folder.load(&config).unwrap();
    assert_eq!((skipping.train.rows(), skipping.skipped.rows), (2, 4));
    let places: Vec<String> =
        skipping.skipped.examples.iter().map(|bad| format!("{}/{:?}", bad.row, bad.column)).collect();
    assert_eq!(places, ["2/Some(\"age\")", "3/Some(\"city\")", "4/None", "5/Some(\"click\")"]);
    // Neither statistics nor vocabulary know the rows that were skipped.
    folder.write("log.csv", b"age,city,click\n1,a,0\n3,a,1\n");
    let clean = folder.load(&config).unwrap();
    assert_eq!(common::json(&skipping.encoder), common::json(&clean.encoder));
    assert_eq!(skipping.train, clean.train);
    folder.write("log.csv", b"age,city,click\nx,b,1\n");
    let message = "there is no training row in log.csv: 1 bad row was skipped: \
                   log.csv, line 2 (row 1), column \"age\": \"x\" is not a number";
    assert_eq!(folder.failure(&config).1, message);
}

#[test]
fn the_first_bad_row_is_the_one_reported() {
    let rows: String =
        (0..40_000).map(|i| if i >= 20_000 { format!("x{i},a,0\n") } else { format!("{i},a,0\n") }).collect();
    let message = "log.csv, line 20002 (row 20001), column \"age\": \"x20000\" is not a number";
    stops(format!("age,city,click\n{rows}").as_bytes(), message);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done to a file's bytes, reading it ends with rows or an error.
    #[test]
    fn damage_never_panics(at in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..6), keep in 0.2f64..1.0, format in 0usize..4) {
        let rows = batch(vec![
            ("age", array(Float64Array::from_iter((0..300).map(|i| (i % 7 != 0).then_some(f64::from(i)))))),
            ("city", array(StringArray::from_iter_values((0..300).map(|i| format!("c{}", i % 11))))),
            ("click", array(Int64Array::from_iter_values((0..300).map(|i| i % 2)))),
        ]);
        let csv: String = (0..300).map(|i| format!("{i},\"c{}\",{}\n", i % 11, i % 2)).collect();
        let (name, mut bytes) = match format {
            0 => ("log.parquet", parquet_bytes(&rows, 100)),
            1 => ("log.arrow", arrow_file_bytes(&[rows.clone(), rows])),
            2 => ("log.arrows", arrow_stream_bytes(&[rows.clone(), rows])),
            _ => ("log.csv", format!("age,city,click\n{csv}").into_bytes()),
        };
        let length = bytes.len();
        for (place, byte) in at {
            bytes[(place * length as f64) as usize] = byte;
        }
        if keep < 0.6 {
            bytes.truncate((keep * length as f64) as usize);
        }
        let folder = Folder::new();
        folder.write(name, bytes);
        let _ = folder.load(&config(name));
    }
}

/// A file whose footer is not encrypted says that some columns are, and ends in a signature. Their pages are noise.
#[test]
fn encrypted_columns_are_named() {
    let table = batch(vec![
        ("age", array(Int64Array::from(vec![1, 2]))),
        ("city", array(StringArray::from(vec!["a", "b"]))),
        ("click", array(Int64Array::from(vec![0, 1]))),
    ]);
    let plain = parquet_bytes(&table, 2);
    let (length, magic) = (plain.len() - 8, plain.len() - 4);
    let footer = length - u32::from_le_bytes(plain[length..magic].try_into().unwrap()) as usize;
    let encrypted = |pages: &[u8]| {
        // Field 8 is a choice of algorithms, of which the first has no settings here.
        let footer = [&plain[footer..length - 1], b"\x1c\x1c\0\0\0", &[7; 28][..]].concat();
        [pages, &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
    };
    let noise = [&plain[..4], &[0xa5; 8], &plain[12..footer]].concat();
    let message = "log.parquet is a Parquet file with encrypted columns, of which one is needed; decrypt it first";
    stops_with(&config("log.parquet"), "log.parquet", &encrypted(&noise), ErrorKind::Data, message);
    // Columns that are not encrypted can be read.
    let folder = Folder::new();
    folder.write("log.parquet", encrypted(&plain[..footer]));
    assert_eq!(folder.load(&config("log.parquet")).unwrap().train.rows(), 2);
}
