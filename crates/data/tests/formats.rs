//! One table says the same in every format, type and cut.
#![allow(clippy::unwrap_used, missing_docs)]

use crate::common::{Folder, array, arrow_file_bytes, arrow_stream_bytes, batch, gzip, json, parquet_bytes};
use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int64Array, ListBuilder,
    StringArray, StringBuilder, StringViewArray, UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use pleiad_data::{Ids, RAW_ROWS, Splits};
use proptest::prelude::*;

const CONFIG: &str = r#"
[data]
train = "FILE"

[[feature]]
columns = ["size", "rare"]
kind = "numeric"
transform = ["standardize"]
missing = "mean"

[[feature]]
columns = ["city", "code", "flag", "day"]
kind = "categorical"
embedding = 4

[[feature]]
columns = ["user"]
kind = "categorical"
encoding = { hash = 1000 }
embedding = 4

[[feature]]
columns = ["slot"]
kind = "categorical"
encoding = { ids = 8 }
embedding = 4

[[feature]]
columns = ["tags"]
kind = "categorical"
multiple = true
embedding = 4

[[feature]]
columns = ["price"]
kind = "bucketized"
buckets = 3
embedding = 2

[[task]]
name = "click"
kind = "binary"
label = { column = "click" }

[[task]]
name = "time"
kind = "regression"
label = { column = "time" }
where = { column = "click", equals = 1 }
"#;

fn tags() -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for tags in [Some(&["a", "b"][..]), None, Some(&[]), Some(&["b"]), Some(&["a", "b", "c"]), Some(&["b"])] {
        match tags {
            Some(tags) => {
                tags.iter().for_each(|tag| builder.values().append_value(tag));
                builder.append(true);
            }
            None => builder.append(false),
        }
    }
    array(builder.finish())
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("unused", array(Int64Array::from(vec![9; 6]))),
        ("size", array(Float32Array::from(vec![1.0, 2.5, -3.0, 0.0, 100.0, 7.0]))),
        ("rare", array(Float64Array::from(vec![None, Some(1.0), None, Some(4.0), None, None]))),
        (
            "city",
            array(StringArray::from(vec![Some("Köln"), None, Some("a,b"), Some("x\"y"), Some("Köln"), Some("l\nm")])),
        ),
        ("code", array(Int8Array::from(vec![7, -7, 7, 0, 7, -7]))),
        ("flag", array(BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true), Some(false)]))),
        ("day", array(Date32Array::from(vec![19_723, 19_724, 19_723, 0, -1, 19_723]))),
        ("user", array(Int64Array::from(vec![i64::MAX, i64::MAX - 1, 5, 5, -5, 0]))),
        ("slot", array(UInt32Array::from(vec![0, 7, 3, 3, 2, 1]))),
        ("tags", tags()),
        ("price", array(Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(5.0), None]))),
        ("click", array(Int8Array::from(vec![1, 0, 1, 0, 1, 1]))),
        ("time", array(Float32Array::from(vec![Some(0.5), Some(0.1), None, None, Some(1.5), Some(0.25)]))),
    ]
}

/// The same table as text.
fn csv(separator: char, end: &str) -> String {
    let rows = [
        "unused,size,rare,city,code,flag,day,user,slot,tags,price,click,time",
        "9,1.0,,Köln,7,true,2024-01-01,9223372036854775807,0,a|b,1,1,0.5",
        "9,2.5,1.0,,-7,false,2024-01-02,9223372036854775806,7,,2.0,0,0.1",
        "9,-3,,\"a,b\",7,,2024-01-01,5,3,,3,1,",
        "9,0,4,\"x\"\"y\",0,true,1970-01-01,5,3,b,4,0,",
        "9,1e2,,Köln,7,true,1969-12-31,-5,2,a|b|c,5,1,1.5",
        "9,7,,\"l\nm\",-7,false,2024-01-01,0,1,b,,1,0.25",
    ];
    let text = rows.join(end) + end;
    if separator == ',' {
        text
    } else {
        text.replace("a,b", "a#b").replace(',', &separator.to_string()).replace("a#b", "a,b")
    }
}

fn load(name: &str, bytes: &[u8]) -> Splits {
    load_with(CONFIG, name, bytes)
}

fn load_with(config: &str, name: &str, bytes: &[u8]) -> Splits {
    let folder = Folder::new();
    folder.write(name, bytes);
    let splits = folder.load(&config.replace("FILE", name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    if splits.train.rows() <= RAW_ROWS {
        let mut rows = splits.train.as_batch().clone();
        rows.labels.clear();
        assert_eq!(splits.encoder.encode_raw(&splits.raw).unwrap(), rows, "{name}: raw rows, encoded");
    }
    splits
}

#[track_caller]
fn same(a: &Splits, b: &Splits) {
    assert_eq!(a.train, b.train);
    assert_eq!(a.encoder.layout(), b.encoder.layout());
}

#[test]
fn every_format_gives_the_same_rows() {
    let table = batch(columns());
    let expected = load("log.csv", csv(',', "\n").as_bytes());
    same(&expected, &load("log.parquet", &parquet_bytes(&table, 4)));
    same(&expected, &load("log.arrow", &arrow_file_bytes(&[table.slice(0, 2), table.slice(2, 4)])));
    same(&expected, &load("log.feather", &arrow_file_bytes(std::slice::from_ref(&table))));
    same(&expected, &load("log.arrows", &arrow_stream_bytes(&[table.slice(0, 5), table.slice(5, 1)])));
    let zstd = zstd::encode_all(csv(',', "\n").as_bytes(), 3).unwrap();
    same(&expected, &load("log.csv.zst", &zstd));
    same(&expected, &load("log.csv.gz", &gzip(csv(',', "\n").as_bytes())));
    let (first, second) = csv(',', "\n").split_at(100).to_owned().into_members();
    same(&expected, &load("log.csv.gz", &[gzip(first.as_bytes()), gzip(second.as_bytes())].concat()));
}

trait Members {
    fn into_members(self) -> (String, String);
}

impl Members for (&str, &str) {
    fn into_members(self) -> (String, String) {
        (self.0.to_owned(), self.1.to_owned())
    }
}

#[test]
fn every_spelling_of_csv_gives_the_same_rows() {
    let expected = load("log.csv", csv(',', "\n").as_bytes());
    same(&expected, &load("log.csv", csv(',', "\r\n").as_bytes()));
    same(&expected, &load("log.csv", format!("\u{feff}{}", csv(',', "\n")).as_bytes()));
    same(&expected, &load("log.csv", csv(',', "\n").trim_end().as_bytes()));
    same(&expected, &load("log.tsv", csv('\t', "\n").as_bytes()));
    let semicolons = CONFIG.replace("train = \"FILE\"", "train = \"FILE\"\ncsv = { separator = \";\" }");
    same(&expected, &load_with(&semicolons, "log.csv", csv(';', "\n").as_bytes()));
    let (_, headless) = csv(',', "\n").split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let columns: Vec<String> = columns().iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let config = format!("train = \"FILE\"\ncsv = {{ header = false, columns = [{}] }}", columns.join(", "));
    same(&expected, &load_with(&CONFIG.replace("train = \"FILE\"", &config), "log.csv", headless.as_bytes()));
    let forced = CONFIG.replace("train = \"FILE\"", "train = \"FILE\"\nformat = \"csv\"");
    same(&expected, &load_with(&forced, "log.data", csv(',', "\n").as_bytes()));
}

#[test]
fn every_type_of_a_value_gives_the_same_rows() {
    let expected = load("log.arrow", &arrow_file_bytes(&[batch(columns())]));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    for (column, to) in [
        ("city", DataType::LargeUtf8),
        ("city", DataType::Utf8View),
        ("city", DataType::Binary),
        ("city", dictionary),
        ("code", DataType::Int64),
        ("code", DataType::Float32),
        ("code", DataType::Utf8),
        ("user", DataType::Utf8),
        ("slot", DataType::UInt8),
        ("slot", DataType::Utf8),
        ("slot", DataType::Float64),
        ("size", DataType::Float64),
        ("size", DataType::Decimal128(10, 2)),
        ("size", DataType::Utf8),
        ("day", DataType::Utf8),
        ("flag", DataType::Utf8),
        ("click", DataType::Boolean),
        ("click", DataType::Float64),
        (
            "tags",
            DataType::LargeList(std::sync::Arc::new(arrow::datatypes::Field::new("item", DataType::Utf8View, true))),
        ),
    ] {
        let changed = columns()
            .into_iter()
            .map(|(name, values)| (name, if name == column { cast(&values, &to).unwrap() } else { values }))
            .collect();
        let found = load("log.arrow", &arrow_file_bytes(&[batch(changed)]));
        assert_eq!(expected.train, found.train, "{column} as {to}");
    }
}

#[test]
fn what_the_rows_are() {
    let splits = load("log.csv", csv(',', "\n").as_bytes());
    let rows = splits.train.as_batch();
    assert_eq!(rows.rows, 6);
    // city: "Köln" twice, then by bytes "a,b", "l\nm", "x\"y"; missing is 0.
    assert_eq!(rows.categorical[0], Ids::Single(vec![1, 0, 2, 4, 1, 3]));
    assert_eq!(rows.categorical[1], Ids::Single(vec![1, 2, 1, 3, 1, 2]));
    assert_eq!(rows.categorical[2], Ids::Single(vec![1, 2, 0, 1, 1, 2]));
    assert_eq!(rows.categorical[5], Ids::Single(vec![0, 7, 3, 3, 2, 1]));
    assert_eq!(
        rows.categorical[6],
        Ids::Multiple { offsets: vec![0, 2, 2, 2, 3, 6, 7], rows: vec![2, 1, 1, 2, 1, 3, 1] }
    );
    // price: thirds of 1..=5 are cut at the second and the fourth value.
    assert_eq!(rows.categorical[7], Ids::Single(vec![1, 2, 2, 3, 3, 0]));
    // rare: mean 2.5, std 1.5; a missing value stands for the mean.
    let rare: Vec<f32> = rows.numeric.iter().skip(1).step_by(2).copied().collect();
    assert_eq!(rare, [0.0, -1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(rows.labels[0].values, [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]);
    assert_eq!(rows.labels[1].present, [true, false, false, false, true, true]);
    assert_eq!(rows.labels[1].values, [0.5, 0.0, 0.0, 0.0, 1.5, 0.25]);
}

#[test]
fn trimming_and_nulls() {
    let config = CONFIG.replace("train = \"FILE\"", "train = \"FILE\"\ncsv = { trim = true, null = [\"\", \"?\"] }");
    let padded = csv(',', "\n").replace("1e2,,Köln", " 1e2 , ? ,\t Köln ");
    same(&load("log.csv", csv(',', "\n").as_bytes()), &load_with(&config, "log.csv", padded.as_bytes()));
}

#[test]
fn quoting_can_be_switched_off() {
    let config = "[data]\ntrain = 'FILE'\ncsv = { quote = '' }\n\
                  [[feature]]\ncolumns = ['a']\nkind = 'categorical'\nembedding = 1\n\
                  [[task]]\nname = 'y'\nkind = 'binary'\nlabel = { column = 'y' }";
    let splits = load_with(config, "log.csv", b"a,y\n\"x,1\n\"x,0\nx,1\n");
    assert_eq!(splits.train.as_batch().categorical[0], Ids::Single(vec![1, 1, 2]));
}

#[test]
fn a_list_and_a_glob_are_one_long_file() {
    let text = csv(',', "\n");
    let whole = load("log.csv", text.as_bytes());
    let head = "unused,size,rare,city,code,flag,day,user,slot,tags,price,click,time\n";
    // The columns of the second file stand in another order, and it is compressed.
    let table = batch(columns());
    let order: Vec<usize> = (0..table.num_columns()).rev().collect();
    let folder = Folder::new();
    let first_rows = text.split_inclusive('\n').skip(1).take(2).collect::<String>();
    folder.write("log-1.csv", format!("{head}{first_rows}"));
    folder.write("log-2.parquet", parquet_bytes(&table.slice(2, 4).project(&order).unwrap(), 3));
    let parts = folder.load(&CONFIG.replace("\"FILE\"", "[\"log-1.csv\", \"log-2.parquet\"]")).unwrap();
    same(&whole, &parts);
    assert_eq!(json(&whole.encoder), json(&parts.encoder));
    let globbed = folder.load(&CONFIG.replace("FILE", "log-*")).unwrap();
    same(&whole, &globbed);
}

fn cell() -> impl Strategy<Value = Option<String>> {
    // "\r" alone inside of a quoted field is kept as well.
    prop::option::weighted(0.9, "[a-zé\",;\n\r' 0-9]{1,12}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Texts written by the csv crate read back as they were, and as Parquet and Arrow hold them.
    #[test]
    fn texts_survive(cells in prop::collection::vec((cell(), any::<Option<i64>>(), any::<bool>()), 1..60)) {
        let config = "[data]\ntrain = 'FILE'\n\
                      [[feature]]\ncolumns = ['text', 'id']\nkind = 'categorical'\nembedding = 1\n\
                      [[task]]\nname = 'y'\nkind = 'binary'\nlabel = { column = 'y' }";
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["text", "id", "y"]).unwrap();
        for (text, id, y) in &cells {
            let id = id.map_or(String::new(), |id| id.to_string());
            writer.write_record([text.as_deref().unwrap_or(""), &id, if *y { "1" } else { "0" }]).unwrap();
        }
        let table = batch(vec![
            ("text", array(cells.iter().map(|c| c.0.clone()).collect::<StringViewArray>())),
            ("id", array(cells.iter().map(|c| c.1).collect::<Int64Array>())),
            ("y", array(cells.iter().map(|c| Some(c.2)).collect::<BooleanArray>())),
        ]);
        let from_csv = load_with(config, "log.csv", &writer.into_inner().unwrap());
        let from_parquet = load_with(config, "log.parquet", &parquet_bytes(&table, 7));
        prop_assert_eq!(&from_csv.train, &from_parquet.train);
        prop_assert_eq!(json(&from_csv.encoder), json(&from_parquet.encoder));
        // And the vocabulary gives every text back.
        let Ids::Single(rows) = &from_csv.train.as_batch().categorical[0] else { unreachable!() };
        for (row, (text, _, _)) in rows.iter().zip(&cells) {
            prop_assert_eq!(from_csv.encoder.value_of_row("text", *row), text.as_deref());
        }
    }

    /// Numbers come through exactly, by way of text and of Parquet.
    #[test]
    fn numbers_survive(values in prop::collection::vec(-1e30f32..1e30, 1..50)) {
        let config = "[data]\ntrain = 'FILE'\n[[feature]]\ncolumns = ['x']\nkind = 'numeric'\n\
                      [[task]]\nname = 'y'\nkind = 'regression'\nlabel = { column = 'y' }";
        let lines: String = values.iter().map(|v| format!("{v},{v}\n")).collect();
        let from_csv = load_with(config, "log.csv", format!("x,y\n{lines}").as_bytes());
        prop_assert_eq!(&from_csv.train.as_batch().numeric, &values);
        prop_assert_eq!(&from_csv.train.as_batch().labels[0].values, &values);
        let floats = array(Float32Array::from(values.clone()));
        prop_assert_eq!(floats.len(), values.len());
        let table = batch(vec![("x", floats.clone()), ("y", floats)]);
        prop_assert_eq!(&from_csv.train, &load_with(config, "log.parquet", &parquet_bytes(&table, 9)).train);
    }
}
