//! Any bytes as a file of Parquet.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    pleiad_fuzz::load(pleiad_fuzz::VIDEO, "fuzzed.parquet", bytes, &["data.on_bad_row=\"skip\"".to_owned()]);
});
