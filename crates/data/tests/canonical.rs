//! One value, one text: a table of typed columns and the CSV that programs write of it encode alike, from file to batch,
//! and are cut alike.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use crate::common::{Folder, array, arrow_file_bytes, arrow_stream_bytes, batch, json, parquet_bytes};
use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array, Float16Array,
    Float32Array, Float64Array, Int32Array, Int64Array, ListArray, ListBuilder, RunArray, StringArray, StringBuilder,
    Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float16Type, Float64Type, Int32Type, TimeUnit, i256};
use parquet::data_type::{Int96, Int96Type};
use pleiad_data::{Error, ErrorKind, Ids, Split, Splits};
use proptest::prelude::*;

/// The column `v` as a category by its vocabulary and, in a table of their own, by their hashes.
const CATEGORY: &str = "
[data]
train = 'FILE'
[[feature]]
columns = ['v']
kind = 'categorical'
embedding = 2
[[feature]]
columns = ['w']
kind = 'categorical'
encoding = { hash = 1000003 }
embedding = 2
[[task]]
name = 'y'
kind = 'regression'
label = { column = 'y' }
";

fn load(config: &str, name: &str, bytes: &[u8]) -> Result<Splits, Error> {
    let folder = Folder::new();
    folder.write(name, bytes);
    folder.load(&config.replace("FILE", name))
}

fn loaded(config: &str, name: &str, bytes: &[u8]) -> Splits {
    load(config, name, bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A table of the column, twice, and a label.
fn typed(values: &ArrayRef) -> arrow::array::RecordBatch {
    let label = array(Int32Array::from_iter_values(0..values.len() as i32));
    batch(vec![("v", Arc::clone(values)), ("w", Arc::clone(values)), ("y", label)])
}

/// What CSV holds of it.
fn written(texts: &[&str]) -> String {
    let lines = texts.iter().enumerate().map(|(row, text)| format!("\"{text}\",\"{text}\",{row}\n"));
    std::iter::once("v,w,y\n".to_owned()).chain(lines).collect()
}

/// Every column and every text of a row is one value, whichever was trained on.
#[track_caller]
fn alike(columns: &[ArrayRef], texts: &[&[&str]]) {
    let csv = written(texts[0]);
    let expected = loaded(CATEGORY, "log.csv", csv.as_bytes());
    let same = |found: &Splits, what: String| {
        assert_eq!(json(&found.encoder), json(&expected.encoder), "{what}");
        assert_eq!(found.train, expected.train, "{what}");
    };
    for texts in texts {
        same(&loaded(CATEGORY, "log.csv", written(texts).as_bytes()), format!("{texts:?}"));
        same(
            &loaded(CATEGORY, "log.parquet", &parquet_bytes(&typed(&array(StringArray::from(texts.to_vec()))), 3)),
            format!("{texts:?} in Parquet"),
        );
    }
    for column in columns {
        let (table, what) = (typed(column), column.data_type().to_string());
        same(&loaded(CATEGORY, "log.parquet", &parquet_bytes(&table, 2)), format!("{what} in Parquet"));
        same(
            &loaded(
                CATEGORY,
                "log.arrow",
                &arrow_file_bytes(&[table.slice(0, 1), table.slice(1, table.num_rows() - 1)]),
            ),
            format!("{what} in Arrow"),
        );
        same(
            &loaded(CATEGORY, "log.arrows", &arrow_stream_bytes(std::slice::from_ref(&table))),
            format!("{what} in a stream"),
        );
        let rows = expected.encoder.encode_rows(&table, true).unwrap();
        assert_eq!(&rows, expected.train.as_batch(), "{what} in memory");
    }
}

fn dictionary(column: &ArrayRef) -> ArrayRef {
    let kind = DataType::Dictionary(Box::new(DataType::Int16), Box::new(column.data_type().clone()));
    cast(column, &kind).unwrap()
}

#[test]
fn true_and_false() {
    let column = array(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]));
    alike(&[column], &[&["True", "False", "", "True"], &["true", "false", "", "true"], &["TRUE", "FALSE", "", "TRUE"]]);
}

#[test]
fn whole_numbers_of_every_type() {
    let whole = vec![Some(94), Some(-3), None, Some(0), Some(12_345_678)];
    let int = array(Int64Array::from(whole.clone()));
    let mut columns: Vec<ArrayRef> = [DataType::Int32, DataType::Float64, DataType::Float32]
        .iter()
        .chain(&[DataType::Decimal128(20, 0), DataType::Decimal128(20, 2), DataType::Decimal256(60, 10)])
        .chain(&[DataType::Decimal32(9, 0), DataType::Decimal64(18, 3)])
        .map(|kind| cast(&int, kind).unwrap())
        .collect();
    columns.extend([dictionary(&int), int]);
    alike(
        &columns,
        &[
            &["94", "-3", "", "0", "12345678"],
            // pandas, polars, DuckDB; Spark; a decimal of two places; pyarrow.
            &["94.0", "-3.0", "", "0.0", "12345678.0"],
            &["94.0", "-3.0", "", "-0.0", "1.2345678E7"],
            &["94.00", "-3.00", "", "0.00", "12345678.00"],
            &["94", "-3", "", "0", "1.2345678e+07"],
            // A float's negative zero by pyarrow, Rust and C.
            &["94", "-3", "", "-0", "12345678"],
        ],
    );
    let most = vec![u64::MAX, u64::MAX - 1, (1 << 53) + 1, 1 << 53, 0];
    let wide = Decimal128Array::from_iter_values(most.iter().map(|&value| value.into()));
    let wider = Decimal256Array::from_iter_values(most.iter().map(|&value| i256::from_i128(value.into())));
    alike(
        &[
            array(UInt64Array::from(most)),
            array(wide.with_precision_and_scale(20, 0).unwrap()),
            array(wider.with_precision_and_scale(76, 0).unwrap()),
        ],
        &[&["18446744073709551615", "18446744073709551614", "9007199254740993", "9007199254740992", "0"]],
    );
}

#[test]
fn decimals_through_no_float() {
    let scaled = |values: &[i128]| {
        array(Decimal128Array::from_iter_values(values.to_vec()).with_precision_and_scale(38, 2).unwrap())
    };
    alike(
        &[scaled(&[150, 9_400, -5, 0, 900_719_925_474_099_301, 900_719_925_474_099_302])],
        &[&["1.50", "94.00", "-0.05", "0.00", "9007199254740993.01", "9007199254740993.02"]],
    );
    // More digits than any other type has.
    let huge = |text: &str| i256::from_string(text).unwrap();
    let (a, b) = ("9".repeat(70), format!("{}8", "9".repeat(69)));
    let column = Decimal256Array::from_iter_values([huge(&a), huge(&b), huge("100"), huge("-250")]);
    let column = array(column.with_precision_and_scale(72, 2).unwrap());
    let point = |digits: &str| format!("{}.{}", &digits[..68], &digits[68..]);
    alike(&[column], &[&[&point(&a), &point(&b), "1.00", "-2.50"]]);
    // Hundreds, which Arrow alone can hold.
    let column = Decimal256Array::from_iter_values([huge(&a), huge("0"), huge("-7")]);
    let column = array(column.with_precision_and_scale(72, -2).unwrap());
    let expected = loaded(CATEGORY, "log.csv", written(&[&format!("{a}00"), "0", "-700"]).as_bytes());
    let found = loaded(CATEGORY, "log.arrow", &arrow_file_bytes(&[typed(&column)]));
    assert_eq!(json(&found.encoder), json(&expected.encoder));
}

#[test]
fn floats() {
    let values = vec![Some(3.5), Some(0.1), Some(-1e-5), Some(1.5e-7), None, Some(f64::NAN), Some(1_234_567.25)];
    let column = array(Float64Array::from(values));
    alike(
        &[dictionary(&column), column],
        &[
            // pandas, polars, Spark.
            &["3.5", "0.1", "-1e-05", "1.5e-07", "", "", "1234567.25"],
            &["3.5", "0.1", "-0.00001", "1.5e-7", "", "", "1234567.25"],
            &["3.5", "0.1", "-1.0E-5", "1.5E-7", "", "", "1234567.25"],
        ],
    );
    let narrow = vec![0.1_f32, 1e-5, 2_605_976.3, 16_777_216.0, -7.0];
    alike(&[array(Float32Array::from(narrow))], &[&["0.1", "1e-05", "2605976.2", "16777216.0", "-7.0"]]);
    let half = <Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native::from_f64;
    alike(&[array(Float16Array::from(vec![half(0.1), half(3.3), half(2.0)]))], &[&["0.1", "3.3", "2.0"]]);
    // Too large to be exact, or none: a typed file says so.
    for (value, reason) in [(1e16, "are rounded in a column of floats"), (f64::INFINITY, "is not finite")] {
        let table = typed(&array(Float64Array::from(vec![1.0, value])));
        let error = load(CATEGORY, "log.parquet", &parquet_bytes(&table, 2)).unwrap_err().to_string();
        assert!(error.contains("row 2, column \"v\"") && error.contains(reason), "{error}");
    }
}

#[test]
fn dates() {
    let days = vec![Some(20_454), None, Some(0), Some(-1)];
    let date = array(Date32Array::from(days.clone()));
    let midnight = |per_day: i64| days.iter().map(move |day| day.map(|day| i64::from(day) * per_day));
    alike(
        &[
            array(Date64Array::from_iter(midnight(86_400_000))),
            array(TimestampSecondArray::from_iter(midnight(86_400))),
            array(TimestampNanosecondArray::from_iter(midnight(86_400_000_000_000))),
            dictionary(&date),
            date,
        ],
        &[
            &["2026-01-01", "", "1970-01-01", "1969-12-31"],
            &["2026-01-01 00:00:00", "", "1970-01-01 00:00:00", "1969-12-31 00:00:00"],
            &["2026-01-01T00:00:00.000000", "", "1970-01-01T00:00:00.000000", "1969-12-31T00:00:00.000000"],
        ],
    );
}

#[test]
fn times_without_a_zone() {
    let millis = vec![Some(1_767_225_600_000), Some(1_767_312_000_500), None, Some(1_767_333_600_000)];
    let column = array(TimestampMillisecondArray::from(millis));
    let micro = cast(&column, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
    let nano = cast(&column, &DataType::Timestamp(TimeUnit::Nanosecond, None)).unwrap();
    alike(
        &[dictionary(&column), column, micro, nano],
        &[
            &["2026-01-01 00:00:00.000", "2026-01-02 00:00:00.500", "", "2026-01-02 06:00:00.000"],
            &["2026-01-01T00:00:00.000000", "2026-01-02T00:00:00.500000", "", "2026-01-02T06:00:00.000000"],
            &["2026-01-01 00:00:00", "2026-01-02 00:00:00.5", "", "2026-01-02 06:00:00"],
        ],
    );
}

#[test]
fn times_with_a_zone() {
    let instants = vec![Some(1_767_225_600_000_000), None, Some(1_782_943_200_000_000), Some(1_767_225_600_250_000)];
    let column = |zone: &str| array(TimestampMicrosecondArray::from(instants.clone()).with_timezone(zone));
    alike(
        &["UTC", "+00:00", "+02:00", "Europe/Berlin", "America/New_York", "Etc/UTC"].map(column),
        &[
            // pandas, polars, pyarrow, Spark, DuckDB: of whichever zone.
            &["2026-01-01 00:00:00+00:00", "", "2026-07-01 22:00:00+00:00", "2026-01-01 00:00:00.250000+00:00"],
            &["2026-01-01 01:00:00+01:00", "", "2026-07-02 00:00:00+02:00", "2026-01-01 01:00:00.250000+01:00"],
            &[
                "2026-01-01T00:00:00.000000+0000",
                "",
                "2026-07-02T00:00:00.000000+0200",
                "2025-12-31T19:00:00.250000-0500",
            ],
            &["2026-01-01 00:00:00.000000Z", "", "2026-07-01 22:00:00.000000Z", "2026-01-01 00:00:00.250000Z"],
            &["2026-01-01T00:00:00.000Z", "", "2026-07-02T00:00:00.000+02:00", "2026-01-01T00:00:00.250Z"],
            &["2026-01-01 00:00:00+00", "", "2026-07-01 22:00:00+00", "2026-01-01 00:00:00.25+00"],
            &["2026-01-01 00:00:00 UTC", "", "2026-07-01 22:00:00 UTC", "2026-01-01 00:00:00.25 UTC"],
        ],
    );
}

/// As Spark writes times with a zone: 96-bit times, in UTC, of a type that has no zone.
#[test]
fn times_of_96_bits_are_instants() {
    let expected =
        loaded(CATEGORY, "log.csv", written(&["2026-01-01T00:00:00.000Z", "2026-01-01T06:00:00.500Z"]).as_bytes());
    let found = loaded(CATEGORY, "log.parquet", &times_of_96_bits("required int96", None));
    assert_eq!(json(&found.encoder), json(&expected.encoder));
    assert_eq!(found.train, expected.train);
    let config = CATEGORY.replace("kind = 'categorical'", "kind = 'categorical'\nmultiple = true");
    let list = "required group NAME (LIST) { repeated group list { required int96 element; } }";
    let expected = loaded(&config, "log.csv", written(&["2026-01-01T00:00:00Z", "2026-01-01T06:00:00.5Z"]).as_bytes());
    let found = loaded(&config, "log.parquet", &times_of_96_bits(list, Some(&[1, 1])));
    assert_eq!(json(&found.encoder), json(&expected.encoder), "in lists");
    assert_eq!(found.train, expected.train, "in lists");
}

/// Two such times, in columns of this kind, whose values are so deep.
fn times_of_96_bits(kind: &str, depth: Option<&[i16]>) -> Vec<u8> {
    let column = |name: &str| match depth {
        None => format!("{kind} {name};"),
        Some(_) => kind.replace("NAME", name),
    };
    let schema = format!("message m {{ {} {} required int32 y; }}", column("v"), column("w"));
    let schema = Arc::new(parquet::schema::parser::parse_message_type(&schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = parquet::file::writer::SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let times: Vec<Int96> = [1_767_225_600_000_000_i64, 1_767_247_200_500_000]
        .map(|micros| {
            let mut time = Int96::new();
            // Days of the Julian calendar, and nanoseconds.
            let (day, nanos) = (micros / 86_400_000_000, micros % 86_400_000_000 * 1000);
            time.set_data(nanos as u32, (nanos >> 32) as u32, day as u32 + 2_440_588);
            time
        })
        .to_vec();
    for _ in 0..2 {
        let mut column = group.next_column().unwrap().unwrap();
        // Every value begins a row.
        column.typed::<Int96Type>().write_batch(&times, depth, depth.map(|_| &[0, 0][..])).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<parquet::data_type::Int32Type>().write_batch(&[0, 1], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn times_of_the_day() {
    alike(
        &[array(Time64MicrosecondArray::from(vec![45_000_000_000, 45_000_500_000, 0]))],
        &[
            &["12:30:00", "12:30:00.500000", "00:00:00"],
            &["12:30:00.000000000", "12:30:00.500000000", "00:00:00.000000000"],
        ],
    );
    alike(&[array(Time32SecondArray::from(vec![45_000, 0]))], &[&["12:30:00", "00:00:00"]]);
    alike(&[array(Time64NanosecondArray::from(vec![1, 0]))], &[&["00:00:00.000000001", "00:00:00"]]);
}

#[test]
fn texts_that_are_no_typed_values_stay_as_they_are() {
    let texts =
        ["007", "7", "1e5", "100000", "1.10", "1.1", "+7", "NaN", "None", "true story", "2026-02-30 00:00:00", "0e10"];
    let splits = loaded(CATEGORY, "log.csv", written(&texts).as_bytes());
    let Ids::Single(rows) = &splits.train.as_batch().categorical[0] else { unreachable!() };
    let mut rows = rows.clone();
    rows.sort_unstable();
    assert_eq!(rows, (1..=texts.len() as u64).collect::<Vec<_>>());
    alike(&[array(StringArray::from(texts.to_vec()))], &[&texts]);
}

#[test]
fn texts_that_mean_missing_do_so_in_every_format() {
    let texts = array(StringArray::from(vec![Some(""), Some("NA"), None, Some("a")]));
    alike(&[Arc::clone(&texts), dictionary(&texts)], &[&["", "NA", "", "a"]]);
    let config = CATEGORY.replace("[[task]]", "[data.csv]\nnull = ['NA', '']\n[[task]]");
    let expected = loaded(&config, "log.csv", written(&["", "NA", "", "a"]).as_bytes());
    for column in [dictionary(&texts), texts] {
        let found = loaded(&config, "log.parquet", &parquet_bytes(&typed(&column), 2));
        assert_eq!(json(&found.encoder), json(&expected.encoder));
        assert_eq!(found.train, expected.train);
    }
    assert_eq!(expected.train.as_batch().categorical[0], Ids::Single(vec![0, 0, 0, 1]));
}

#[test]
fn lists_of_typed_values() {
    let config = CATEGORY.replace("kind = 'categorical'", "kind = 'categorical'\nmultiple = true");
    let rows = vec![Some(vec![Some(1.0), Some(2.5)]), None, Some(vec![]), Some(vec![Some(2.0), None, Some(f64::NAN)])];
    let floats = array(ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
    let expected = loaded(&config, "log.csv", written(&["1.0|2.5", "", "", "2"]).as_bytes());
    let found = loaded(&config, "log.parquet", &parquet_bytes(&typed(&floats), 4));
    assert_eq!(json(&found.encoder), json(&expected.encoder));
    assert_eq!(found.train, expected.train);
}

/// A text between separators and a list hold the same values, also where some of them mean "missing".
#[test]
fn texts_that_mean_missing_do_so_in_lists() {
    let config = CATEGORY
        .replace("kind = 'categorical'", "kind = 'categorical'\nmultiple = true")
        .replace("[[task]]", "[data.csv]\nnull = ['NA', '']\n[[task]]");
    let rows: [&[Option<&str>]; 5] = [&[Some("a"), Some("NA"), Some("b")], &[Some("NA")], &[], &[None], &[Some("")]];
    let lists = || {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in rows {
            lists.append_value(row.iter().copied());
        }
        array(lists.finish())
    };
    let expected = loaded(&config, "log.csv", written(&["a|NA|b", "NA", "", "NA||NA", ""]).as_bytes());
    let dictionaries = cast(&lists(), &DataType::List(Arc::new(Field::new_list_field(dictionary_of_texts(), true))));
    for column in [lists(), dictionaries.unwrap()] {
        let found = loaded(&config, "log.parquet", &parquet_bytes(&typed(&column), 2));
        assert_eq!(json(&found.encoder), json(&expected.encoder));
        assert_eq!(found.train, expected.train);
        assert_eq!(&found.encoder.encode_rows(&typed(&column), true).unwrap(), expected.train.as_batch());
    }
    let values = Ids::Multiple { offsets: vec![0, 2, 2, 2, 2, 2], rows: vec![1, 2] };
    assert_eq!(expected.train.as_batch().categorical[0], values);
}

fn dictionary_of_texts() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8))
}

/// Runs of equal values, as Arrow may hold them.
#[test]
fn runs_are_the_values_that_they_stand_for() {
    let runs = |values: &dyn Array| array(RunArray::<Int32Type>::try_new(&vec![2, 3, 4].into(), values).unwrap());
    for (values, texts) in [
        (runs(&Float64Array::from(vec![Some(94.0), None, Some(0.5)])), ["94", "94", "", "0.5"]),
        (runs(&StringArray::from(vec![Some("94.0"), None, Some("b")])), ["94", "94", "", "b"]),
    ] {
        let expected = loaded(CATEGORY, "log.csv", written(&texts).as_bytes());
        let found = loaded(CATEGORY, "log.arrow", &arrow_file_bytes(&[typed(&values)]));
        assert_eq!(json(&found.encoder), json(&expected.encoder));
        assert_eq!(found.train, expected.train);
    }
}

/// Numbers, labels and sample spaces.
const NUMBERS: &str = "
[data]
train = 'FILE'
[[feature]]
columns = ['v']
kind = 'numeric'
transform = ['standardize']
missing = 'mean'
[[feature]]
columns = ['w']
kind = 'bucketized'
buckets = 2
embedding = 2
[[task]]
name = 'y'
kind = 'regression'
label = { column = 'y' }
[[task]]
name = 'z'
kind = 'binary'
label = { column = 'z' }
where = { column = 'v', not_equals = 3 }
";

#[test]
fn numbers_are_alike_and_nan_is_missing() {
    let values = [Some(0.1), Some(3.0), None, Some(f64::NAN), Some(-12.7)];
    let table = |column: &ArrayRef| {
        let truth = array(BooleanArray::from(vec![Some(true), Some(false), Some(true), None, Some(true)]));
        let columns = ["v", "w", "y"].map(|name| (name, Arc::clone(column)));
        batch(columns.into_iter().chain([("z", truth)]).collect())
    };
    let csv = |nan: &str| {
        let rows = [("0.1", "True"), ("3.0", "False"), ("", "true"), (nan, ""), ("-12.7", "1")];
        let lines = rows.map(|(v, z)| format!("{v},{v},{v},{z}\n"));
        format!("v,w,y,z\n{}", lines.concat())
    };
    let expected = loaded(NUMBERS, "log.csv", csv("").as_bytes());
    assert_eq!(expected.train.as_batch().labels[1].present, [true, false, false, false, true]);
    let double = array(Float64Array::from(values.to_vec()));
    let single = cast(&double, &DataType::Float32).unwrap();
    let known: Float64Array = values.iter().map(|value| value.filter(|value| !value.is_nan())).collect();
    let decimal = cast(&known, &DataType::Decimal128(12, 3)).unwrap();
    for found in [
        loaded(NUMBERS, "log.csv", csv("NaN").as_bytes()),
        loaded(NUMBERS, "log.csv", csv("nan").as_bytes()),
        loaded(NUMBERS, "log.parquet", &parquet_bytes(&table(&double), 3)),
        loaded(NUMBERS, "log.parquet", &parquet_bytes(&table(&single), 3)),
        loaded(NUMBERS, "log.arrow", &arrow_file_bytes(&[table(&decimal)])),
    ] {
        assert_eq!(json(&found.encoder), json(&expected.encoder));
        assert_eq!(found.train, expected.train);
    }
}

#[test]
fn ids_are_exact_in_every_type() {
    let config = CATEGORY.replace("encoding = { hash = 1000003 }", "encoding = { ids = 1000000000000 }");
    let ids = vec![999_999_999_999_i64, 0, 5];
    let int = array(Int64Array::from(ids));
    let expected = loaded(&config, "log.csv", written(&["999999999999", "0", "5"]).as_bytes());
    assert_eq!(expected.train.as_batch().categorical[1], Ids::Single(vec![999_999_999_999, 0, 5]));
    let floats = loaded(&config, "log.csv", written(&["999999999999.0", "0.0", "5.0"]).as_bytes());
    assert_eq!(floats.train, expected.train);
    for kind in [DataType::Float64, DataType::Decimal128(20, 0), DataType::Decimal128(20, 2), DataType::UInt64] {
        let table = typed(&cast(&int, &kind).unwrap());
        assert_eq!(loaded(&config, "log.parquet", &parquet_bytes(&table, 3)).train, expected.train, "{kind}");
    }
}

/// Rows that are trained on, under a rule for validation rows.
fn trained(name: &str, bytes: &[u8], rule: &str) -> Result<Vec<f32>, Error> {
    let config = CATEGORY.replace("train = 'FILE'", &format!("train = 'FILE'\nvalid = {{ column = 'v', {rule} }}"));
    let splits = load(&config, name, bytes)?;
    let valid = splits.valid.as_ref().map_or(0, |valid| valid.rows());
    let labels = splits.train.as_batch().labels[0].values.clone();
    assert_eq!(labels.len() + valid, 4, "{:?}", Split::Valid);
    Ok(labels)
}

#[test]
fn bounds_are_compared_in_the_columns_own_type() {
    let hours = |hours: [i64; 4]| hours.map(|hour| 1_767_225_600 + hour * 3600).to_vec();
    let local = array(TimestampSecondArray::from(hours([0, 12, 24, 36])));
    let zoned = array(TimestampSecondArray::from(hours([0, 12, 24, 36])).with_timezone("Europe/Berlin"));
    let days = array(Date32Array::from(vec![20_454, 20_455, 20_456, 20_457]));
    let whole = array(Int64Array::from(vec![9, 10, 11, 100]));
    let wide = array(UInt64Array::from(vec![9, u64::MAX - 2, u64::MAX - 1, u64::MAX]));
    let decimal = cast(&wide, &DataType::Decimal128(22, 1)).unwrap();
    let space = ["2026-01-01 00:00:00", "2026-01-01 12:00:00", "2026-01-02 00:00:00", "2026-01-02 12:00:00"];
    let letter = ["2026-01-01T00:00:00Z", "2026-01-01T12:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T12:00:00Z"];
    let dates = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"];
    let times: &[&str] = &[
        "from = '2026-01-02 00:00:00'",
        "from = '2026-01-02T00:00:00'",
        "from = '2026-01-02'",
        "from = '2026-01-02T01:00:00+01:00'",
        "from = 2026-01-02",
        "from = 2026-01-02T00:00:00",
        "from = 2026-01-02 00:00:00Z",
        "from = '2026-01-01 18:00', to = 2026-01-03",
    ];
    for (column, texts, rules, expected) in [
        (&local, &space, times, &[0.0, 1.0][..]),
        (&zoned, &letter, times, &[0.0, 1.0]),
        (
            &days,
            &dates,
            &["from = 2026-01-03", "from = '2026-01-02 00:00:01'", "from = '2026-01-03T00:00:00'"],
            &[0.0, 1.0],
        ),
        (&days, &dates, &["equals = 2026-01-02", "equals = '2026-01-02 00:00:00'"], &[0.0, 2.0, 3.0]),
        (&days, &dates, &["from = '2026-01', to = 2026-01-03"], &[2.0, 3.0]),
        (&whole, &["9", "10", "11", "100"], &["from = 11", "from = 10.5"], &[0.0, 1.0]),
        (
            &wide,
            &["9", "18446744073709551613", "18446744073709551614", "18446744073709551615"],
            &["from = '18446744073709551614'", "from = 18446744073709551614"],
            &[0.0, 1.0],
        ),
        (
            &decimal,
            &["9.0", "18446744073709551613.0", "18446744073709551614.0", "18446744073709551615.0"],
            &["from = '18446744073709551614'"],
            &[0.0, 1.0],
        ),
    ] {
        let (csv, table) = (written(texts), typed(column));
        for rule in rules {
            for (name, bytes) in [
                ("log.csv", csv.clone().into_bytes()),
                ("log.parquet", parquet_bytes(&table, 3)),
                ("log.arrow", arrow_file_bytes(std::slice::from_ref(&table))),
            ] {
                let found = trained(name, &bytes, rule);
                assert_eq!(found.unwrap_or_else(|error| panic!("{name} {rule}: {error}")), expected, "{name} {rule}");
            }
        }
    }
}

#[test]
fn what_can_never_be_compared_is_an_error() {
    let time = typed(&array(TimestampSecondArray::from(vec![0, 1])));
    let whole = typed(&array(Int64Array::from(vec![0, 1])));
    let truth = typed(&array(BooleanArray::from(vec![true, false])));
    for (table, rule, message) in [
        (&time, "from = 5", "its times cannot be compared with 5, which is valid.from in [data]; write a time, as in"),
        (&time, "equals = 'soon'", "cannot be compared with \"soon\", which is valid.equals in [data]"),
        (&whole, "from = 2026-01-06", "its whole numbers cannot be compared with \"2026-01-06\", which is valid.from"),
        (&whole, "from = 0, to = 'x'", "both are numbers, or both are texts"),
        (&whole, "from = '10'", "write the number without quotes"),
        (&truth, "equals = 'yes'", "its true/false cannot be compared with \"yes\""),
    ] {
        let error = trained("log.parquet", &parquet_bytes(table, 2), rule).unwrap_err();
        assert!(error.to_string().contains(message), "{rule}: {error}");
        assert!(error.to_string().contains("column \"v\"") || error.kind() == ErrorKind::Configuration, "{error}");
    }
    // A text that is no time, where the bound is one.
    let error = trained("log.csv", written(&["2026-01-05", "soon"]).as_bytes(), "from = 2026-01-06").unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("line 3 (row 2), column \"v\": \"soon\" cannot be compared with \"2026-01-06\""),
        "{message}"
    );
    for (part, key) in [
        ("label = { column = 'y' }\nwhere = { column = 'v', equals = 'a' }", "where.equals of task \"y\""),
        ("label = { column = 'y' }\nwhere = { column = 'v', in = [1, 'a'] }", "where.in of task \"y\""),
        (
            "label = { column = 'y' }\nwhere = { column = 'v', not_equals = 2026-01-06 }",
            "where.not_equals of task \"y\"",
        ),
    ] {
        let config = CATEGORY.replace("label = { column = 'y' }", part);
        let error = load(&config, "log.parquet", &parquet_bytes(&whole, 2)).unwrap_err();
        assert!(error.to_string().contains(key) && error.kind() == ErrorKind::Data, "{error}");
    }
    let config = CATEGORY.replace(
        "kind = 'regression'\nlabel = { column = 'y' }",
        "kind = 'binary'\nlabel = { column = 'y', positive = 'yes' }",
    );
    let error = load(&config, "log.parquet", &parquet_bytes(&whole, 2)).unwrap_err();
    assert!(error.to_string().contains("label.positive of task \"y\""), "{error}");
}

/// Values of one row, of which each column makes its own.
type Row = (i64, i64, bool, u64);

/// A time as pandas writes it.
fn second(seconds: i64) -> String {
    let (day, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!("{} {:02}:{:02}:{:02}", date_of(day), rest / 3600, rest / 60 % 60, rest % 60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any table of numbers and times, and its CSV.
    #[test]
    fn tables_encode_as_their_csv_does(
        rows in prop::collection::vec((-3i64..3, -2_000_000_000i64..2_000_000_000, any::<bool>(), any::<u64>()), 1..40),
    ) {
        let texts = |text: fn(&Row) -> String| rows.iter().map(text).collect::<Vec<_>>();
        let columns: [(ArrayRef, Vec<String>); 5] = [
            (array(Float64Array::from_iter_values(rows.iter().map(|row| row.0 as f64 / 2.0))), texts(|row| format!("{:?}", row.0 as f64 / 2.0))),
            (array(TimestampSecondArray::from_iter_values(rows.iter().map(|row| row.1))), texts(|row| second(row.1))),
            (array(BooleanArray::from_iter(rows.iter().map(|row| Some(row.2)))), texts(|row| if row.2 { "True" } else { "False" }.into())),
            (array(UInt64Array::from_iter_values(rows.iter().map(|row| row.3))), texts(|row| format!("{}.0", row.3))),
            (array(Float32Array::from_iter_values(rows.iter().map(|row| (row.1 % 1000) as f32 / 1e4))), texts(|row| format!("{:?}", (row.1 % 1000) as f32 / 1e4))),
        ];
        for (column, texts) in columns {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let expected = loaded(CATEGORY, "log.csv", written(&texts).as_bytes());
            let found = loaded(CATEGORY, "log.parquet", &parquet_bytes(&typed(&column), 7));
            prop_assert_eq!(json(&found.encoder), json(&expected.encoder));
            prop_assert_eq!(found.train, expected.train);
        }
    }
}

/// The date of a day since 1970, by Arrow.
fn date_of(day: i64) -> String {
    let text = cast(&Date32Array::from(vec![day as i32]), &DataType::Utf8).unwrap();
    text.as_any().downcast_ref::<StringArray>().unwrap().value(0).to_owned()
}
