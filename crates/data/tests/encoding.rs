//! Encoders: fitted on training rows alone, the same however the rows are cut, saved and read back, hostile ones refused.
#![allow(clippy::unwrap_used, missing_docs)]

use std::ops::ControlFlow;

use crate::common::{self, Folder, TestConfig, array, batch, json};
use arrow::array::{Float64Array, Int64Array, StringArray};
use pleiad_data::schema::{Files, SplitConfig};
use pleiad_data::{
    Batch, EncodedStream, Encoder, Error, Ids, Input, LoadOptions, Phase, Progress, Split, Splits, StreamOptions,
};
use proptest::prelude::*;

const CONFIG: &str = r#"
[data]
train = "log.csv"

[[feature]]
columns = ["size"]
kind = "numeric"
transform = ["log1p", "standardize", { clip = [-2, 2] }, "min_max"]
missing = "mean"

[[feature]]
columns = ["city", "home"]
kind = "categorical"
table = "place"
embedding = 3

[[feature]]
columns = ["price"]
kind = "bucketized"
boundaries = [1, 10]
embedding = 2

[[feature]]
columns = ["tags"]
kind = "categorical"
encoding = { vocabulary = { min_count = 2 } }
multiple = true
pooling = "sum"
separator = ";"
embedding = 2

[[task]]
name = "click"
kind = "binary"
label = { column = "click", positive = "yes" }
"#;

fn line(i: u64) -> String {
    let size = if i % 10 == 3 { String::new() } else { (i * 37 % 101).to_string() };
    let tags = ["a", "a;b", "", "b;c"][(i % 4) as usize];
    let click = if i.is_multiple_of(3) { "yes" } else { "no" };
    format!("{size},c{},c{},{},{tags},{click}\n", i % 5, i % 7, i % 13)
}

fn lines(range: std::ops::Range<u64>) -> String {
    range.map(line).collect()
}

const HEAD: &str = "size,city,home,price,tags,click\n";

fn fitted() -> (Folder, Splits) {
    let folder = Folder::new();
    folder.write("log.csv", format!("{HEAD}{}", lines(0..500)));
    let splits = folder.load(CONFIG).unwrap();
    (folder, splits)
}

#[test]
fn the_layout_follows_the_configuration() {
    let (_, splits) = fitted();
    let layout = splits.encoder.layout();
    let names: Vec<&str> = layout.inputs.iter().map(Input::name).collect();
    assert_eq!(names, ["size", "city", "home", "price", "tags"]);
    assert_eq!((layout.width(), layout.numeric_width()), (1 + 3 + 3 + 2 + 2, 1));
    let tables: Vec<(&str, u64)> = layout
        .inputs
        .iter()
        .filter_map(|input| match input {
            Input::Categorical { table, rows, .. } => Some((table.as_str(), *rows)),
            Input::Numeric { .. } | Input::Periodic { .. } => None,
        })
        .collect();
    // c0 to c6 and the unknown, for both of the features that share a table; three buckets and the missing one.
    // "c" occurs as often as "b", so min_count = 2 keeps all three tags.
    assert_eq!(tables, [("place", 8), ("place", 8), ("price", 4), ("tags", 4)]);
    assert_eq!(splits.encoder.tasks()[0].name, "click");
}

#[test]
fn features_that_share_a_table_share_its_rows() {
    let (_, splits) = fitted();
    let rows = splits.train.as_batch();
    let (Ids::Single(city), Ids::Single(home)) = (&rows.categorical[0], &rows.categorical[1]) else { unreachable!() };
    for i in 0..500 {
        assert_eq!(city[i] == home[i], i % 5 == i % 7, "row {i}");
    }
}

#[test]
fn chained_statistics_are_those_of_the_values_so_far() {
    let (_, splits) = fitted();
    let sizes: Vec<Option<f64>> = (0..500).map(|i| (i % 10 != 3).then_some((i * 37 % 101) as f64)).collect();
    let known: Vec<f64> = sizes.iter().flatten().copied().collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let logs: Vec<f64> = known.iter().map(|v| v.ln_1p()).collect();
    let center = mean(&logs);
    let std = (logs.iter().map(|v| (v - center).powi(2)).sum::<f64>() / logs.len() as f64).sqrt();
    let clipped = |v: f64| ((v.ln_1p() - center) / std).clamp(-2.0, 2.0);
    let min = known.iter().map(|&v| clipped(v)).fold(f64::INFINITY, f64::min);
    let max = known.iter().map(|&v| clipped(v)).fold(f64::NEG_INFINITY, f64::max);
    for (size, found) in sizes.iter().zip(&splits.train.as_batch().numeric) {
        let expected = (clipped(size.unwrap_or(mean(&known))) - min) / (max - min);
        assert!((expected - f64::from(*found)).abs() < 1e-6, "{size:?}: {expected} and {found}");
    }
}

#[test]
fn only_training_rows_are_learnt_from() {
    let folder = Folder::new();
    folder.write("log.csv", format!("{HEAD}{}", lines(0..100)));
    folder.write("valid.csv", format!("{HEAD}5,new,c0,1,z;z;z,yes\n"));
    let alone = folder.load(CONFIG).unwrap();
    let both = folder.load(&CONFIG.replace("\"log.csv\"", "\"log.csv\"\nvalid = \"valid.csv\"")).unwrap();
    assert_eq!(json(&alone.encoder), json(&both.encoder));
    let valid = both.valid.unwrap();
    assert_eq!(valid.as_batch().categorical[0], Ids::Single(vec![0]));
    assert_eq!(valid.as_batch().categorical[3], Ids::Multiple { offsets: vec![0, 3], rows: vec![0, 0, 0] });

    // The same for validation rows inside of the training file.
    folder.write("log.csv", format!("{HEAD}{}5,new,new,1,z;z;z,no\n", lines(0..100)));
    let config = CONFIG.replace("\"log.csv\"", "\"log.csv\"\nvalid = { column = \"city\", equals = \"new\" }");
    let parted = folder.load(&config).unwrap();
    assert_eq!(json(&alone.encoder), json(&parted.encoder));
    assert_eq!((parted.train.rows(), parted.valid.unwrap().rows()), (100, 1));
}

#[test]
fn neither_cuts_nor_threads_change_anything() {
    let rows = 30_000;
    let folder = Folder::new();
    folder.write("log.csv", format!("{HEAD}{}", lines(0..rows)));
    let config = CONFIG.replace("\"log.csv\"", "\"log.csv\"\nvalid = { fraction = 0.2 }\ntest = { fraction = 0.1 }");
    let run = |threads: usize, config: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| folder.load(config).unwrap())
    };
    let one = run(1, &config);
    assert_eq!(one.train.rows() + one.valid.as_ref().unwrap().rows() + one.test.as_ref().unwrap().rows(), 30_000);
    for (part, range) in [("1", 0..11), ("2", 11..9000), ("3", 9000..29_000), ("4", 29_000..rows)] {
        folder.write(&format!("part{part}.csv"), format!("{HEAD}{}", lines(range)));
    }
    for other in [run(3, &config), run(2, &config.replace("log.csv", "part*.csv"))] {
        assert_eq!(json(&one.encoder), json(&other.encoder));
        assert_eq!((&one.train, &one.valid, &one.test), (&other.train, &other.valid, &other.test));
    }
}

#[test]
fn fractions_choose_the_same_rows_with_other_features() {
    let (folder, _) = fitted();
    let split = "\"log.csv\"\nvalid = { fraction = 0.2 }";
    let all = folder.load(&CONFIG.replace("\"log.csv\"", split)).unwrap();
    let few = format!(
        "[data]\ntrain = {split}\n[[feature]]\ncolumns = ['price']\nkind = 'numeric'\n\
         [[task]]\nname = 'click'\nkind = 'binary'\nlabel = {{ column = 'click', positive = 'yes' }}"
    );
    let few = folder.load(&few).unwrap();
    assert_eq!(all.valid.unwrap().as_batch().labels, few.valid.unwrap().as_batch().labels);
}

#[test]
fn a_saved_encoder_encodes_alike() {
    let (folder, _) = fitted();
    // While it is fitted an encoder numbers texts, of validation rows too, and does not look them up again; a saved one
    // looks up each.
    let with_valid = CONFIG.replace("\"log.csv\"", "\"log.csv\"\nvalid = { fraction = 0.2 }");
    for text in [CONFIG, &with_valid] {
        let splits = folder.load(text).unwrap();
        let saved = json(&splits.encoder);
        let encoder: Encoder = serde_json::from_str(&saved).unwrap();
        assert_eq!(json(&encoder), saved);
        let config = TestConfig::parse(text);
        let options = LoadOptions { encoder: Some(encoder), ..LoadOptions::default() };
        let again = Splits::load(&config.data, folder.path(), &config.schema().unwrap(), options).unwrap();
        assert_eq!((again.train, again.valid), (splits.train, splits.valid));
    }
}

#[test]
fn a_column_counts_once_for_a_table_of_several_of_its_features() {
    let folder = Folder::new();
    folder.write("log.csv", format!("{HEAD}{}", lines(0..500)));
    let twice = CONFIG.replace("min_count = 2", "min_count = 200").replace(
        "[[task]]",
        "[[feature]]\ncolumns = ['tags']\nname = 'most'\nkind = 'categorical'\ntable = 'tags'\n\
         encoding = { vocabulary = { min_count = 200 } }\nmultiple = true\nseparator = ';'\nembedding = 2\n[[task]]",
    );
    let splits = folder.load(&twice).unwrap();
    // "a" and "b" stand in 250 rows each, "c" in 125.
    let Ids::Multiple { rows, .. } = &splits.train.as_batch().categorical[3] else { panic!("tags are lists") };
    assert_eq!(rows.iter().max(), Some(&2));
    assert_eq!(splits.train.as_batch().categorical[3], splits.train.as_batch().categorical[4]);
    assert_eq!(splits.encoder.schema().features[5].column(), "tags");
}

#[test]
fn hostile_encoders_are_refused() {
    let (_, splits) = fitted();
    let good = serde_json::to_value(&splits.encoder).unwrap();
    let refuse = |pointer: &str, value: serde_json::Value, says: &str| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} in {good}")) = value;
        let error = serde_json::from_value::<Encoder>(bad).unwrap_err().to_string();
        assert!(error.contains(says), "{pointer}: {error}");
    };
    use serde_json::json;
    refuse("/fitted/0/numeric/steps/1/standardize/std", json!(-1.0), "impossible numbers");
    refuse("/fitted/0/numeric/steps/1/standardize/mean", json!(null), "invalid type: null");
    refuse("/fitted/0/numeric/steps/3/min_max/max", json!(-1e9), "impossible numbers");
    refuse("/fitted/0/numeric/steps/0", json!({"min_max": {"min": 0.0, "max": 1.0}}), "where the schema has Log1p");
    refuse("/fitted/0/numeric/steps", json!([]), "0 of 4 transforms are fitted");
    refuse("/fitted/0/numeric/missing", json!(-5.0), "what stands for a missing value is not finite");
    refuse("/fitted/1", json!("hash"), "what is fitted is not what the schema has");
    refuse("/fitted/3/buckets/boundaries", json!([10.0, 1.0]), "not finite and ascending");
    refuse("/fitted/3/buckets/boundaries", json!([1.0, 11.0]), "not those of the schema");
    refuse("/fitted", json!([]), "0 features are fitted, and the schema has 5");
    refuse("/vocabularies/place/0", json!("c6"), "\"c6\" twice");
    refuse("/vocabularies", json!({}), "table \"place\" has no vocabulary");
    refuse("/vocabularies", json!({"place": ["a"], "tags": ["a"], "x": []}), "a vocabulary that no feature uses");
    refuse("/schema/features/1/read/categorical/embedding", json!(0), "an embedding has 1 to 65536 numbers");
    refuse("/schema/features/1/name", json!("size"), "already a feature");
    refuse("/schema/tasks", json!([]), "there is no [[task]] block");
    refuse("/schema/tasks/0/label/column", json!("size"), "is also a feature");
    refuse("/schema/csv/quote", json!("é"), "one ASCII character");
    refuse("/schema/features/0/read/numeric/transform/2/clip", json!([2.0, -2.0]), "is not allowed");
}

#[test]
fn a_stream_gives_the_rows_of_the_dataset() {
    let folder = Folder::new();
    folder.write("log.csv", format!("{HEAD}{}", lines(0..20_000)));
    let splits = folder.load(CONFIG).unwrap();
    let mut options = StreamOptions::new(&splits.encoder, vec![folder.path().join("log.csv").into()]);
    options.with_labels = true;
    options.extras = vec!["price".to_owned(), "click".to_owned()];
    let mut all = Batch::empty(splits.encoder.layout(), 1);
    let mut next = 0;
    for encoded in EncodedStream::open(&splits.encoder, &options).unwrap() {
        let encoded = encoded.unwrap();
        assert!(encoded.batch.rows <= pleiad_data::read::CHUNK_ROWS);
        for (row, &position) in encoded.positions.iter().enumerate() {
            assert_eq!(position, next);
            next += 1;
            assert_eq!(encoded.extras[0].cell(row).to_string(), (position % 13).to_string());
        }
        all.append(&encoded.batch);
    }
    assert_eq!(&all, splits.train.as_batch());
}

#[test]
fn prediction_needs_no_labels_and_keeps_count_of_what_it_skips() {
    let (folder, splits) = fitted();
    let path = folder.write("new.csv", "home,city,tags,size,price\nc1,c1,a,1,1\nc1,c1,a,x,1\nc2,c9,,3,1e3\n");
    let mut options = StreamOptions::new(&splits.encoder, vec![path.clone().into()]);
    let mut stream = EncodedStream::open(&splits.encoder, &options).unwrap();
    let error = stream.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("line 3 (row 2), column \"size\": \"x\" is not a number"), "{error}");
    assert!(stream.next().is_none(), "after an error there is nothing more");
    options.on_bad_row = pleiad_data::schema::OnBadRow::Skip;
    let mut stream = EncodedStream::open(&splits.encoder, &options).unwrap();
    let encoded = stream.next().unwrap().unwrap();
    assert!(stream.next().is_none());
    assert_eq!((encoded.batch.rows, &encoded.positions[..], stream.skipped().rows), (2, &[0, 2][..], 1));
    assert!(encoded.batch.labels.is_empty());
    options.with_labels = true;
    let error = EncodedStream::open(&splits.encoder, &options).unwrap().next().unwrap().unwrap_err();
    assert!(error.is_data(), "a file that lacks a column is at fault, not the model's configuration");
    assert!(error.to_string().contains("no column \"click\", which the label of task \"click\" needs"), "{error}");
}

#[test]
fn rows_in_memory_encode_as_rows_of_a_file() {
    let (_, splits) = fitted();
    let request = batch(vec![
        ("price", array(Int64Array::from(vec![0, 1, 2]))),
        ("size", array(Float64Array::from(vec![Some(0.0), Some(37.0), Some(74.0)]))),
        ("city", array(StringArray::from(vec!["c0", "c1", "c2"]))),
        ("home", array(StringArray::from(vec!["c0", "c1", "c2"]))),
        ("tags", array(StringArray::from(vec![Some("a"), Some("a;b"), None]))),
    ]);
    let encoded = splits.encoder.encode_rows(&request, false).unwrap();
    let mut expected = splits.train.as_batch().slice(0..3);
    expected.labels.clear();
    assert_eq!(encoded, expected);
    let error = splits.encoder.encode_rows(&request.project(&[0, 1, 2, 3]).unwrap(), false).unwrap_err();
    assert!(error.to_string().starts_with("rows in memory has no column \"tags\""), "{error}");
    assert_eq!(splits.encoder.encode_rows(&request.slice(0, 0), false).unwrap().rows, 0);
}

#[test]
fn numbers_unlike_all_training_rows_are_bad_rows() {
    let folder = Folder::new();
    folder.write("log.csv", "x,y\n1,0\n1.0000000000001,1\n");
    let config = "[data]\ntrain = 'log.csv'\n[[feature]]\ncolumns = ['x']\nkind = 'numeric'\n\
                  transform = ['standardize']\n[[task]]\nname = 'y'\nkind = 'binary'\nlabel = { column = 'y' }";
    let splits = folder.load(config).unwrap();
    let request = batch(vec![("x", array(Float64Array::from(vec![1.0, 1e38])))]);
    let error = splits.encoder.encode_rows(&request, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 2, column \"x\": after its transforms the value is beyond the range of 32-bit floats: \
         it is unlike all training rows"
    );
}

#[test]
fn progress_counts_rows() {
    let folder = Folder::new();
    folder.write("log.csv", format!("{HEAD}{}", lines(0..20_000)));
    folder.write("test.csv", format!("{HEAD}{}", lines(0..10)));
    let mut config = TestConfig::parse(CONFIG);
    config.data.test = Some(SplitConfig::Files(Files::One("test.csv".to_owned())));
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |progress: Progress| {
        seen.lock().unwrap().push(progress);
        ControlFlow::Continue(())
    };
    let options = LoadOptions { progress: Some(&progress), ..LoadOptions::default() };
    Splits::load(&config.data, folder.path(), &config.schema().unwrap(), options).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.contains(&Progress { phase: Phase::Fit, rows: 20_000 }), "{seen:?}");
    assert_eq!(seen.last(), Some(&Progress { phase: Phase::Load(Split::Test), rows: 10 }));
}

#[test]
fn loading_stops_when_asked_to() {
    let folder = Folder::new();
    folder.write("log.csv", format!("{HEAD}{}", lines(0..20_000)));
    let config = TestConfig::parse(CONFIG);
    for phase in [Phase::Fit, Phase::Load(Split::Train)] {
        let progress = |p: Progress| if p.phase == phase { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let encoder = (phase != Phase::Fit).then(|| fitted().1.encoder);
        let options = LoadOptions { encoder, progress: Some(&progress), stop: None, memory: None };
        let error = Splits::load(&config.data, folder.path(), &config.schema().unwrap(), options).unwrap_err();
        assert!(matches!(error, Error::Stopped { rows } if rows > 0 && rows <= 20_000), "{phase:?}: {error}");
    }
}

#[test]
fn batches_and_gather_give_the_rows() {
    let (_, splits) = fitted();
    let mut all = Batch::empty(splits.encoder.layout(), 1);
    let sizes: Vec<usize> =
        splits.train.batches(128).inspect(|batch| all.append(batch)).map(|batch| batch.rows).collect();
    assert_eq!(sizes, [128, 128, 128, 116]);
    assert_eq!(&all, splits.train.as_batch());
    let mut two = Batch::empty(splits.encoder.layout(), 1);
    splits.train.gather(&[3, 3], &mut two);
    assert_eq!(two.rows, 2);
    assert_eq!(two.numeric[0], splits.train.as_batch().numeric[3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Statistics and vocabularies of any values come back from JSON as they were.
    #[test]
    fn every_encoder_survives_json(values in prop::collection::vec((-1e20f64..1e20, "[^\u{0}]{0,6}"), 2..40)) {
        let numbers = array(Float64Array::from_iter_values(values.iter().map(|v| v.0)));
        let texts = array(StringArray::from_iter_values(values.iter().map(|v| &v.1)));
        let labels = array(Int64Array::from_iter_values((0..values.len() as i64).map(|i| i % 2)));
        let folder = Folder::new();
        let table = batch(vec![("x", numbers), ("s", texts), ("y", labels)]);
        folder.write("log.arrow", common::arrow_file_bytes(&[table]));
        let config = "[data]\ntrain = 'log.arrow'\n\
                      [[feature]]\ncolumns = ['x']\nkind = 'numeric'\ntransform = ['standardize', 'min_max']\n\
                      [[feature]]\ncolumns = ['s']\nkind = 'categorical'\nembedding = 1\n\
                      [[task]]\nname = 'y'\nkind = 'binary'\nlabel = { column = 'y' }";
        let splits = folder.load(config).unwrap();
        let text = json(&splits.encoder);
        let back: Encoder = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(json(&back), text);
        prop_assert_eq!(back.layout(), splits.encoder.layout());
    }
}
