//! Any text as a configuration: it is read or refused, and what is read builds a model or refuses to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pleiad_train::ConfigFile;

fuzz_target!(|text: &str| {
    let path = pleiad_fuzz::scratch().join("config.toml");
    match ConfigFile::parse(&path, text.to_owned(), &[]) {
        Ok(file) => drop(file.model(None).map(|model| model.kind().to_owned())),
        // Messages quote the text: they must find their way through any of it.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
