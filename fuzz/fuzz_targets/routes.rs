//! Any bytes as a file of routes, and as the body that replaces a route: read or refused, with a message either way.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

const MODELS: &[&str] = &["video", "next"];

fuzz_target!(|bytes: &[u8]| {
    if let Err(refusal) = pleiad_serve::check_route(bytes, MODELS) {
        assert!([400, 422].contains(&refusal.status), "{refusal:?}");
        drop(serde_json::from_slice::<serde_json::Value>(&refusal.to_json()).expect("a refusal is JSON"));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(error) = pleiad_serve::check_routes(Path::new("routes.toml"), text.to_owned(), MODELS)
    {
        assert!(!error.to_string().is_empty());
    }
});
