//! Any bytes as an Arrow file or stream.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    pleiad_fuzz::load(pleiad_fuzz::VIDEO, "fuzzed.arrow", bytes, &["data.on_bad_row=\"skip\"".to_owned()]);
});
