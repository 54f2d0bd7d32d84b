//! A checkpoint of which any file has any bytes; the run goes on from it or says why it cannot.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// A run with checkpoints and without a model: as one that was killed.
fn stopped() -> &'static PathBuf {
    static STOPPED: OnceLock<PathBuf> = OnceLock::new();
    STOPPED.get_or_init(|| {
        let folder = pleiad_fuzz::scratch();
        pleiad_fuzz::train_into(folder, "stopped", &[], false).expect("the small log can be trained on");
        let stopped = folder.join("stopped");
        let done = ["model", "tensorboard"].map(|name| stopped.join(name));
        done.iter().for_each(|path| drop(fs::remove_dir_all(path)));
        let done = ["metrics.json", "explain.json", "report.html"].map(|name| stopped.join(name));
        done.iter().for_each(|path| drop(fs::remove_file(path)));
        stopped
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let folder = pleiad_fuzz::scratch();
    pleiad_fuzz::replace(stopped(), &folder.join("run"));
    let files = pleiad_fuzz::files(&folder.join("run/checkpoints"));
    fs::write(&files[first as usize % files.len()], rest).expect("the scratch folder can be written to");
    drop(pleiad_fuzz::train_into(folder, "run", &[], true));
});
