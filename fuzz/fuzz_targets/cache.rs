//! A cache of encoded rows of which any file has any bytes: rows are read from it, or made again from the log.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pleiad_data::{LoadOptions, Splits};
use pleiad_train::ConfigFile;

fn rows() -> usize {
    let folder = pleiad_fuzz::scratch();
    let sets = ["data.cache=\"kept\"".to_owned()];
    let file = ConfigFile::parse(&folder.join("config.toml"), pleiad_fuzz::CONFIG.to_owned(), &sets).expect("sound");
    let splits = Splits::load(&file.config.data, folder, &file.schema, LoadOptions::default());
    splits.expect("the log is there, whatever became of the cache").train.rows()
}

/// A cache as it was written.
fn sound() -> &'static PathBuf {
    static SOUND: OnceLock<PathBuf> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = pleiad_fuzz::scratch();
        fs::write(folder.join("log.csv"), pleiad_fuzz::LOG).expect("the scratch folder can be written to");
        rows();
        fs::rename(folder.join("kept"), folder.join("sound")).expect("the cache is there");
        folder.join("sound")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let kept = pleiad_fuzz::scratch().join("kept");
    pleiad_fuzz::replace(sound(), &kept);
    let files = pleiad_fuzz::files(&kept);
    fs::write(&files[first as usize % files.len()], rest).expect("the scratch folder can be written to");
    assert_eq!(rows(), 5, "the rows are those of the log");
});
