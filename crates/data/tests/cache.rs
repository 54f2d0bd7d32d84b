//! Encoded rows on disk: the same rows as those of the files, or none at all.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::common::{Folder, TestConfig, json};
use pleiad_data::{BLOCK_ROWS, CacheUse, Error, LoadOptions, RAW_ROWS, Splits, StoredRows, StoredSplits};
use proptest::prelude::*;
use xxhash_rust::xxh64::xxh64;

const CONFIG: &str = r#"
[data]
train = ["a.csv", "b.csv"]
valid = { fraction = 0.2 }
test = "test.csv"
on_bad_row = "skip"
CACHE

[[feature]]
columns = ["age"]
kind = "numeric"
transform = ["standardize"]
missing = "mean"

[[feature]]
columns = ["city"]
kind = "categorical"
embedding = 4

[[feature]]
columns = ["user"]
kind = "categorical"
encoding = { hash = 100000 }
embedding = 4

[[feature]]
columns = ["tags"]
kind = "categorical"
multiple = true
pooling = "mean"
embedding = 4

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

fn config(keys: &str) -> String {
    CONFIG.replace("CACHE", keys)
}

fn log(rows: u32, seed: u32) -> String {
    let mut text = String::from("age,city,user,tags,click,time\n");
    for i in 0..rows {
        let draw = (i ^ seed).wrapping_mul(2_654_435_761) >> 7;
        let age = if draw.is_multiple_of(11) { String::new() } else { (draw % 90).to_string() };
        let age = if draw % 997 == 3 { "old".to_owned() } else { age };
        let tags = ["a", "b", "c"][..(draw % 4) as usize].join("|");
        let city = ["Oslo", "Lima", "Pune", ""][(draw >> 3) as usize % 4];
        let time = if draw.is_multiple_of(5) { String::new() } else { format!("{}", f64::from(draw % 1000) / 7.0) };
        text.push_str(&format!("{age},{city},{},{tags},{},{time}\n", draw % 5000, draw % 3 % 2));
    }
    text
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("a.csv", log(9000, 1));
    folder.write("b.csv", log(3000, 2));
    folder.write("test.csv", log(2000, 3));
    folder
}

fn stored(folder: &Folder, keys: &str) -> Result<StoredSplits, Error> {
    let config = TestConfig::parse(&config(keys));
    StoredSplits::load(&config.data, folder.path(), &config.schema().unwrap(), LoadOptions::default())
}

fn assert_same(a: &Splits, b: &Splits) {
    assert_eq!(json(&a.encoder), json(&b.encoder));
    assert!(a.train == b.train && a.valid == b.valid && a.test == b.test);
    assert_eq!(a.skipped, b.skipped);
    assert_eq!(a.raw, b.raw);
}

/// Every raw row, encoded, is a row that is trained on, in the order of the log.
fn assert_raw_rows_are_training_rows(splits: &Splits) {
    let raw = splits.encoder.encode_raw(&splits.raw).unwrap();
    assert_eq!((raw.rows, splits.raw.rows()), (RAW_ROWS, RAW_ROWS));
    let mut rows = (0..splits.train.rows()).map(|row| {
        let mut row = splits.train.as_batch().slice(row..row + 1);
        row.labels.clear();
        row
    });
    for at in 0..raw.rows {
        let wanted = raw.slice(at..at + 1);
        assert!(rows.any(|row| row == wanted), "raw row {at} is none");
    }
}

fn why(splits: &Splits) -> &str {
    match splits.cache.as_ref().unwrap() {
        CacheUse::Built { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

fn is_used(splits: &Splits) -> bool {
    matches!(splits.cache, Some(CacheUse::Used { .. }))
}

/// The one folder of encoded rows.
fn entry(cache: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

const FILES: [&str; 4] = ["manifest", "test.arrow", "train.arrow", "valid.arrow"];

#[test]
fn rows_of_the_cache_are_those_of_the_files() {
    let folder = folder();
    let plain = folder.load(&config("")).unwrap();
    assert_eq!(plain.cache, None);
    assert!(plain.skipped.rows > 0 && plain.train.rows() > 2 * BLOCK_ROWS);
    assert_raw_rows_are_training_rows(&plain);
    let first = folder.load(&config("cache = 'c'")).unwrap();
    assert_eq!(why(&first), "there were none");
    assert_same(&plain, &first);
    let mut names: Vec<_> =
        std::fs::read_dir(entry(&folder.path().join("c"))).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, FILES);
    let second = folder.load(&config("cache = 'c'")).unwrap();
    assert!(is_used(&second), "{:?}", second.cache);
    assert_same(&plain, &second);
}

#[test]
fn rows_that_were_never_in_memory_are_the_same_files() {
    let folder = folder();
    let plain = folder.load(&config("cache = 'c'")).unwrap();
    let on_disk = stored(&folder, "cache = 'd'").unwrap();
    for file in FILES {
        let read = |cache: &str| std::fs::read(entry(&folder.path().join(cache)).join(file)).unwrap();
        assert!(read("c") == read("d"), "{file}");
    }
    // One is read by the other, too.
    assert!(is_used(&folder.load(&config("cache = 'd'")).unwrap()));
    assert!(matches!(stored(&folder, "cache = 'c'").unwrap().cache, CacheUse::Used { .. }));

    let temporary = stored(&folder, "").unwrap();
    let CacheUse::Temporary { folder: place } = temporary.cache.clone() else { panic!("{:?}", temporary.cache) };
    assert_eq!((temporary.train.xxh64(), &temporary.skipped), (on_disk.train.xxh64(), &plain.skipped));
    assert_eq!((&temporary.raw, &on_disk.raw), (&plain.raw, &plain.raw));
    let valid = temporary.valid.clone().unwrap();
    drop(temporary);
    assert_eq!(valid.read(0).unwrap(), plain.valid.unwrap().as_batch().slice(0..valid.rows() as usize));
    drop(valid);
    assert!(!place.exists(), "it goes with the last rows");
}

#[test]
fn raw_rows_are_kept_for_an_encoder_that_was_fitted_elsewhere() {
    let folder = folder();
    let plain = folder.load(&config("")).unwrap();
    let other = TestConfig::parse(&config(""));
    let encoder = Some(plain.encoder.clone());
    let options = LoadOptions { encoder, ..LoadOptions::default() };
    let again = Splits::load(&other.data, folder.path(), &other.schema().unwrap(), options).unwrap();
    assert_eq!(again.raw, plain.raw);
    assert_raw_rows_are_training_rows(&again);
}

#[test]
fn other_programs_can_read_them() {
    let folder = folder();
    let splits = folder.load(&config("cache = 'c'")).unwrap();
    let file = std::fs::File::open(entry(&folder.path().join("c")).join("train.arrow")).unwrap();
    let reader = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    let fields: Vec<String> =
        reader.schema().fields().iter().map(|f| format!("{}: {}", f.name(), f.data_type())).collect();
    assert_eq!(fields[1..3], ["feature city: UInt8", "feature user: UInt32"]);
    assert_eq!(fields[4..], ["task click: Boolean", "task time: Float32"]);
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, splits.train.rows());
}

#[test]
fn blocks_hold_the_rows_in_order() {
    let folder = folder();
    let plain = folder.load(&config("")).unwrap();
    let rows: StoredRows = stored(&folder, "").unwrap().train;
    let all = plain.train.as_batch();
    assert_eq!((rows.rows(), rows.blocks()), (all.rows as u64, all.rows.div_ceil(BLOCK_ROWS)));
    assert_eq!(rows.label_counts(), all.label_counts());
    let mut at = 0;
    for (block, labelled) in rows.in_order().unwrap().zip(rows.labelled_rows().collect::<Vec<_>>()) {
        let block = block.unwrap();
        assert_eq!(block, all.slice(at..at + block.rows));
        assert_eq!((0..block.rows).filter(|&row| block.is_labelled(row)).count(), labelled);
        at += block.rows;
    }
    assert_eq!(at, all.rows);
    let sample = rows.sample(50).unwrap();
    let mut expected = sample.clone();
    plain.train.gather(&(0..50).map(|i| i * all.rows / 50).collect::<Vec<_>>(), &mut expected);
    assert_eq!(sample, expected);
    assert_eq!(rows.sample(usize::MAX).unwrap(), *all);
    assert_eq!(rows.sample(0).unwrap().rows, 0);
    assert!(rows.read(rows.blocks()).is_err());
}

#[test]
fn what_changes_a_row_is_noticed() {
    let folder = folder();
    let text = config("cache = 'c'");
    folder.load(&text).unwrap();
    folder.write("b.csv", log(3000, 4));
    let changed = folder.load(&text).unwrap();
    assert!(why(&changed).ends_with("b.csv has changed"), "{}", why(&changed));
    assert_same(&changed, &folder.load(&config("")).unwrap());
    // Rows of the older files are gone.
    entry(&folder.path().join("c"));

    for (from, to) in [
        ("\"standardize\"", "\"min_max\""),
        ("fraction = 0.2", "fraction = 0.3"),
        ("hash = 100000", "hash = 1000"),
        ("equals = 1", "equals = 0"),
        ("[\"a.csv\", \"b.csv\"]", "[\"b.csv\", \"a.csv\"]"),
        ("missing = \"mean\"", "missing = \"zero\""),
        ("[[feature]]\ncolumns = [\"age\"]", "[data.csv]\ntrim = true\n\n[[feature]]\ncolumns = [\"age\"]"),
        ("label = { column = \"time\" }", "label = { column = \"time\", missing = 0 }"),
    ] {
        assert!(text.contains(from), "{from}");
        let other = text.replace(from, to);
        let first = folder.load(&other).unwrap();
        assert_eq!(why(&first), "there were none", "{to}");
        assert_same(&first, &folder.load(&config("").replace(from, to)).unwrap());
        assert!(is_used(&folder.load(&other).unwrap()), "{to}");
    }
}

#[test]
fn what_changes_no_row_uses_the_cache() {
    let folder = folder();
    let text = config("cache = 'c'");
    folder.load(&text).unwrap();
    for (from, to) in [
        ("embedding = 4", "embedding = 8"),
        ("pooling = \"mean\"", "pooling = \"sum\""),
        ("name = \"time\"", "weight = 0.5\nname = \"time\""),
    ] {
        let other = folder.load(&text.replace(from, to)).unwrap();
        assert!(is_used(&other), "{to}: {:?}", other.cache);
        assert_same(&other, &folder.load(&config("").replace(from, to)).unwrap());
    }
    // Content counts, not the time at which it was written.
    folder.write("a.csv", log(9000, 1));
    assert!(is_used(&folder.load(&text).unwrap()));
}

#[test]
fn a_given_encoder_has_rows_of_its_own() {
    let folder = folder();
    let text = config("cache = 'c'");
    let own = folder.load(&text).unwrap();
    folder.write("b.csv", log(3000, 5));
    let parsed = TestConfig::parse(&text);
    let load = || {
        let options = LoadOptions { encoder: Some(own.encoder.clone()), ..LoadOptions::default() };
        Splits::load(&parsed.data, folder.path(), &parsed.schema().unwrap(), options).unwrap()
    };
    assert_eq!(why(&load()), "there were none");
    let again = load();
    assert!(is_used(&again));
    assert_eq!(json(&again.encoder), json(&own.encoder));
    assert!(why(&folder.load(&text).unwrap()).ends_with("has changed"));
}

/// Whatever happens to a file of the cache, rows are right.
fn after(folder: &Folder, truth: &Splits, damage: impl FnOnce(&Path)) -> Splits {
    damage(&entry(&folder.path().join("c")));
    let splits = folder.load(&config("cache = 'c'")).unwrap();
    assert_same(&splits, truth);
    splits
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_rows_are_read_from_the_files_again() {
    let folder = folder();
    let truth = folder.load(&config("cache = 'c'")).unwrap();
    for name in FILES {
        let gone = after(&folder, &truth, |entry| std::fs::remove_file(entry.join(name)).unwrap());
        assert!(!why(&gone).is_empty());
        for keep in [0, 1, 700] {
            let cut = after(&folder, &truth, |entry| change(&entry.join(name), |bytes| bytes.truncate(keep)));
            assert!(why(&cut).contains("damaged") || why(&cut).contains("cut off"), "{}", why(&cut));
        }
        // Near the end stands what only other programs read; anything before decides.
        for tenth in 0..9 {
            let flip = |bytes: &mut Vec<u8>| {
                let at = 1000 + bytes.len() * tenth / 12;
                let at = at.min(bytes.len() - 1);
                bytes[at] ^= 1 << (tenth % 8);
            };
            let flipped = after(&folder, &truth, |entry| change(&entry.join(name), flip));
            if name == "manifest" {
                assert!(why(&flipped).contains("damaged"), "{}", why(&flipped));
            }
        }
    }
    let swapped = after(&folder, &truth, |entry| {
        std::fs::copy(entry.join("valid.arrow"), entry.join("train.arrow")).unwrap();
    });
    assert!(why(&swapped).contains("train.arrow that was there"), "{}", why(&swapped));
}

/// A manifest that was changed by hand, hash and all.
#[test]
fn a_forged_manifest_allocates_nothing_and_is_refused() {
    let folder = folder();
    let truth = folder.load(&config("cache = 'c'")).unwrap();
    let forge = |from: &str, to: &str| {
        let forged = after(&folder, &truth, |entry| {
            let text = std::fs::read_to_string(entry.join("manifest")).unwrap();
            let (head, body) = text.split_once('\n').unwrap();
            assert!(body.contains(from), "{from}");
            let body = body.replacen(from, to, 1);
            let hash = format!("{:016x}", xxh64(body.trim_end().as_bytes(), 0));
            std::fs::write(entry.join("manifest"), format!("{}{hash}\n{body}", &head[..head.len() - 16])).unwrap();
        });
        why(&forged).to_owned()
    };
    let text = std::fs::read_to_string(entry(&folder.path().join("c")).join("manifest")).unwrap();
    let rows = truth.train.rows();
    let block = text.split("\"blocks\":[").nth(1).unwrap().split(']').next().unwrap().to_owned() + "]";
    let numbers: Vec<&str> = block.trim_matches(['[', ']']).split(',').collect();
    let with = |at: usize, value: &str| {
        let mut numbers = numbers.clone();
        numbers[at] = value;
        format!("[{}]", numbers.join(","))
    };
    let max = &u64::MAX.to_string();
    assert!(forge(&format!("\"rows\":{rows}"), &format!("\"rows\":{}", rows + 1)).contains("contradicts"));
    for at in [0, 1] {
        assert!(forge(&block, &with(at, max)).contains("cut off"), "{at}");
    }
    assert!(forge(&block, &with(1, "0")).contains("damaged"));
    assert!(forge(&block, &with(2, "4294967295")).contains("contradicts"));
    assert!(forge(&block, &with(2, "7")).contains("contradicts"));
    assert!(forge(&block, &with(4, "7")).contains("has changed since it was written"));
    assert!(forge("\"program\"", "\"programme\"").contains("another version"));
}

#[test]
fn where_nothing_can_be_kept_rows_are_there_all_the_same() {
    let folder = folder();
    folder.write("c", "a file");
    let splits = folder.load(&config("cache = 'c'")).unwrap();
    assert!(matches!(splits.cache, Some(CacheUse::NotKept { .. })), "{:?}", splits.cache);
    assert_same(&splits, &folder.load(&config("")).unwrap());
    let error = stored(&folder, "cache = 'c'").unwrap_err();
    assert!(matches!(error, Error::Folder { .. } | Error::Io { .. }), "{error}");
}

#[test]
fn errors_of_the_files_leave_no_cache() {
    let folder = folder();
    let strict = config("cache = 'c'").replace("\"skip\"", "\"stop\"");
    let error = folder.load(&strict).unwrap_err();
    assert!(matches!(error, Error::BadRow(_)), "{error}");
    let parsed = TestConfig::parse(&strict);
    let load = || StoredSplits::load(&parsed.data, folder.path(), &parsed.schema().unwrap(), LoadOptions::default());
    assert_eq!(load().unwrap_err().to_string(), error.to_string());
    assert_eq!(std::fs::read_dir(folder.path().join("c")).unwrap().count(), 0, "nothing half-written");
    // A split without rows is found out when all is read.
    folder.write("test.csv", "age,city,user,tags,click,time\n");
    let memory = folder.load(&config("")).unwrap_err().to_string();
    assert_eq!(stored(&folder, "cache = 'c'").unwrap_err().to_string(), memory);
    assert_eq!(std::fs::read_dir(folder.path().join("c")).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn what_a_killed_program_left_goes_and_what_a_living_one_writes_stays() {
    let folder = folder();
    let cache = folder.path().join("c");
    std::fs::create_dir_all(cache.join(".pleiad-dead.tmp")).unwrap();
    std::fs::write(cache.join(".pleiad-dead.tmp/train.arrow"), "rows").unwrap();
    std::fs::write(cache.join("0123456789abcdef.lock"), "").unwrap();
    std::fs::write(cache.join("notes.lock"), "not ours").unwrap();
    let living = pleiad_data::disk::TemporaryFolder::private(&cache).unwrap();
    folder.load(&config("cache = 'c'")).unwrap();
    let names = std::fs::read_dir(&cache).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<String> = names.filter(|name| name.len() != 16).collect();
    left.sort();
    let living = living.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(left, [living, "notes.lock"]);
}

/// Two that would write the same rows: the second gets a message about the first; once the rows are
/// there, both read.
#[test]
fn encoded_rows_have_one_writer() {
    let folder = folder();
    let entry_of = |folder: &Folder| entry(&folder.path().join("c"));
    folder.load(&config("cache = 'c'")).unwrap();
    let name = entry_of(&folder).file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::remove_dir_all(entry_of(&folder)).unwrap();
    let lock = pleiad_data::disk::Lock::take(&folder.path().join(format!("c/{name}.lock")), "pleiad train").unwrap();
    for error in [folder.load(&config("cache = 'c'")).unwrap_err(), stored(&folder, "cache = 'c'").unwrap_err()] {
        assert!(matches!(error, Error::Held { .. }), "{error}");
        assert_eq!(error.kind(), pleiad_data::ErrorKind::Configuration);
        let text = error.to_string();
        assert!(text.contains(&name) && text.contains("`pleiad train` (process ") && text.contains("cache"), "{text}");
    }
    drop(lock);
    folder.load(&config("cache = 'c'")).unwrap();
    // Rows that are there are read whoever has the lock.
    let _lock = pleiad_data::disk::Lock::take(&folder.path().join(format!("c/{name}.lock")), "pleiad train").unwrap();
    folder.load(&config("cache = 'c'")).unwrap();
    stored(&folder, "cache = 'c'").unwrap();
}

/// Rows that are damaged while they are trained on.
#[test]
fn damage_after_opening_is_an_error_of_the_block() {
    let folder = folder();
    let rows = stored(&folder, "cache = 'c'").unwrap().train;
    let path = entry(&folder.path().join("c")).join("train.arrow");
    let good = rows.read(1).unwrap();
    change(&path, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    });
    let broken: Vec<String> = (0..rows.blocks()).filter_map(|b| rows.read(b).err()).map(|e| e.to_string()).collect();
    assert_eq!(broken.len(), 1);
    assert!(broken[0].contains("has changed since it was written; remove the folder"), "{}", broken[0]);
    assert_eq!(good.rows, BLOCK_ROWS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn any_log_comes_back_to_the_bit(rows in 60u32..9000, seed: u32, fraction in 0.1f64..0.6) {
        let folder = Folder::new();
        folder.write("a.csv", log(rows, seed));
        folder.write("b.csv", log(50, seed ^ 9));
        folder.write("test.csv", log(20, seed ^ 5));
        let text = |keys: &str| config(keys).replace("0.2", &fraction.to_string());
        let plain = folder.load(&text("")).unwrap();
        folder.load(&text("cache = 'c'")).unwrap();
        let cached = folder.load(&text("cache = 'c'")).unwrap();
        prop_assert!(is_used(&cached));
        assert_same(&plain, &cached);
        prop_assert_eq!(plain.train.as_batch().xxh64(), cached.train.as_batch().xxh64());
    }
}

/// One process writes an entry again and again, others read it: they find the rows, or a message that the entry is
/// being written.
#[test]
fn readers_of_an_entry_that_is_replaced_find_the_whole_of_one() {
    let folder = folder();
    let expected = folder.load(&config("cache = 'c'")).unwrap();
    let manifest = entry(&folder.path().join("c")).join("manifest");
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut read = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..4 {
                std::fs::write(&manifest, "damaged").unwrap();
                match folder.load(&config("cache = 'c'")) {
                    Ok(_) | Err(Error::Held { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) || read == 0 {
            match stored(&folder, "cache = 'c'") {
                Ok(found) => {
                    read += 1;
                    let rows = found.train.read(0).unwrap();
                    assert!(rows == expected.train.as_batch().slice(0..rows.rows));
                }
                Err(error) => assert!(matches!(error, Error::Held { .. }), "{error}"),
            }
        }
    });
}
