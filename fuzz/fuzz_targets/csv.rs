//! Any bytes as a CSV file, in one of several dialects, plain and compressed.
#![no_main]

use libfuzzer_sys::fuzz_target;

const DIALECTS: [&[&str]; 10] = [
    &[],
    &["data.on_bad_row=\"skip\""],
    &["data.csv.separator=\";\"", "data.on_bad_row=\"skip\""],
    &["data.csv.separator=\"::\"", "data.on_bad_row=\"skip\""],
    &["data.csv.quote=\"\"", "data.on_bad_row=\"skip\""],
    &["data.csv.escape=\"\\\\\"", "data.on_bad_row=\"skip\""],
    &["data.csv.trim=true", "data.on_bad_row=\"skip\""],
    &["data.csv.encoding=\"gb18030\"", "data.on_bad_row=\"skip\""],
    &["data.csv.encoding=\"utf-16le\"", "data.on_bad_row=\"skip\""],
    &[
        "data.csv.header=false",
        "data.on_bad_row=\"skip\"",
        "data.csv.columns=[\"age\",\"city\",\"item\",\"tags\",\"price\",\"day\",\"click\",\"spend\"]",
    ],
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let sets: Vec<String> = DIALECTS[first as usize % DIALECTS.len()].iter().map(|&set| set.to_owned()).collect();
    pleiad_fuzz::load(pleiad_fuzz::CONFIG, "fuzzed.csv", rest, &sets);
});
